#!/usr/bin/env python3
"""Does the learned step keep what it promises, and does it pay? Every row of the flow map's targets, in one run.

Usage: python benchmarks/flow_map.py [--model NAME] [--large MODEL] [--folder DIR] [--quick] [--only SECTION ...]
                                     [--output FILE]

Data sets (held-out runs, collapse and shock tracks, states recorded from the 2-D example, states out of range) are made
in the folder at the first call, each section's figures are kept there, and a second call goes on where the first one
ended. Every claim of speed is against our own exact integrator at the same target error, on one core, in the same run.

Cell error: max over species with x = n/n_H > 1e-10 of |log10 x - log10 truth| [dex]; truth: Rodas4 at rtol 1e-4.
"arbitrary": steps of 1..1e6 yr from any state; "hydro-like": 1e3..1e4 yr, T and n_H walking; "mixed": starts that are
mixtures of neighbours or of unrelated runs; "shifted": collapse, shocks, and cells of the 2-D example. --large: a model
of the 137-species network (docs/surrogate.md says how to make it). --quick: fewer cells, for a test.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from machine import Table, describe_machine, timed, use_one_core
from numpy.typing import NDArray
from scipy.stats import beta

from pychemsurrogate import Solver
from pychemsurrogate.gate import Gate
from pychemsurrogate.integrators import NativeRosenbrock
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.status import Status
from pychemsurrogate.training.dataset import generate, load, save
from pychemsurrogate.training.populations import cell_error
from pychemsurrogate.training.sampling import YEAR_S, Ranges, initial_abundances, log_uniform
from pychemsurrogate.training.truth import KINDS, Pairs, Recipe

HERE = Path(__file__).resolve().parent
FloatArray = NDArray[np.float64]
Figures = dict[str, Any]
ALPHA, CONFIDENCE, FEWEST_IN_BIN = 0.01, 0.95, 3000
# A router that sees the integrator as dear and the learned step as free sends whatever the gate may accept.
LEARNED_FIRST = (1e6, 1e6, 0.0)
EXAMPLE_YEARS = (1.0, 1e2, 1e4)


@dataclass(frozen=True)
class Case:
    """What is measured: the model, its folder of data and figures, and how much of everything."""

    model: str
    folder: Path
    quick: bool

    @cached_property
    def file(self) -> ModelFile:
        """The model file."""
        return ModelFile.read(self.model)

    @cached_property
    def paths(self) -> list[str]:
        """The names of the learned paths."""
        return list(self.file.paths)

    def solver(self, mode: str = "auto", target: float = 0.1, **options: Any) -> Solver:
        """A solver on one thread, without what a run adds: refreshes and audits."""
        return Solver.load(
            self.model, mode=mode, target_error_dex=target, threads=1, exact_every=0, audit=0.0, **options
        )

    def learned_first(self, target: float = 0.1, **options: Any) -> Solver:
        """A solver whose router sends every cell to the learned paths."""
        return self.solver("auto", target, costs=(*LEARNED_FIRST, *[1.0] * len(self.paths)), **options)

    @property
    def share(self) -> float:
        """How much is measured of a network: fewer cells where each costs more."""
        return min(1.0, (50.0 / self.file.network().n_species) ** 2)

    @property
    def recipe(self) -> Recipe:
        """Of the held-out runs: no unit of them is in a training set, whatever its size."""
        return Recipe(
            network=self.network,
            units=100 if self.quick else 600,
            runs_per_unit=16 if self.quick else int(256 * self.share),
            splits=("test",),
        )

    @property
    def network(self) -> str:
        """What the recipe calls the network: shipped by name, or its text in the folder."""
        name = str(self.file.network().name)
        if name == "osu_09_2008":
            return name
        path = self.folder / f"{name}.network"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.file.text("network/text"), encoding="utf-8")
        return str(path)

    def held_out(self) -> Pairs:
        """Test runs."""
        return load(generate(self.recipe, self.folder / "test.h5"))


@cache
def populations(case: Case) -> dict[str, Pairs]:
    """The test populations by name: those of the held-out runs, and the shifted ones."""
    runs = case.held_out()
    kind = {name: runs.kind == KINDS.index(name) for name in ("tracks", "hydro", "flow", "steps", "brief")}
    found = {
        "arbitrary": runs.where(kind["tracks"] & (runs.begin == 0)),
        "hydro-like": runs.where(kind["hydro"]),
        "mixed": runs.where(kind["tracks"] & ((runs.begin == 1) | (runs.begin == 2))),
        "perturbed": runs.where(kind["tracks"] & (runs.begin == 3)),
        "flow": runs.where(kind["flow"]),
        "hydro steps": runs.where(kind["steps"]),
        "small steps": runs.where(kind["brief"]),
    }
    units = 2 if case.quick else 8
    shifted = replace(case.recipe, units=units, splits=("shifted",))
    tracks = load(generate(shifted, case.folder / "shifted.h5"))
    for name in ("collapse", "shock"):
        found[name] = tracks.where(tracks.kind == KINDS.index(name))
    if case.network == "osu_09_2008":
        found["2-D example"] = recorded(case)
    return {name: pairs for name, pairs in found.items() if len(pairs)}


def recorded(case: Case) -> Pairs:
    """Cells of the example's run with the exact integrator."""
    from pychemsurrogate.evaluation.recorded import recorded_pairs

    path = case.folder / "recorded.h5"
    if not path.exists():
        case_file = HERE.parent / "fortran_example" / "cases" / ("small_collision" if case.quick else "colliding_flows")
        output = case.folder / "example"
        run_example(case_file.with_suffix(".nml").read_text(encoding="utf-8"), "exact", case.model, output)
        recipe = replace(case.recipe, splits=("shifted",))
        save(recorded_pairs(output, recipe, 1000 if case.quick else 40_000)[0], path, recipe)
    return load(path)


