"""The chance of a cell: a number that the bits of its own input choose, as in native/include/pcs/cells.hpp."""

from __future__ import annotations

from typing import Final

from torch import Tensor, float64, int64

REFRESH_SALT: Final = 1
AUDIT_SALT: Final = 2
_MULTIPLIER: Final = 0x9E3779B97F4A7C15 - (1 << 64)


def chance(n: Tensor, temperature: Tensor, conditions: Tensor, dt: Tensor, salt: int) -> Tensor:
    """A number in [0, 1) for every cell (B); n (B, S), temperature, dt (B), conditions (B, C), float64, as given."""
    hashed = n.new_full((len(n),), salt, dtype=int64)
    for column in (*n.unbind(1), temperature, *conditions.unbind(1), dt):
        hashed = (hashed ^ column.contiguous().view(int64)) * _MULTIPLIER
        hashed = hashed ^ ((hashed >> 32) & 0xFFFFFFFF)
    return ((hashed >> 11) & ((1 << 53) - 1)).to(float64) * 2.0**-53
