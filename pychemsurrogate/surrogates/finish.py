"""The finish of the learned step, in torch: a few fixed steps of the real chemistry over the last part of the time.

The map goes to (1 - f) theta; from its state, Rodas3 (Sandu et al. 1997, Atmos. Environ. 31, 3459), a stiffly accurate,
L-stable Rosenbrock method of order 3, covers the rest in m steps without error control. Fast species, and errors along
them, are pulled to where they belong. native/include/pcs/finish.hpp is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pychemsurrogate.surrogates.rates import Rates

_GAMMA = 0.5  # as all numbers of the method in native/include/pcs/rosenbrock.hpp
# As in native/include/pcs/finish.hpp: what the report says of a change [dex] and of an error (relative).
_X_FLOOR = 1e-16
_LARGEST_CHANGE = 3.0
_X_SEEN = 1e-10
_ERROR_RANGE = (1e-6, 1e3)


@dataclass(frozen=True)
class Finished:
    """The state after the finish, before it is projected again, (B, S) f64; and what the error head is told of it.

    report (B, S + 1) f32: log10 of after over before for every species, and log10 of the largest relative error that
    the steps' embedded solutions show.
    """

    x: Tensor
    report: Tensor


class Finish(nn.Module):
    """`steps` steps of the network's chemistry over the last `fraction` (between 0 and 1) of theta; double precision.

    Raises ValueError for a fraction or a number of steps out of range.
    """

    def __init__(self, rates: Rates, fraction: float, steps: int) -> None:
        super().__init__()
        if not 0.0 < fraction < 1.0 or steps < 1:
            raise ValueError(
                f"a finish of {steps} steps over {fraction} of the time: give a fraction between 0 and 1 and a step"
            )
        self.rates = rates
        self.fraction = fraction
        self.steps = steps

    def ahead(self, theta: Tensor) -> Tensor:
        """What of theta (B) [s cm^-3] the map has to span."""
        return theta * (1.0 - self.fraction)

    def forward(self, before: Tensor, k: Tensor, theta: Tensor) -> Finished:
        """From the map's state (B, S) at ahead(theta) to the state at theta (B); k (B, R) rate coefficients; all f64.

        A species that a step leaves negative or not finite gets the implicit step with P and L frozen: at theta = 0,
        all keep what they have, as they do where that fails too.
        """
        x, error = before, torch.zeros_like(theta)
        h = theta * (self.fraction / self.steps)
        for _ in range(self.steps):
            new, difference = self._rodas3(x, k, h)
            scaled = difference.abs() / (_X_SEEN + new.abs())
            error = torch.maximum(error, torch.where(scaled.isfinite(), scaled, torch.inf).amax(dim=1))
            production, loss = self.rates.production_loss(x, k)
            frozen = (x + h[:, None] * production) / (1.0 + h[:, None] * loss)
            frozen = torch.where(frozen.isfinite(), frozen, x)
            x = torch.where((new >= 0.0) & new.isfinite(), new, frozen)
        change = torch.log10((x + _X_FLOOR) / (before + _X_FLOOR)).clamp(-_LARGEST_CHANGE, _LARGEST_CHANGE)
        size = torch.log10(error.clamp(*_ERROR_RANGE))
        return Finished(x, torch.cat([change, size[:, None]], dim=1).float())

    def _rodas3(self, x: Tensor, k: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """One step of h (B) from x (B, S): the new state, and the estimate of its error."""
        inverse_h = 1.0 / h[:, None]
        matrix = torch.diag_embed((inverse_h / _GAMMA).expand_as(x)) - self.rates.jacobian(x, k)
        factors, pivots, _ = torch.linalg.lu_factor_ex(matrix)

        def solve(right: Tensor) -> Tensor:
            return torch.linalg.lu_solve(factors, pivots, right[:, :, None])[:, :, 0]

        slope = self.rates.change(x, k)
        first = solve(slope)
        second = solve(slope + inverse_h * (4.0 * first))
        start = x + 2.0 * first
        third = solve(self.rates.change(start, k) + inverse_h * (first - second))
        start = start + third
        last = solve(self.rates.change(start, k) + inverse_h * (first - second - 8.0 / 3.0 * third))
        return start + last, last

    # --- the model file ---------------------------------------------------------------------------------------

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The finish under its names in the model file."""
        return {
            "surrogate/finish_fraction": np.float64(self.fraction).reshape(()),
            "surrogate/finish_steps": np.int32(self.steps).reshape(()),
        }

    @staticmethod
    def settings(arrays: Mapping[str, NDArray[Any]]) -> tuple[float, int] | None:
        """Fraction and steps as `to_arrays` stored them, None for a surrogate without; KeyError for one of the two."""
        if "surrogate/finish_steps" not in arrays:
            return None
        return float(arrays["surrogate/finish_fraction"]), int(arrays["surrogate/finish_steps"])