def run_example(text: str, mode: str, model: str, output: Path) -> None:
    """Build the 2-D example if need be and run a case with one thread."""
    build = HERE.parent / "build" / "demo"
    hydro = build / "cloud_hydro" / "cloud_hydro"
    example = HERE.parent / "fortran_example"
    options = ["-DPCS_FORTRAN=ON", f"-DCMAKE_INSTALL_PREFIX={build / 'prefix'}"]
    for command in (
        ["cmake", "-S", HERE.parent, "-B", build / "libpcs", "-G", "Ninja", *options],
        ["cmake", "--build", build / "libpcs", "--target", "install"],
        ["cmake", "-S", example, "-B", build / "cloud_hydro", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={build / 'prefix'}"],
        ["cmake", "--build", build / "cloud_hydro"],
    ):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    output.mkdir(parents=True, exist_ok=True)
    (output / "case.nml").write_text(text, encoding="utf-8")
    command = [hydro, output / "case.nml", "--model", model, "--mode", mode, "--output", output]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)


def read_summary(path: Path) -> dict[str, float]:
    """The numbers that the example writes at its end."""
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    return {name: float(value) for name, value in rows if name != "mode"}


def advance(solver: Solver, pairs: Pairs, **options: Any) -> tuple[FloatArray, Any]:
    """x = n/n_H (P, S) at the end of the pairs' steps by a solver, and its report."""
    conditions = {name: pairs.conditions[:, k] for k, name in enumerate(solver.conditions)}
    n, report = solver.step(pairs.start * pairs.density[:, None], pairs.dt, pairs.temperature, **options, **conditions)
    return n / pairs.density[:, None], report


def errors_of(x: FloatArray, pairs: Pairs) -> FloatArray:
    """Cell errors [dex] (P)."""
    return cell_error(x, pairs.end.astype(np.float64))


# --- sections: each returns figures that JSON can hold ---------------------------------------------------------


def one_step(case: Case) -> Figures:
    """Errors of every learned path without its gate."""
    figures: Figures = {}
    for name, pairs in populations(case).items():
        for path in case.paths:
            x, _ = advance(case.solver("surrogate", path=path), pairs)
            median, p90, p99 = np.percentile(errors_of(x, pairs), [50, 90, 99])
            figures.setdefault(name, {})[path or "surrogate"] = [float(median), float(p90), float(p99)]
    return figures


