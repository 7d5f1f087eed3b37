"""Nets of one shape side by side, each for its own part of the inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

_TILE = 64  # cells of one expert that share the weights they are multiplied with


class Experts(nn.Module):
    """E dense nets with the given widths, SiLU between the layers; weights (E, out, in), biases (E, out)."""

    host_looks = True

    def __init__(self, experts: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for inputs, outputs in pairwise(widths):
            bound = inputs**-0.5  # as torch's own dense layers
            self.weights.append((torch.rand(experts, outputs, inputs) * 2.0 - 1.0) * bound)
            self.biases.append((torch.rand(experts, outputs) * 2.0 - 1.0) * bound)

    def __len__(self) -> int:
        return len(self.weights[0])

    def forward(self, inputs: Tensor) -> Tensor:
        """Every expert on its own rows: (E, N, in) -> (E, N, out)."""
        last = len(self.weights) - 1
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            inputs = torch.baddbmm(bias[:, None], inputs, weight.transpose(1, 2))
            if i < last:
                inputs = nn.functional.silu(inputs)
        return inputs

    def each(self, inputs: Tensor, expert: Tensor) -> Tensor:
        """Row b by the expert that expert (B) names: (B, in) -> (B, out)."""
        if not self.host_looks:
            return self._tiled(inputs, expert)
        result = inputs.new_empty(len(inputs), self.weights[-1].shape[1])
        for e in range(len(self)):
            rows = torch.nonzero(expert == e)[:, 0]
            value = inputs[rows]
            for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
                value = nn.functional.linear(value, weight[e], bias[e])
                if i < len(self.weights) - 1:
                    value = nn.functional.silu(value)
            result[rows] = value
        return result

    def _tiled(self, inputs: Tensor, expert: Tensor) -> Tensor:
        """`each` in shapes that do not depend on what a tensor holds: rows of one expert in tiles, the last padded."""
        count, experts = len(inputs), len(self)
        tile = max(1, min(_TILE, count // experts))
        numbers = torch.arange(experts, device=expert.device)
        ordered, cells = torch.sort(expert, stable=True)
        first = torch.searchsorted(ordered, numbers)  # of an expert's cells in that order
        tiles = (torch.searchsorted(ordered, numbers, right=True) - first + tile - 1) // tile
        behind = tiles.cumsum(0)
        rank = torch.arange(count, device=expert.device) - first[ordered]
        place = (behind - tiles)[ordered] * tile + rank
        # However the cells spread, there are no more tiles than these.
        most = count // tile + experts
        of = torch.searchsorted(behind, torch.arange(most, device=expert.device), right=True).clamp(max=experts - 1)
        value = inputs.new_zeros(most * tile, inputs.shape[1]).index_copy(0, place, inputs[cells])
        value = value.view(most, tile, -1)
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            value = torch.baddbmm(bias[of][:, None], value, weight[of].transpose(1, 2))
            if i < len(self.weights) - 1:
                value = nn.functional.silu(value)
        result = value.flatten(0, 1)[place]
        return torch.empty_like(result).index_copy(0, cells, result)

    def arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """The weights under their names in the model file: <prefix>_w0 (E, out, in), <prefix>_b0 (E, out), ..."""
        named: dict[str, NDArray[Any]] = {}
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            named[f"{prefix}_w{i}"] = weight.detach().cpu().numpy().astype(np.float32)
            named[f"{prefix}_b{i}"] = bias.detach().cpu().numpy().astype(np.float32)
        return named

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], prefix: str) -> Experts:
        """The nets whose weights are stored under `prefix`; KeyError if there are none."""
        weights = [arrays[f"{prefix}_w0"]]
        while f"{prefix}_w{len(weights)}" in arrays:
            weights.append(arrays[f"{prefix}_w{len(weights)}"])
        nets = cls(len(weights[0]), [weights[0].shape[2], *(w.shape[1] for w in weights)])
        with torch.no_grad():
            for i, weight in enumerate(weights):
                nets.weights[i].copy_(torch.as_tensor(np.array(weight)))
                nets.biases[i].copy_(torch.as_tensor(np.array(arrays[f"{prefix}_b{i}"])))
        return nets
