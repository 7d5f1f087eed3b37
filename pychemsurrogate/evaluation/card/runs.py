"""A model card's rollouts: how errors add up over many steps, who served the cells, and what is conserved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from pychemsurrogate.evaluation.card.data import CardRecipe, HeldOut
from pychemsurrogate.evaluation.card.measured import Card, Row
from pychemsurrogate.evaluation.card.path import error_row
from pychemsurrogate.integrators import NativeRosenbrock, conservation_defect
from pychemsurrogate.solver import Solver
from pychemsurrogate.status import Status
from pychemsurrogate.training.histories import history
from pychemsurrogate.training.populations import cell_error
from pychemsurrogate.training.sampling import initial_abundances
from pychemsurrogate.training.served import X_ZERO
from pychemsurrogate.training.truth import Pairs

ROLLOUT_KINDS: Final = ("hydro", "flow")
BUDGETED: Final = "auto, error budget a cell"
_MARKS: Final = 30  # steps at which errors are taken
_TRUTH_RTOL, _TRUTH_ATOL = 1e-4, 1e-18


def series(path: Path, target: float | None) -> dict[str, Solver]:
    """Who goes through the rollouts, by name; target: of mode auto [dex], None: its default."""
    auto: dict[str, Any] = {} if target is None else {"target_error_dex": target}
    exact: dict[str, Any] = {"target_error_dex": 0.1, **auto}
    return {
        BUDGETED: Solver.load(path, **auto),
        "auto": Solver.load(path, **auto),
        "surrogate alone": Solver.load(path, mode="surrogate"),
        "exact, same target": Solver.load(path, mode="exact", **exact),
    }


def measure_runs(
    card: Card, path: Path, target: float | None, sets: HeldOut, recipe: CardRecipe, stage: Callable[[str], None]
) -> None:
    """Fill in what many steps tell of the whole model."""
    for number, kind in enumerate(ROLLOUT_KINDS):
        stage(f"rollouts: {kind}")
        _rollout(card, kind, series(path, target), sets, recipe, number)
    stage("modes on the shifted and outside pairs")
    options: dict[str, Any] = {} if target is None else {"target_error_dex": target}
    solver = Solver.load(path, audit=0.0, exact_every=0, **options)
    for name, pairs in (("test", sets.test), ("shifted", sets.shifted), ("outside", sets.outside)):
        card.served.append({"set": name, "cells": len(pairs), **shares(statuses(solver, pairs))})


def statuses(solver: Solver, pairs: Pairs) -> Counter[str]:
    """The names of the statuses of one step from every pair's start, counted."""
    at = dict(zip(solver.conditions, pairs.conditions.T, strict=True))
    _, report = solver.step(pairs.start * pairs.density[:, None], pairs.dt, pairs.temperature, **at)
    return Counter(Status(code).name for code in report.status.tolist())


def shares(counted: Counter[str]) -> dict[str, float]:
    """Of all cells, the largest first."""
    total = counted.total()
    return {name: count / total for name, count in counted.most_common()}


def _rollout(card: Card, kind: str, solvers: dict[str, Solver], sets: HeldOut, recipe: CardRecipe, number: int) -> None:
    network = solvers["auto"].network
    rng = np.random.default_rng([recipe.seed, 1, number])
    runs, steps = recipe.runs, recipe.steps
    past = history(kind, sets.ranges, runs, rng, steps)
    truth = NativeRosenbrock(network, rtol=_TRUTH_RTOL, atol=_TRUTH_ATOL)

    def at(step: int) -> dict[str, Any]:
        return {name: past.conditions[name][step] for name in network.conditions}

    x = initial_abundances(network.tables(), sets.ranges, runs, rng)
    first = past.density[0][:, None]
    n, status = truth.advance(x * first, past.relax, past.temperature[0], at(0))
    good = status >= 0
    begin = x = n / first
    states = dict.fromkeys(solvers, x)
    carried = np.zeros(runs)
    counted: dict[str, Counter[str]] = {name: Counter() for name in solvers}
    marks = set(np.unique(np.geomspace(1, steps, _MARKS).round().astype(int)).tolist())
    curves: dict[str, list[Row]] = {name: [] for name in solvers}
    for step in range(steps):
        density, dt, temperature = past.density[step][:, None], past.dt[step][:, 0], past.temperature[step]
        n, status = truth.advance(x * density, dt, temperature, at(step))
        x, good = n / density, good & (status >= 0)
        for name, solver in solvers.items():
            budget = carried if name == BUDGETED else None
            n, report = solver.step(states[name] * density, dt, temperature, error_dex=budget, **at(step))
            states[name] = n / density
            counted[name].update(Status(code).name for code in report.status.tolist())
        if step + 1 in marks:
            for name, state in states.items():
                row = error_row(cell_error(np.fmax(state, X_ZERO), x)[good])
                curves[name].append({"step": step + 1, **row})
    card.rollouts[kind] = {
        "runs": int(good.sum()),
        "steps": steps,
        "curves": curves,
        "served": {name: shares(counts) for name, counts in counted.items()},
        "carried_p99": float(np.percentile(carried, 99)),
    }
    tables = network.tables()
    for name, state in states.items():
        defect = conservation_defect(state, begin, tables.composition).max(axis=0)
        card.conservation.append(
            {"kind": kind, "series": name, **dict(zip(tables.conserved, defect.tolist(), strict=True))}
        )
