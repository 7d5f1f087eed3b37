"""Truth: runs advanced by the native integrator, as pairs (state, conditions, dt) -> state after dt.

Work is cut into units of `runs_per_unit` runs, each with its own random stream, so that any executor gives the same
data, an interrupted data set is continued where it stopped (dataset.py), and units can be made without end (stream.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pychemsurrogate.integrators import NativeRosenbrock
from pychemsurrogate.integrators.conserve import conservation_defect, conserve
from pychemsurrogate.network import Network, load_network
from pychemsurrogate.training.histories import History, history
from pychemsurrogate.training.sampling import (
    STARTS,
    UNUSUAL,
    YEAR_S,
    Range,
    Ranges,
    disturb,
    initial_abundances,
    log_uniform,
)
from pychemsurrogate.training.unusual import unusual

FloatArray = NDArray[np.float64]

KINDS = ("tracks", "hydro", "flow", "steps", "brief", "visited", "collapse", "shock", "recorded", "logged", "unusual")
SPLITS = ("train", "calibration", "test", "shifted", "outside")

# Kinds of run and splits by unit, repeated: whole runs, so no run is in two splits.
_BLOCK = ("tracks", "hydro", "tracks", "flow", "tracks", "steps", "brief", "flow", "tracks", "steps")
_SPLIT_OF_BLOCK = ("train",) * 8 + ("calibration", "test")
UNITS_PER_BLOCK = len(_BLOCK)
UNITS_PER_CYCLE = UNITS_PER_BLOCK * len(_SPLIT_OF_BLOCK)
_SHIFTED = ("collapse", "shock")
_VISITED = ("hydro", "flow")
# Shares of the unusual starts that meet the conditions of another run, and whose first step is shorter than a year.
_ELSEWHERE, _SHORT = 0.3, 0.4
# How far beyond a bound the states of the split "outside" lie, as a factor.
_BEYOND: Range = (1.05, 3.0)
# Net charge of those with one, relative to the electrons.
_CHARGE: Range = (0.011, 0.1)

Step = Callable[[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray], FloatArray]
"""Any map: x = n/n_H (B, S), T [K] (B), n_H [cm^-3] (B), conditions (B, C), dt [s] (B) -> x after dt (B, S)."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a data set: the same recipe gives the same data.

    network: shipped name or path; units: how many units of runs_per_unit runs, counted over all splits; splits: those
    of "train", "calibration" and "test" that are kept, or one of "shifted" (collapse and shock tracks) and "outside"
    (tracks beyond each bound of the ranges in turn); unusual: pairs that start from unusual gas (training.unusual),
    made of the states of tracks, instead of all other kinds; rtol, atol (in n/n_H): of the truth; loose_rtol: of the
    integration whose steps are counted (Pairs.steps).
    """

    network: str = "osu_09_2008"
    units: int = 250
    runs_per_unit: int = 256
    seed: int = 1
    splits: tuple[str, ...] = ("train", "calibration", "test")
    unusual: bool = False
    rtol: float = 1e-4
    atol: float = 1e-18
    loose_rtol: float = 3e-2
    ranges: Ranges = field(default_factory=Ranges)

    def __post_init__(self) -> None:
        if self.units < 1 or self.runs_per_unit < 2:
            raise ValueError("a data set needs at least one unit of at least two runs")
        by_unit = set(_SPLIT_OF_BLOCK)
        if not self.splits or (not set(self.splits) <= by_unit and self.splits not in (("shifted",), ("outside",))):
            raise ValueError("splits: some of train, calibration and test, or shifted alone, or outside alone")
        if self.unusual and not set(self.splits) <= by_unit:
            raise ValueError("unusual gas has the splits train, calibration and test")

    def unit_numbers(self) -> list[int]:
        """The units that belong to the recipe's splits."""
        return [unit for unit in range(self.units) if self.split_of(unit) in self.splits]

    def split_of(self, unit: int) -> str:
        """The split that all runs of a unit belong to."""
        return self.splits[0] if self.splits[0] in ("shifted", "outside") else unit_split(unit)

    def as_dict(self) -> dict[str, Any]:
        """The recipe as plain values, for provenance."""
        return asdict(self)