def gate(case: Case) -> Figures:
    """What the gates accept if they are asked of every cell, and how often they are wrong."""
    figures: Figures = {}
    for target in (0.1, 0.3):
        for path in [*case.paths, None] if len(case.paths) > 1 else case.paths:
            solver = case.learned_first(target) if path is None else case.learned_first(target, path=path)
            name = "router" if path is None else path or "surrogate"
            bins: dict[int, list[int]] = {}
            for population, pairs in populations(case).items():
                x, report = advance(solver, pairs)
                accepted = report.status == Status.SURROGATE
                error = errors_of(x, pairs)
                wrong = accepted & (error > target)
                figures[f"{target:g} {name} {population}"] = {
                    "cells": len(pairs),
                    "accepted": float(accepted.mean()),
                    "p99": float(np.percentile(error[accepted], 99)) if accepted.any() else 0.0,
                    "wrong": int(wrong.sum()),
                    "saved": float(pairs.steps[accepted].sum() / pairs.steps.sum()),
                }
                if path is not None:
                    for b in np.unique(place := bins_of(case, path, pairs)):
                        rows = place == b
                        had = bins.setdefault(int(b), [0, 0])
                        had[0] += int(accepted[rows].sum())
                        had[1] += int(wrong[rows].sum())
            if path is not None:
                figures[f"{target:g} {name} bins"] = {str(b): counts for b, counts in sorted(bins.items())}
    return figures


def bins_of(case: Case, path: str, pairs: Pairs) -> NDArray[np.intp]:
    """The gate's bin of every pair (P)."""
    part = case.file.of_path(path)
    calibration = Gate.from_arrays(part.arrays, part.network().tables()).calibration
    if calibration is None:
        return np.zeros(len(pairs), dtype=np.intp)
    place = calibration.bins.place(pairs.start, pairs.density, pairs.dt, pairs.temperature, pairs.conditions)
    return np.asarray(place)


def outside(case: Case) -> Figures:
    """Share accepted of cells beyond each bound."""
    recipe = replace(case.recipe, units=9 if case.quick else 18, splits=("outside",))
    pairs = load(generate(recipe, case.folder / "outside.h5"))
    _, report = advance(case.learned_first(1.0), pairs)
    return {"cells": len(pairs), "accepted": float((report.status == Status.SURROGATE).mean())}


def rollouts(case: Case) -> Figures:
    """Hydro-like runs of many steps with changing conditions: errors, paths, conservation."""
    steps, runs = (30, 16) if case.quick else (10_000, 200)
    figures: Figures = {"steps": steps, "runs": runs}
    solvers = {
        "auto": case.solver(),
        "learned first": case.learned_first(),
        "exact": case.solver("exact"),
        "surrogate": case.solver("surrogate"),
    }
    network = solvers["exact"].network
    composition = network.tables().composition
    carried = {"auto": np.zeros(runs), "learned first": np.zeros(runs)}
    served = {name: dict.fromkeys(("unchanged", "integrator", "surrogate", "refused", "budget"), 0) for name in solvers}
    marks = sorted({1, 10, 100, 1000, steps} & set(range(1, steps + 1)))
    states: dict[str, FloatArray] = {}
    for step, (x, temperature, density, conditions, dt, truth) in enumerate(hydro_runs(network, runs, steps, 77), 1):
        if step == 1:
            states = dict.fromkeys(solvers, x)
            start = x
        for name, solver in solvers.items():
            budget = {"error_dex": carried[name]} if name in carried else {}
            n = states[name] * density[:, None]
            n, report = solver.step(n, dt, temperature, **budget, **conditions)
            states[name] = n / density[:, None]
            for label, statuses in {
                "unchanged": (Status.UNCHANGED,),
                "integrator": (Status.EXACT_ROUTED, Status.EXACT_REQUESTED, Status.EXACT_REFRESH),
                "surrogate": (Status.SURROGATE,),
                "refused": (Status.EXACT_BOX, Status.EXACT_DISTANCE, Status.EXACT_ERROR),
                "budget": (Status.EXACT_BUDGET,),
            }.items():
                served[name][label] += int(np.isin(report.status, statuses).sum())
        if step in marks:
            for name, state in states.items():
                median, p90, p99 = np.percentile(cell_error(state, truth), [50, 90, 99])
                figures[f"{name} {step}"] = [float(median), float(p90), float(p99)]
    for name, counts in served.items():
        figures[f"{name} served"] = {label: count / (steps * runs) for label, count in counts.items()}
        size = np.maximum(start, states[name]) @ np.abs(composition).T
        defect = np.abs((states[name] - start) @ composition.T) / size
        figures[f"{name} conservation"] = dict(
            zip(network.tables().conserved, defect.max(axis=0).tolist(), strict=True)
        )
    return figures


