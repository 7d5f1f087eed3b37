"""What every learned map offers the step, and the one place that tells a model file's kinds apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray
from torch import Tensor, nn

from pychemsurrogate.network import NetworkTables
from pychemsurrogate.surrogates.conserve import Conserving
from pychemsurrogate.surrogates.dynamics.neural_ode import NeuralODE
from pychemsurrogate.surrogates.experts import Experts
from pychemsurrogate.surrogates.finish import Finish, Finished
from pychemsurrogate.surrogates.jump import Jump
from pychemsurrogate.surrogates.latent import LatentMap
from pychemsurrogate.surrogates.multiclock import MultiClock
from pychemsurrogate.surrogates.rates import Rates


class Surrogate(Protocol):
    """The verbs of docs/architecture.md on B cells in the symmetry-reduced form.

    x (B, S) n/n_H, temperature (B) [K], conditions (B, C) over n_H, theta (B) = n_H dt [s cm^-3]. `scaled` is a
    dataclass with the fields theta and features, `decoded` one with the field guess (B, S); what else they hold, and
    the encoded state, is the map's own affair. A map with a finish spans finish.ahead(theta) and has the field
    coefficients (B, R) in `scaled`.
    """

    finish: Finish | None

    def scale(self, x: Tensor, temperature: Tensor, conditions: Tensor, theta: Tensor) -> Any:
        """The inputs of the encoder, and what the other verbs need of the given state."""

    def encode(self, features: Tensor) -> Any:
        """The given state in latent space, for any number of times."""

    def advance(self, encoded: Any, theta: Tensor) -> Tensor:
        """z (B, Z) after theta."""

    def decode(self, z: Tensor, scaled: Any) -> Any:
        """The state after scaled.theta, before conservation."""

    def conserve(self, guess: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """The guess with the elements and the charge of `like`, and the multipliers (B, E + 1) that it took."""

    def predict_error(self, z: Tensor, decoded: Any, multiplier: Tensor, finished: Finished | None) -> Tensor | None:
        """log10 of the cell's error in dex (B); None for a map whose box alone decides."""


def free_running(surrogate: nn.Module) -> None:
    """Make a map's verbs such that the host looks at nothing that a tensor holds, at the price of padded work.

    Then no verb waits for the device, and a CUDA graph can hold them all.
    """
    for module in surrogate.modules():
        if isinstance(module, Rates):
            module.make_dense()
        elif isinstance(module, (Conserving, Experts, NeuralODE)):
            module.host_looks = False


_KINDS: dict[str, type[MultiClock] | type[Jump] | type[LatentMap]] = {
    "multiclock": MultiClock,
    "jump": Jump,
    "latent": LatentMap,
}


def from_arrays(arrays: Mapping[str, NDArray[Any]], tables: NetworkTables) -> MultiClock | Jump | LatentMap:
    """The surrogate of a model file; KeyError names an array that is missing, ValueError an unknown kind."""
    kind = arrays["surrogate/kind"].tobytes().decode()
    if kind not in _KINDS:
        raise ValueError(f"surrogate/kind is {kind!r}: it must be one of {', '.join(_KINDS)}")
    return _KINDS[kind].from_arrays(arrays, tables)
