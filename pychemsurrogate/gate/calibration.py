"""Thresholds on the predicted error, from runs that training never saw.

In the manner of split conformal risk control (Angelopoulos et al. 2024, ICLR, arXiv:2208.02814): the risk is the share
of accepted cells whose error is above the target, and a threshold is as high as the calibration runs allow. What has to
stay below alpha is not the share that was counted but its upper confidence bound (Clopper & Pearson 1934, Biometrika
26, 404). Cells of one run resemble each other, so they count for less than as many independent ones: for their number
over the design effect 1 + (m - 1) rho (Kish 1965, Survey Sampling, sec. 5.4), with m the sum of squares of the runs'
accepted cells over their sum, and rho the correlation of violations within runs. The promise holds for cells like those
of the calibration set, not under a shift.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

FloatArray = NDArray[np.float64]

CONFIDENCE = 0.95
_TIGHTER = 0.02  # steps [dex] in which thresholds fall until every population keeps alpha


@dataclass(frozen=True)
class Coverage:
    """How a gate does on a set of cells; errors in dex.

    cells; median, p90, p99 of the error of all; accepted: share below the threshold; accepted_p99, accepted_max: errors
    among those; violations: share of the accepted with an error above the target.
    """

    cells: int
    median: float
    p90: float
    p99: float
    accepted: float
    accepted_p99: float
    accepted_max: float
    violations: float

    def as_dict(self) -> dict[str, float]:
        """The figures by name."""
        return asdict(self)


@dataclass(frozen=True)
class Population:
    """Calibration cells of one kind: predicted error (any monotonous unit), error [dex], run and bin, each (cells)."""

    predicted: FloatArray
    error: FloatArray
    run: NDArray[np.int64]
    bin: NDArray[np.intp]


def calibrate(populations: Sequence[Population], bins: int, target: float, alpha: float) -> FloatArray:
    """The largest thresholds (bins) at which P(error > `target` | accepted) <= alpha, with CONFIDENCE.

    It holds in every bin over all populations, and, wherever enough independent cells are accepted to tell (3 / alpha),
    for every population over all bins: one population (such as mixtures) cannot hide behind another. In a bin of a
    population, and where cells are fewer, the counted share itself must not exceed alpha; fewer than 1 / alpha cells
    say nothing. -inf, which accepts nothing, where the cells allow no threshold or are too few.
    """
    everything = Population(*(np.concatenate(columns) for columns in zip(*map(_columns, populations), strict=True)))
    correlation = [_correlation(population, target, alpha) for population in populations]
    overall = _correlation(everything, target, alpha)
    thresholds = np.empty(bins)
    for b in range(bins):
        parts = [
            _threshold(_where(population, population.bin == b), rho, target, alpha, part=True)
            for population, rho in zip(populations, correlation, strict=True)
        ]
        thresholds[b] = min(_threshold(_where(everything, everything.bin == b), overall, target, alpha), *parts)
    while np.isfinite(thresholds).any() and not all(
        _holds(population, thresholds, rho, target, alpha)
        for population, rho in zip(populations, correlation, strict=True)
    ):
        thresholds -= _TIGHTER
    return thresholds


def correlation_within_runs(violated: NDArray[np.bool_], run: NDArray[np.int64]) -> float:
    """Intraclass correlation (0 to 1) of an indicator (cells) within runs, by the analysis of variance.

    (Ridout, Demetrio & Firth 1999, Biometrics 55, 137, their rho_AOV.) 1 where nothing was seen to vary.
    """
    _, index = np.unique(run, return_inverse=True)
    size = np.bincount(index).astype(np.float64)
    share = np.bincount(index, weights=violated) / size
    cells, runs, mean = len(run), len(size), violated.mean() if len(run) else 0.0
    if runs < 2 or mean in (0.0, 1.0):
        return 1.0
    if cells == runs:
        return 0.0
    between = float((size * (share - mean) ** 2).sum()) / (runs - 1)
    within = float((size * share * (1.0 - share)).sum()) / (cells - runs)
    typical = (cells - float((size**2).sum()) / cells) / (runs - 1)
    return float(np.clip((between - within) / (between + (typical - 1.0) * within), 0.0, 1.0))


def design_effect(run: NDArray[np.int64], rho: float) -> float:
    """How many cells (cells) of these runs count as one independent cell."""
    _, size = np.unique(run, return_counts=True)
    return 1.0 + (float((size.astype(np.float64) ** 2).sum()) / len(run) - 1.0) * rho


def violation_bound(violations: Any, cells: Any, effect: Any) -> Any:
    """Upper confidence bound of the share of violations, 1 for no cells; arrays broadcast. effect: design effect."""
    counted, size = np.asarray(violations) / effect, np.asarray(cells) / effect
    with np.errstate(invalid="ignore"):
        return np.where(size > counted, beta.ppf(CONFIDENCE, counted + 1.0, np.maximum(size - counted, 1e-12)), 1.0)


def accepted_bound(cells: Population, thresholds: FloatArray, target: float, alpha: float) -> tuple[int, int, float]:
    """Accepted cells, violations among them, and the upper bound of their share, behind given thresholds (bins).

    The bound is that of `calibrate`: CONFIDENCE, and cells of one run count for less by the design effect.
    """
    accepted = _where(cells, cells.predicted < thresholds[cells.bin])
    count, violations = len(accepted.run), int(np.count_nonzero(accepted.error > target))
    if not count:
        return 0, 0, 1.0
    effect = design_effect(accepted.run, _correlation(cells, target, alpha))
    return count, violations, float(violation_bound(violations, count, effect))


def _correlation(cells: Population, target: float, alpha: float) -> float:
    """Of violations within runs, among the cells that a gate would accept which were wrong three times too often.

    Those have enough violations to see it, and are near enough to the cells that will be accepted.
    """
    order = np.argsort(cells.predicted, kind="stable")
    violated = cells.error[order] > target
    few = np.flatnonzero(np.cumsum(violated) <= 3.0 * alpha * np.arange(1, len(order) + 1))
    last = few[-1] + 1 if few.size else 0
    return correlation_within_runs(violated[:last], cells.run[order[:last]])


def _columns(population: Population) -> tuple[NDArray[Any], ...]:
    return population.predicted, population.error, population.run, population.bin


def _where(population: Population, rows: NDArray[np.bool_]) -> Population:
    return Population(*(column[rows] for column in _columns(population)))


def _holds(population: Population, thresholds: FloatArray, rho: float, target: float, alpha: float) -> bool:
    accepted = _where(population, population.predicted < thresholds[population.bin])
    cells, violations = len(accepted.run), np.count_nonzero(accepted.error > target)
    if not cells:
        return True
    effect = design_effect(accepted.run, rho)
    if cells / effect < 3.0 / alpha:
        return bool(violations <= alpha * cells) or cells < 1.0 / alpha
    return bool(violation_bound(violations, cells, effect) <= alpha)


def _threshold(cells: Population, rho: float, target: float, alpha: float, part: bool = False) -> float:
    """Of one group of cells; of a part of another group the counted share is bounded alone, for it may be too small."""
    cells = _where(cells, np.isfinite(cells.predicted))  # others are never accepted
    if part and len(cells.run) < 1.0 / alpha:
        return np.inf
    if not len(cells.run):
        return -np.inf
    order = np.argsort(cells.predicted, kind="stable")
    ranked = cells.predicted[order]
    violations = np.cumsum(cells.error[order] > target)
    accepted = np.arange(1, len(order) + 1)
    # The bound lies above the share itself, so only ranks whose share is small enough need the costly function.
    allowed = np.flatnonzero(violations <= alpha * accepted)
    if not part:
        effect = 1.0 + (np.cumsum(2.0 * _earlier_of_run(cells.run[order]) + 1.0) / accepted - 1.0) * rho
        allowed = allowed[violation_bound(violations[allowed], accepted[allowed], effect[allowed]) <= alpha]
    if not allowed.size:
        return -np.inf
    last = allowed[-1]
    if last + 1 == len(ranked) and part:
        return np.inf  # all of them may be accepted: no reason to refuse other cells
    # Cells strictly below the threshold are accepted.
    return float(np.nextafter(ranked[last], np.inf) if last + 1 == len(ranked) else ranked[last + 1])


def _earlier_of_run(run: NDArray[np.int64]) -> NDArray[np.intp]:
    """How many cells of its own run stand before each cell."""
    order = np.argsort(run, kind="stable")
    first = np.r_[True, run[order][1:] != run[order][:-1]]
    rank = np.arange(len(run))
    earlier = np.empty(len(run), dtype=np.intp)
    earlier[order] = rank - np.maximum.accumulate(np.where(first, rank, 0))
    return earlier


def coverage(predicted: FloatArray, error: FloatArray, threshold: FloatArray | float, target: float) -> Coverage:
    """The figures of a gate that accepts cells (cells) with predicted < threshold, a number or one a cell."""
    accepted = error[predicted < threshold]
    median, p90, p99 = np.percentile(error, [50, 90, 99])
    return Coverage(
        cells=len(error),
        median=float(median),
        p90=float(p90),
        p99=float(p99),
        accepted=len(accepted) / len(error),
        accepted_p99=float(np.percentile(accepted, 99)) if accepted.size else 0.0,
        accepted_max=float(accepted.max()) if accepted.size else 0.0,
        violations=float(np.mean(accepted > target)) if accepted.size else 0.0,
    )
