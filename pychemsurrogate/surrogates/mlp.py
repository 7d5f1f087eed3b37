"""Dense nets, and their weights in a model file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

ACTIVATIONS: dict[str, type[nn.Module]] = {"silu": nn.SiLU, "tanh": nn.Tanh}


def mlp(widths: Sequence[int], activation: str = "silu", output: str = "linear") -> nn.Sequential:
    """Linear layers of the given widths with the activation between them; output "tanh": one more tanh at the end."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers[:-1], *([nn.Tanh()] if output == "tanh" else []))


def mlp_arrays(net: nn.Sequential, prefix: str) -> dict[str, NDArray[Any]]:
    """The weights of an MLP under their names in the model file: <prefix>_w0 (out, in), <prefix>_b0, ..."""
    arrays: dict[str, NDArray[Any]] = {}
    linear = [layer for layer in net if isinstance(layer, nn.Linear)]
    for i, layer in enumerate(linear):
        arrays[f"{prefix}_w{i}"] = layer.weight.detach().cpu().numpy().astype(np.float32)
        arrays[f"{prefix}_b{i}"] = layer.bias.detach().cpu().numpy().astype(np.float32)
    return arrays


def mlp_from_arrays(
    arrays: Mapping[str, NDArray[Any]], prefix: str, activation: str = "silu", output: str = "linear"
) -> nn.Sequential:
    """The MLP whose weights are stored under `prefix`; KeyError if there is none."""
    weights = [arrays[f"{prefix}_w0"]]
    while f"{prefix}_w{len(weights)}" in arrays:
        weights.append(arrays[f"{prefix}_w{len(weights)}"])
    net = mlp([weights[0].shape[1], *(w.shape[0] for w in weights)], activation, output)
    linear = [layer for layer in net if isinstance(layer, nn.Linear)]
    with torch.no_grad():
        for i, (layer, weight) in enumerate(zip(linear, weights, strict=True)):
            layer.weight.copy_(torch.as_tensor(np.array(weight)))
            layer.bias.copy_(torch.as_tensor(np.array(arrays[f"{prefix}_b{i}"])))
    return net