def hydro_runs(
    network: Any, runs: int, steps: int, seed: int
) -> Iterator[tuple[FloatArray, FloatArray, FloatArray, dict[str, FloatArray], FloatArray, FloatArray]]:
    """Relaxed gas whose T and n_H walk: x before, T, n_H, conditions and dt of every step, and the true x after."""
    rng, ranges = np.random.default_rng(seed), Ranges()
    exact = NativeRosenbrock(network, rtol=1e-4, atol=1e-18, threads=1)
    bounds = {name: np.log10(value) for name, value in ranges.walked().items()}
    now = {name: rng.uniform(*value, runs) for name, value in bounds.items()}
    x = initial_abundances(network.tables(), ranges, runs, rng)
    dt = YEAR_S * log_uniform(rng, (1e4, 1e6), runs)
    for step in range(steps + 1):
        zeta = 10.0 ** now["zeta"]
        temperature, density = 10.0 ** now["T"], 10.0 ** now["n_H/zeta"] * zeta
        before = x
        n, _ = exact.advance(x * density[:, None], dt, temperature, {"zeta": zeta})
        x = n / density[:, None]
        if step:
            yield before, temperature, density, {"zeta": zeta}, dt, x
        for name, spread in {"T": 0.02, "n_H/zeta": 0.04}.items():
            now[name] = np.clip(now[name] + rng.normal(0.0, spread, runs), *bounds[name])
        dt = YEAR_S * log_uniform(rng, (1e3, 1e4), runs)


def small_steps(case: Case) -> Figures:
    """Error over true change for dt of 1 s to 1 yr, and what dt = 0 does: every path alone, and as it is routed."""
    pairs = populations(case)["small steps"]
    figures: Figures = {}
    changed = cell_error(pairs.start, pairs.end.astype(np.float64))
    # f32 ends are rounded by 3e-8: a change of 1e-4 dex is known to 0.1 %.
    known = (changed > 1e-4) & (pairs.dt <= YEAR_S)
    solvers = {path or "surrogate": case.solver("surrogate", path=path) for path in case.paths}
    for name, solver in {**solvers, "routed": case.solver()}.items():
        x, _ = advance(solver, pairs)
        ratio = errors_of(x, pairs)[known] / changed[known]
        large = changed[known] > 0.01
        _, report = advance(solver, replace(pairs, dt=np.zeros(len(pairs))))
        figures[name] = {
            "cells": int(known.sum()),
            "median, p90, p99": [round(float(value), 5) for value in np.percentile(ratio, [50, 90, 99])],
            "p99 where the change is above 0.01 dex": round(float(np.percentile(ratio[large], 99)), 5),
            "unchanged at dt = 0": bool((report.status == Status.UNCHANGED).all()),
        }
    return figures


def time_of(solvers: dict[str, Solver], pairs: Pairs, repeats: int) -> dict[str, list[float]]:
    """Microseconds a cell of each solver, in turn."""
    taken: dict[str, list[float]] = {name: [] for name in solvers}
    for _ in range(repeats):
        for name, solver in solvers.items():
            _, seconds = timed(advance, solver, pairs)
            taken[name].append(1e6 * seconds / len(pairs))
    return taken


def chemistry_time(case: Case) -> Figures:
    """The routed step against the exact one at the same target."""
    cells, repeats = (200, 3) if case.quick else (int(20_000 * case.share), 9 if case.share == 1.0 else 5)
    rng = np.random.default_rng(5)
    figures: Figures = {}
    for target in (0.1, 0.3):
        solvers = {"exact": case.solver("exact", target), "auto": case.solver("auto", target)}
        solvers["auto"].costs  # noqa: B018 - measured now
        figures[f"costs {target:g}"] = solvers["auto"].costs
        for name in ("hydro-like", "arbitrary", "mixed", "hydro steps", "collapse", "shock", "2-D example"):
            known = populations(case)
            if name not in known:
                continue
            pairs = known[name].where(np.sort(rng.permutation(len(known[name]))[:cells]))
            time_of(solvers, pairs, 1)
            taken = time_of(solvers, pairs, repeats)
            ratio = np.array(taken["exact"]) / np.array(taken["auto"])
            figures[f"{target:g} {name}"] = {
                **{mode: float(np.median(values)) for mode, values in taken.items()},
                "gain": [float(np.min(ratio)), float(np.median(ratio)), float(np.max(ratio))],
            }
            for mode, solver in solvers.items():
                x, report = advance(solver, pairs)
                error = errors_of(x, pairs)
                figures[f"{target:g} {name}"][f"{mode} p99"] = float(np.percentile(error, 99))
                figures[f"{target:g} {name}"]["surrogate"] = float((report.status == Status.SURROGATE).mean())
    return figures


