#!/usr/bin/env python3
"""Is what a gate accepts right, on gas of any kind? The learned step attacked kind by kind, and by hill climbing.

Usage: python benchmarks/trust.py [--model NAME] [--path PATH] [--accepted N] [--most N] [--walkers N] [--steps N]
                                  [--save-wrong FILE] [--output FILE]

Of every kind (trust_kinds.py, and held-out runs of the training data's own sort) cells are drawn until --accepted of
them have been accepted at a target of 0.1 dex, or --most were drawn; all are sent to the learned path. Error: worst
species with x = n/n_H > 1e-10 in dex, against the native integrator at rtol 1e-6, atol 1e-24. Hill climbing: walkers
from relaxed gas change abundances, T, n_H, zeta and dt a little, and keep what makes the error of an accepted answer
larger. Promise: at most 1 % above 0.1 dex of every kind, at most 0.1 % above 1 dex.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from machine import Table, describe_machine
from numpy.typing import NDArray
from scipy.stats import beta
from trust_kinds import KINDS, Cells, Gas, joined

from pychemsurrogate import Solver
from pychemsurrogate.integrators import NativeRosenbrock
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.status import Status
from pychemsurrogate.training.populations import cell_error
from pychemsurrogate.training.truth import Recipe, compute_unit, unit_kind, unit_split

FloatArray = NDArray[np.float64]
HERE = Path(__file__).resolve().parent
ALPHA, GROSS, TARGET = 0.01, 1e-3, 0.1
CHUNK = 20_000
# Held-out runs: name -> kind of unit and how its pairs begin (None: any).
RUNS = {
    "held out: arbitrary": ("tracks", 0),
    "held out: hydro-like": ("hydro", None),
    "held out: flow": ("flow", None),
    "held out: small steps": ("brief", None),
}
COVERED = {"held out: arbitrary": 0.8, "held out: hydro-like": 0.98, "held out: flow": 0.98}


@dataclass
class Attack:
    """What became of the cells of a kind: error [dex] of the accepted ones, and counts."""

    drawn: int
    error: FloatArray
    statuses: Counter[str]

    @property
    def share(self) -> float:
        """Of the drawn cells that were accepted."""
        return len(self.error) / max(1, self.drawn)

    def above(self, dex: float) -> float:
        """Share of the accepted cells with a larger error."""
        return float(np.mean(self.error > dex)) if len(self.error) else 0.0

    def bound(self) -> float:
        """Upper 95 % bound (Clopper-Pearson) of the violations' share."""
        wrong, count = int(np.count_nonzero(self.error > TARGET)), len(self.error)
        return float(beta.ppf(0.95, wrong + 1, count - wrong)) if count > wrong else 1.0


class Attacker:
    """Sends cells to the learned path of a model, and knows the truth."""

    def __init__(self, model: str, path: str = "", threads: int = 0) -> None:
        file = ModelFile.read(model)
        self.network = file.network()
        costs = (1e6, 1e6, 0.0, *[1.0] * len(file.paths))
        options = {"path": path} if path else {}
        self.solver = Solver.load(
            model, target_error_dex=TARGET, costs=costs, audit=0.0, exact_every=0, threads=threads, **options
        )
        self._truth = NativeRosenbrock(self.network, rtol=1e-6, atol=1e-24, threads=threads)

    def step(self, cells: Cells) -> tuple[FloatArray, NDArray[np.int8]]:
        """x (B, S) after the step, and the status (B)."""
        n, report = self.solver.step(
            cells.x * cells.density[:, None], cells.dt, temperature=cells.temperature, zeta=cells.zeta
        )
        return n / cells.density[:, None], report.status

    def errors(self, cells: Cells) -> tuple[FloatArray, NDArray[np.int8]]:
        """The error [dex] (B) of the accepted answers, NaN for other cells, and the status (B)."""
        x, status = self.step(cells)
        error = np.full(len(cells), np.nan)
        rows = np.flatnonzero(status == Status.SURROGATE)
        if rows.size:
            mine = cells.where(rows)
            n, solved = self._truth.advance(
                mine.x * mine.density[:, None], mine.dt, mine.temperature, {"zeta": mine.zeta}
            )
            found = cell_error(np.fmax(x[rows], 1e-30), n / mine.density[:, None])
            error[rows] = np.where(solved >= 0, found, np.nan)
        return error, status

    def attack(self, draw, accepted: int, most: int) -> tuple[Attack, Cells | None]:
        """Cells from draw(count) until so many are accepted; and those of them that are wrong, with their errors."""
        found, statuses, drawn, wrong = [], Counter[str](), 0, []
        while drawn < most and sum(map(len, found)) < accepted:
            cells = draw(min(CHUNK, most - drawn))
            error, status = self.errors(cells)
            drawn += len(cells)
            known = np.isfinite(error)
            found.append(error[known])
            statuses.update(Status(code).name for code in status)
            wrong.append(cells.where(np.flatnonzero(known & (np.nan_to_num(error) > TARGET))))
        return Attack(drawn, np.concatenate(found), statuses), joined(wrong)

    def climb(self, walkers: int, steps: int, seed: int) -> FloatArray:
        """The largest error [dex] (walkers) that each of them finds among accepted cells."""
        rng = np.random.default_rng(seed)
        gas = Gas(self.network, rng)
        here = gas.relaxed(walkers)
        best = np.full(len(here), -1.0)
        for step in range(steps):
            trial = here if step == 0 else self._neighbours(gas, here)
            error, _ = self.errors(trial)
            better = np.nan_to_num(error, nan=-1.0) > best
            best[better] = error[better]
            for name, values in vars(here).items():
                getattr(trial, name)[~better] = values[~better]
            here = trial
        return np.maximum(best, 0.0)

    def _neighbours(self, gas: Gas, cells: Cells) -> Cells:
        rng, count = gas.rng, len(cells)
        size = 10.0 ** rng.uniform(-2.0, 0.0, count)
        some = rng.random(cells.x.shape) < rng.choice([0.05, 0.3, 1.0], (count, 1))
        x = gas.neutral(cells.x * 10.0 ** (rng.normal(size=cells.x.shape) * size[:, None] * some))
        moved = {name: 10.0 ** (rng.normal(size=count) * size) for name in ("temperature", "density", "zeta", "dt")}
        zeta = np.clip(cells.zeta * moved["zeta"], 1e-17, 1e-15)
        return Cells(
            x,
            np.clip(cells.temperature * moved["temperature"], 5.0, 1000.0),
            np.clip(cells.density * moved["density"], 1e16 * zeta, 1e23 * zeta),
            zeta,
            np.clip(cells.dt * moved["dt"], 1.0, 3.15576e13),
        )


