"""What the router and the error budget of a model file know, measured on calibration runs (docs/architecture.md)."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from pychemsurrogate.integrators import NativeRosenbrock
from pychemsurrogate.integrators.native import open_network
from pychemsurrogate.network import Network
from pychemsurrogate.surrogates.reduced import ReducedMap
from pychemsurrogate.training.populations import cell_error
from pychemsurrogate.training.prepare import step_of
from pychemsurrogate.training.recipe import FitRecipe
from pychemsurrogate.training.truth import Pairs

FloatArray = NDArray[np.float64]

# Edges of the integrator's two estimates (native/include/pcs/kernels.hpp, RouterView).
CHANGE_EDGES: Final = 10.0 ** np.array([-1.0, -0.5, 0.0, 0.35, 0.7, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0])
RATE_EDGES: Final = 10.0 ** np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])
BUDGET_EDGES: Final = tuple(10.0 ** np.arange(9.0, 20.0))  # of theta [s cm^-3]
_FEWEST = 20  # cells that a bin needs to be sent
_SAMPLES = 256
_BUDGET_CELLS, _BUDGET_FEWEST = 6000, 60


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


def budget_arrays(surrogate: ReducedMap, network: Network, pairs: Pairs, recipe: FitRecipe) -> dict[str, NDArray[Any]]:
    """The arrays `budget/...`: how much of the surrogate's own error is left after a step, by theta = n_H dt.

    The surrogate's answer and the true one (where they differ by no more than the largest target) are both integrated
    exactly over the step's time once more: the 90th percentile of the ratio of the cells' errors after and before, at
    most 1, by decades of theta. (Noise on every species would not do: the chemistry kills other errors than these.)
    """
    some = pairs.where(np.random.default_rng(recipe.seed).permutation(len(pairs))[:_BUDGET_CELLS])
    step = step_of(some, network)
    with torch.no_grad():
        wrong = surrogate(step.x, step.temperature, step.conditions, step.theta)[0].numpy()
    x = some.end.astype(np.float64)
    weights = recipe.species_weights(network)
    before = cell_error(wrong, x, weights)
    rows = (before > 0.0) & (before <= max(recipe.targets))
    some, x, wrong, before = some.where(rows), x[rows], wrong[rows], before[rows]
    integrator = NativeRosenbrock(network, rtol=1e-6, atol=1e-20, threads=1)
    at = {name: some.conditions[:, k] for k, name in enumerate(network.conditions)}
    density, ends, solved = some.density[:, None], [], np.ones(len(some), dtype=bool)
    for state in (x, wrong):
        n, status = integrator.advance(state * density, some.dt, some.temperature, at)
        ends.append(n / density)
        solved &= status >= 0
    left = (cell_error(ends[1], ends[0], weights) / before)[solved]
    theta = (some.density * some.dt)[solved]
    edges: list[float] = []
    kappa: list[float] = []
    below = 0.0
    for edge in [*BUDGET_EDGES, np.inf]:
        rows = (theta >= below) & (theta < edge)
        if rows.sum() < _BUDGET_FEWEST and edge < np.inf:
            continue  # the next decade joins in
        kappa.append(min(1.0, float(np.percentile(left[rows], 90))) if rows.sum() >= _BUDGET_FEWEST else 1.0)
        edges.append(edge)
        below = edge
    return {"budget/theta_edges": np.array(edges[:-1]), "budget/kappa": np.array(kappa)}
