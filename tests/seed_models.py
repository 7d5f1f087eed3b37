"""Models of the seed paper's kinds with weights that were never trained, for tests of what serves them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.network import Network

N_REF = 2e4  # n_H of the paper's gas [cm^-3]
TIME_FIRST, TIME_LAST = 3.1536e1, 3.1536e15  # s
TEMPERATURE, ZETA = 50.0, 1e-16
ENCODER = (29, 64, 32, 16, 8)
KINDS = ("linear", "polynomial", "encoded", "neural_ode")


def text(words: str) -> NDArray[np.uint8]:
    """A text as the model file holds it."""
    return np.frombuffer(words.encode(), dtype=np.uint8)


def net(rng: np.random.Generator, prefix: str, widths: tuple[int, ...]) -> dict[str, NDArray[np.float32]]:
    """Weights of a dense net, none of its layers saturated."""
    arrays = {}
    for layer, (inputs, outputs) in enumerate(pairwise(widths)):
        arrays[f"{prefix}_w{layer}"] = rng.normal(0, 1 / np.sqrt(inputs), (outputs, inputs)).astype(np.float32)
        arrays[f"{prefix}_b{layer}"] = rng.normal(0, 0.1, outputs).astype(np.float32)
    return arrays


def seed_model(
    network: Network, typical: NDArray[np.float64], kind: str, activation: str = "tanh", output: str = "tanh"
) -> ModelFile:
    """A model whose answers scatter by half a dex around the state `typical` (S) [cm^-3 at n_H = N_REF]."""
    rng = np.random.default_rng(KINDS.index(kind))
    latent, degree = 5, {"linear": 1, "polynomial": 7, "encoded": 3, "neural_ode": 0}[kind]
    encoded = latent * (1 + degree) if kind == "encoded" else latent
    arrays = {
        "kind": text("latent"),
        "activation": text(activation),
        "output": text(output),
        "dynamics": text("neural_ode" if kind == "neural_ode" else "polynomial"),
        "latent": np.int32(latent),
        "abundance_mean": np.log10(typical),
        "abundance_scale": np.full(len(typical), 0.5),
        "n_floor": np.float64(1e-16),
        "n_ref": np.float64(N_REF),
        "time_first": np.float64(TIME_FIRST),
        "time_last": np.float64(TIME_LAST),
        **net(rng, "encode", (*ENCODER, encoded)),
        **net(rng, "decode", (latent, *ENCODER[::-1])),
    }
    if degree:
        arrays["degree"] = np.int32(degree)
    if degree and kind != "encoded":
        arrays["directions"] = rng.normal(0, 1 / degree, (degree, latent)).astype(np.float32)
    if kind == "neural_ode":
        arrays |= {"ode_scale": np.float64(1.3), "ode_steps": np.int32(32)}
        arrays |= net(rng, "ode", (latent, *(5 * [64]), latent))
    model = ModelFile.from_network(network)
    model.arrays |= {f"surrogate/{name}": np.asarray(array) for name, array in arrays.items()}
    model.arrays |= box(network, typical)
    return model


def box(network: Network, typical: NDArray[np.float64]) -> dict[str, NDArray[np.generic]]:
    """The gate of a model for the first moment of a run: initial states at one temperature and one zeta/n_H."""
    sides = {
        "T": (TEMPERATURE, TEMPERATURE),
        "zeta/n_H": (ZETA / N_REF, ZETA / N_REF),
        "theta": (N_REF * 1.0, N_REF * TIME_LAST),
        "C/H": (1e-8, 1e-2),
        "net_charge/n_e": (0.0, 1e-6),
        "abundance/H2": (0.49, 0.51),
        "abundance/CO": (0.0, 1e-15),
    }
    low, high = np.array(list(sides.values())).T
    return {
        "gate/box_names": text("\n".join(sides)),
        "gate/box_min": low * (1 - 1e-6),
        "gate/box_max": high * (1 + 1e-6),
    }