@dataclass(frozen=True)
class Pairs:
    """P pairs: the state at the start of a step, the conditions during it, and the state at its end.

    start (P, S) f64, end (P, S) f32: abundances x = n/n_H. The start is kept in full: rounded ions and electrons would
    hold a net charge that matters once they have recombined. temperature [K], density n_H [cm^-3], dt [s] (P) f64;
    conditions (P, C) f64 in the network's order; steps (P) i32: steps, rejected ones included, that the exact
    integrator takes from start over dt at rtol 3e-2, its loosest useful setting: what a surrogate saves; kind (KINDS),
    begin (STARTS), split (SPLITS) (P) u8; run (P) i64, unique in the data.
    """

    start: FloatArray
    end: NDArray[np.float32]
    temperature: FloatArray
    density: FloatArray
    conditions: FloatArray
    dt: FloatArray
    steps: NDArray[np.int32]
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
    """The kind of run (KINDS) that a unit of training, calibration or test holds."""
    return _BLOCK[unit % UNITS_PER_BLOCK]


def unit_split(unit: int) -> str:
    """The split (train, calibration or test) that all runs of a unit belong to."""
    return _SPLIT_OF_BLOCK[unit // UNITS_PER_BLOCK % len(_SPLIT_OF_BLOCK)]


def compute_unit(recipe: Recipe, unit: int) -> tuple[Pairs, int]:
    """Compute one unit: its pairs, and how many pairs were dropped because the integrator gave up on them."""
    truth = Truth.of(recipe)
    split = recipe.split_of(unit)
    rng = np.random.default_rng([recipe.seed, unit])
    numbers = np.arange(unit * recipe.runs_per_unit, (unit + 1) * recipe.runs_per_unit)
    if split == "outside":
        sides = outside_sides(recipe.ranges, truth.network)
        _, ranges = sides[unit % len(sides)]
        parcels = Parcels.new(truth, ranges or recipe.ranges, recipe.runs_per_unit, "tracks", rng)
        return follow(parcels, "tracks", split, numbers, rng, charged=ranges is None)
    if recipe.unusual:
        parcels = Parcels.new(truth, recipe.ranges, recipe.runs_per_unit, "tracks", rng)
        return stray(parcels, split, numbers, rng)
    kind = _SHIFTED[unit % len(_SHIFTED)] if split == "shifted" else unit_kind(unit)
    parcels = Parcels.new(truth, recipe.ranges, recipe.runs_per_unit, kind, rng)
    return follow(parcels, kind, split, numbers, rng)


def visit(recipe: Recipe, step: Step, unit: int, tour: int, segments: int = 40) -> tuple[Pairs, int]:
    """Pairs that start from the states that the map `step` itself visits, and how many pairs were dropped.

    Runs of the kinds hydro and flow in turn go on for `segments` steps with what `step` makes of them, brought back to
    their elements and charge; each pair ends in the truth from where it starts. The runs are those of no other unit,
    tour (>= 1: the rounds of training) or data set of the recipe, and of the split that the unit belongs to. A run that
    `step` leaves without a finite, positive state goes on from the truth.
    """
    if tour < 1:
        raise ValueError("the first tour has the number 1")
    rng = np.random.default_rng([recipe.seed, unit, tour])
    kind = _VISITED[unit % len(_VISITED)]
    numbers = (tour << 40) + np.arange(unit * recipe.runs_per_unit, (unit + 1) * recipe.runs_per_unit)
    parcels = Parcels.new(Truth.of(recipe), recipe.ranges, recipe.runs_per_unit, kind, rng, segments)
    pairs, dropped = follow(parcels, kind, unit_split(unit), numbers, rng, step=step)
    return replace(pairs, kind=np.full_like(pairs.kind, KINDS.index("visited"))), dropped


class Truth:
    """The exact answer for a network, and what the loosest useful integration costs."""

    def __init__(self, network: Network, rtol: float, atol: float, loose_rtol: float) -> None:
        self.network = network
        self._exact = NativeRosenbrock(network, rtol=rtol, atol=atol, threads=1)
        self._loose = NativeRosenbrock(network, rtol=loose_rtol, threads=1)

    @classmethod
    def of(cls, recipe: Recipe) -> Truth:
        """Who knows the truth of a recipe; made once a process."""
        return _truth(recipe.network, recipe.rtol, recipe.atol, recipe.loose_rtol)

    def advance(
        self, x: FloatArray, temperature: FloatArray, density: FloatArray, conditions: FloatArray, dt: FloatArray
    ) -> tuple[FloatArray, NDArray[np.bool_]]:
        """x (B, S) after dt and whether the integrator served the cell; arguments as of Step."""
        at = dict(zip(self.network.conditions, conditions.T, strict=True))
        n, status = self._exact.advance(x * density[:, None], dt, temperature, at)
        return n / density[:, None], status >= 0

    def steps(
        self, x: FloatArray, temperature: FloatArray, density: FloatArray, conditions: FloatArray, dt: FloatArray
    ) -> NDArray[np.int32]:
        """Steps and rejected steps (B) of the loose integration."""
        at = dict(zip(self.network.conditions, conditions.T, strict=True))
        counts = np.zeros((len(x), 3), dtype=np.int32)
        self._loose.advance(x * density[:, None], dt, temperature, at, counts)
        total: NDArray[np.int32] = counts[:, 0] + counts[:, 1]
        return total


@lru_cache(maxsize=4)
def _truth(network: str, rtol: float, atol: float, loose_rtol: float) -> Truth:
    return Truth(load_network(network), rtol, atol, loose_rtol)


@dataclass(frozen=True)
class Parcels:
    """Runs about to be followed: their states x (N, S) before the rest, their history, and who knows the truth."""

    x: FloatArray
    past: History
    truth: Truth

    @classmethod
    def new(
        cls,
        truth: Truth,
        ranges: Ranges,
        runs: int,
        kind: str,
        rng: np.random.Generator,
        segments: int | None = None,
    ) -> Parcels:
        """Draw states and a history of a kind for `runs` runs."""
        x = initial_abundances(truth.network.tables(), ranges, runs, rng)
        return cls(x, history(kind, ranges, runs, rng, segments), truth)

    def conditions(self, segment: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """T [K] (N), n_H [cm^-3] (N) and the network's conditions (N, C) during a segment of the history."""
        past, names = self.past, self.truth.network.conditions
        at = np.empty((len(self.x), len(names)))
        for column, name in enumerate(names):
            at[:, column] = past.conditions[name][segment]
        return past.temperature[segment], past.density[segment], at


def follow(
    parcels: Parcels,
    kind: str,
    split: str,
    numbers: NDArray[np.int64],
    rng: np.random.Generator,
    step: Step | None = None,
    charged: bool = False,
) -> tuple[Pairs, int]:
    """Follow runs through their history; pairs as in compute_unit.

    numbers (N): of the runs; step: what the runs go on with instead of the truth; charged: whether each pair starts
    with some net charge.
    """
    past, truth = parcels.past, parcels.truth
    network, tables, runs = truth.network, truth.network.tables(), len(numbers)
    x, _ = truth.advance(parcels.x, *parcels.conditions(0), past.relax)
    parts: list[Pairs] = []
    dropped = 0
    for segment in range(len(past.dt)):
        start, begin = disturb(x, kind, tables, rng)
        if charged:
            start = _charge(start, network, rng)
        at = parcels.conditions(segment)
        ends, pairs, lost = _advanced(truth, start, at, past.dt[segment], (kind, begin, split, numbers))
        if past.recorded[segment]:
            parts += pairs
            dropped += lost
        # Any of the ends may be where the run goes on, the later ones more often.
        chosen = np.sqrt(rng.random(runs)) * len(ends)
        x = np.stack(ends)[chosen.astype(int), np.arange(runs)]
        if step is not None:
            x = _moved(step, start, at, past.dt[segment][:, -1], x, tables.composition)
    return Pairs.concatenate(parts), dropped


def stray(parcels: Parcels, split: str, numbers: NDArray[np.int64], rng: np.random.Generator) -> tuple[Pairs, int]:
    """Pairs that start from unusual gas, made of the states of runs that go on as they are; as compute_unit."""
    past, truth = parcels.past, parcels.truth
    tables, runs = truth.network.tables(), len(numbers)
    x, _ = truth.advance(parcels.x, *parcels.conditions(0), past.relax)
    parts: list[Pairs] = []
    dropped = 0
    for segment in range(len(past.dt)):
        here = parcels.conditions(segment)
        start, kind = unusual(x, tables, rng)
        elsewhere = (kind == UNUSUAL.index("cooled")) | (rng.random(runs) < _ELSEWHERE)
        other = np.where(elsewhere, rng.permutation(runs), np.arange(runs))
        at = here[0][other], here[1][other], here[2][other]
        dt = past.dt[segment].copy()
        short = np.flatnonzero(rng.random(runs) < _SHORT)
        dt[short, 0] = log_uniform(rng, (1.0, YEAR_S), short.size)
        begin = (kind + STARTS.index(UNUSUAL[0])).astype(np.uint8)
        _, pairs, lost = _advanced(truth, start, at, np.sort(dt, axis=1), ("unusual", begin, split, numbers))
        parts += pairs
        dropped += lost
        x, _ = truth.advance(x, *here, past.dt[segment][:, -1])
    return Pairs.concatenate(parts), dropped


def _advanced(
    truth: Truth,
    start: FloatArray,
    at: tuple[FloatArray, FloatArray, FloatArray],
    times: FloatArray,
    labels: tuple[str, NDArray[np.uint8], str, NDArray[np.int64]],
) -> tuple[list[FloatArray], list[Pairs], int]:
    """The states at ascending times (N, D) [s] from start (N, S), a list of pairs for each, and how many were dropped.

    at: T [K], n_H [cm^-3] and conditions; labels: kind, begin (N), split and run (N) of the pairs.
    """
    kind, begin, split, numbers = labels
    runs = len(numbers)
    ends: list[FloatArray] = []
    parts: list[Pairs] = []
    dropped = 0
    state, elapsed, good = start, np.zeros(runs), np.ones(runs, dtype=bool)
    for dt in times.T:
        state, solved = truth.advance(state, *at, dt - elapsed)
        elapsed, good = dt, good & solved
        ends.append(state)
        pairs = Pairs(
            start=start,
            end=state.astype(np.float32),
            temperature=at[0],
            density=at[1],
            conditions=at[2],
            dt=dt,
            steps=truth.steps(start, *at, dt),
            kind=np.full(runs, KINDS.index(kind), dtype=np.uint8),
            begin=begin,
            split=np.full(runs, SPLITS.index(split), dtype=np.uint8),
            run=numbers,
        )
        parts.append(pairs.where(good))
        dropped += int((~good).sum())
    return ends, parts, dropped


def _moved(
    step: Step,
    start: FloatArray,
    at: tuple[FloatArray, FloatArray, FloatArray],
    dt: FloatArray,
    otherwise: FloatArray,
    composition: FloatArray,
) -> FloatArray:
    """What `step` makes of start, with its elements and charge; `otherwise` where that is no state."""
    guess = np.array(step(start, *at, dt), dtype=np.float64)
    usable = (np.isfinite(guess) & (guess >= 0.0)).all(axis=1)
    guess[~usable] = otherwise[~usable]
    guess = conserve(guess, start, composition)
    usable &= conservation_defect(guess, start, composition).max(axis=1) <= 1e-12
    moved: FloatArray = np.where(usable[:, None], guess, otherwise)
    return moved


def _charge(x: FloatArray, network: Network, rng: np.random.Generator) -> FloatArray:
    """x with electrons that miss neutrality by _CHARGE of themselves, to either side."""
    electron, charge = network.species_index("e-"), network.tables().composition[-1]
    ions = np.delete(x, electron, axis=1) @ np.delete(charge, electron)
    share = log_uniform(rng, _CHARGE, len(x)) * rng.choice([-1.0, 1.0], len(x))
    charged: FloatArray = x.copy()
    charged[:, electron] = ions / (1.0 + share)  # net charge = ions - electrons = share * electrons
    return charged


def outside_sides(ranges: Ranges, network: Network) -> list[tuple[str, Ranges | None]]:
    """The sides of the split "outside", which its units take in turn, in words and as ranges.

    The ranges have one of their quantities just below or just above its bounds; None: as they are, with a net charge.
    """

    def both(name: str, bounds: Range) -> list[tuple[str, Range]]:
        near, far = _BEYOND
        return [
            (f"{name} below", (bounds[0] / far, bounds[0] / near)),
            (f"{name} above", (bounds[1] * near, bounds[1] * far)),
        ]

    sides: list[tuple[str, Ranges | None]] = [("net charge", None)]
    sides += [(name, replace(ranges, temperature=beyond)) for name, beyond in both("T", ranges.temperature)]
    if "zeta" in ranges.conditions:
        beyond_density = both("n_H/zeta", ranges.density_per_zeta)
        sides += [(name, replace(ranges, density_per_zeta=beyond)) for name, beyond in beyond_density]
    for ratio, bounds in ranges.ratios_of(network.tables()).items():
        sides += [
            (name, replace(ranges, ratios={**ranges.ratios, ratio: beyond})) for name, beyond in both(ratio, bounds)
        ]
    return sides
