"""The lines of the reproduction's table: errors on held-out trajectories, and times on the same states for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from pychemsurrogate.evaluation.seed_baselines import COORDINATES, PUBLISHED, NearestNeighbour, RadialBasis
from pychemsurrogate.evaluation.seed_metrics import SeedMetrics, measure
from pychemsurrogate.evaluation.seed_plan import Plan
from pychemsurrogate.evaluation.seed_table import Row, quoted_row, row_of
from pychemsurrogate.evaluation.seed_timing import plain_solve_ivp, seconds_per_trajectory, timed_one_by_one
from pychemsurrogate.integrators import ScipyBDF
from pychemsurrogate.network import Network
from pychemsurrogate.solver import Solver
from pychemsurrogate.surrogates.latent import LatentModel
from pychemsurrogate.training.seed import data as seed_data
from pychemsurrogate.training.seed.data import TEMPERATURE, ZETA, SeedData
from pychemsurrogate.training.seed.fit import SeedFit

FloatArray = NDArray[np.float64]

TIMES: Final[FloatArray] = np.asarray(seed_data.TIMES, dtype=np.float64)
ELAPSED: Final[FloatArray] = np.asarray(seed_data.ELAPSED, dtype=np.float64)
"""Of the rows [s], as the paper counts them and since the start of the integration."""
SOLVE_IVP_TOLERANCES: Final = (1e-4, 1e-18)
"""rtol, atol [cm^-3] of the baseline: loose, but small against the traces of 1e-16 cm^-3."""
NATIVE_RTOL: Final = (1e-2, 1e-4)
"""Tolerances at which the native integrator is timed: the default, and one with errors below those of any model."""
NATIVE_ATOL: Final = 1e-20
"""In n/n_H: about the traces that the trajectories start from."""
_CHUNK = 500  # trajectories that torch evaluates at once


def table_rows(
    plan: Plan,
    network: Network,
    data: Mapping[int, SeedData],
    fits: Mapping[str, SeedFit],
    models: Mapping[str, Path],
    interpolants: Sequence[tuple[RadialBasis, NearestNeighbour]],
) -> Iterator[Row]:
    """All lines, one after the other as they are measured.

    data: by seed; fits: by the recipe's label; models: model files by name; interpolants: of every seed's training
    trajectories.
    """
    yield from map(quoted_row, PUBLISHED)
    yield from _interpolation_rows(plan, network, data, interpolants)
    yield from _learned_rows(plan, data, fits, models)
    yield from _exact_rows(plan, network, data[plan.seeds[0]])


def predict(model: LatentModel, n: FloatArray) -> FloatArray:
    """log10 n (trajectories, times, S) at TIMES from the states n (trajectories, S) [cm^-3] of the first of them."""
    made = np.empty((len(n), len(TIMES), n.shape[1]))
    tau = model.clock(torch.as_tensor(TIMES - TIMES[0]))
    with torch.no_grad():
        for begin in range(0, len(n), _CHUNK):
            part = slice(begin, begin + _CHUNK)
            made[part] = model.log10_density(model(model.normalise(torch.as_tensor(n[part])), tau)).numpy()
    return made


def carbon_of(network: Network, n: FloatArray) -> FloatArray:
    """The densities (trajectories, 2) that tell trajectories apart."""
    return n[:, [network.species_index(name) for name in COORDINATES]]


def held_out_initial(data: SeedData) -> FloatArray:
    """n (trajectories, S) [cm^-3] at t = 0 of the held-out trajectories."""
    return data.initial[-len(data.held_out) :]


def interpolants_of(network: Network, data: SeedData) -> tuple[RadialBasis, NearestNeighbour]:
    """What interpolates the training trajectories."""
    carbon = carbon_of(network, data.initial[: len(data.train)])
    return RadialBasis(carbon, data.train), NearestNeighbour(carbon, data.train)


def _interpolation_rows(
    plan: Plan,
    network: Network,
    data: Mapping[int, SeedData],
    interpolants: Sequence[tuple[RadialBasis, NearestNeighbour]],
) -> Iterator[Row]:
    for index, name in enumerate(("cubic RBF in log n(C), log n(C+)", "nearest training trajectory")):
        made = [pair[index] for pair in interpolants]
        metrics = [
            measure(data[seed].held_out, interpolant(carbon_of(network, held_out_initial(data[seed]))))
            for seed, interpolant in zip(plan.seeds, made, strict=True)
        ]

        def make(n: FloatArray, interpolant: RadialBasis | NearestNeighbour = made[0]) -> FloatArray:
            return np.asarray(10.0 ** interpolant(carbon_of(network, n)))

        row = row_of("interpolation", name, metrics, made[0].parameters)
        yield replace(row, python=_times(plan, data[plan.seeds[0]].initial, make))


def _learned_rows(
    plan: Plan,
    data: Mapping[int, SeedData],
    fits: Mapping[str, SeedFit],
    models: Mapping[str, Path],
) -> Iterator[Row]:
    first_rows = 10.0 ** data[plan.seeds[0]].log10_n[:, 0]  # what the models start from
    for name, recipe in plan.models.items():
        made = [fits[replace(recipe, seed=seed).label].model for seed in plan.seeds]
        metrics = [errors_of(model, data[seed]) for model, seed in zip(made, plan.seeds, strict=True)]
        parameters = sum(parameter.numel() for parameter in made[0].parameters())
        solver = Solver.load(models[name], mode="surrogate", threads=1)
        yield replace(
            row_of("learned", name, metrics, parameters),
            python=_times(plan, first_rows, partial(_densities, made[0])),
            # As the paper times it: what the nets say, not brought back to the elements and the charge.
            native=_times(plan, first_rows, partial(_by_solver, solver, TIMES - TIMES[0], conserve=False)),
        )


def _densities(model: LatentModel, n: FloatArray) -> FloatArray:
    return np.asarray(10.0 ** predict(model, n))


def errors_of(model: LatentModel, data: SeedData) -> SeedMetrics:
    """The errors of a model on the held-out trajectories, each predicted from its first row."""
    return measure(data.held_out, predict(model, 10.0 ** data.held_out[:, 0]))


def _exact_rows(plan: Plan, network: Network, data: SeedData) -> Iterator[Row]:
    """scipy as the paper has it, our reference integrator, and the native one; errors against the data's truth."""
    initial, truth = held_out_initial(data), data.held_out
    rtol, atol = SOLVE_IVP_TOLERANCES
    reference = ScipyBDF(network)

    def plain(n: FloatArray) -> FloatArray:
        return plain_solve_ivp(network, n, ELAPSED, TEMPERATURE, ZETA, rtol, atol)

    def analytic(n: FloatArray) -> FloatArray:
        return reference.trajectory(n, ELAPSED, TEMPERATURE, {"zeta": ZETA})

    for name, solve in (
        (f"scipy solve_ivp, BDF, rtol {rtol:g}", plain),
        (f"scipy BDF, analytic Jacobian, rtol {reference.rtol:g}", analytic),
    ):
        few = initial[: plan.scipy_trajectories]
        solved, seconds = timed_one_by_one(solve, few)
        metrics = measure(truth[: len(few)], np.log10(solved))
        # One after the other, so the trajectories of a batch take as long as these.
        yield replace(row_of("exact", name, [metrics]), python=dict.fromkeys(plan.batches, seconds))
    for rtol in NATIVE_RTOL:
        solver = Solver.load(seed_data.NETWORK, mode="exact", rtol=rtol, atol=NATIVE_ATOL, threads=1)
        solve_all = partial(_by_solver, solver, ELAPSED)
        row = row_of("exact", f"native Rodas4, rtol {rtol:g}", [measure(truth, np.log10(solve_all(initial)))])
        yield replace(row, native=_times(plan, data.initial, solve_all))


def _by_solver(solver: Solver, times_s: FloatArray, n: FloatArray, conserve: bool = True) -> FloatArray:
    """Trajectories (B, times, S) in cm^-3 by the native library, times counted from the states n (B, S)."""
    made, report = solver.trajectory(n, times_s, TEMPERATURE, conserve=conserve, zeta=ZETA)
    if not report.ok:
        raise RuntimeError(f"trajectories by mode {solver.mode} failed: {report.advice()}")
    return np.asarray(made)


def _times(plan: Plan, states: FloatArray, make: Callable[[FloatArray], object]) -> dict[int, float]:
    """Seconds a trajectory, by batch, of what makes them from states (B, S): `states` (N, S), repeated as needed."""
    return {
        batch: seconds_per_trajectory(partial(make, np.resize(states, (batch, states.shape[1]))), batch)
        for batch in plan.batches
    }
