"""What the seed paper's networks must be compared with: published numbers, interpolation, the nearest neighbour.

All trajectories of Sulzer & Buck (2023) differ in two numbers only, the initial densities of C and C+. So the whole
data set is a smooth function of (log10 n_C, log10 n_C+), which a classical interpolant learns in a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator
from scipy.spatial import KDTree

FloatArray = NDArray[np.float64]

COORDINATES: Final = ("C", "C+")
"""The species whose initial densities tell the trajectories apart."""


@dataclass(frozen=True)
class PublishedRow:
    """A row as printed in a paper; None: not given there. time_ms: one trajectory of 100 outputs, batch 1."""

    name: str
    rmse: float | None
    median_relative_error: float | None
    log10_error: tuple[float, float, float] | None
    """Mean over species, smallest and largest species."""
    time_ms: float
    hardware: str


PUBLISHED: Final = (
    PublishedRow("neural ODE", 9e-3, 0.015, (-2.40, -4.41, -1.03), 34.9, "RTX 2080 Ti"),
    PublishedRow("linear latent", 3e-3, 0.004, (-2.94, -5.09, -1.64), 0.45, "RTX 2080 Ti"),
    PublishedRow("Grassi et al. 2022", None, None, (-0.41, -2.96, 0.44), 29.7, "as they quote it"),
    PublishedRow("scipy solve_ivp", None, None, None, 1930.0, "Python"),
)
"""The table of results of Sulzer & Buck 2023 (arXiv:2312.06015), where Grassi et al. 2022 (A&A 668, A139,
arXiv:2104.09516) and scipy stand beside their models."""


class RadialBasis:
    """Cubic radial basis functions with a linear tail in the logarithms of the initial n_C and n_C+.

    initial: densities (trajectories, 2) in cm^-3 of COORDINATES; log10_n: (trajectories, times, species).
    """

    def __init__(self, initial: FloatArray, log10_n: FloatArray) -> None:
        self._shape = log10_n.shape[1:]
        self._interpolate = RBFInterpolator(np.log10(initial), log10_n.reshape(len(log10_n), -1), kernel="cubic")

    def __call__(self, initial: FloatArray) -> FloatArray:
        """log10 n (trajectories, times, species) for initial densities (trajectories, 2) in cm^-3."""
        return np.asarray(self._interpolate(np.log10(initial))).reshape(-1, *self._shape)

    @property
    def parameters(self) -> int:
        """Numbers that the interpolant holds: a coefficient a node and three of the tail, for every output."""
        return int(self._interpolate.y.shape[0] + 3) * int(np.prod(self._shape))


class NearestNeighbour:
    """The training trajectory whose initial (log10 n_C, log10 n_C+) is nearest; arguments as in RadialBasis."""

    def __init__(self, initial: FloatArray, log10_n: FloatArray) -> None:
        self._shape = log10_n.shape[1:]
        self._log10_n = log10_n
        self._tree = KDTree(np.log10(initial))

    def __call__(self, initial: FloatArray) -> FloatArray:
        """log10 n (trajectories, times, species) for initial densities (trajectories, 2) in cm^-3."""
        _, nearest = self._tree.query(np.log10(initial))
        return np.asarray(self._log10_n[nearest])

    @property
    def parameters(self) -> int:
        """Numbers that are kept: all training trajectories."""
        return int(self._log10_n.size)
