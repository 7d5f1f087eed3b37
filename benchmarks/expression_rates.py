#!/usr/bin/env python3
"""What rates that are formulas cost: the shipped network with its closed laws, and with every rate as a formula.

Usage: python benchmarks/expression_rates.py [--cells N] [--repeats N] [--seed N]

One core. Cells/s of the native integrator (in turns, median of the repeats) on the two workloads of workload.py, by the
library's straight-line kernels and by its tables, and the time of a call so short (1 s) that one step does. Spellings:
`closed`: the laws as shipped; `formulas`: alpha*(T/300)**beta*exp(-gamma/T), whose logarithm all share; `fits`: two
body rates as polynomials in ln T_e of degree 8, as collision rates of primordial gas are given. Times are the
processor's.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from machine import Table, describe_machine, timed, use_one_core
from workload import Workload, workload

from pychemsurrogate import _native
from pychemsurrogate.integrators import NativeRosenbrock
from pychemsurrogate.network import Network, load_network
from pychemsurrogate.network.formula.parse import parse
from pychemsurrogate.network.formula.tree import name
from pychemsurrogate.network.rate_laws import expression_law

HERE = Path(__file__).resolve().parent


def as_formulas(network: Network, degree: int = 0) -> Network:
    """A network of Arrhenius and cosmic-ray rates with formulas for rates; with a degree, those of two bodies times
    exp(1e-9 (x^degree + ... + x^2)), x = ln T_e in eV: as many operations as a fit has, and nearly the same value."""
    fit = "+".join(f"{1 + k / 10}d0*log(T*8.617343d-5)**{k}" for k in range(2, degree + 1))
    reactions = []
    for number, r in enumerate(network.reactions):
        alpha, *rest = r.parameters
        text = f"{alpha}*zeta" if not rest else f"{alpha}*(T/300)**({rest[0]})*exp(-({rest[1]})/T)"
        if degree and rest:
            text += f"*exp({1 + number / 100}d-9*({fit}))"
        reactions.append(replace(r, law=expression_law(parse(text, name)), parameters=()))
    return Network(network.name, network.species, reactions, network.conditions, network.source)


def compare(
    networks: dict[str, Network], cells: Workload, kernels: str, repeats: int
) -> dict[str, tuple[float, float]]:
    """(Cells/s, microseconds a cell of a call with dt so short that one step does) for each spelling."""
    solvers = {label: NativeRosenbrock(net, threads=1, kernels=kernels) for label, net in networks.items()}
    times: dict[str, list[list[float]]] = {label: [[], []] for label in solvers}
    for _ in range(repeats):
        for label, solver in solvers.items():
            for kind, dt in enumerate((cells.dt, np.full_like(cells.dt, 1.0))):
                (_, status), seconds = timed(solver.advance, cells.n, dt, cells.temperature, cells.conditions)
                if (status < 0).any():
                    raise SystemExit(f"{label}: a cell failed")
                times[label][kind].append(seconds)
    count = len(cells.n)
    return {label: (count / np.median(t[0]), 1e6 * np.median(t[1]) / count) for label, t in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=HERE / "results" / "expression_rates.txt")
    chosen = parser.parse_args()
    use_one_core()
    osu = load_network("osu_09_2008")
    networks = {"closed": osu, "formulas": as_formulas(osu), "fits": as_formulas(osu, 8)}
    sizes = {label: len(net.tables().expression_code) for label, net in networks.items()}
    say = Table()
    say("Rates that are formulas against closed laws, one core (python benchmarks/expression_rates.py)")
    say(*describe_machine())
    say(f"instruction set {_native.isa()}; rtol 1e-2")
    say(f"{chosen.cells} cells, {chosen.repeats} repeats, seed {chosen.seed}")
    say("kernels   spelling   operations   cells/s  of closed   one-step call [us/cell]")
    cells = workload(osu, chosen.cells, seed=chosen.seed)
    for kernels in ("auto", "tables"):
        rows = compare(networks, cells, kernels, chosen.repeats)
        for label, (speed, short) in rows.items():
            gain = speed / rows["closed"][0]
            say(f"{kernels:9s} {label:10s} {sizes[label]:10d} {speed:9.0f} {gain:10.3f} {short:14.2f}")
    say.write(chosen.output)


if __name__ == "__main__":
    main()
