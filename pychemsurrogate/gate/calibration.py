"""The threshold on the predicted error, from runs that training never saw.

In the manner of split conformal risk control (Angelopoulos et al. 2024, ICLR, arXiv:2208.02814): the risk is the share
of accepted cells whose error is above the tolerance, and the threshold is as high as the calibration runs allow. What
has to stay below alpha is not the share that was counted but its upper confidence bound (Clopper & Pearson 1934,
Biometrika 26, 404), since cells of one run resemble each other. The promise holds for cells like those of the
calibration set, not under a shift.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

FloatArray = NDArray[np.float64]

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Coverage:
    """How a gate does on a set of cells; errors in dex.

    cells; median, p90, p99 of the error of all; accepted: share below the threshold; accepted_p99, accepted_max: errors
    among those; violations: share of the accepted with an error above the tolerance.
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


def calibrate(groups: Iterable[tuple[FloatArray, FloatArray]], tolerance: float, alpha: float) -> float:
    """The largest threshold at which P(error > `tolerance` | accepted) <= alpha, with CONFIDENCE, in every group.

    groups: (predicted, error) of calibration cells, each (cells), in any monotonous unit and in dex. One population
    (such as mixtures) cannot hide behind another. -inf, which accepts nothing, if some group allows no threshold.
    """
    return min(_threshold(predicted, error, tolerance, alpha) for predicted, error in groups)


def _threshold(predicted: FloatArray, error: FloatArray, tolerance: float, alpha: float) -> float:
    order = np.argsort(predicted, kind="stable")
    ranked = predicted[order]
    violations = np.cumsum(error[order] > tolerance)
    accepted = np.arange(1, len(order) + 1)
    # The bound lies above the share itself, so only ranks whose share is small enough need the costly function.
    candidates = np.flatnonzero(violations <= alpha * accepted)
    bound = beta.ppf(CONFIDENCE, violations[candidates] + 1, accepted[candidates] - violations[candidates])
    allowed = candidates[bound <= alpha]
    if not allowed.size:
        return -np.inf
    last = allowed[-1]
    # Cells strictly below the threshold are accepted.
    return float(np.nextafter(ranked[last], np.inf) if last + 1 == len(ranked) else ranked[last + 1])


def coverage(predicted: FloatArray, error: FloatArray, threshold: float, tolerance: float) -> Coverage:
    """The figures of a gate that accepts cells with predicted < threshold."""
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
        violations=float(np.mean(accepted > tolerance)) if accepted.size else 0.0,
    )
