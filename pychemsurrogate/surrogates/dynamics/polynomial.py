"""z(tau) = z0 + sum_k tau^k A_k: the linear latent model of Sulzer & Buck 2023 (degree 1) and its generalisation.

The A_k are constants, learned once for all states (the paper's slope), or come from the encoder with z0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class Polynomial(nn.Module):
    """directions (K, Z): the constant A_k; None: the encoder gives K Z numbers after the Z of z0."""

    name = "polynomial"

    def __init__(self, degree: int, directions: Tensor | None) -> None:
        super().__init__()
        self.degree = degree
        self.directions = nn.Parameter(directions) if directions is not None else None

    def width(self, latent: int) -> int:
        """How many numbers the encoder gives a state."""
        return latent if self.directions is not None else (1 + self.degree) * latent

    def advance(self, encoded: Tensor, tau: Tensor) -> Tensor:
        """z (B, T, Z) at tau (T,) or (B, T)."""
        powers = torch.stack([tau**k for k in range(1, self.degree + 1)], dim=-1)  # (..., T, K)
        if self.directions is not None:
            return encoded[:, None] + powers @ self.directions
        numbers = encoded.unflatten(1, (1 + self.degree, -1))
        return numbers[:, :1] + powers @ numbers[:, 1:]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The dynamics under its names in the model file."""
        arrays: dict[str, NDArray[Any]] = {"surrogate/degree": np.int32(self.degree).reshape(())}
        if self.directions is not None:
            arrays["surrogate/directions"] = self.directions.detach().cpu().numpy().astype(np.float32)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Polynomial:
        """The dynamics that `arrays` stored; KeyError names an array that is missing."""
        constant = arrays.get("surrogate/directions")
        directions = None if constant is None else torch.as_tensor(np.array(constant))
        return cls(int(arrays["surrogate/degree"]), directions)
