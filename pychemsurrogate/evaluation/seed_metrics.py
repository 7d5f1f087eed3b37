"""How well trajectories are predicted, in the measures of Sulzer & Buck (2023, arXiv:2312.06015) and in plain ones.

All functions take log10 of densities in cm^-3, truth and prediction of the same shape (trajectories, times, species).

The paper normalises log10 n by ONE minimum and maximum over all species and times, to [-1, 1]; one unit is then
10.72 dex. Its errors are of these normalised numbers, so they are computed here with the published minimum and
maximum, whatever the scaling of the model that made the prediction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

PUBLISHED_MIN: Final = -17.4404
"""Smallest log10 n [cm^-3] of the published data (github.com/Immi000/ChemicalNeuralODE)."""
PUBLISHED_MAX: Final = 4.0
"""Largest log10 n [cm^-3] of the published data: that of H2."""
DEX_PER_UNIT: Final = (PUBLISHED_MAX - PUBLISHED_MIN) / 2
"""dex in one unit of the normalised logarithm."""

_ZERO_ERROR: Final = 1e-16
"""What log10 of an error takes for an error of exactly 0: the spacing of float64 around 1, rounded."""


def normalised(log10_n: FloatArray) -> FloatArray:
    """The paper's normalised logarithm: -1 at PUBLISHED_MIN, +1 at PUBLISHED_MAX."""
    return np.asarray((log10_n - PUBLISHED_MIN) / DEX_PER_UNIT - 1.0)


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of an error."""

    median: float
    smallest: float
    largest: float

    @classmethod
    def of(cls, errors: FloatArray) -> Spread:
        """Over all entries."""
        return cls(float(np.median(errors)), float(errors.min()), float(errors.max()))


@dataclass(frozen=True)
class SeedMetrics:
    """The errors of one set of predictions.

    rmse: of the normalised logarithm; rmse_dex: the same in dex.
    relative_normalised, relative_log, relative_physical: relative errors in three definitions, see the functions.
    log10_error: per species (S,), see `log10_error_of_species`.
    """

    rmse: float
    rmse_dex: float
    relative_normalised: Spread
    relative_log: Spread
    relative_physical: Spread
    log10_error: FloatArray

    @property
    def mean_log10_error(self) -> float:
        """The mean of `log10_error` over the species."""
        return float(self.log10_error.mean())


def measure(truth: FloatArray, prediction: FloatArray) -> SeedMetrics:
    """All errors of a prediction. Raises ValueError if the shapes differ or a number is not finite."""
    if truth.shape != prediction.shape or truth.ndim != 3:
        raise ValueError(
            f"truth {truth.shape} and prediction {prediction.shape} must have one shape (trajectories, times, species)"
        )
    if not (np.isfinite(truth).all() and np.isfinite(prediction).all()):
        raise ValueError("truth and prediction must be finite; a diverged model cannot be measured")
    return SeedMetrics(
        rmse=rmse_dex(truth, prediction) / DEX_PER_UNIT,
        rmse_dex=rmse_dex(truth, prediction),
        relative_normalised=Spread.of(relative_error_normalised(truth, prediction)),
        relative_log=Spread.of(relative_error_log(truth, prediction)),
        relative_physical=Spread.of(relative_error_physical(truth, prediction)),
        log10_error=log10_error_of_species(truth, prediction),
    )


def rmse_dex(truth: FloatArray, prediction: FloatArray) -> float:
    """Root of the mean square of log10 n' - log10 n over everything [dex]."""
    return float(np.sqrt(np.mean((prediction - truth) ** 2)))


def relative_error_normalised(truth: FloatArray, prediction: FloatArray) -> FloatArray:
    """|x' - x| / |x| of the normalised logarithm x: the definition that the paper's numbers agree with.

    It has little meaning where x passes through 0 (n = 10^-6.72 cm^-3), and is infinite there.
    """
    return _ratio(np.abs(prediction - truth) / DEX_PER_UNIT, np.abs(normalised(truth)))


def relative_error_log(truth: FloatArray, prediction: FloatArray) -> FloatArray:
    """|log10 n' - log10 n| / |log10 n|, infinite where n = 1 cm^-3 is missed."""
    return _ratio(np.abs(prediction - truth), np.abs(truth))


def relative_error_physical(truth: FloatArray, prediction: FloatArray) -> FloatArray:
    """|n'/n - 1|: what a user of the densities understands by a relative error."""
    with np.errstate(over="ignore"):
        return np.asarray(np.abs(np.expm1((prediction - truth) * np.log(10.0))))


def log10_error_of_species(truth: FloatArray, prediction: FloatArray) -> FloatArray:
    """Per species (S,): the mean over trajectories and times of log10 |x' - x| / |x|, x the normalised logarithm.

    The paper prints a "mean log10 error over species" and its range without a definition; of the readings tried this
    comes nearest to its numbers for models of its RMSE (docs/seed_paper.md).
    """
    errors = relative_error_normalised(truth, prediction)
    return np.asarray(np.log10(np.maximum(errors, _ZERO_ERROR)).mean(axis=(0, 1)))


def _ratio(error: FloatArray, size: FloatArray) -> FloatArray:
    """error / size; 0 where the error is 0, infinite where the size alone is."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(error == 0.0, 0.0, error / size)
