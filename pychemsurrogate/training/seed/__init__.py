"""The seed paper, Sulzer & Buck 2023 (arXiv:2312.06015): its data, losses, fits and models (`fit` imports torch)."""

from __future__ import annotations
