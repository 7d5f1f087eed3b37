"""Exact conservation: the small relative changes that give a state its elements and charge back."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# A hundredth of what is promised (1e-12); the sums over species leave about 1e-15 of round-off.
_TARGET: Final = 1e-14
_MAX_ITERATIONS: Final = 20
# Directions of the scaled normal matrix below this are linear combinations of the others.
_COLLINEAR: Final = 1e-13


def conservation_defect(n_new: FloatArray, n_old: FloatArray, composition: FloatArray) -> FloatArray:
    """|sum a (n' - n)| / sum |a| max(n', n), per cell and conserved quantity: (cells, E + 1).

    n_new, n_old (cells, S) in any one unit; composition (E + 1, S). 0 where a quantity is absent from both states.
    """
    size = np.maximum(n_new, n_old) @ np.abs(composition).T
    defect = np.abs((n_new - n_old) @ composition.T)
    relative: FloatArray = np.divide(defect, size, out=np.zeros_like(size), where=size > 0)
    return relative


def conserve(guess: FloatArray, like: FloatArray, composition: FloatArray) -> FloatArray:
    """guess * exp(A^T lambda) (cells, S) with the elements and the charge of `like`, to round-off.

    guess, like (cells, S), not negative, in one unit; A = composition (E + 1, S). Newton's method on lambda; quantities
    that are absent from a cell or that follow from the others are left out. A species at 0 stays at 0.
    """
    n: FloatArray = guess.copy()
    for _ in range(_MAX_ITERATIONS):
        open_cells = np.flatnonzero(conservation_defect(n, like, composition).max(axis=1) > _TARGET)
        if not open_cells.size:
            break
        n[open_cells] = _newton(n[open_cells], like[open_cells], composition)
    return n


def _newton(n: FloatArray, like: FloatArray, composition: FloatArray) -> FloatArray:
    normal = np.einsum("is,cs,js->cij", composition, n, composition)
    # Elements differ by many powers of ten: scale the matrix to a unit diagonal before judging its rank.
    diagonal = np.einsum("cii->ci", normal)
    scale = np.divide(1.0, np.sqrt(diagonal), out=np.zeros_like(diagonal), where=diagonal > 0)
    missing = (like - n) @ composition.T * scale
    values, vectors = np.linalg.eigh(normal * scale[:, :, None] * scale[:, None, :])
    inverse = np.divide(1.0, values, out=np.zeros_like(values), where=values > _COLLINEAR)
    step = np.einsum("cij,cj,ckj,ck->ci", vectors, inverse, vectors, missing) * scale
    moved: FloatArray = n * np.exp(np.clip(step @ composition, -1.0, 1.0))
    return moved
