"""The facade: load a model, step cells."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pychemsurrogate import _native
from pychemsurrogate.integrators import ScipyBDF
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.network import Network
from pychemsurrogate.solver.arrays import FloatArray, cell_values, check_tensor, from_host, host_view, is_tensor
from pychemsurrogate.solver.report import Report
from pychemsurrogate.status import Status

if TYPE_CHECKING:
    from pychemsurrogate.solver.step import Learned

MODES: Final = ("auto", "surrogate", "exact")
INTEGRATORS: Final = ("native", "scipy")
ENGINES: Final = ("native", "torch")


class Solver:
    """Advances many cells at once; make one with `Solver.load`.

    species: names in the order of the species axis; conditions: names of what a step reads beside the temperature.
    A solver is not changed by a step, so that threads may share it.
    """

    def __init__(
        self,
        model: ModelFile,
        mode: str = "auto",
        integrator: str = "native",
        *,
        device: str = "cpu",
        engine: str | None = None,
        rtol: float = 1e-2,
        atol: float = 1e-15,
        max_steps: int = 2000,
        threads: int = 0,
        repair: str = "none",
        species: Sequence[str] | None = None,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"mode is {mode!r}: it must be one of {', '.join(MODES)}")
        if integrator not in INTEGRATORS:
            raise ValueError(f"integrator is {integrator!r}: it must be one of {', '.join(INTEGRATORS)}")
        engine = engine or ("native" if device == "cpu" else "torch")
        if engine not in ENGINES or (engine == "native" and device != "cpu"):
            raise ValueError(f"engine is {engine!r} on device {device!r}: native serves the cpu, torch any device")
        if model.path is None:
            raise ValueError("the model has no file yet: call its write(path) first")
        if species is not None:
            model.require_species(species)
        self.model = model
        self.network: Network = model.network()
        self.species = self.network.species_names
        self.conditions = self.network.conditions
        self.mode = mode
        self.integrator = integrator
        self.repair = repair
        self.device = device
        self.engine = engine
        self._native = _native.Solver.open(str(model.path))
        options = {
            "mode": mode if engine == "native" else "exact",
            "integrator": "native" if integrator == "native" else "host",
            "rtol": rtol,
            "atol": atol,
            "max_steps": max_steps,
            "threads": threads,
            "repair": repair,
        }
        for key, value in options.items():
            self._native.set_option(key, str(value))
        self._reference = ScipyBDF(self.network)
        self._learned: Learned | None = None
        if engine == "torch" and mode != "exact" and (model.has_surrogate or mode == "surrogate"):
            from pychemsurrogate.solver.step import Learned

            self._learned = Learned.of(model, device)

    @classmethod
    def load(
        cls, name_or_path: str | PathLike[str], mode: str = "auto", integrator: str = "native", **options: Any
    ) -> Solver:
        """Open a shipped model by name ("osu_09_2008") or a .pcs file.

        mode        "auto": the surrogate where its gate trusts it, else the exact integrator; "surrogate": the
                    surrogate for every cell; "exact": the exact integrator for every cell. A file that holds a network
                    alone serves "auto" by the exact integrator.
        integrator  "native" (Rodas4, batched) or "scipy" (BDF, the slow reference) for the exact path
        options     device ("cpu", or a torch device such as "cuda": abundances are then tensors there, and refused
                    cells travel to the CPU and back), engine ("native", or "torch", which is all there is off the CPU),
                    rtol (1e-2), atol (1e-15, in n/n_H), max_steps (2000), threads (0: OpenMP's choice),
                    repair ("none"; "floor" sets small negatives to 0, "electrons" makes e- neutralise the cell;
                    "floor,electrons" both): repairs are counted in the report; species (the host's names in order:
                    a model for others is refused)

        Raises ModelFileError for a file that cannot be served, ValueError for an option out of range.
        """
        return cls(ModelFile.read(name_or_path), mode, integrator, **options)

    def index(self, species: str) -> int:
        """Position of a species on the species axis. Raises KeyError for an unknown name."""
        try:
            return self.species.index(species)
        except ValueError:
            raise KeyError(f"unknown species {species!r}; {self.network.name} has {', '.join(self.species)}") from None

    def step(
        self,
        abundances: Any,
        dt: Any,
        temperature: Any,
        *,
        out: Any = None,
        mask: NDArray[Any] | None = None,
        **conditions: Any,
    ) -> tuple[Any, Report]:
        """Advance every cell by dt and return (abundances, report).

        abundances   (cells, species) float64 number densities in cm^-3; numpy array or torch tensor, any strides
        dt           s; temperature: K; conditions by keyword, such as zeta in 1/s; each a scalar or (cells,)
        out          where the result goes: None allocates, `out=abundances` works in place
        mask         (cells,), false: leave this cell alone

        A cell that cannot be served keeps its input bit for bit, and report.status says why (report.advice()).
        Raises TypeError or ValueError for wrong types, shapes, unknown conditions and bad scalars, before anything is
        changed.
        """
        if self.device != "cpu":
            return self._device_step(abundances, dt, temperature, out, mask, conditions)
        source = host_view(abundances, "abundances")
        count = self._check_shape(source)
        table = self._condition_table(conditions, count)
        times = cell_values(dt, "dt", count, "s", positive=False)
        kelvin = cell_values(temperature, "temperature", count, "K", positive=True)
        chosen = None if mask is None else self._check_mask(mask, count)
        result, target = self._target(abundances, source, out)
        if target is not source:
            np.copyto(target, source)
        status = np.zeros(count, dtype=np.int8)
        if self._learned is None:
            figures = self._exact_rungs(target, times, kelvin, table, status, chosen)
        else:
            fresh = from_host(target, self.device)
            figures = self._torch_step(fresh, times, kelvin, table, status, chosen)
            target[...] = fresh.cpu().numpy()
        return result, Report.of(status, figures)

    def _device_step(
        self, abundances: Any, dt: Any, temperature: Any, out: Any, mask: Any, conditions: dict[str, Any]
    ) -> tuple[Any, Report]:
        """`step` for tensors on a device other than the CPU."""
        check_tensor(abundances, "abundances", self.device)
        count = self._check_shape(abundances)
        table = self._condition_table(conditions, count)
        times = cell_values(dt, "dt", count, "s", positive=False)
        kelvin = cell_values(temperature, "temperature", count, "K", positive=True)
        chosen = None if mask is None else self._check_mask(mask, count)
        if out is None:
            target = abundances.clone()
        else:
            target = out
            if out is not abundances:
                check_tensor(out, "out", self.device)
                if out.shape != abundances.shape:
                    raise ValueError(f"out has shape {tuple(out.shape)}, abundances have {tuple(abundances.shape)}")
                target.copy_(abundances)
        status = np.zeros(count, dtype=np.int8)
        return target, Report.of(status, self._torch_step(target, times, kelvin, table, status, chosen))

    def _torch_step(
        self,
        n: Any,
        dt: FloatArray,
        T: FloatArray,
        table: FloatArray,
        status: NDArray[np.int8],
        mask: NDArray[np.int8] | None,
    ) -> dict[str, Any]:
        """The torch page (solver/step.py) on tensors, in place; status is filled on the host."""
        from pychemsurrogate.solver.step import DeviceCells, step

        count, tables = len(n), self.network.tables()
        cells = DeviceCells.of(n, dt, T, table, tables)

        def refused(
            packed: FloatArray, times: FloatArray, kelvin: FloatArray, columns: FloatArray, reason: NDArray[np.int8]
        ) -> dict[str, Any]:
            found = np.zeros(len(packed), dtype=np.int8)
            figures = self._exact_rungs(packed, times, kelvin, columns, found, None)
            reason[...] = np.where(found == Status.EXACT_REQUESTED, reason, found)
            return figures

        chosen = None if mask is None else from_host(mask != 0, self.device)
        mode = self.mode if self._learned is not None else "exact"
        figures = step(cells, self._learned, refused, mode=mode, mask=chosen, repair=self.repair)
        status[...] = cells.status.cpu().numpy() if count else 0
        return figures

    # --- checks -------------------------------------------------------------------------------------------------

    def _check_shape(self, array: FloatArray) -> int:
        if array.ndim != 2 or array.shape[1] != len(self.species):
            advice = "; pass one cell as abundances[None, :]" if array.ndim == 1 else ""
            raise ValueError(f"abundances have shape {array.shape}, not (cells, {len(self.species)}){advice}")
        return len(array)

    def _check_mask(self, mask: Any, count: int) -> NDArray[np.int8]:
        array = np.asarray(mask)
        if array.shape != (count,):
            raise ValueError(f"mask has shape {array.shape}, not ({count},)")
        return np.ascontiguousarray(array != 0, dtype=np.int8)

    def _condition_table(self, given: dict[str, Any], count: int) -> FloatArray:
        if set(given) != set(self.conditions):
            missing = ", ".join(name for name in self.conditions if name not in given) or "none"
            unknown = ", ".join(name for name in given if name not in self.conditions) or "none"
            raise TypeError(
                f"{self.network.name} reads the conditions {self.conditions}: missing {missing}, unknown {unknown}"
            )
        columns = [cell_values(given[name], name, count, "1/s", positive=False) for name in self.conditions]
        if not columns:
            return np.zeros((1, 0))
        return np.stack(np.broadcast_arrays(*columns), axis=1)

    def _target(self, abundances: Any, source: FloatArray, out: Any) -> tuple[Any, FloatArray]:
        """What the caller gets back, and the numpy view of it that is stepped in place."""
        if out is None:
            fresh = np.empty(source.shape)
            if is_tensor(abundances):
                from torch import from_numpy

                return from_numpy(fresh), fresh
            return fresh, fresh
        if out is abundances:
            target = source
        else:
            target = host_view(out, "out")
            if target.shape != source.shape:
                raise ValueError(f"out has shape {target.shape}, abundances have {source.shape}")
        if not target.flags.writeable:
            raise ValueError("the output array is read-only: pass out=None, or a writeable array")
        if any(stride % target.itemsize for stride in target.strides) or not target.flags.aligned:
            raise ValueError("the output array's strides are no whole float64 elements: pass out=None")
        reach = sum(abs(stride) * (extent - 1) for stride, extent in zip(target.strides, target.shape, strict=True))
        if target.size and reach + target.itemsize < target.nbytes:
            raise ValueError("elements of the output array overlap (a broadcast array?): pass out=None")
        return out, target

    # --- the rungs of the exact path that Python serves ----------------------------------------------------------

    def _exact_rungs(
        self,
        n: FloatArray,
        dt: FloatArray,
        T: FloatArray,
        table: FloatArray,
        status: NDArray[np.int8],
        mask: NDArray[np.int8] | None,
    ) -> dict[str, Any]:
        """The native step in place, then scipy BDF for what is left to it."""
        figures = self._native.step(n, dt, T, table, status, mask)
        self._finish(n, dt, T, table, status, figures)
        return figures

    def _finish(
        self,
        n: FloatArray,
        dt: FloatArray,
        T: FloatArray,
        table: FloatArray,
        status: NDArray[np.int8],
        figures: dict[str, Any],
    ) -> None:
        """Scipy BDF takes the cells that the native integrator gave up, or all of the exact path if so asked."""
        start = perf_counter()
        given_up = (status == Status.STEP_LIMIT) | (status == Status.NON_FINITE)
        given_up &= self.mode != "surrogate"  # there the host asked for no other path
        left = np.flatnonzero(given_up | (status >= Status.EXACT_REQUESTED) if self.integrator == "scipy" else given_up)
        if left.size:

            def of_left(values: FloatArray) -> FloatArray:
                return values if len(values) == 1 else values[left]

            conditions = {name: of_left(table)[:, k] for k, name in enumerate(self.conditions)}
            mended = self._repaired(n[left])
            advanced, found = self._reference.advance(mended, of_left(dt), of_left(T), conditions)
            solved = found == Status.EXACT_SCIPY
            n[left[solved]] = advanced[solved]
            status[left] = np.where(solved | ~given_up[left], found, status[left])
            seconds = perf_counter() - start
            figures["seconds"] += seconds
            figures["seconds_exact"] += seconds

    def _repaired(self, n: FloatArray) -> FloatArray:
        """Cells as `repair` mends them when they are read (the native step has checked that they can be)."""
        if "floor" in self.repair:
            n = np.maximum(n, 0.0)
        if "electrons" in self.repair:
            electron = self.index("e-")
            charge = self.network.tables().composition[-1].copy()
            charge[electron] = 0.0
            n[:, electron] = n @ charge
        return n
