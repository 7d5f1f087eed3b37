"""Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon), for single matrices and for stacks of them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

_MOMENTUM = 0.95
_NEWTON_SCHULZ = (3.4445, -4.775, 2.0315)
_ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Steps of orthogonalised momentum for parameters (..., M, N); every matrix of a stack by itself.

    On one matrix it is torch.optim.Muon without weight decay, which takes no stacks. lr: the learning rate.
    """

    def __init__(self, params: Iterable[Tensor], lr: float) -> None:
        super().__init__(params, {"lr": lr})

    def step(self, closure: None = None) -> None:
        """One step along the gradients at hand."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    with torch.no_grad():
                        self._move(parameter, group["lr"])

    def _move(self, parameter: Tensor, rate: float) -> None:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum = state["momentum"].lerp_(parameter.grad, 1.0 - _MOMENTUM)
        update = orthogonal(parameter.grad.lerp(momentum, _MOMENTUM))
        rows, columns = parameter.shape[-2:]
        parameter.add_(update, alpha=-rate * max(1.0, rows / columns) ** 0.5)


def orthogonal(matrices: Tensor) -> Tensor:
    """Roughly U V^T of every matrix U S V^T of a stack (..., M, N), by five Newton-Schulz iterations in bfloat16."""
    a, b, c = _NEWTON_SCHULZ
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.bfloat16()
    x = x.mT if tall else x
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(matrices.dtype)
