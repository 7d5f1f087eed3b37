"""Truth: runs advanced by the native integrator, as pairs (state, conditions, dt) -> state after dt.

Work is cut into units of `runs_per_unit` runs, each with its own random stream, so that any executor gives the same
data, and an interrupted data set is continued where it stopped (dataset.py).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pychemsurrogate.integrators import NativeRosenbrock
from pychemsurrogate.network import Network, load_network
from pychemsurrogate.training.sampling import KINDS, Ranges, disturb, history, initial_abundances

# Kinds of run and splits by unit, repeated: whole runs, so no run is in two splits.
_KIND_OF_UNIT = ("tracks", "hydro", "tracks", "flow", "tracks")
SPLITS = ("train", "calibration", "test")
_SPLIT_OF_BLOCK = ("train",) * 8 + ("calibration", "test")
UNITS_PER_CYCLE = len(_KIND_OF_UNIT) * len(_SPLIT_OF_BLOCK)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a data set: the same recipe gives the same data.

    network: shipped name or path; units: how many units of runs_per_unit runs; rtol, atol (in n/n_H): of the truth.
    """

    network: str = "osu_09_2008"
    units: int = 250
    runs_per_unit: int = 256
    seed: int = 1
    rtol: float = 1e-4
    atol: float = 1e-18
    ranges: Ranges = field(default_factory=Ranges)

    def __post_init__(self) -> None:
        if self.units < 1 or self.runs_per_unit < 2:
            raise ValueError("a data set needs at least one unit of at least two runs")

    def as_dict(self) -> dict[str, Any]:
        """The recipe as plain values, for provenance."""
        return asdict(self)


@dataclass(frozen=True)
class Pairs:
    """P pairs: the state at the start of a step, the conditions during it, and the state at its end.

    start, end: abundances x = n/n_H (P, S) f32; temperature [K], density n_H [cm^-3], dt [s] (P) f64; conditions (P, C)
    f64 in the network's order; kind (KINDS), begin (STARTS), split (SPLITS) (P) u8; run (P) i64, unique in the data.
    """

    start: NDArray[np.float32]
    end: NDArray[np.float32]
    temperature: NDArray[np.float64]
    density: NDArray[np.float64]
    conditions: NDArray[np.float64]
    dt: NDArray[np.float64]
    kind: NDArray[np.uint8]
    begin: NDArray[np.uint8]
    split: NDArray[np.uint8]
    run: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.dt)

    def where(self, rows: NDArray[Any]) -> Pairs:
        """The pairs of the given rows (indices or a mask)."""
        return Pairs(**{name: values[rows] for name, values in vars(self).items()})

    @staticmethod
    def concatenate(parts: list[Pairs]) -> Pairs:
        """All pairs of the parts, in order."""
        return Pairs(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])})


def unit_kind(unit: int) -> str:
    """The kind of run (KINDS) that a unit holds."""
    return _KIND_OF_UNIT[unit % len(_KIND_OF_UNIT)]


def unit_split(unit: int) -> str:
    """The split (SPLITS) that all runs of a unit belong to."""
    return _SPLIT_OF_BLOCK[unit // len(_KIND_OF_UNIT) % len(_SPLIT_OF_BLOCK)]


def compute_unit(recipe: Recipe, unit: int) -> tuple[Pairs, int]:
    """Compute one unit: its pairs, and how many pairs were dropped because the integrator gave up on them."""
    network = load_network(recipe.network)
    rng = np.random.default_rng([recipe.seed, unit])
    integrator = NativeRosenbrock(network, rtol=recipe.rtol, atol=recipe.atol, threads=1)
    return follow(network, integrator, recipe, unit, rng)


def follow(
    network: Network, integrator: NativeRosenbrock, recipe: Recipe, unit: int, rng: np.random.Generator
) -> tuple[Pairs, int]:
    """Follow the runs of a unit through their histories; pairs as in compute_unit."""
    tables = network.tables()
    kind, runs = unit_kind(unit), recipe.runs_per_unit
    x = initial_abundances(tables, recipe.ranges, runs, rng)
    past = history(kind, recipe.ranges, runs, rng)

    def advance(
        x: NDArray[np.float64], segment: int, dt: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        density = past.density[segment][:, None]
        at = {name: past.conditions[name][segment] for name in network.conditions}
        n, status = integrator.advance(x * density, dt, past.temperature[segment], at)
        return n / density, status >= 0

    x, _ = advance(x, 0, past.relax)
    parts: list[Pairs] = []
    dropped = 0
    for segment in range(len(past.dt)):
        start, begin = disturb(x, kind, tables, rng)
        ends = []
        state, elapsed, good = start, np.zeros(runs), np.ones(runs, dtype=bool)
        for dt in past.dt[segment].T:
            state, solved = advance(state, segment, dt - elapsed)
            elapsed, good = dt, good & solved
            ends.append(state)
            if past.recorded[segment]:
                pairs = Pairs(
                    start=start.astype(np.float32),
                    end=state.astype(np.float32),
                    temperature=past.temperature[segment],
                    density=past.density[segment],
                    conditions=np.stack([past.conditions[name][segment] for name in network.conditions], axis=1),
                    dt=dt,
                    kind=np.full(runs, KINDS.index(kind), dtype=np.uint8),
                    begin=begin,
                    split=np.full(runs, SPLITS.index(unit_split(unit)), dtype=np.uint8),
                    run=np.arange(unit * runs, (unit + 1) * runs),
                )
                parts.append(pairs.where(good))
                dropped += int((~good).sum())
        # Any of the ends may be where the run goes on, the later ones more often.
        chosen = np.sqrt(rng.random(runs)) * len(ends)
        x = np.stack(ends)[chosen.astype(int), np.arange(runs)]
    return Pairs.concatenate(parts), dropped
