"""What advances a cell exactly: the scipy BDF reference and the native batched Rosenbrock method."""

from __future__ import annotations

from pychemsurrogate.integrators.conserve import conservation_defect, conserve
from pychemsurrogate.integrators.native import NativeRosenbrock
from pychemsurrogate.integrators.scipy_bdf import ScipyBDF

__all__ = ["NativeRosenbrock", "ScipyBDF", "conservation_defect", "conserve"]
