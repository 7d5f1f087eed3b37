"""The projection of a guess on the elements and the charge of the state that it came from, in torch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from pychemsurrogate.network import NetworkTables

# Iterations, relative defects that end it and that are accepted, the longest step in ln x, the share of a row's
# diagonal below which it depends on the others, and the share of all charges that is round-off, no net charge.
# native/include/pcs/conserve.hpp ends after a short step instead.
_NEWTON_STEPS = 20
_CONVERGED = 1e-13
_CONSERVED = 1e-12
_LONGEST_STEP = 2.0
_DEPENDENT = 1e-12
_NEUTRAL = 5e-13


class Conserving(nn.Module):
    """What every learned map shares: `conserve`, and the verdict on its outcome; double precision."""

    composition: Tensor

    def __init__(self, tables: NetworkTables) -> None:
        super().__init__()
        self.register_buffer("composition", torch.as_tensor(np.array(tables.composition)))

    def conserve(self, guess: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """guess * exp(A^T lambda) with the elements and the charge of `like`, and lambda (B, E + 1); f64.

        Newton's method on A x = A like; quantities that are absent or follow from the others are left out. Where `like`
        is neutral but for round-off, the result is neutral.
        `is_conserved` tells which cells came through.
        """
        target = like @ self.composition.T
        charges = like @ self.composition[-1].abs()
        target[:, -1] = torch.where(target[:, -1].abs() <= _NEUTRAL * charges, 0.0, target[:, -1])
        multiplier = torch.zeros_like(target)
        moved = guess
        for _ in range(_NEWTON_STEPS):
            missing = target - moved @ self.composition.T
            open_cells = (missing.abs() / self._size(moved, like)).amax(dim=1) > _CONVERGED
            if not bool(open_cells.any()):
                break
            gram = torch.einsum("es,bs,fs->bef", self.composition, moved, self.composition)
            step = _solve(gram, missing)
            longest = (step @ self.composition).abs().amax(dim=1)
            # A cell that has converged stays as it is, whatever its neighbours need.
            damping = (_LONGEST_STEP / longest.clamp(min=_LONGEST_STEP)) * open_cells
            step = damping[:, None] * step
            multiplier = multiplier + step
            moved = moved * torch.exp(step @ self.composition)
        return moved, multiplier

    def defect(self, x: Tensor, like: Tensor) -> Tensor:
        """max over elements and charge of |sum a (x - like)| / sum |a| max(x, like), per cell (B)."""
        return (((x - like) @ self.composition.T).abs() / self._size(x, like)).amax(dim=1)

    def _size(self, x: Tensor, like: Tensor) -> Tensor:
        """sum |a| max(x, like) (B, E + 1), above 0."""
        return (torch.maximum(x, like) @ self.composition.abs().T).clamp(min=1e-300)

    def is_conserved(self, x: Tensor, like: Tensor) -> Tensor:
        """Which cells (B) hold the elements and charge of `like` to round-off; the others must not be accepted."""
        return self.defect(x, like) <= _CONSERVED


def _solve(gram: Tensor, right: Tensor) -> Tensor:
    """Solve gram y = right for symmetric, positive (B, Q, Q) by elimination; dependent rows get 0."""
    size = gram.shape[-1]
    diagonal = gram.diagonal(dim1=1, dim2=2).clone()
    rows, values = list(gram.unbind(1)), list(right.unbind(1))
    inverse = []
    for q in range(size):
        pivot = rows[q][:, q]
        usable = pivot > _DEPENDENT * diagonal[:, q]
        inverse.append(torch.where(usable, 1.0 / torch.where(usable, pivot, 1.0), 0.0))
        for r in range(q + 1, size):
            factor = rows[r][:, q] * inverse[q]
            rows[r] = rows[r] - factor[:, None] * rows[q]
            values[r] = values[r] - factor * values[q]
    for q in reversed(range(size)):
        known = sum((rows[q][:, c] * values[c] for c in range(q + 1, size)), torch.zeros_like(values[q]))
        values[q] = (values[q] - known) * inverse[q]
    return torch.stack(values, dim=1)
