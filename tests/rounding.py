"""What rounding does to float32 nets: products as other kernels and other processors may compute them."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

PRODUCTS = ("addmm", "mm", "bmm", "baddbmm")


class OtherKernels(TorchDispatchMode):
    """Products of float32 tensors whose factors are one unit in the last place higher, lower or as they are.

    That moves a sum of n terms as far as another order of the additions does: by about sqrt(n) roundings. The choice
    is a function of seed and value, so that equal products have equal results.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed

    def moved(self, tensor: Any) -> Any:
        bits = tensor.contiguous().view(torch.int32)
        mixed = (bits.long() + 40503 * self.seed) * (2654435761 + 2 * self.seed) >> 15
        up = torch.tensor([-1, 0, 0, 1], dtype=torch.int32)[mixed & 3]
        return torch.where(tensor.isfinite() & (tensor.abs() > 1e-30), bits + up, bits).view(torch.float32)

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function._schema.name.split("::")[1]
        if name in PRODUCTS and args[-1].dtype == torch.float32:
            args = (*args[:-2], *map(self.moved, args[-2:]))
        return function(*args, **(kwargs or {}))
