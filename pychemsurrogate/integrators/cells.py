"""The cells that an integrator is asked to advance: shapes made plain, bad input found before any work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pychemsurrogate.network import Network
from pychemsurrogate.status import Status

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Cells:
    """One entry a cell: n (cells, S) cm^-3, dt (cells) s, temperature (cells) K, conditions by name (cells)."""

    n: FloatArray
    dt: FloatArray
    temperature: FloatArray
    conditions: dict[str, FloatArray]

    @classmethod
    def of(
        cls,
        network: Network,
        n: ArrayLike,
        dt: ArrayLike,
        temperature: ArrayLike,
        conditions: Mapping[str, ArrayLike],
    ) -> Cells:
        """Broadcast scalars to one value a cell.

        Raises ValueError for a wrong shape and KeyError for conditions that are missing or unknown.
        """
        densities = np.asarray(n, dtype=np.float64)
        if densities.ndim != 2 or densities.shape[1] != network.n_species:
            raise ValueError(
                f"n has shape {densities.shape}; network {network.name} needs (cells, {network.n_species}) in cm^-3"
            )
        if set(conditions) != set(network.conditions):
            raise KeyError(
                f"network {network.name} reads the conditions ({', '.join(network.conditions)}), "
                f"but these were given: ({', '.join(conditions)})"
            )
        count = len(densities)
        return cls(
            densities,
            _per_cell("dt", dt, count),
            _per_cell("temperature", temperature, count),
            {name: _per_cell(name, conditions[name], count) for name in network.conditions},
        )

    def first_verdict(self, network: Network) -> NDArray[np.int8]:
        """Status per cell: BAD_INPUT, UNSUPPORTED (no nuclei), UNCHANGED (dt = 0), or EXACT_REQUESTED: to be solved."""
        bad = ~np.all(np.isfinite(self.n) & (self.n >= 0), axis=1)
        bad |= ~(np.isfinite(self.dt) & (self.dt >= 0))
        bad |= ~(np.isfinite(self.temperature) & (self.temperature > 0))
        for values in self.conditions.values():
            bad |= ~(np.isfinite(values) & (values >= 0))
        status = np.full(len(self.n), Status.EXACT_REQUESTED, dtype=np.int8)
        status[np.where(bad[:, None], 0.0, self.n) @ network.tables().scale_weights <= 0] = Status.UNSUPPORTED
        status[self.dt == 0] = Status.UNCHANGED
        status[bad] = Status.BAD_INPUT
        return status


def _per_cell(name: str, value: ArrayLike, count: int) -> FloatArray:
    array = np.asarray(value, dtype=np.float64)
    if array.shape not in ((), (1,), (count,)):
        raise ValueError(f"{name} has shape {array.shape}; give a scalar or one value for each of the {count} cells")
    return array if array.shape == (count,) else np.full(count, array)
