"""From a fit to a model file: the nets, the box in which they are to be trusted, and where they come from."""

from __future__ import annotations

from typing import Any

import numpy as np

from pychemsurrogate.gate import Gate
from pychemsurrogate.gate.box import Box
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.network import NetworkTables, load_network
from pychemsurrogate.training.provenance import made_now
from pychemsurrogate.training.seed.data import N_REF, NETWORK, TEMPERATURE, TIMES, ZETA, SeedData
from pychemsurrogate.training.seed.fit import SeedFit, rmse
from pychemsurrogate.training.seed.kind import SeedRecipe

# Round-off of a host that sits on a bound must not refuse its cells.
_ROUND_OFF = 1e-6


def pack(recipe: SeedRecipe, fitted: SeedFit, data: SeedData) -> ModelFile:
    """The model file of a fit to `data` (not yet written), for mode "auto" of `Solver`.

    The model knows one temperature, one zeta/n_H, and the first rows of its training trajectories. Its box bounds them
    all, each abundance too: whatever is no such first row goes to the exact integrator.
    """
    network = load_network(NETWORK)
    gate = Gate(trained_box(network.tables(), data))
    meta: dict[str, Any] = {
        "accuracy": {"held_out_rmse_normalised": rmse(fitted.model, data.held_out)},
        "provenance": {
            **made_now("torch", "torchdiffeq", "pytorch-optimizer"),
            "source": "Sulzer & Buck 2023, arXiv:2312.06015",
            "recipe": recipe.as_dict(),
            "data": data.identity,
            "cpu_seconds": fitted.seconds,
        },
    }
    model = ModelFile.from_network(network, meta)
    model.arrays |= fitted.model.arrays() | gate.to_arrays()
    return model


def trained_box(tables: NetworkTables, data: SeedData) -> Box:
    """What the first rows of the training trajectories span."""
    n = 10.0 ** data.train[:, 0]
    density = n @ tables.scale_weights
    totals = dict(zip(tables.conserved, (n @ tables.composition.T).T, strict=True))
    spans = {
        "T": np.array([TEMPERATURE]),
        "zeta/n_H": ZETA / density,
        "theta": np.array([0.0, N_REF * (TIMES[-1] - TIMES[0])]),
        "C/H": totals["C"] / totals["H"],
        "O/H": totals["O"] / totals["H"],
        "net_charge/n_e": np.array([0.0, _ROUND_OFF]),
    }
    spans |= {f"abundance/{name}": x for name, x in zip(tables.species, (n / density[:, None]).T, strict=True)}
    low = np.array([span.min() for span in spans.values()]) * (1.0 - _ROUND_OFF)
    high = np.array([span.max() for span in spans.values()]) * (1.0 + _ROUND_OFF)
    return Box(tuple(spans), low, high, tables)