def held_out(name: str, network: str, seed: int):
    """Draws cells of held-out runs, of units that no data set of the shipped models holds."""
    kind, begin = RUNS[name]
    recipe = Recipe(network=network, seed=seed)
    units = (unit for unit in range(10**6) if unit_kind(unit) == kind and unit_split(unit) == "test")

    def draw(count: int) -> Cells:
        pairs, _ = compute_unit(recipe, next(units))
        rows = np.flatnonzero(np.isin(pairs.begin, [begin] if begin is not None else range(4)))[:count]
        p = pairs.where(rows)
        return Cells(p.start.astype(np.float64), p.temperature, p.density, p.conditions[:, 0], p.dt)

    return draw


def kinds(network, seed: int):
    """All kinds by name, as functions of a count."""
    gas = Gas(network, np.random.default_rng(seed))
    drawn = {name: (lambda count, kind=kind: kind(gas, count)) for name, kind in KINDS.items()}
    return drawn | {name: held_out(name, network.name, seed) for name in RUNS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="osu_09_2008-fast")
    parser.add_argument("--path", default="")
    parser.add_argument("--accepted", type=int, default=20_000)
    parser.add_argument("--most", type=int, default=200_000)
    parser.add_argument("--walkers", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=20261201)
    parser.add_argument("--save-wrong", type=Path)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()

    table = Table()
    table(*describe_machine(), f"model {Path(given.model).stem}, target {TARGET} dex, seed {given.seed}", "")
    table(
        f"{'kind':26s} {'drawn':>8s} {'accepted':>8s} {'share %':>8s} {'> 0.1 dex %':>12s} {'bound %':>8s} "
        f"{'> 1 dex %':>10s} {'worst':>7s}  refused: box / distance / predicted error %"
    )
    attacker = Attacker(given.model, given.path)
    everything, kept, broken = [], [], []
    for name, draw in kinds(attacker.network, given.seed).items():
        found, wrong = attacker.attack(draw, given.accepted, given.most)
        refused = [
            100.0 * found.statuses[status] / found.drawn for status in ("EXACT_BOX", "EXACT_DISTANCE", "EXACT_ERROR")
        ]
        worst = found.error.max() if len(found.error) else 0.0
        table(
            f"{name:26s} {found.drawn:8d} {len(found.error):8d} {100 * found.share:8.1f} "
            f"{100 * found.above(TARGET):12.3f} {100 * found.bound():8.3f} {100 * found.above(1.0):10.4f} "
            f"{worst:7.2f}  {refused[0]:5.1f} / {refused[1]:5.1f} / {refused[2]:5.1f}"
        )
        everything.append(found.error)
        kept.append(wrong)
        if found.above(TARGET) > ALPHA:
            broken.append(f"{name}: {100 * found.above(TARGET):.2f} % above {TARGET} dex")
        if found.above(1.0) > GROSS:
            broken.append(f"{name}: {100 * found.above(1.0):.2f} % above 1 dex")
        if found.share < COVERED.get(name, 0.0):
            broken.append(f"{name}: {100 * found.share:.1f} % accepted, wanted {100 * COVERED[name]:.0f} %")
    every = np.concatenate(everything)
    table(
        "",
        f"all: {len(every)} accepted cells, {100 * np.mean(every > TARGET):.3f} % above 0.1 dex, "
        f"{100 * np.mean(every > 1.0):.4f} % above 1 dex, worst {every.max():.2f}",
    )
    if given.walkers:
        found = attacker.climb(given.walkers, given.steps, given.seed)
        table(
            f"hill climbing: {given.walkers} walkers x {given.steps} steps: {100 * np.mean(found > TARGET):.2f} % end "
            f"above 0.1 dex, {100 * np.mean(found > 1.0):.2f} % above 1 dex, worst {found.max():.2f}"
        )
        if np.mean(found > TARGET) > ALPHA or (found > 1.0).any():
            broken.append("hill climbing")
    table("", "promises kept: " + ("all" if not broken else "not " + "; ".join(broken)))
    if given.save_wrong:
        np.savez(given.save_wrong, **vars(joined(kept)))
    if given.output:
        table.write(given.output)


if __name__ == "__main__":
    main()
