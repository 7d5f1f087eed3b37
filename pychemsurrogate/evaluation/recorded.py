"""Test pairs from a run of the example hydro code: states that no sampler drew."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pychemsurrogate.evaluation.hydro import FieldsError, Snapshot, read_run
from pychemsurrogate.network import Network
from pychemsurrogate.training.sampling import STARTS, YEAR_S, FloatArray, log_uniform
from pychemsurrogate.training.truth import KINDS, SPLITS, Pairs, Recipe, Truth

_CHUNK = 8192


def recorded_pairs(folder: str | Path, recipe: Recipe, count: int) -> tuple[Pairs, int]:
    """`count` pairs that start from cells of the run's snapshots, and how many pairs were dropped of them.

    Cells are drawn from all snapshots. Half of them are as they were recorded, just after their chemistry; the other
    half are mixed with a neighbour on the mesh (1 to 50 % of the mass), as the next step of the gas would do. Half of
    the steps are log-uniform 1e2..1e4 yr, half 1..1e6 yr. recipe: network, tolerances and seed.
    Raises FieldsError if the folder holds no run of the recipe's network.
    """
    truth = Truth.of(recipe)
    rng = np.random.default_rng(recipe.seed)
    run = read_run(folder)
    states = np.stack([_abundances(snapshot, truth.network, folder) for snapshot in run])
    times, ny, nx, _ = states.shape
    time, j, i = (rng.integers(0, size, count) for size in (times, ny, nx))
    direction = rng.integers(0, 4, count)
    other_j = np.clip(j + np.array([1, -1, 0, 0])[direction], 0, ny - 1)
    other_i = np.clip(i + np.array([0, 0, 1, -1])[direction], 0, nx - 1)
    mixed = rng.random(count) < 0.5
    share = np.where(mixed, log_uniform(rng, (1e-2, 0.5), count), 0.0)[:, None]
    start = (1.0 - share) * states[time, j, i] + share * states[time, other_j, other_i]

    hydro, any_step = log_uniform(rng, (1e2, 1e4), count), log_uniform(rng, (1.0, 1e6), count)
    dt = YEAR_S * np.where(rng.random(count) < 0.5, hydro, any_step)
    temperature, density = (
        np.stack([snapshot.values(name) for snapshot in run])[time, j, i] for name in ("temperature", "n_H")
    )
    conditions = np.array([snapshot.zeta_per_s for snapshot in run])[time][:, None]
    end, good, steps = np.empty_like(start), np.empty(count, dtype=bool), np.empty(count, dtype=np.int32)
    for first in range(0, count, _CHUNK):
        rows = slice(first, first + _CHUNK)
        cells = (start[rows], temperature[rows], density[rows], conditions[rows], dt[rows])
        end[rows], good[rows] = truth.advance(*cells)
        steps[rows] = truth.steps(*cells)
    pairs = Pairs(
        start=start,
        end=end.astype(np.float32),
        temperature=temperature,
        density=density,
        conditions=conditions,
        dt=dt,
        steps=steps,
        kind=np.full(count, KINDS.index("recorded"), dtype=np.uint8),
        begin=np.where(mixed, STARTS.index("neighbour mixture"), STARTS.index("track")).astype(np.uint8),
        split=np.full(count, SPLITS.index("shifted"), dtype=np.uint8),
        run=(time * ny + j) * nx + i,
    )
    return pairs.where(good), int((~good).sum())


def _abundances(snapshot: Snapshot, network: Network, folder: str | Path) -> FloatArray:
    """n/n_H (ny, nx, S) in the network's order."""
    if set(snapshot.species) != set(network.species_names) or network.conditions != ("zeta",):
        raise FieldsError(f"{folder}: a run with other species than those of the network {network.name}")
    n = np.stack([snapshot.values(f"n({name})") for name in network.species_names], axis=-1)
    x: FloatArray = n / (n @ network.tables().scale_weights)[..., None]
    return x
