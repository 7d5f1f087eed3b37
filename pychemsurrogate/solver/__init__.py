"""The step and its facade."""

from __future__ import annotations

from pychemsurrogate.solver.report import Report
from pychemsurrogate.solver.solver import Solver

__all__ = ["Report", "Solver"]
