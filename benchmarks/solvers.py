"""The solvers that benchmarks compare: each is made for a network and tolerances, takes a workload, gives an Answer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from cvode import Cvode
from workload import Answer, Workload

from pychemsurrogate.integrators import ScipyBDF, open_network
from pychemsurrogate.network import Network

Advance = Callable[[Workload], Answer]


def native(network: Network, rtol: float, atol: float = 1e-15) -> Advance:
    """The native Rosenbrock method on one thread."""
    solver = open_network(network)
    for key, value in {"rtol": rtol, "atol": atol, "threads": 1, "max_steps": 100_000}.items():
        solver.set_option(key, str(value))

    def advance(cells: Workload) -> Answer:
        n, status = cells.n.copy(), np.zeros(len(cells), np.int8)
        conditions = np.stack([cells.conditions[name] for name in network.conditions], axis=1)
        report = solver.step(n, cells.dt, cells.temperature, conditions, status)
        steps = int(report["steps"])
        return Answer(n, steps, steps, int(report["failed"]))

    return advance


def cvode(driver: Cvode, rtol: float, atol: float, dense: bool = False) -> Advance:
    """CVODE's BDF with the analytic Jacobian, sparse for KLU or dense."""
    return lambda cells: driver.advance(cells, rtol, atol, dense)


def scipy_bdf(network: Network, rtol: float, atol: float) -> Advance:
    """scipy's BDF, cell by cell, with numpy rates and the analytic dense Jacobian."""
    integrator = ScipyBDF(network, rtol, atol)

    def advance(cells: Workload) -> Answer:
        n, status = integrator.advance(*cells.given)
        return Answer(n, None, None, int(np.sum(status < 0)))

    return advance
