"""Which cells the surrogate may serve: the trained box, and calibrated thresholds on its predicted error."""

from __future__ import annotations

from pychemsurrogate.gate.bins import Bins
from pychemsurrogate.gate.box import Box
from pychemsurrogate.gate.calibration import Coverage, Population, accepted_bound, calibrate, coverage
from pychemsurrogate.gate.gate import Calibration, Gate

__all__ = ["Bins", "Box", "Calibration", "Coverage", "Gate", "Population", "accepted_bound", "calibrate", "coverage"]
