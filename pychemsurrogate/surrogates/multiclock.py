"""The multi-clock latent-linear flow map (docs/architecture.md, "The surrogate"), in torch.

It generalises the linear latent dynamics of Sulzer & Buck (2023, arXiv:2312.06015): one encoding of a state serves any
number of time steps, each a sum over clocks tau_k(theta).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pychemsurrogate.network import NetworkTables
from pychemsurrogate.surrogates.finish import Finish, Finished
from pychemsurrogate.surrogates.mlp import mlp_arrays, mlp_from_arrays
from pychemsurrogate.surrogates.reduced import ReducedMap, Scaled

_DEPTH_RANGE = (1e-8, 1e8)  # of L theta, and with it of the decoder's input c


@dataclass(frozen=True)
class Latent:
    """The encoded state: z0 (B, Z) and one direction a clock, (B, K, Z); f32."""

    z0: Tensor
    directions: Tensor


@dataclass(frozen=True)
class Decoded:
    """What `decode` returns, (B, S): depth c f32, change on top of the analytic step [dex] f64, guess f64."""

    depth: Tensor
    change: Tensor
    guess: Tensor


class MultiClock(ReducedMap):
    """The flow map; `forward` is the whole learned step, each verb a method with its name in docs/architecture.md.

    clock_theta (K - 1) and clock_theta0 [s cm^-3]: the exponential clocks and the log clock. finish: the fraction and
    the steps of a `Finish`; None: the map spans all of theta.
    """

    def __init__(
        self,
        tables: NetworkTables,
        encoder: nn.Sequential,
        decoder: nn.Sequential,
        head: nn.Sequential,
        latent: int,
        clock_theta: NDArray[np.float64],
        clock_theta0: float,
        feature_mean: NDArray[np.float32],
        feature_std: NDArray[np.float32],
        x_floor: float = 1e-16,
        x_trace: float = 1e-12,
        finish: tuple[float, int] | None = None,
    ) -> None:
        super().__init__(tables, head, feature_mean, feature_std, clock_theta0, x_floor, x_trace, finish)
        self.encoder = encoder
        self.decoder = decoder
        self.latent = latent
        self.register_buffer("clock_theta", torch.as_tensor(np.array(clock_theta, dtype=np.float64)))

    # --- the verbs --------------------------------------------------------------------------------------------

    def scale(self, x: Tensor, temperature: Tensor, conditions: Tensor, theta: Tensor) -> Scaled:
        """The start state x (B, S), temperature (B) [K], reduced conditions (B, C), theta (B) [s cm^-3]; all f64."""
        scaled = self.start(x, temperature, conditions, theta)
        return replace(scaled, features=((scaled.features - self.feature_mean) / self.feature_std).to(self.single))

    def encode(self, features: Tensor) -> Latent:
        """The state in latent space, and how it moves with each clock."""
        numbers = self.encoder(features).unflatten(1, (-1, self.latent))
        return Latent(numbers[:, 0], numbers[:, 1:])

    def advance(self, latent: Latent, theta: Tensor) -> Tensor:
        """z (B, Z) after theta: z0 plus the directions times the clocks, which all are 0 at theta = 0."""
        return latent.z0 + torch.einsum("bk,bkz->bz", self.clocks(theta), latent.directions)

    def clocks(self, theta: Tensor) -> Tensor:
        """tau (B, K) f32: 1 - exp(-theta/Theta_k) for every Theta_k, then log10(1 + theta/Theta_0)."""
        relaxing = -torch.expm1(-theta[:, None] / self.clock_theta)
        logarithmic = torch.log10(1.0 + theta / self.clock_theta0)
        return torch.cat([relaxing, logarithmic[:, None]], dim=1).to(self.single)

    def decode(self, z: Tensor, scaled: Scaled) -> Decoded:
        """The state after theta, before conservation."""
        depth = self.depth(scaled.loss, scaled.theta).to(self.single)
        change = self.phi(scaled) * self.decoder(torch.cat([z, depth], dim=1)).double()
        return Decoded(depth, change, self.changed(self.analytic_step(scaled), change))

    @staticmethod
    def depth(loss: Tensor, theta: Tensor) -> Tensor:
        """c (B, S) f64: how many loss times the step spans, as log10(L theta) / 8."""
        return torch.log10((loss * theta[:, None]).clamp(*_DEPTH_RANGE)) / 8.0

    @staticmethod
    def analytic_step(scaled: Scaled) -> Tensor:
        """x_base (B, S): the solution of dx/dtheta = P - L x with P and L frozen."""
        u = scaled.loss * scaled.theta[:, None]
        # (1 - exp(-u)) / u, which is 1 at u = 0.
        filled = torch.where(u > 0.0, -torch.expm1(-u) / u.clamp(min=1e-300), 1.0)
        return scaled.x * torch.exp(-u) + scaled.production * scaled.theta[:, None] * filled

    def head_inputs(self, z: Tensor, decoded: Decoded, multiplier: Tensor, finished: Finished | None) -> Tensor:
        """[z, c, change, asinh(1e3 lambda)] (B, Z + 2 S + E + 1) f32, then the report of the finish (S + 1)."""
        rows = [z, decoded.depth, decoded.change.to(self.single), torch.asinh(1e3 * multiplier).to(self.single)]
        return torch.cat(rows if finished is None else [*rows, finished.report], dim=1)

    # --- the model file ---------------------------------------------------------------------------------------

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The surrogate under its names in the model file."""
        return {
            "surrogate/kind": np.frombuffer(b"multiclock", dtype=np.uint8),
            "surrogate/x_floor": np.float64(self.x_floor).reshape(()),
            "surrogate/x_trace": np.float64(self.x_trace).reshape(()),
            "surrogate/latent": np.int32(self.latent).reshape(()),
            "surrogate/clock_theta": self.clock_theta.cpu().numpy(),
            "surrogate/clock_theta0": np.float64(self.clock_theta0).reshape(()),
            "surrogate/feature_mean": self.feature_mean.cpu().numpy(),
            "surrogate/feature_std": self.feature_std.cpu().numpy(),
            **mlp_arrays(self.encoder, "surrogate/encode"),
            **mlp_arrays(self.decoder, "surrogate/decode"),
            **mlp_arrays(self.head, "surrogate/head"),
            **(self.finish.to_arrays() if self.finish is not None else {}),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], tables: NetworkTables) -> MultiClock:
        """The surrogate that `to_arrays` stored; KeyError names an array that is missing."""
        return cls(
            tables,
            encoder=mlp_from_arrays(arrays, "surrogate/encode"),
            decoder=mlp_from_arrays(arrays, "surrogate/decode"),
            head=mlp_from_arrays(arrays, "surrogate/head"),
            latent=int(arrays["surrogate/latent"]),
            clock_theta=arrays["surrogate/clock_theta"],
            clock_theta0=float(arrays["surrogate/clock_theta0"]),
            feature_mean=arrays["surrogate/feature_mean"],
            feature_std=arrays["surrogate/feature_std"],
            x_floor=float(arrays["surrogate/x_floor"]),
            x_trace=float(arrays["surrogate/x_trace"]),
            finish=Finish.settings(arrays),
        )
