"""Which cells the surrogate may serve: box, distance, and calibrated thresholds on the predicted error."""

from __future__ import annotations

from pychemsurrogate.gate.bins import Bins
from pychemsurrogate.gate.box import Box
from pychemsurrogate.gate.calibration import Coverage, Population, accepted_bound, calibrate, coverage
from pychemsurrogate.gate.distance import Distance
from pychemsurrogate.gate.gate import Calibration, Gate

__all__ = [
    "Bins",
    "Box",
    "Calibration",
    "Coverage",
    "Distance",
    "Gate",
    "Population",
    "accepted_bound",
    "calibrate",
    "coverage",
]
