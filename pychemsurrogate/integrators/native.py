"""The native batched integrator: Rodas4 in C++, many cells side by side, each with its own step size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pychemsurrogate import _native
from pychemsurrogate.integrators.cells import Cells
from pychemsurrogate.integrators.compile import choose_kernels
from pychemsurrogate.network import Network

FloatArray = NDArray[np.float64]


def open_network(network: Network) -> _native.Solver:
    """The native solver of a network alone."""
    tables = network.tables()
    return _native.Solver({item.name: getattr(tables, item.name) for item in fields(tables)})


class NativeRosenbrock:
    """Advance cells in x = n / n_H by Rodas4 (Hairer & Wanner, Solving ODEs II, sec. VI.4).

    rtol, atol: tolerances on x. max_steps: steps per cell; a cell that fails is tried again with a tenth of the
    tolerances and ten times the steps, then with rtol / 1000, atol / 1e6 and a hundred times the steps.
    threads: 0 leaves the number to OpenMP. kernels: "auto", "tables" or "compiled", as in `Solver.load`.
    Raises ValueError for an option outside its range, CompileError where kernels cannot be compiled.
    """

    def __init__(
        self,
        network: Network,
        rtol: float = 1e-2,
        atol: float = 1e-15,
        max_steps: int = 2000,
        threads: int = 0,
        kernels: str = "auto",
    ) -> None:
        self.network = network
        self._solver = open_network(network)
        choose_kernels(self._solver, kernels)
        for key, value in (("rtol", rtol), ("atol", atol), ("max_steps", max_steps), ("threads", threads)):
            self._solver.set_option(key, str(value))

    def advance(
        self,
        n: ArrayLike,
        dt: ArrayLike,
        temperature: ArrayLike,
        conditions: Mapping[str, ArrayLike],
        counts: NDArray[np.int32] | None = None,
    ) -> tuple[FloatArray, NDArray[np.int8]]:
        """Advance every cell by its dt and return (n_new (cells, S) in cm^-3, status (cells,)).

        n (cells, S) in cm^-3; dt [s], temperature [K] and the conditions are scalars or one value a cell; counts
        (cells, 3), contiguous: the cell's steps, rejected steps and factorisations are added to it.
        A failed cell keeps its input and has a negative status. Elements and charge are conserved to round-off.
        Raises ValueError for wrong shapes, KeyError for missing or unknown conditions.
        """
        cells = Cells.of(self.network, n, dt, temperature, conditions)
        n_new = np.array(cells.n, order="C")
        status = np.zeros(len(n_new), dtype=np.int8)
        table = np.empty((len(n_new), len(self.network.conditions)))
        for k, name in enumerate(self.network.conditions):
            table[:, k] = cells.conditions[name]
        self._solver.step(n_new, cells.dt, cells.temperature, table, status, counts=counts)
        return n_new, status
