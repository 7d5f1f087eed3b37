"""The map `jump` (docs/architecture.md): a few implicit steps of the real chemistry, then a net that mends their error.

A handful of linearly implicit Euler steps over the whole span, whatever its length, is stable and right for all that is
fast or changes little; what it gets wrong is the net's to learn. The nets are small and many: the pattern of
log10(L theta), which tells for each species how many of its life times the span covers, picks one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pychemsurrogate.network import NetworkTables
from pychemsurrogate.surrogates.experts import Experts
from pychemsurrogate.surrogates.finish import Finish, Finished
from pychemsurrogate.surrogates.mlp import mlp_arrays, mlp_from_arrays
from pychemsurrogate.surrogates.reduced import ReducedMap, Scaled

_LOG_THETA_RANGE = (-30.0, 30.0)
_DEPTH_RANGE = (-8.0, 8.0)  # of log10(L theta)
_LOG_X_RANGE = (-16.0, 1.0)  # of what the nets read of the prepared state
# No abundance relative to H exceeds it; an implicit step that does has failed.
_X_MAX = 10.0


@dataclass(frozen=True)
class Prepared:
    """Where the implicit steps lead: x (B, S) f64, and what the nets read of it, [y', q'] (B, 2 S) f32."""

    x: Tensor
    features: Tensor


@dataclass(frozen=True)
class Decoded:
    """What `decode` returns.

    depth log10(L theta) and shift of the prepared state [dex] (B, S), the scaled conditions and log theta (B, 2 + C)
    f32; the nets' change [dex] and the guess (B, S) f64.
    """

    depth: Tensor
    shift: Tensor
    given: Tensor
    change: Tensor
    guess: Tensor


class Jump(ReducedMap):
    """The map; its verbs are methods with their names in docs/architecture.md.

    experts: nets of F -> S numbers, F = 5 S + 2 + C; centres (E, S): the patterns of log10(L theta) that pick one of
    them; shares: of theta for each implicit step, their sum is 1.
    """

    centres: Tensor

    def __init__(
        self,
        tables: NetworkTables,
        experts: Experts,
        centres: NDArray[np.float32],
        shares: Sequence[float],
        head: nn.Sequential,
        feature_mean: NDArray[np.float32],
        feature_std: NDArray[np.float32],
        clock_theta0: float = 1e11,
        x_floor: float = 1e-16,
        x_trace: float = 1e-12,
        finish: tuple[float, int] | None = None,
    ) -> None:
        super().__init__(tables, head, feature_mean, feature_std, clock_theta0, x_floor, x_trace, finish)
        self.experts = experts
        self.shares = tuple(shares)
        self.register_buffer("centres", torch.as_tensor(np.array(centres, dtype=np.float32)))

    # --- the verbs --------------------------------------------------------------------------------------------

    def scale(self, x: Tensor, temperature: Tensor, conditions: Tensor, theta: Tensor) -> Scaled:
        """The start state with its rates; its features [y, q, l, p] are not standardised yet."""
        scaled = self.start(x, temperature, conditions, theta)
        return replace(scaled, features=scaled.features.to(self.single))

    def encode(self, features: Tensor) -> Tensor:
        """The features as they are: every theta has a net's run of its own."""
        return features

    def advance(self, encoded: Tensor, theta: Tensor) -> Tensor:
        """[y, q, c, p, t] (B, 3 S + 2 + C) f32: c = log10(L theta), t = log10(theta)."""
        species = self.centres.shape[1]
        t = torch.log10(theta).clamp(*_LOG_THETA_RANGE).to(self.single)[:, None]
        depth = (encoded[:, 2 * species : 3 * species] + t).clamp(*_DEPTH_RANGE)
        return torch.cat([encoded[:, : 2 * species], depth, encoded[:, 3 * species :], t], dim=1)

    def prepare(self, scaled: Scaled) -> Prepared:
        """The implicit steps over scaled.theta. At theta = 0 the state stays exactly what it is.

        A step that takes a species out of (0, 10] is replaced, for that species, by one with P and L frozen.
        """
        k, production, loss = scaled.coefficients, scaled.production, scaled.loss
        x = scaled.x
        for share in self.shares:
            h = share * scaled.theta[:, None]
            matrix = torch.diag_embed((1.0 / h).expand_as(x)) - self.rates.jacobian(x, k)
            factors, pivots, _ = torch.linalg.lu_factor_ex(matrix)
            slope = (production - loss * x)[:, :, None]
            new = x + torch.linalg.lu_solve(factors, pivots, slope)[:, :, 0]
            frozen = ((x + h * production) / (1.0 + h * loss)).clamp(max=_X_MAX)
            x = torch.where((new > 0.0) & (new <= _X_MAX), new, frozen)
            production, loss = self.rates.production_loss(x, k)
        seen = torch.cat([self.log(x), self.quasi_steady(production, loss)], dim=1).clamp(*_LOG_X_RANGE)
        return Prepared(x, seen.to(self.single))

    def depth(self, z: Tensor) -> Tensor:
        """c = log10(L theta) (B, S) in what `advance` made."""
        species = self.centres.shape[1]
        return z[:, 2 * species : 3 * species]

    def route(self, depth: Tensor) -> Tensor:
        """Which expert (B) serves a pattern of log10(L theta) (B, S): the nearest centre, the first of equals."""
        return ((self.centres * self.centres).sum(1) - 2.0 * (depth @ self.centres.T)).argmin(dim=1)

    def decode(self, z: Tensor, scaled: Scaled) -> Decoded:
        """The state after theta, before conservation."""
        species = self.centres.shape[1]
        prepared, depth = self.prepare(scaled), self.depth(z)
        features = (torch.cat([z, prepared.features], dim=1) - self.feature_mean) / self.feature_std
        change = self.phi(scaled) * self.experts.each(features, self.route(depth)).double()
        return Decoded(
            depth,
            prepared.features[:, :species] - z[:, :species],
            features[:, 3 * species : z.shape[1]],
            change,
            self.changed(prepared.x, change),
        )

    def head_inputs(self, z: Tensor, decoded: Decoded, multiplier: Tensor, finished: Finished | None) -> Tensor:
        """[c / 8, change, shift, (p, t), asinh(1e3 lambda)] f32, then the report of the finish (S + 1)."""
        rows = [decoded.depth / 8.0, decoded.change.to(self.single), decoded.shift, decoded.given]
        rows.append(torch.asinh(1e3 * multiplier).to(self.single))
        return torch.cat(rows if finished is None else [*rows, finished.report], dim=1)

    # --- the model file ---------------------------------------------------------------------------------------

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The surrogate under its names in the model file."""
        return {
            "surrogate/kind": np.frombuffer(b"jump", dtype=np.uint8),
            "surrogate/x_floor": np.float64(self.x_floor).reshape(()),
            "surrogate/x_trace": np.float64(self.x_trace).reshape(()),
            "surrogate/clock_theta0": np.float64(self.clock_theta0).reshape(()),
            "surrogate/prepare_shares": np.array(self.shares, dtype=np.float64),
            "surrogate/centres": self.centres.cpu().numpy(),
            "surrogate/feature_mean": self.feature_mean.cpu().numpy(),
            "surrogate/feature_std": self.feature_std.cpu().numpy(),
            **self.experts.arrays("surrogate/expert"),
            **mlp_arrays(self.head, "surrogate/head"),
            **(self.finish.to_arrays() if self.finish is not None else {}),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], tables: NetworkTables) -> Jump:
        """The surrogate that `to_arrays` stored; KeyError names an array that is missing."""
        return cls(
            tables,
            experts=Experts.from_arrays(arrays, "surrogate/expert"),
            centres=arrays["surrogate/centres"],
            shares=[float(share) for share in arrays["surrogate/prepare_shares"]],
            head=mlp_from_arrays(arrays, "surrogate/head"),
            feature_mean=arrays["surrogate/feature_mean"],
            feature_std=arrays["surrogate/feature_std"],
            clock_theta0=float(arrays["surrogate/clock_theta0"]),
            x_floor=float(arrays["surrogate/x_floor"]),
            x_trace=float(arrays["surrogate/x_trace"]),
            finish=Finish.settings(arrays),
        )
