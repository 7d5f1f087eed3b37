"""What a surrogate is judged by: the error of a cell, and the kinds of cells that are measured apart. No torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pychemsurrogate.training.sampling import STARTS, UNUSUAL
from pychemsurrogate.training.truth import KINDS, Pairs

FloatArray = NDArray[np.float64]

X_MIN: Final = 1e-10
"""Species below this abundance do not count in a cell's error; the fit's own weights fall off further below."""
X_TRACES: Final = 1e-13
"""The same where traces are to count."""

_TRACKS, _HYDRO, _FLOW, _STEPS, _BRIEF, _LOGGED, _UNUSUAL = (
    KINDS.index(kind) for kind in ("tracks", "hydro", "flow", "steps", "brief", "logged", "unusual")
)


def _begins(name: str) -> Callable[[Pairs], NDArray[np.bool_]]:
    return lambda p: (p.kind == _UNUSUAL) & (p.begin == STARTS.index(name))


# The populations that are calibrated and measured apart: name -> mask of a data set's pairs.
POPULATIONS: dict[str, Callable[[Pairs], NDArray[np.bool_]]] = {
    "arbitrary": lambda p: (p.kind == _TRACKS) & (p.begin == 0),
    "hydro-like": lambda p: p.kind == _HYDRO,
    "flow": lambda p: p.kind == _FLOW,
    "hydro steps": lambda p: p.kind == _STEPS,
    "small steps": lambda p: p.kind == _BRIEF,
    "neighbour mixtures": lambda p: (p.kind == _TRACKS) & (p.begin == 2),
    "unrelated mixtures": lambda p: (p.kind == _TRACKS) & (p.begin == 1),
    "perturbed": lambda p: (p.kind == _TRACKS) & (p.begin == 3),
    "logged": lambda p: p.kind == _LOGGED,
    **{name: _begins(name) for name in UNUSUAL},
}


def populations_of(pairs: Pairs) -> dict[str, NDArray[np.bool_]]:
    """The populations that the pairs hold, as masks (P); small data sets may lack some."""
    masks = {name: mask(pairs) for name, mask in POPULATIONS.items()}
    return {name: rows for name, rows in masks.items() if rows.any()}


def cells_of(pairs: Pairs) -> tuple[FloatArray, ...]:
    """What `Box.contains` and `Bins.place` read of the pairs."""
    return pairs.start.astype(np.float64), pairs.density, pairs.dt, pairs.temperature, pairs.conditions


def cell_error(x: FloatArray, truth: FloatArray, weights: FloatArray | None = None, x_min: float = X_MIN) -> FloatArray:
    """max weight |log10 x - log10 truth| [dex] (B) over species with truth > x_min. Infinite where x is 0.

    x, truth (B, S); weights (S), None: 1.
    """
    with np.errstate(divide="ignore"):
        error = np.abs(np.log10(x) - np.log10(np.maximum(truth, 1e-300)))
    if weights is not None:
        error *= weights
    worst: FloatArray = np.where(truth > x_min, error, 0.0).max(axis=1)
    return worst
