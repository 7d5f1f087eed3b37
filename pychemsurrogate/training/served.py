"""What a model file's learned step makes of pairs, by the native core: what is calibrated is what will be served."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pychemsurrogate import _native
from pychemsurrogate.integrators import conservation_defect
from pychemsurrogate.training.populations import X_TRACES, cell_error
from pychemsurrogate.training.truth import Pairs

FloatArray = NDArray[np.float64]

X_ZERO: Final = 1e-30
"""What an abundance of 0, or one that is no number, counts as in an error."""
_CONSERVED: Final = 1e-12  # a cell beyond is never accepted, as in the step itself
_CHUNK: Final = 8192


@dataclass(frozen=True)
class Judged:
    """How a learned step does on B pairs.

    error, error_traces: the cell's weighted error [dex] over x > X_MIN and over x > X_TRACES, (B) f64; predicted: log10
    of the former as the head expects it, infinite for a cell that is not conserved, (B) f64.
    """

    error: FloatArray
    error_traces: FloatArray
    predicted: FloatArray


def trace(
    native: _native.Solver,
    composition: FloatArray,
    x: FloatArray,
    temperature: FloatArray,
    density: FloatArray,
    conditions: FloatArray,
    dt: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """States (B, S) n/n_H after the learned step, before any gate, and the head's score (B), infinite where refused.

    native: a solver of the path that is asked; composition (E + 1, S); the cells as of truth.Step. Without a head the
    score is 0 where the step conserves.
    """
    n = x * density[:, None]
    moved, score = np.empty_like(n), np.zeros(len(n))
    for first in range(0, len(n), _CHUNK):
        rows = slice(first, first + _CHUNK)
        made = native.trace(n[rows], dt[rows], temperature[rows], conditions[rows])
        moved[rows] = made["final_state"]
        if "score" in made:
            score[rows] = made["score"][:, 0]
    with np.errstate(invalid="ignore"):
        defect = conservation_defect(moved, x, composition).max(axis=1)
    score[~(defect <= _CONSERVED) | np.isnan(score)] = np.inf
    return moved, score


def judge(native: _native.Solver, pairs: Pairs, composition: FloatArray, weights: FloatArray) -> Judged:
    """The whole learned step, conservation included, on every pair, without the gate. weights (S): see cell_error."""
    cells = (pairs.start, pairs.temperature, pairs.density, pairs.conditions, pairs.dt)
    x, score = trace(native, composition, *cells)
    told, truth = np.fmax(x, X_ZERO), pairs.end.astype(np.float64)
    return Judged(cell_error(told, truth, weights), cell_error(told, truth, weights, X_TRACES), score)
