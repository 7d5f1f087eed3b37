"""How errors add up: hydro-like runs advanced by the solver, against the exact integrator at tight tolerance.

    python benchmarks/rollout.py [--runs 256] [--steps 100] [--model osu_09_2008]

Relaxed gas; every step is 1e3..1e4 yr long and T and n_H walk by 0.02 and 0.04 dex. Cell error: max over species with
x > 1e-10 of |log10 x - log10 truth|.
"""

from __future__ import annotations

import argparse

import numpy as np

from pychemsurrogate import Solver
from pychemsurrogate.integrators import NativeRosenbrock
from pychemsurrogate.training.sampling import YEAR_S, Ranges, initial_abundances, log_uniform

X_MIN = 1e-10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="osu_09_2008")
    parser.add_argument("--runs", type=int, default=256)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--min-oxygen-per-carbon", type=float, default=0.7)
    options = parser.parse_args()

    solvers = {mode: Solver.load(options.model, mode=mode) for mode in ("auto", "surrogate", "exact")}
    network = solvers["auto"].network
    truth = NativeRosenbrock(network, rtol=1e-4, atol=1e-18)
    rng, runs = np.random.default_rng(options.seed), options.runs
    ranges = Ranges(
        temperature=(10.0, 300.0),
        density=(1e2, 1e6),
        ratios={"C/H": (5e-7, 5e-4), "O/C": (options.min_oxygen_per_carbon, 5.0)},
    )
    temperature, density = log_uniform(rng, ranges.temperature, runs), log_uniform(rng, ranges.density, runs)
    zeta = log_uniform(rng, ranges.conditions["zeta"], runs)

    x = initial_abundances(network.tables(), ranges, runs, rng)
    rest = YEAR_S * log_uniform(rng, (1e4, 1e6), runs)
    n, _ = truth.advance(x * density[:, None], rest, temperature, {"zeta": zeta})
    x = n / density[:, None]
    states = dict.fromkeys(solvers, x)
    served = 0
    print("| steps | mode | median | p90 | p99 | max | surrogate |")
    print("|---|---|---|---|---|---|---|")
    for step in range(1, options.steps + 1):
        temperature = np.clip(temperature * 10 ** rng.normal(0.0, 0.02, runs), *ranges.temperature)
        density = np.clip(density * 10 ** rng.normal(0.0, 0.04, runs), *ranges.density)
        dt = YEAR_S * log_uniform(rng, (1e3, 1e4), runs)
        n, _ = truth.advance(x * density[:, None], dt, temperature, {"zeta": zeta})
        x = n / density[:, None]
        for mode, solver in solvers.items():
            n, report = solver.step(states[mode] * density[:, None], dt, temperature, zeta=zeta)
            states[mode] = n / density[:, None]
            served += report.surrogate if mode == "auto" else 0
        if step in (1, 3, 10, 30, 100, 300, 1000) or step == options.steps:
            for mode, state in states.items():
                error = np.abs(np.log10(np.maximum(state, 1e-30)) - np.log10(np.maximum(x, 1e-30)))
                cell = np.where(x > X_MIN, error, 0.0).max(axis=1)
                median, p90, p99 = np.percentile(cell, [50, 90, 99])
                share = f"{100 * served / (step * runs):.1f} %" if mode == "auto" else ""
                print(f"| {step} | {mode} | {median:.4f} | {p90:.3f} | {p99:.3f} | {cell.max():.2f} | {share} |")


if __name__ == "__main__":
    main()