def example(case: Case) -> Figures:
    """The 2-D example with gas steps of about 1, 1e2 and 1e4 yr, exact and routed: what it writes at its end."""
    text = (HERE.parent / "fortran_example" / "cases" / "colliding_flows.nml").read_text(encoding="utf-8")
    figures: Figures = {}
    for years in EXAMPLE_YEARS:
        # The gas steps by its CFL condition, 600 yr on a parsec; the smaller the box, the shorter the step.
        scale = years / 600.0
        small = text.replace("length_x_pc = 1", f"length_x_pc = {scale:.8g}")
        small = small.replace("length_y_pc = 1", f"length_y_pc = {scale:.8g}")
        small = small.replace("displacement_pc = 0.1", f"displacement_pc = {0.1 * scale:.8g}")
        small = small.replace("t_end_kyr = 230", f"t_end_kyr = 1e9\n  run%max_steps = {5 if case.quick else 100}")
        small = small.replace("snapshots = 8", "snapshots = 1")
        for mode in ("exact", "auto"):
            folder = case.folder / f"example_{years:g}_{mode}"
            run_example(small, mode, case.model, folder)
            figures[f"{years:g} {mode}"] = read_summary(folder / "summary.txt")
    return figures


def speed(case: Case) -> Figures:
    """Cells a second and core through the learned step, its gate and its projections."""
    cells, repeats = (200, 3) if case.quick else (int(20_000 * case.share), 9)
    pairs = populations(case)["arbitrary"]
    pairs = pairs.where(np.arange(min(cells, len(pairs))))
    figures: Figures = {}
    for path in case.paths:
        taken = time_of({"learned": case.solver("surrogate", path=path)}, pairs, repeats)["learned"]
        figures[path or "surrogate"] = 1e6 / float(np.median(taken))
    return figures


# --- the tables ------------------------------------------------------------------------------------------------

SECTIONS: dict[str, Callable[[Case], Figures]] = {
    "one step": one_step,
    "gate": gate,
    "outside": outside,
    "small steps": small_steps,
    "speed": speed,
    "time": chemistry_time,
    "rollouts": rollouts,
    "example": example,
}


def measured(case: Case, name: str) -> Figures:
    """A section's figures: those that the folder keeps for this model, or measured now and kept."""
    identity = hashlib.sha256(Path(case.file.path or case.model).read_bytes()).hexdigest()[:16]
    path = case.folder / f"{name.replace(' ', '_')}_{identity}{'_quick' if case.quick else ''}.json"
    if not path.exists():
        figures = SECTIONS[name](case)
        path.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    found: Figures = json.loads(path.read_text(encoding="utf-8"))
    return found


def bound_low(wrong: int, cells: int, comparisons: int) -> float:
    """Lower confidence bound (Clopper-Pearson) of a share, corrected for the number of comparisons."""
    return float(beta.ppf((1.0 - CONFIDENCE) / comparisons, wrong, cells - wrong + 1)) if wrong else 0.0


def say_one_step(say: Table, figures: Figures) -> None:
    """One step without a gate."""
    say("one step, no gate: median / p90 / p99 [dex]")
    for name, paths in figures.items():
        told = "   ".join(f"{path}: {m:.4f} / {p:.3f} / {q:.3f}" for path, (m, p, q) in paths.items())
        say(f"  {name:14s} {told}")


def say_gate(say: Table, figures: Figures) -> None:
    """What the gates accept."""
    say("gates, asked of every cell: share accepted, p99 of those [dex], violations [%], share of exact steps saved")
    for name, found in figures.items():
        if name.endswith("bins"):
            tested = [(b, cells, wrong) for b, (cells, wrong) in found.items() if cells >= FEWEST_IN_BIN]
            bad = [b for b, cells, wrong in tested if bound_low(wrong, cells, len(tested)) > ALPHA]
            say(f"  {name:32s} {len(tested)} bins with {FEWEST_IN_BIN} accepted cells, above alpha: {len(bad)}")
            continue
        accepted = found["accepted"] * found["cells"]
        share = 100.0 * found["wrong"] / accepted if accepted else 0.0
        say(
            f"  {name:32s} {100 * found['accepted']:6.2f} %  p99 {found['p99']:.4f}  wrong {share:.3f} %  "
            f"saved {100 * found['saved']:.1f} %"
        )


