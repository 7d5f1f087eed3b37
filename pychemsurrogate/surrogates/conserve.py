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
    host_looks = True

    def __init__(self, tables: NetworkTables) -> None:
        super().__init__()
        self.register_buffer("composition", torch.as_tensor(np.array(tables.composition)))

    def conserve(self, guess: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """guess * exp(A^T lambda) with the elements and the charge of `like`, and lambda (B, E + 1); f64.

        Newton's method on A x = A like; quantities that are absent or follow from the others are left out. Where `like`
        is neutral but for round-off, the result is neutral. All iterations are made where the host does not look
        (`free_running`) whether the last cell has converged: far from what a net has learned, cells need many.
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
            if self.host_looks and not bool(open_cells.any()):
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
    """Solve gram y = right for symmetric, positive (B, Q, Q) by elimination (Gauss-Jordan); dependent rows get 0."""
    # The batch comes last: every operation runs along it.
    matrix = torch.cat([gram, right[:, :, None]], dim=2).permute(1, 2, 0).contiguous()
    smallest = _DEPENDENT * matrix.diagonal().T
    solved = []
    for q in range(len(matrix)):
        row = matrix[q]
        dependent = ~(row[q] > smallest[q])
        inverse = row[q].masked_fill(dependent, 1.0).reciprocal().masked_fill(dependent, 0.0)
        factor = matrix[:, q] * inverse
        factor = torch.cat([factor[:q], torch.zeros_like(factor[:1]), factor[q + 1 :]])
        matrix = torch.addcmul(matrix, factor[:, None], row[None], value=-1.0)
        solved.append(inverse)
    return (matrix[:, -1] * torch.stack(solved)).T
