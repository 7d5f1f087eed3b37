"""Training: samplers, truth by the exact integrator, data sets, the fit (which alone imports torch)."""

from __future__ import annotations
