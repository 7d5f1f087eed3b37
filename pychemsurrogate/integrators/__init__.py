"""What advances a cell exactly: the scipy BDF reference and the native batched Rosenbrock method."""

from __future__ import annotations

from pychemsurrogate.integrators.compile import CompileError, choose_kernels, compile_kernels
from pychemsurrogate.integrators.conserve import conservation_defect, conserve
from pychemsurrogate.integrators.native import NativeRosenbrock, open_network
from pychemsurrogate.integrators.scipy_bdf import ScipyBDF

__all__ = [
    "CompileError",
    "NativeRosenbrock",
    "ScipyBDF",
    "choose_kernels",
    "compile_kernels",
    "conservation_defect",
    "conserve",
    "open_network",
]
