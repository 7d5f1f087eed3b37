"""What the router of a model file knows, measured on calibration runs (docs/architecture.md)."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pychemsurrogate import _native
from pychemsurrogate.integrators.native import open_network
from pychemsurrogate.network import Network
from pychemsurrogate.training.truth import Pairs

FloatArray = NDArray[np.float64]

# Edges of the integrator's two estimates (native/include/pcs/kernels.hpp, RouterView).
CHANGE_EDGES: Final = 10.0 ** np.array([-1.0, -0.5, 0.0, 0.35, 0.7, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0])
RATE_EDGES: Final = 10.0 ** np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])
_FEWEST = 20  # cells that a bin needs to be sent
_SAMPLES = 256


def step_estimates(network: Network, pairs: Pairs, target: float) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
    """The exact integrator's steps, and its estimates `change` and `rate`, for each pair (P), at a target error."""
    solver = open_network(network)
    solver.set_option("target_error_dex", repr(target))
    solver.set_option("threads", "1")
    n = pairs.start.astype(np.float64) * pairs.density[:, None]
    status = np.zeros(len(pairs), dtype=np.int8)
    counts, estimates = np.zeros((len(pairs), 3), dtype=np.int32), np.zeros((len(pairs), 2))
    solver.step(n, pairs.dt, pairs.temperature, pairs.conditions, status, counts=counts, estimates=estimates)
    return counts[:, 0].astype(np.int64), estimates[:, 0], estimates[:, 1]


def cost_arrays(native: _native.Solver, target: float) -> dict[str, NDArray[Any]]:
    """The array `router/costs` [us]: cell, step, eviction, learned, as measured here on one thread.

    They go into the file so that every rank of a run weighs alike, whatever its processor is busy with.
    """
    native.set_option("target_error_dex", repr(target))
    native.set_option("costs", "measure")
    return {"router/costs": np.array(list(native.costs().values()))}


def router_arrays(
    network: Network, pairs: Pairs, targets: FloatArray, accepted: NDArray[np.bool_], seed: int
) -> dict[str, NDArray[Any]]:
    """The arrays `router/...`, for every target and bin of the estimates, and cells to measure costs on.

    accepted (T, P). Measured are the mean number of exact steps, the share of cells that are accepted, and the share of
    the steps that those would have taken. Bins of few cells are never worth sending.
    """
    shape = (len(targets), len(CHANGE_EDGES) + 1, len(RATE_EDGES) + 1)
    steps, share, saved = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for t, target in enumerate(targets.tolist()):
        taken, change, rate = step_estimates(network, pairs, target)
        row = np.searchsorted(CHANGE_EDGES, change, side="right")
        place = row * shape[2] + np.searchsorted(RATE_EDGES, rate, side="right")

        def total(weights: NDArray[Any], place: NDArray[np.intp] = place) -> FloatArray:
            return np.bincount(place, weights=weights, minlength=shape[1] * shape[2]).reshape(shape[1:])

        cells = total(np.ones(len(pairs)))
        known = cells >= _FEWEST
        everything = total(taken)
        np.divide(everything, cells, out=steps[t], where=known)
        np.divide(total(accepted[t]), cells, out=share[t], where=known)
        np.divide(total(taken * accepted[t]), everything, out=saved[t], where=known & (everything > 0.0))
    sample = pairs.where(np.random.default_rng(seed).permutation(len(pairs))[:_SAMPLES])
    return {
        "router/change_edges": CHANGE_EDGES,
        "router/rate_edges": RATE_EDGES,
        "router/steps": steps,
        "router/accepted": share,
        "router/saved": saved,
        "router/sample_n": sample.start.astype(np.float64) * sample.density[:, None],
        "router/sample_temperature": sample.temperature,
        "router/sample_dt": sample.dt,
        "router/sample_conditions": sample.conditions,
    }
