"""The latent models of Sulzer & Buck (2023, arXiv:2312.06015), in torch: encoder, latent dynamics in log time, decoder.

y = (log10 max(n, n_floor) - mean) / scale, with n [cm^-3] at the density n_ref of the training data;
tau = log10(1 + dt / t_first) / log10(t_last / t_first), with dt [s] since the state that was encoded: that state is a
trajectory's first row, at t_first, so tau is the paper's normalised log time (log10 t - log10 t_first) /
(log10 t_last - log10 t_first) of t = t_first + dt, and 0 at dt = 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pychemsurrogate.network import NetworkTables
from pychemsurrogate.surrogates.conserve import Conserving
from pychemsurrogate.surrogates.dynamics.neural_ode import NeuralODE
from pychemsurrogate.surrogates.dynamics.polynomial import Polynomial
from pychemsurrogate.surrogates.mlp import mlp_arrays, mlp_from_arrays

Dynamics = Polynomial | NeuralODE
_DYNAMICS: dict[str, type[Polynomial] | type[NeuralODE]] = {"polynomial": Polynomial, "neural_ode": NeuralODE}


@dataclass(frozen=True)
class LatentScaling:
    """mean, scale (S) of log10 n; n_floor, n_ref [cm^-3]; time_first, time_last [s]: t of tau = 0 and tau = 1."""

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    n_floor: float
    n_ref: float
    time_first: float
    time_last: float


class LatentModel(nn.Module):
    """encoder (S -> E), dynamics, decoder (Z -> S); activation and output as in `mlp`, the same for both nets.

    Nets and dynamics work in the precision of their weights, single unless the model is made `double()`; a model file
    says which, and holds the weights themselves in single precision.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        scaling: LatentScaling,
        encoder: nn.Sequential,
        dynamics: Dynamics,
        decoder: nn.Sequential,
        activation: str,
        output: str,
    ) -> None:
        super().__init__()
        self.scaling = scaling
        self.encoder = encoder
        self.dynamics = dynamics
        self.decoder = decoder
        self.activation = activation
        self.output = output
        self.register_buffer("mean", torch.as_tensor(np.array(scaling.mean, dtype=np.float64)))
        self.register_buffer("scale", torch.as_tensor(np.array(scaling.scale, dtype=np.float64)))

    @property
    def latent(self) -> int:
        """Z, the dimension of the latent space."""
        return int(self.decoder[0].in_features)

    # --- scaling ----------------------------------------------------------------------------------------------

    def normalise(self, n: Tensor) -> Tensor:
        """y (..., S) in the nets' precision of densities n (..., S) f64 [cm^-3] at n_ref."""
        y = (torch.log10(n.clamp(min=self.scaling.n_floor)) - self.mean) / self.scale
        return y.to(self.decoder[0].weight.dtype)

    def log10_density(self, y: Tensor) -> Tensor:
        """log10 n (..., S) f64, n in cm^-3 at n_ref."""
        return y.double() * self.scale + self.mean

    def clock(self, dt: Tensor) -> Tensor:
        """tau, shaped as dt f64 [s at n_ref] since the encoded state, in the nets' precision."""
        decades = math.log10(self.scaling.time_last / self.scaling.time_first)
        tau = torch.log1p(dt / self.scaling.time_first) / (math.log(10.0) * decades)
        return tau.to(self.decoder[0].weight.dtype)

    # --- the paper's three maps -------------------------------------------------------------------------------

    def encode(self, y: Tensor) -> Tensor:
        """phi: y (B, S) at tau = 0 -> (B, E): z0, followed by the directions (K Z) where the encoder gives them."""
        encoded: Tensor = self.encoder(y)
        return encoded

    def advance(self, encoded: Tensor, tau: Tensor) -> Tensor:
        """z (B, T, Z) at tau (T,) or (B, T)."""
        return self.dynamics.advance(encoded, tau)

    def decode(self, z: Tensor) -> Tensor:
        """psi: z (..., Z) -> y' (..., S)."""
        decoded: Tensor = self.decoder(z)
        return decoded

    def forward(self, y: Tensor, tau: Tensor) -> Tensor:
        """y' (B, T, S) at tau (T,) or (B, T), from the states y (B, S) at tau = 0."""
        return self.decode(self.advance(self.encode(y), tau))

    # --- the model file ---------------------------------------------------------------------------------------

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The surrogate under its names in the model file (docs/architecture.md)."""
        scalars = {
            "n_floor": self.scaling.n_floor,
            "n_ref": self.scaling.n_ref,
            "time_first": self.scaling.time_first,
            "time_last": self.scaling.time_last,
        }
        texts = {
            "kind": "latent",
            "activation": self.activation,
            "output": self.output,
            "dynamics": self.dynamics.name,
            "precision": "double" if self.decoder[0].weight.dtype == torch.float64 else "single",
        }
        return {
            **{f"surrogate/{name}": np.frombuffer(text.encode(), dtype=np.uint8) for name, text in texts.items()},
            **{f"surrogate/{name}": np.float64(value).reshape(()) for name, value in scalars.items()},
            "surrogate/abundance_mean": self.mean.cpu().numpy().copy(),
            "surrogate/abundance_scale": self.scale.cpu().numpy().copy(),
            "surrogate/latent": np.int32(self.latent).reshape(()),
            **mlp_arrays(self.encoder, "surrogate/encode"),
            **mlp_arrays(self.decoder, "surrogate/decode"),
            **self.dynamics.arrays(),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> LatentModel:
        """The surrogate that `arrays` stored; KeyError names an array that is missing."""

        def text(name: str) -> str:
            return arrays[f"surrogate/{name}"].tobytes().decode()

        activation, output = text("activation"), text("output")
        precision = text("precision") if "surrogate/precision" in arrays else "single"
        scaling = LatentScaling(
            arrays["surrogate/abundance_mean"],
            arrays["surrogate/abundance_scale"],
            *(float(arrays[f"surrogate/{name}"]) for name in ("n_floor", "n_ref", "time_first", "time_last")),
        )
        model = cls(
            scaling,
            mlp_from_arrays(arrays, "surrogate/encode", activation, output),
            _DYNAMICS[text("dynamics")].from_arrays(arrays),
            mlp_from_arrays(arrays, "surrogate/decode", activation, output),
            activation,
            output,
        )
        return model.double() if precision == "double" else model


@dataclass(frozen=True)
class Scaled:
    """What `scale` makes of B cells: theta (B) f64 [s cm^-3], features y (B, S)."""

    theta: Tensor
    features: Tensor


@dataclass(frozen=True)
class Decoded:
    """What `decode` returns: the abundances n/n_H after theta, before conservation, (B, S) f64."""

    guess: Tensor


class LatentMap(Conserving):
    """A latent model as the learned step: the verbs of `MultiClock`, in the symmetry-reduced form.

    The network's symmetry lets the model serve any n_H at the temperature and the zeta/n_H of its training data:
    n_model = x n_ref, dt_model = theta / n_ref, with x = n/n_H and theta = n_H dt.
    """

    finish: None = None  # it starts from the first state of a run alone, so it has no rates at hand

    def __init__(self, model: LatentModel, tables: NetworkTables) -> None:
        super().__init__(tables)
        self.model = model

    def scale(self, x: Tensor, temperature: Tensor, conditions: Tensor, theta: Tensor) -> Scaled:
        """The start state x (B, S), theta (B) [s cm^-3]; f64. The model knows one temperature and one zeta/n_H."""
        return Scaled(theta, self.model.normalise(x * self.model.scaling.n_ref))

    def encode(self, features: Tensor) -> Tensor:
        """The encoded state (B, E)."""
        return self.model.encode(features)

    def advance(self, encoded: Tensor, theta: Tensor) -> Tensor:
        """z (B, Z) after theta (B); from time_last on tau stays at 1."""
        tau = self.model.clock(theta / self.model.scaling.n_ref).clamp(max=1.0)
        return self.model.advance(encoded, tau[:, None])[:, 0]

    def decode(self, z: Tensor, scaled: Scaled) -> Decoded:
        """The state after theta, before conservation."""
        return Decoded(10.0 ** self.model.log10_density(self.model.decode(z)) / self.model.scaling.n_ref)

    def predict_error(self, z: Tensor, decoded: Decoded, multiplier: Tensor, finished: None) -> None:
        """No latent model predicts its error: the box alone decides."""

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The surrogate under its names in the model file."""
        return self.model.arrays()

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], tables: NetworkTables) -> LatentMap:
        """The surrogate that `to_arrays` stored; KeyError names an array that is missing."""
        return cls(LatentModel.from_arrays(arrays), tables)
