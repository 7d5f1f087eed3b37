"""The distance of a cell from the training states, which tells novelty from the input alone.

Mahalanobis (1936, Proc. Natl. Inst. Sci. India 2, 49) in the logarithms of what a step depends on: d^2 = |W f + b|^2,
f = log10 of [max(x, x_floor), T, conditions / n_H, theta], W^T W the inverse of the covariance of the training states.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pychemsurrogate.gate.box import FloatArray

X_FLOOR: Final = 1e-13
"""Abundances below count as this one: no host resolves them, and no answer may hang on them."""
_LEAST: Final = 1e-300
# Directions in which the training states spread less [dex^2] are not trusted to be known better.
_VARIANCE: Final = 1e-4


@dataclass(frozen=True)
class Distance:
    """Cells are far where |weights f + bias|^2 > most; weights (D, D), bias (D) f32, D = S + 2 + C, f as above."""

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    x_floor: float
    most: float

    @classmethod
    def of_states(cls, cells: tuple[FloatArray, ...], quantile: float, x_floor: float = X_FLOOR) -> Distance:
        """From training states, of which the share `quantile` shall not be far; cells: the arguments of `square`."""
        given = _logarithms(cells, x_floor)
        mean = given.mean(axis=0)
        variance, axes = np.linalg.eigh(np.cov(given.T))
        weights = (axes / np.sqrt(np.maximum(variance, _VARIANCE))).T
        square = (((given - mean) @ weights.T) ** 2).sum(axis=1)
        bias = (-weights @ mean).astype(np.float32)
        return cls(weights.astype(np.float32), bias, x_floor, float(np.quantile(square, quantile)))

    def square(
        self, x: FloatArray, density: FloatArray, dt: FloatArray, temperature: FloatArray, conditions: FloatArray
    ) -> FloatArray:
        """The squared distance (B); arguments as of `box.quantities`."""
        given = _logarithms((x, density, dt, temperature, conditions), self.x_floor)
        square: FloatArray = ((given @ self.weights.T.astype(np.float64) + self.bias) ** 2).sum(axis=1)
        return square

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The distance under its names in the model file."""
        return {
            "gate/distance_w0": self.weights,
            "gate/distance_b0": self.bias,
            "gate/distance_floor": np.asarray(self.x_floor),
            "gate/distance_most": np.asarray(self.most),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Distance | None:
        """The distance that `to_arrays` stored, None where nothing is; KeyError names an array that is missing."""
        if "gate/distance_w0" not in arrays:
            return None
        floor, most = (float(arrays[f"gate/distance_{name}"]) for name in ("floor", "most"))
        return cls(arrays["gate/distance_w0"], arrays["gate/distance_b0"], floor, most)


def _logarithms(cells: tuple[FloatArray, ...], x_floor: float) -> FloatArray:
    """What the distance reads, f (B, D)."""
    x, density, dt, temperature, conditions = cells
    others = np.concatenate([temperature[:, None], conditions / density[:, None], (density * dt)[:, None]], axis=1)
    made: FloatArray = np.log10(np.concatenate([np.maximum(x, x_floor), np.maximum(others, _LEAST)], axis=1))
    return made
