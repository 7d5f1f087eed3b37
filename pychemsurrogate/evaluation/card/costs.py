"""A model card's cost front: what accuracy costs on this machine, exact and learned, and whether the surrogate pays."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from pychemsurrogate.evaluation.card.data import CardRecipe, HeldOut
from pychemsurrogate.evaluation.card.measured import Card, Row
from pychemsurrogate.evaluation.card.path import FloatArray, error_row
from pychemsurrogate.integrators import NativeRosenbrock
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.solver import Report, Solver
from pychemsurrogate.status import Status
from pychemsurrogate.training.populations import cell_error, populations_of
from pychemsurrogate.training.served import X_ZERO
from pychemsurrogate.training.truth import Pairs

COST_SETS: Final = ("arbitrary", "hydro-like")
_RTOLS: Final = (1e-1, 3e-2, 1e-2, 1e-3, 1e-4, 1e-5)


def measure_costs(
    card: Card, path: Path, targets: list[float], sets: HeldOut, recipe: CardRecipe, stage: Callable[[str], None]
) -> None:
    """Fill in the cost front and what follows from it: one thread, processor's time, the least of some repeats."""
    groups = populations_of(sets.test)
    for name in COST_SETS:
        if name not in groups:
            continue
        stage(f"costs: {name}")
        rows = np.flatnonzero(groups[name])
        chosen = np.random.default_rng(recipe.seed).permutation(rows)[: recipe.cost_cells]
        cells = _Cells(sets.test.where(np.sort(chosen)), path)
        _front(card, name, cells, path, targets, recipe.repeats)
        card.verdicts += [_verdict(card.costs, name, target) for target in targets]
        card.verdicts += [_on_accepted(card.costs, name, target) for target in targets]


class _Cells:
    """Some pairs, and their truth at a tolerance that the integrator's own errors can be seen against."""

    def __init__(self, pairs: Pairs, path: Path) -> None:
        self.pairs = pairs
        network = Solver.load(path, mode="exact").network
        self.n = pairs.start * pairs.density[:, None]
        self.at = dict(zip(network.conditions, pairs.conditions.T, strict=True))
        exact = NativeRosenbrock(network, rtol=1e-8, atol=1e-20)
        moved, status = exact.advance(self.n, pairs.dt, pairs.temperature, self.at)
        self.truth = moved / pairs.density[:, None]
        self.good = status >= 0

    def step(self, solver: Solver, repeats: int, rows: Any = slice(None)) -> tuple[float, FloatArray, Report]:
        """Microseconds a cell, states n/n_H, and the report of the last step."""
        p = self.pairs
        n, dt, temperature = self.n[rows], p.dt[rows], p.temperature[rows]
        at = {name: values[rows] for name, values in self.at.items()}
        solver.step(n, dt, temperature, **at)  # what is measured or allocated once
        seconds = []
        for _ in range(repeats):
            begin = time.process_time()
            moved, report = solver.step(n, dt, temperature, **at)
            seconds.append(time.process_time() - begin)
        return 1e6 * min(seconds) / max(1, len(n)), moved / p.density[rows, None], report

    def error(self, x: FloatArray, rows: Any = slice(None)) -> FloatArray:
        """Cell errors [dex] of states of the cells `rows`."""
        errors: FloatArray = cell_error(np.fmax(x, X_ZERO), self.truth[rows])[self.good[rows]]
        return errors


def _front(card: Card, name: str, cells: _Cells, path: Path, targets: list[float], repeats: int) -> None:
    def add(way: str, setting: str, us: float, errors: FloatArray, **more: Any) -> Row:
        row = {
            "set": name,
            "way": way,
            "setting": setting,
            "cells": len(cells.n),
            "us": us,
            **error_row(errors),
            **more,
        }
        card.costs.append(row)
        return row

    exact = {rtol: Solver.load(path, mode="exact", rtol=rtol, threads=1) for rtol in _RTOLS}
    for rtol, solver in exact.items():
        us, x, _ = cells.step(solver, repeats)
        add("exact", f"rtol {rtol:g}", us, cells.error(x), rtol=rtol)
    for learned_path in ModelFile.read(path).paths:
        us, x, _ = cells.step(Solver.load(path, mode="surrogate", path=learned_path, threads=1), repeats)
        add("learned step", f"{learned_path} no gate".strip(), us, cells.error(x))
    for target in targets:
        solver = Solver.load(path, target_error_dex=target, threads=1)
        us, x, report = cells.step(solver, repeats)
        served = report.status == Status.SURROGATE
        row = add("auto", f"target {target:g} dex", us, cells.error(x), target=target, share=float(served.mean()))
        if any(array.endswith("router/steps") for array in solver.model.arrays):
            row["costs"] = solver.costs
        # What the cells that the surrogate served would cost otherwise: all that it can save.
        row["accepted_p99"] = error_row(cells.error(x[served], served))["p99"]
        rival = _rival(card.costs, name, row["p99"])
        if rival is not None and served.any():
            row["rival_rtol"] = rival
            row["accepted_exact_us"] = cells.step(exact[rival], repeats, served)[0]
            learned = Solver.load(path, mode="surrogate", threads=1)
            row["accepted_learned_us"] = cells.step(learned, repeats, served)[0]


def _rival(costs: list[Row], name: str, p99: float) -> float | None:
    """rtol of the cheapest exact integration of a set that errs no more at p99; None if there is none."""
    able = [row for row in costs if row["set"] == name and row["way"] == "exact" and row["p99"] <= p99]
    return float(min(able, key=lambda row: row["us"])["rtol"]) if able else None


def _verdict(costs: list[Row], name: str, target: float) -> str:
    auto = next(row for row in costs if row["set"] == name and row["way"] == "auto" and row["target"] == target)
    said = (
        f"{name} cells, target {target:g} dex: mode auto takes {auto['us']:.2f} µs a cell at a p99 error of "
        f"{auto['p99']:.2g} dex, with {100 * auto['share']:.1f} % of the cells by the surrogate."
    )
    rtol = _rival(costs, name, auto["p99"])
    if rtol is None:
        return f"{said} No exact integration measured here errs as little at p99."
    rival = next(row for row in costs if row["set"] == name and row["way"] == "exact" and row["rtol"] == rtol)
    said += (
        f" The cheapest exact integration measured here that errs no more at p99 (rtol {rtol:g}) takes "
        f"{rival['us']:.2f} µs at {rival['p99']:.2g} dex."
    )
    gain = rival["us"] / auto["us"]
    if gain > 1.05:
        return f"{said} So the surrogate pays: {gain:.2f} times the speed at no larger p99 error."
    if gain > 0.95:
        return f"{said} So it makes no difference (ratio of speeds {gain:.2f})."
    return f"{said} So the surrogate does not pay: exact is {1 / gain:.2f} times as fast at no larger p99 error."


def _on_accepted(costs: list[Row], name: str, target: float) -> str:
    auto = next(row for row in costs if row["set"] == name and row["way"] == "auto" and row["target"] == target)
    if "accepted_exact_us" not in auto:
        return f"{name} cells, target {target:g} dex: the surrogate served no cell."
    exact, learned = auto["accepted_exact_us"], auto["accepted_learned_us"]
    return (
        f"{name} cells, target {target:g} dex, only those that the surrogate served: {learned:.2f} µs a cell by the "
        f"learned step against {exact:.2f} µs by that exact integration (ratio {exact / learned:.2f})."
    )
