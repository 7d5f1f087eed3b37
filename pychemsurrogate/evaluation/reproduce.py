"""`pychemsurrogate reproduce`: the table and the figures of Sulzer & Buck (2023) from our own data, in one run.

Data, fits, errors, times, table, pictures, in that order; what is finished lies in the folder and is not made again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from queue import Queue
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from pychemsurrogate import _native
from pychemsurrogate.evaluation.machine import processor_line, version_line
from pychemsurrogate.evaluation.reproduce_figures import Shown, Sweep, draw_figures
from pychemsurrogate.evaluation.seed_baselines import COORDINATES, PUBLISHED, NearestNeighbour, RadialBasis
from pychemsurrogate.evaluation.seed_metrics import SeedMetrics, measure
from pychemsurrogate.evaluation.seed_table import (
    BATCHES,
    Row,
    csv_table,
    markdown_table,
    quoted_row,
    row_of,
    text_table,
)
from pychemsurrogate.evaluation.seed_timing import (
    native_trajectories,
    plain_solve_ivp,
    seconds_per_trajectory,
    timed_one_by_one,
)
from pychemsurrogate.integrators import NativeRosenbrock, ScipyBDF
from pychemsurrogate.network import Network, load_network
from pychemsurrogate.surrogates.dynamics.neural_ode import NeuralODE
from pychemsurrogate.surrogates.latent import LatentModel
from pychemsurrogate.training.seed import data as seed_data
from pychemsurrogate.training.seed.data import TEMPERATURE, ZETA, SeedData
from pychemsurrogate.training.seed.fit import SeedFit, fit
from pychemsurrogate.training.seed.kind import SeedRecipe

FloatArray = NDArray[np.float64]
Fits = Mapping[str, SeedFit]  # by the recipe's label

TIMES: Final[FloatArray] = np.asarray(seed_data.TIMES, dtype=np.float64)
ELAPSED: Final[FloatArray] = np.asarray(seed_data.ELAPSED, dtype=np.float64)
"""Of the rows [s], as the paper counts them and since the start of the integration."""
QUICK_SHARE: Final = 0.5
"""Of the epochs, in a quick run."""
SOLVE_IVP_TOLERANCES: Final = (1e-4, 1e-18)
"""rtol, atol [cm^-3] of the baseline: loose, but small against the traces of 1e-16 cm^-3."""
NATIVE_RTOL: Final = (1e-2, 1e-4)
"""Tolerances at which the native integrator is timed: the default, and one whose errors are below those of any model."""
NATIVE_ATOL: Final = 1e-20
"""In n/n_H: about the traces that the trajectories start from."""
_BAR = "{l_bar}{bar}| {n:.1f}/{total} [{elapsed}<{remaining}]"
_CHUNK = 500  # trajectories that torch evaluates at once


@dataclass(frozen=True)
class Plan:
    """What is to be run.

    models: name in the table -> recipe, each fitted for all of `seeds` (its own seed does not count); the first seed's
    fits are drawn and kept as model files. references: those of them of which the loss curves alone are drawn.
    latent_sweep, degree_sweep: recipes of growing size, at the first seed.
    trajectories: of a data set, nine of ten for training. scipy_trajectories: how many scipy solves. batches: of the
    timings.
    """

    seeds: tuple[int, ...]
    models: dict[str, SeedRecipe]
    latent_sweep: tuple[SeedRecipe, ...]
    degree_sweep: tuple[SeedRecipe, ...]
    references: tuple[str, ...] = ()
    convention: str = "published"
    trajectories: int = 500
    scipy_trajectories: int = 3
    batches: tuple[int, ...] = BATCHES

    def jobs(self) -> list[SeedRecipe]:
        """Every fit once, with the fits that others begin with."""
        recipes = [replace(recipe, seed=seed) for seed in self.seeds for recipe in self.models.values()]
        recipes += [replace(recipe, seed=self.seeds[0]) for recipe in (*self.latent_sweep, *self.degree_sweep)]
        recipes += [first for recipe in recipes if (first := _start(recipe)) is not None]
        return list({recipe.label: recipe for recipe in recipes}.values())


def _start(recipe: SeedRecipe) -> SeedRecipe | None:
    """The fit that this one begins with: made before it, so that two workers do not make it at once."""
    kind = recipe.resolved
    return None if kind.start is None else SeedRecipe(kind.start, recipe.seed, latent=kind.latent, budget=recipe.budget)


MODELS: Final = {
    "linear latent, trained as in the paper": "linear_paper",
    "latent neural ODE, trained as in the paper": "neural_ode_paper",
    "linear latent": "linear",
    "polynomial latent, degree 7": "polynomial",
    "latent neural ODE": "neural_ode",
    "best of latent dimension 5": "best_five",
    "best": "best",
}
"""Name in the table -> kind of `training.seed`."""
REFERENCES: Final = tuple(MODELS)[:2]


def full_plan(convention: str, seeds: int) -> Plan:
    """Everything: all models over the seeds, latent dimensions 1 to 8, degrees 1 to 7."""
    return _plan(convention, seeds, 1.0, range(1, 9), range(1, 8))


def quick_plan(convention: str, seeds: int) -> Plan:
    """The same models with a share of the epochs, and fewer sizes."""
    return _plan(convention, seeds, QUICK_SHARE, (1, 2, 3, 5, 8), (1, 3, 7))


def _plan(convention: str, seeds: int, share: float, latents: Iterable[int], degrees: Iterable[int]) -> Plan:
    return Plan(
        seeds=tuple(range(1, seeds + 1)),
        models={name: SeedRecipe(kind, budget=share) for name, kind in MODELS.items()},
        latent_sweep=tuple(SeedRecipe("linear", latent=latent, budget=share) for latent in latents),
        degree_sweep=tuple(SeedRecipe("polynomial", degree=degree, budget=share) for degree in degrees),
        references=REFERENCES,
        convention=convention,
    )


def run(plan: Plan, folder: str | Path, workers: int = 2, progress: bool = True) -> str:
    """Run a plan in `folder` and return the table as text.

    The folder then holds the data (.h5), the fits, reproduce.txt, .md and .csv, models/*.pcs and figures/*.png.
    workers: fits that run side by side, one thread each. Deterministic but for the times.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    network = load_network(seed_data.NETWORK)
    data = {seed: _data(plan, folder, seed) for seed in plan.seeds}
    fits = _fit_all(plan, data, folder, workers, progress)
    interpolants = [_interpolants(network, data[seed]) for seed in plan.seeds]
    rows = [
        *map(quoted_row, PUBLISHED),
        *_interpolation_rows(plan, network, data, interpolants),
        *_learned_rows(plan, network, data, fits),
        *_exact_rows(plan, network, data[plan.seeds[0]]),
    ]
    head = [
        "the seed paper (Sulzer & Buck 2023, arXiv:2312.06015), reproduced",
        f"command: {' '.join([Path(sys.argv[0]).name, *sys.argv[1:]])}; seeds {', '.join(map(str, plan.seeds))}, "
        f"initial values: {plan.convention}, {plan.trajectories} trajectories, one of ten held out",
        f"{processor_line()} at the end; native library: {_native.isa()}; torch {torch.__version__}",
        version_line(),
    ]
    text = "\n".join([*head, "", text_table(rows), ""])
    (folder / "reproduce.txt").write_text(text, encoding="utf-8")
    (folder / "reproduce.md").write_text(markdown_table(rows) + "\n", encoding="utf-8")
    (folder / "reproduce.csv").write_text(csv_table(rows), encoding="utf-8")
    _draw(plan, network, data[plan.seeds[0]], fits, interpolants[0], folder / "figures")
    return text


def _data_path(plan: Plan, folder: Path, seed: int) -> Path:
    return folder / f"data_{plan.convention}_{seed}.h5"


def _data(plan: Plan, folder: Path, seed: int) -> SeedData:
    return seed_data.make(plan.convention, _data_path(plan, folder, seed), plan.trajectories, seed)


# --- fits ----------------------------------------------------------------------------------------------------------


def _fit_all(plan: Plan, data: Mapping[int, SeedData], folder: Path, workers: int, progress: bool) -> Fits:
    """Every fit of the plan, side by side in processes of one thread each; finished ones are read back."""
    jobs, fits = {recipe.label: recipe for recipe in plan.jobs()}, folder / "fits"
    # A fresh interpreter a worker: forking a process that runs threads may hang.
    context = get_context("spawn")
    with (
        context.Manager() as manager,
        ProcessPoolExecutor(workers, context, torch.set_num_threads, (1,)) as pool,
        tqdm(total=len(jobs), desc="fits", disable=not progress, bar_format=_BAR) as bar,
    ):
        ticks = manager.Queue()
        finished: set[str] = set()
        waiting = dict(jobs)
        running: dict[Future[None], str] = {}
        while waiting or running:
            for label, recipe in list(waiting.items()):
                first = _start(recipe)
                if first is None or first.label in finished:
                    path = _data_path(plan, folder, recipe.seed)
                    running[pool.submit(_fit_one, waiting.pop(label), path, fits, ticks)] = label
            for future in wait(running, timeout=1.0, return_when=FIRST_COMPLETED).done:
                future.result()
                finished.add(running.pop(future))
            while not ticks.empty():
                bar.update(ticks.get())
    return {label: _read(recipe, data[recipe.seed], fits) for label, recipe in jobs.items()}


def _fit_one(recipe: SeedRecipe, data: Path, folder: Path, ticks: Queue[float]) -> None:
    """In a worker: fit, and tell of every hundredth of it."""
    told = 0.0

    def tell(share: float, _rmse: float) -> None:
        nonlocal told
        if share - told >= 0.01:
            ticks.put(share - told)
            told = share

    fit(recipe, seed_data.read(data), folder, progress=tell)
    ticks.put(1.0 - told)


def _read(recipe: SeedRecipe, data: SeedData, folder: Path) -> SeedFit:
    """A finished fit; a neural ODE is solved by dopri5 here, as in the paper: one integration for all times."""
    made = fit(recipe, data, folder)
    if isinstance(made.model.dynamics, NeuralODE):
        made.model.dynamics.solver = "dopri5"
    return made


# --- what is measured ----------------------------------------------------------------------------------------------


def predict(model: LatentModel, n: FloatArray) -> FloatArray:
    """log10 n (trajectories, times, S) at TIMES from the states n (trajectories, S) [cm^-3] of the first of them."""
    made = np.empty((len(n), len(TIMES), n.shape[1]))
    tau = model.clock(torch.as_tensor(TIMES - TIMES[0]))
    with torch.no_grad():
        for begin in range(0, len(n), _CHUNK):
            part = slice(begin, begin + _CHUNK)
            made[part] = model.log10_density(model(model.normalise(torch.as_tensor(n[part])), tau)).numpy()
    return made


def _carbon(network: Network, n: FloatArray) -> FloatArray:
    """The densities (trajectories, 2) that tell trajectories apart."""
    return n[:, [network.species_index(name) for name in COORDINATES]]


def _held_out_initial(data: SeedData) -> FloatArray:
    return data.initial[-len(data.held_out) :]


def _interpolants(network: Network, data: SeedData) -> tuple[RadialBasis, NearestNeighbour]:
    carbon = _carbon(network, data.initial[: len(data.train)])
    return RadialBasis(carbon, data.train), NearestNeighbour(carbon, data.train)


def _timing_states(plan: Plan, network: Network, batch: int) -> FloatArray:
    """Initial states that every method is timed on."""
    return seed_data.initial_states(network, plan.convention, batch, seed=0)


def _interpolation_rows(
    plan: Plan,
    network: Network,
    data: Mapping[int, SeedData],
    interpolants: Sequence[tuple[RadialBasis, NearestNeighbour]],
) -> list[Row]:
    rows = []
    for index, name in enumerate(("cubic RBF in log n(C), log n(C+)", "nearest training trajectory")):
        made = [pair[index] for pair in interpolants]
        metrics = [
            measure(data[seed].held_out, interpolant(_carbon(network, _held_out_initial(data[seed]))))
            for seed, interpolant in zip(plan.seeds, made, strict=True)
        ]
        times = {}
        for batch in plan.batches:
            carbon = _carbon(network, _timing_states(plan, network, batch))
            times[batch] = seconds_per_trajectory(partial(made[0], carbon), batch)
        rows.append(replace(row_of("interpolation", name, metrics, made[0].parameters), python=times))
    return rows


def _learned_rows(plan: Plan, network: Network, data: Mapping[int, SeedData], fits: Fits) -> list[Row]:
    rows = []
    for name, recipe in plan.models.items():
        models = [fits[replace(recipe, seed=seed).label].model for seed in plan.seeds]
        metrics = [_errors(model, data[seed]) for model, seed in zip(models, plan.seeds, strict=True)]
        parameters = sum(parameter.numel() for parameter in models[0].parameters())
        times = {}
        for batch in plan.batches:
            times[batch] = seconds_per_trajectory(
                partial(_densities, models[0], _timing_states(plan, network, batch)), batch
            )
        rows.append(replace(row_of("learned", name, metrics, parameters), python=times))
    return rows


def _densities(model: LatentModel, n: FloatArray) -> FloatArray:
    return np.asarray(10.0 ** predict(model, n))


def _errors(model: LatentModel, data: SeedData) -> SeedMetrics:
    return measure(data.held_out, predict(model, 10.0 ** data.held_out[:, 0]))


def _exact_rows(plan: Plan, network: Network, data: SeedData) -> list[Row]:
    """scipy as the paper has it, our reference integrator, and the native one; errors against the data's truth."""
    initial, truth = _held_out_initial(data), data.held_out
    rtol, atol = SOLVE_IVP_TOLERANCES
    reference = ScipyBDF(network)

    def plain(n: FloatArray) -> FloatArray:
        return plain_solve_ivp(network, n, ELAPSED, TEMPERATURE, ZETA, rtol, atol)

    def analytic(n: FloatArray) -> FloatArray:
        return reference.trajectory(n, ELAPSED, TEMPERATURE, {"zeta": ZETA})

    rows = []
    for name, solve in (
        (f"scipy solve_ivp, BDF, rtol {rtol:g}", plain),
        (f"scipy BDF, analytic Jacobian, rtol {reference.rtol:g}", analytic),
    ):
        few = initial[: plan.scipy_trajectories]
        solved, seconds = timed_one_by_one(solve, few)
        metrics = measure(truth[: len(few)], np.log10(solved))
        # One after the other, so the trajectories of a batch take as long as these.
        rows.append(replace(row_of("exact", name, [metrics]), python=dict.fromkeys(plan.batches, seconds)))
    for rtol in NATIVE_RTOL:
        integrator = NativeRosenbrock(network, rtol=rtol, atol=NATIVE_ATOL, threads=1)

        def solve_all(n: FloatArray, integrator: NativeRosenbrock = integrator) -> FloatArray:
            return native_trajectories(integrator, n, ELAPSED, TEMPERATURE, ZETA)

        times = {
            batch: seconds_per_trajectory(partial(solve_all, _timing_states(plan, network, batch)), batch)
            for batch in plan.batches
        }
        row = row_of("exact", f"native Rodas4, rtol {rtol:g}", [measure(truth, np.log10(solve_all(initial)))])
        rows.append(replace(row, native=times))
    return rows


# --- what is drawn -------------------------------------------------------------------------------------------------


def _draw(
    plan: Plan,
    network: Network,
    data: SeedData,
    fits: Fits,
    interpolants: tuple[RadialBasis, NearestNeighbour],
    folder: Path,
) -> None:
    def of_first_seed(recipe: SeedRecipe) -> SeedFit:
        return fits[replace(recipe, seed=plan.seeds[0]).label]

    carbon = _carbon(network, _held_out_initial(data))
    rbf, nearest = (interpolant(carbon) for interpolant in interpolants)
    shown = {name: _shown(name, of_first_seed(recipe), data) for name, recipe in plan.models.items()}
    draw_figures(
        folder,
        TIMES,
        carbon,
        data.held_out,
        data.species,
        models=[model for name, model in shown.items() if name not in plan.references],
        references=[shown[name] for name in plan.references],
        baselines=[Shown("cubic RBF interpolant", rbf), Shown("nearest neighbour", nearest)],
        latent_sweeps=[_sweep("linear latent", "latent", plan.latent_sweep, of_first_seed, data)],
        degree_sweeps=[_sweep("polynomial latent", "degree", plan.degree_sweep, of_first_seed, data)],
    )


def _shown(name: str, made: SeedFit, data: SeedData) -> Shown:
    model, states = made.model, 10.0**data.held_out
    with torch.no_grad():
        encoded = model.encode(model.normalise(torch.as_tensor(states)).flatten(0, 1)).unflatten(0, states.shape[:2])
        latent = model.advance(encoded[:, 0], model.clock(torch.as_tensor(TIMES - TIMES[0])))
    return Shown(
        name,
        predict(model, states[:, 0]),
        latent=latent.double().numpy(),
        encoded=encoded[..., : model.latent].double().numpy(),
        history=made.history,
    )


def _sweep(
    family: str,
    size: str,
    recipes: Sequence[SeedRecipe],
    fit_of: Callable[[SeedRecipe], SeedFit],
    data: SeedData,
) -> Sweep:
    return Sweep(
        family,
        tuple(getattr(recipe.resolved, size) for recipe in recipes),
        tuple(_errors(fit_of(recipe).model, data).rmse for recipe in recipes),
    )
