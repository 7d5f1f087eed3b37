"""Which cells the surrogate may serve: the trained box, and a calibrated threshold on its predicted error."""

from __future__ import annotations

from pychemsurrogate.gate.box import Box
from pychemsurrogate.gate.calibration import Coverage, calibrate, coverage
from pychemsurrogate.gate.gate import Gate

__all__ = ["Box", "Coverage", "Gate", "calibrate", "coverage"]
