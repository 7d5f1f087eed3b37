"""`pychemsurrogate reproduce`: the table and the figures of Sulzer & Buck (2023) from our own data, in one run.

Data, fits, errors, times, table, pictures, in that order; what is finished lies in the folder and is not made again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import replace
from multiprocessing import get_context, parent_process
from pathlib import Path
from queue import Queue

import torch
from tqdm import tqdm

from pychemsurrogate import _native
from pychemsurrogate.evaluation.machine import processor_line, version_line
from pychemsurrogate.evaluation.reproduce_figures import Shown, Sweep, draw_figures
from pychemsurrogate.evaluation.seed_baselines import NearestNeighbour, RadialBasis
from pychemsurrogate.evaluation.seed_plan import Plan, start_of
from pychemsurrogate.evaluation.seed_rows import (
    TIMES,
    carbon_of,
    errors_of,
    held_out_initial,
    interpolants_of,
    predict,
    table_rows,
)
from pychemsurrogate.evaluation.seed_table import csv_table, markdown_table, text_table
from pychemsurrogate.network import Network, load_network
from pychemsurrogate.training.seed import data as seed_data
from pychemsurrogate.training.seed.data import SeedData
from pychemsurrogate.training.seed.fit import SeedFit, fit
from pychemsurrogate.training.seed.kind import SeedRecipe
from pychemsurrogate.training.seed.pack import pack

Fits = Mapping[str, SeedFit]  # by the recipe's label
_BAR = "{l_bar}{bar}| {n:.1f}/{total} [{elapsed}<{remaining}]"


def run(plan: Plan, folder: str | Path, workers: int = 2, progress: bool = True) -> str:
    """Run a plan in `folder` and return the table as text.

    The folder then holds the data (.h5), the fits, reproduce.txt, .md and .csv, models/*.pcs and figures/*.png.
    workers: fits that run side by side, one thread each; torch is set to one thread here, too. Deterministic but for
    the times.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    network = load_network(seed_data.NETWORK)
    data = {seed: _data(plan, folder, seed) for seed in plan.seeds}
    fits = _fit_all(plan, data, folder, workers, progress)
    interpolants = [interpolants_of(network, data[seed]) for seed in plan.seeds]
    models = _write_models(plan, data[plan.seeds[0]], fits, folder / "models")
    lines = table_rows(plan, network, data, fits, models, interpolants)
    rows = list(tqdm(lines, desc="table", unit="row", disable=not progress))
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
        try:
            while waiting or running:
                for label, recipe in list(waiting.items()):
                    first = start_of(recipe)
                    if first is None or first.label in finished:
                        path = _data_path(plan, folder, recipe.seed)
                        running[pool.submit(_fit_one, waiting.pop(label), path, fits, ticks)] = label
                for future in wait(running, timeout=1.0, return_when=FIRST_COMPLETED).done:
                    future.result()
                    finished.add(running.pop(future))
                while not ticks.empty():
                    bar.update(ticks.get())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # else all that wait would still be run
            raise
    return {label: fit(recipe, data[recipe.seed], fits) for label, recipe in jobs.items()}


def _fit_one(recipe: SeedRecipe, data: Path, folder: Path, ticks: Queue[float]) -> None:
    """In a worker: fit, and tell of every hundredth of it."""
    told = 0.0

    def tell(share: float, _rmse: float) -> None:
        nonlocal told
        parent = parent_process()
        if parent is not None and not parent.is_alive():
            os._exit(1)  # the run was killed; the pool would catch anything milder, and go on without it
        if share - told >= 0.01:
            ticks.put(share - told)
            told = share

    fit(recipe, seed_data.read(data), folder, progress=tell)
    ticks.put(1.0 - told)


def _write_models(plan: Plan, data: SeedData, fits: Fits, folder: Path) -> dict[str, Path]:
    """The model files of the first seed, by their name in the table."""
    folder.mkdir(exist_ok=True)
    paths = {}
    for name, recipe in plan.models.items():
        first = replace(recipe, seed=plan.seeds[0])
        paths[name] = folder / f"{seed_data.NETWORK}-{recipe.kind}.pcs"
        pack(first, fits[first.label], data).write(paths[name])
    return paths


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

    carbon = carbon_of(network, held_out_initial(data))
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
        tuple(errors_of(fit_of(recipe).model, data).rmse for recipe in recipes),
    )
