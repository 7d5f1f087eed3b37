"""What the maps that serve any state share: the symmetry-reduced form, its features, and the order of the verbs.

Everything is in abundances x = n/n_H, the clock theta = n_H dt [s cm^-3], and conditions divided by the power of n_H
that the network's symmetry gives. The nets work in single precision (`ReducedMap.single`); the state, P and L, phi and
the projection in double.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pychemsurrogate.network import Network, NetworkTables
from pychemsurrogate.surrogates.conserve import Conserving
from pychemsurrogate.surrogates.finish import Finish, Finished
from pychemsurrogate.surrogates.rates import Rates

_QSS_RANGE = (1e-20, 1e2)
_LOSS_RANGE = (1e-40, 1e10)


@dataclass(frozen=True)
class Scaled:
    """What `scale` makes of B cells: the start state in the reduced form, its P and L [1/(s cm^-3)], and the features.

    x (B, S), theta (B), rate coefficients (B, R), production (B, S), loss (B, S) f64; features (B, F) f32.
    """

    x: Tensor
    theta: Tensor
    coefficients: Tensor
    production: Tensor
    loss: Tensor
    features: Tensor


def reduce_conditions(network: Network, conditions: NDArray[np.float64], density: NDArray[np.float64]) -> NDArray[Any]:
    """Conditions (B, C) divided by n_H (B) to the power that the network's symmetry gives, in the network's order.

    Raises ValueError for a network without that symmetry: the reduced form does not hold there.
    """
    if network.symmetry is None:
        raise ValueError(f"network {network.name} has no density symmetry, so no surrogate of any state can serve it")
    unscaled = [name for name, exponent in network.symmetry.exponents.items() if exponent != 1]
    if unscaled:
        raise ValueError(
            f"network {network.name} reads {', '.join(unscaled)}, which does not scale with n_H: "
            "no surrogate of any state can serve it"
        )
    exponents = np.array([network.symmetry.exponents[name] for name in network.conditions])
    return np.asarray(conditions / density[:, None] ** exponents)


class ReducedMap(Conserving):
    """A map from any state to any theta; `forward` is the whole learned step, each verb a method.

    head: predicts the error; clock_theta0 [s cm^-3]: within which a trace below x_trace may appear; x_floor: added to x
    under the logarithm. finish: the fraction and the steps of a `Finish`; None: the map spans all of theta.
    """

    feature_mean: Tensor
    feature_std: Tensor

    def __init__(
        self,
        tables: NetworkTables,
        head: nn.Sequential,
        feature_mean: NDArray[np.float32],
        feature_std: NDArray[np.float32],
        clock_theta0: float,
        x_floor: float,
        x_trace: float,
        finish: tuple[float, int] | None,
    ) -> None:
        super().__init__(tables)
        self.rates = Rates(tables)
        self.finish = Finish(self.rates, *finish) if finish is not None else None
        self.head = head
        self.clock_theta0 = clock_theta0
        self.x_floor = x_floor
        self.x_trace = x_trace
        self.register_buffer("feature_mean", torch.as_tensor(np.array(feature_mean, dtype=np.float32)))
        self.register_buffer("feature_std", torch.as_tensor(np.array(feature_std, dtype=np.float32)))

    @abstractmethod
    def scale(self, x: Tensor, temperature: Tensor, conditions: Tensor, theta: Tensor) -> Scaled:
        """The start state x (B, S), temperature (B) [K], reduced conditions (B, C), theta (B) [s cm^-3]; all f64."""

    @abstractmethod
    def encode(self, features: Tensor) -> Any:
        """What any theta can be reached from."""

    @abstractmethod
    def advance(self, encoded: Any, theta: Tensor) -> Tensor:
        """z (B, Z) f32 after theta."""

    @abstractmethod
    def decode(self, z: Tensor, scaled: Scaled) -> Any:
        """The state after scaled.theta, before conservation, as the field guess (B, S) f64."""

    @abstractmethod
    def head_inputs(self, z: Tensor, decoded: Any, multiplier: Tensor, finished: Finished | None) -> Tensor:
        """What the error head reads (B, H) f32."""

    @abstractmethod
    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The surrogate under its names in the model file."""

    def start(self, x: Tensor, temperature: Tensor, conditions: Tensor, theta: Tensor) -> Scaled:
        """The given state with its rates, P and L, and the features [y, q, l, p] (B, 3 S + 1 + C) as they are, f64."""
        k = self.rates.coefficients(temperature, conditions)
        production, loss = self.rates.production_loss(x, k)
        frequency = torch.log10(loss.clamp(*_LOSS_RANGE))
        given = torch.log10(torch.cat([temperature[:, None], conditions], dim=1))
        features = torch.cat([self.log(x), self.quasi_steady(production, loss), frequency, given], dim=1)
        return Scaled(x, theta, k, production, loss, features)

    @property
    def single(self) -> torch.dtype:
        """The precision of the nets and of what they read: single, unless the map was made `double()`."""
        return self.feature_mean.dtype

    def log(self, x: Tensor) -> Tensor:
        """y = log10(x + x_floor)."""
        return torch.log10(x + self.x_floor)

    @staticmethod
    def quasi_steady(production: Tensor, loss: Tensor) -> Tensor:
        """q = log10(P / L), within bounds: where a species alone would go."""
        return torch.log10((production / loss.clamp(min=_LOSS_RANGE[0])).clamp(*_QSS_RANGE))

    def phi(self, scaled: Scaled) -> Tensor:
        """phi (B, S) f64, in [0, 1]: 0 at theta = 0, about 1 once a species had time to change.

        A trace may appear through species that are themselves absent at the start, so that neither its P nor its L tell
        of it: below x_trace every species is free to change within theta_0.
        """
        cascade = self.x_trace / ((scaled.x + self.x_trace) * self.clock_theta0)
        rate = scaled.loss + scaled.production / (scaled.x + self.x_floor) + cascade
        return -torch.expm1(-rate * scaled.theta[:, None])

    def changed(self, base: Tensor, change: Tensor) -> Tensor:
        """max(0, 10^(log10(base + x_floor) + change) - x_floor) (B, S), without the cancellation at change = 0."""
        factor = 10.0**change
        return (base * factor + self.x_floor * (factor - 1.0)).clamp(min=0.0)

    def predict_error(self, z: Tensor, decoded: Any, multiplier: Tensor, finished: Finished | None) -> Tensor:
        """log10 of the cell's error in dex (B) f32, as the head expects it; the gate compares it with its threshold."""
        predicted: Tensor = self.head(self.head_inputs(z, decoded, multiplier, finished).to(self.single))[:, 0]
        return predicted

    def forward(
        self, x: Tensor, temperature: Tensor, conditions: Tensor, theta: Tensor
    ) -> tuple[Tensor, Scaled, Tensor, Any, Tensor, Finished | None]:
        """(x after theta (B, S), and what the verbs made on the way: scaled, z, decoded, lambda, finished)."""
        ahead = theta if self.finish is None else self.finish.ahead(theta)
        scaled = self.scale(x, temperature, conditions, ahead)
        z = self.advance(self.encode(scaled.features), ahead)
        decoded = self.decode(z, scaled)
        moved, multiplier = self.conserve(decoded.guess, x)
        if self.finish is None:
            return moved, scaled, z, decoded, multiplier, None
        finished = self.finish(moved, scaled.coefficients, theta)
        moved, again = self.conserve(finished.x, x)
        return moved, scaled, z, decoded, multiplier + again, finished
