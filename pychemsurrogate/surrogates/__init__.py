"""The learned step. `multiclock` and `rates` import torch: import them where they are used."""

from __future__ import annotations
