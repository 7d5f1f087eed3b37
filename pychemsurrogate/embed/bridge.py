"""The functions that libpcs_embed calls: a table of C function pointers, made by cffi (bindings/embed/bridge.h)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Final

import numpy as np
from cffi import FFI

from pychemsurrogate import __version__, _native
from pychemsurrogate.embed.arrays import batch_of, flags, wrap
from pychemsurrogate.embed.errors import told
from pychemsurrogate.embed.model import Figures, FileModel, Served
from pychemsurrogate.embed.python_model import PREFIX, open_python_model
from pychemsurrogate.status import CallError

BRIDGE_VERSION: Final = 1  # of bridge.h
_SHIPPED: Final = Path(__file__).resolve().parent.parent / "data" / "models"

_served: list[Bridge] = []  # for good: a library may call at any time
_models: dict[int, Served] = {}
_ids = count(1)


def serve(address: int, declarations: str, figures: Sequence[str], release: str) -> None:
    """Fill the table at the address. declarations: the text of bridge.h; figures: names, in the report's order.

    Raises RuntimeError for a library of another release whose table is another one.
    """
    version = re.search(r"#define PCS_BRIDGE_VERSION (\d+)", declarations)
    if version is None or int(version[1]) != BRIDGE_VERSION:
        raise RuntimeError(
            f"libpcs_embed is of release {release}, pychemsurrogate of release {__version__}, and they do not fit "
            "together: build or install both anew"
        )
    _served.append(Bridge(address, declarations, figures))


class Bridge:
    """One library's table. Every function returns 0, or a code whose message went to the library's `fail`."""

    def __init__(self, address: int, declarations: str, figures: Sequence[str]) -> None:
        self._ffi = FFI()
        self._ffi.cdef(declarations)
        self._figures = figures
        table = self._ffi.cast("pcs_bridge*", address)
        self._fail = table.fail
        self._alive: dict[int, list[Any]] = {}  # what the library reads of each model
        self._callbacks = []
        for name, field in self._ffi.typeof("pcs_bridge").fields:
            if name == "fail":
                continue
            callback = self._ffi.callback(
                field.type, self._guarded(getattr(self, f"_{name}")), error=CallError.PYTHON, onerror=self._last_resort
            )
            self._callbacks.append(callback)
            setattr(table, name, callback)

    def _guarded(self, function: Callable[..., None]) -> Callable[..., int]:
        def call(*arguments: Any) -> int:
            try:
                function(*arguments)
            except BaseException as error:  # also SystemExit: the process is the host's
                code, message = told(error)
                self._fail(message.encode(errors="replace"))
                return int(code)
            return 0

        return call

    def _last_resort(self, kind: type[BaseException], error: BaseException, trace: Any) -> None:
        """For an error in telling an error: cffi would print it."""
        self._fail(f"{kind.__name__} while an error was told".encode())

    # --- the functions, in the names of bridge.h ----------------------------------------------------------------

    def _open(self, model: Any, out: Any) -> None:
        name = self._ffi.string(model).decode()
        if name.startswith(PREFIX):
            served = open_python_model(name.removeprefix(PREFIX))
        else:
            folders = [folder for folder in os.environ.get("PCS_MODEL_PATH", "").split(":") if folder]
            served = FileModel(_native.find_model(name, [*folders, str(_SHIPPED)]))
        number = next(_ids)
        _models[number] = served
        self._describe(number, out)

    def _close(self, number: int) -> None:
        self._alive.pop(number, None)
        _models.pop(number).close()

    def _set_option(self, number: int, key: Any, value: Any, out: Any) -> None:
        model = _models[number]
        conditions = model.conditions
        model.set_option(self._ffi.string(key).decode(), self._ffi.string(value).decode())
        if model.conditions != conditions:
            self._describe(number, out)

    def _step(self, number: int, cells: Any, figures: Any) -> None:
        model = _models[number]
        self._report(model.step(batch_of(cells, len(model.species), len(model.conditions))), figures)

    def _equilibrium(self, number: int, cells: Any, tolerance: float, duration: float, figures: Any) -> None:
        model = _models[number]
        batch = batch_of(cells, len(model.species), len(model.conditions))
        self._report(model.equilibrium(batch, tolerance, duration), figures)

    def _trajectory(
        self,
        number: int,
        cells: Any,
        count: int,
        times: Any,
        out: Any,
        conserve: int,
        mask: Any,
        status: Any,
        figures: Any,
    ) -> None:
        model = _models[number]
        batch = batch_of(cells, len(model.species), len(model.conditions))
        pairs = (len(batch.n), count)
        shape = (*pairs, len(model.species))
        states = wrap(out, np.float64, shape, (count * shape[2], shape[2], 1), writeable=True)
        told_status = flags(status, pairs) if status else np.zeros(pairs, np.int8)
        moments = wrap(times, np.float64, (count,), (1,), writeable=False)
        chosen = flags(mask, pairs) if mask else None
        self._report(model.trajectory(batch, moments, states, told_status, chosen, bool(conserve)), figures)

    def _derive(self, number: int, cells: Any, to: Any) -> None:
        model = _models[number]
        rates, species = to.kind == 0, len(model.species)
        batch = batch_of(cells, species, len(model.conditions))
        extents = (len(batch.status), len(model.equations) if rates else species, species if to.kind == 2 else 1)
        strides = (to.cell_stride, to.row_stride, to.column_stride)
        values = wrap(to.values, np.float64, extents, strides, writeable=True)
        model.derive(to.kind, batch.n if cells.n_cm3 else None, batch, values)

    def _costs(self, number: int, size: int, costs: Any, told_count: Any) -> None:
        values = _models[number].costs()
        for k, value in enumerate(values[:size]):
            costs[k] = value
        told_count[0] = len(values)

    # --- what crosses -------------------------------------------------------------------------------------------

    def _describe(self, number: int, out: Any) -> None:
        model, ffi = _models[number], self._ffi
        out.id = number
        alive = []
        for name in ("species", "conditions", "conserved", "equations"):
            alive.append(ffi.new("char[]", "\n".join(getattr(model, name)).encode()))
            setattr(out, name, alive[-1])
        composition = np.ascontiguousarray(model.composition, dtype=np.float64)
        alive += [composition, ffi.cast("const double*", composition.ctypes.data)]
        out.composition, out.n_composition = alive[-1], composition.size
        masses = np.ascontiguousarray(model.mass_g, dtype=np.float64)
        alive += [masses, ffi.cast("const double*", masses.ctypes.data)]
        out.mass_g, out.n_masses = alive[-1], masses.size
        self._alive[number] = alive

    def _report(self, told_figures: Figures, figures: Any) -> None:
        for k, name in enumerate(self._figures):
            figures[k] = told_figures.get(name, 0.0)