def say_time(say: Table, figures: Figures) -> None:
    """Routed against exact."""
    say(
        "chemistry, one core: exact alone over routed, at the same target [us a cell; ratio: min, median, max of pairs]"
    )
    for name, found in figures.items():
        if name.startswith("costs"):
            say(f"  {name}: " + ", ".join(f"{key} {value:.2f}" for key, value in found.items()))
            continue
        low, middle, high = found["gain"]
        say(
            f"  {name:18s} exact {found['exact']:6.2f} (p99 {found['exact p99']:.4f})  routed {found['auto']:6.2f} "
            f"(p99 {found['auto p99']:.4f}, {100 * found['surrogate']:.1f} % learned)  {middle:.2f}x "
            f"[{low:.2f}, {high:.2f}]"
        )


def say_rollouts(say: Table, figures: Figures) -> None:
    """Many steps."""
    say(f"rollouts, {figures['runs']} runs of {figures['steps']} steps: median / p90 / p99 [dex]")
    for name, found in figures.items():
        if name.endswith("served"):
            say(f"  {name:24s} " + ", ".join(f"{label} {100 * share:.2f} %" for label, share in found.items()))
        elif name.endswith("conservation"):
            say(f"  {name:24s} " + ", ".join(f"{q} {defect:.1e}" for q, defect in found.items()))
        elif isinstance(found, list):
            say(f"  {name:24s} " + " / ".join(f"{value:.4f}" for value in found))


def say_example(say: Table, figures: Figures) -> None:
    """The 2-D example."""
    say("2-D example, 128 x 128, one thread, 100 steps [s]: hydro, chemistry; ratio of the chemistry, end to end")
    for years in EXAMPLE_YEARS:
        exact, auto = figures[f"{years:g} exact"], figures[f"{years:g} auto"]
        chemistry, hydro = exact["chemistry_seconds"], exact["hydro_seconds"]
        routed, beside = auto["chemistry_seconds"], auto["hydro_seconds"]
        say(
            f"  dt about {years:g} yr: exact {hydro:.2f} + {chemistry:.2f}, routed {beside:.2f} + {routed:.2f}; "
            f"{chemistry / routed:.2f}x, {(hydro + chemistry) / (beside + routed):.2f}x; "
            f"{100 * auto['surrogate_share']:.2f} % learned"
        )


def say_rest(say: Table, figures: Figures) -> None:
    """A short section as it is."""
    for name, found in figures.items():
        say(f"  {name}: {found}" if isinstance(found, dict) else f"  {name}: {found:,.6g}")


def report(say: Table, case: Case, sections: list[str]) -> None:
    """Measure and say the sections of one model."""
    shown = {
        "one step": say_one_step,
        "gate": say_gate,
        "time": say_time,
        "rollouts": say_rollouts,
        "example": say_example,
    }
    for name in sections:
        figures = measured(case, name)
        if name not in shown:
            say(name)
        shown.get(name, say_rest)(say, figures)
        say()


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="osu_09_2008")
    parser.add_argument("--large", metavar="MODEL", help="of the 137-species network: its rows as well")
    parser.add_argument("--folder", type=Path, default=HERE.parent / "build" / "flow_map")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), default=list(SECTIONS), metavar="SECTION")
    parser.add_argument("--output", type=Path, default=HERE / "results" / "flow_map.txt")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    use_one_core()
    say = Table()
    say(f"the flow map, model {options.model}, one core", *describe_machine(), "")
    report(say, Case(options.model, options.folder, options.quick), options.only)
    if options.large:
        say(f"the same for {Path(options.large).name}", "")
        large = Case(options.large, options.folder / "large", options.quick)
        large.folder.mkdir(exist_ok=True)
        report(say, large, [name for name in options.only if name in ("one step", "gate", "outside", "speed", "time")])
    say.write(options.output)


if __name__ == "__main__":
    main()
