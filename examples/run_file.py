"""What a run of a host counts, prints and saves: the same for PyClaw and pyro2."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pychemsurrogate.status import STATUS_MESSAGES, Status

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pychemsurrogate import Solver
    from pychemsurrogate.solver.report import Report


@dataclass
class Tally:
    """What the chemistry did in a run, over the cells of a grid with ghost cells.

    interior: (x, y) int8, 1 in real cells; statuses: cell steps by status; integrator_steps, learned: (x, y), the exact
    integrator's steps and the steps of a learned path; repaired: cells whose input was mended. Seconds are the
    processor's, all threads together, from the end of the first step on (in which pyro2 compiles and the router
    measures its costs): seconds_coupling of all that the chemistry asks for, seconds_library of the solver's call.
    """

    interior: NDArray[np.int8]
    statuses: Counter[int] = field(default_factory=Counter)
    calls: int = 0
    repaired: int = 0
    seconds_coupling: float = 0.0
    seconds_library: float = 0.0
    started: float = field(default_factory=time.process_time)

    def __post_init__(self) -> None:
        self.integrator_steps = np.zeros(self.interior.shape, dtype=np.int64)
        self.learned = np.zeros(self.interior.shape, dtype=np.int64)

    def count(self, report: Report, order: str, started: float, called: float) -> None:
        """Add a step that has just ended; a cell that was not served ends the run.

        order: of the cells in the host's array, "C" or "F"; started, called: time.process_time() when the coupling
        began and when the solver was called.
        """
        now = time.process_time()
        if not report.ok:
            raise RuntimeError(report.advice())
        status = report.status.reshape(self.interior.shape, order=order)
        self.statuses.update(status[self.interior > 0].tolist())
        self.integrator_steps += report.steps_per_cell.reshape(self.interior.shape, order=order)
        self.learned += status == Status.SURROGATE
        self.calls += 1
        self.repaired += report.repaired
        if self.calls == 1:
            self.started = now
        else:
            self.seconds_coupling += now - started
            self.seconds_library += now - called

    def inner(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """The real cells of an array on the grid with ghost cells."""
        rows, columns = self.interior.any(axis=1), self.interior.any(axis=0)
        return values[np.ix_(rows, columns)]


def write_run(
    path: str,
    n_h: NDArray[np.float64],
    temperature_k: NDArray[np.float64],
    n: NDArray[np.float64],
    chemistry: Solver,
    tally: Tally,
    time_kyr: float,
    extent_pc: list[float],
) -> None:
    """Save the fields of a run and print its table. n_h, temperature_k (x, y); n (species, x, y), cm^-3 and K."""
    seconds_gas = time.process_time() - tally.started - tally.seconds_coupling
    totals = np.einsum("es,sxy->exy", chemistry.network.tables().composition, n)
    ions = np.einsum("s,sxy->xy", np.abs(chemistry.network.tables().composition[-1]), n)
    per_h = totals[:-1] / n_h
    spread = np.ptp(per_h, axis=(1, 2)) / per_h.mean(axis=(1, 2))
    elements = chemistry.network.tables().conserved[:-1]
    print(f"{n_h.shape[0]} x {n_h.shape[1]} cells, {tally.calls} steps to {time_kyr:g} kyr")
    for status, count in sorted(tally.statuses.items()):
        print(f"{count / tally.statuses.total():9.4%} of the cell steps: {STATUS_MESSAGES[Status(status)]}")
    seconds_around = tally.seconds_coupling - tally.seconds_library
    print(
        f"processor: {seconds_gas:.1f} s gas, {tally.seconds_library:.1f} s chemistry, {seconds_around:.1f} s around it"
    )
    print(f"n_H {n_h.min():.3g} .. {n_h.max():.3g} cm^-3, T {temperature_k.min():.3g} .. {temperature_k.max():.3g} K")
    print("elements per H nucleus differ between cells by", dict(zip(elements, spread.tolist(), strict=True)))
    print(f"net charge over charges {np.abs(totals[-1] / ions).max():.1e}; lowest abundance {(n / n_h).min():.1e}")
    print(f"inputs repaired: {tally.repaired}")
    for name in ("CO", "C", "C+", "e-", "OH", "H2O"):
        print(f"mean {name}/H {n[chemistry.index(name)].sum() / n_h.sum():.4e}")
    np.savez_compressed(
        path,
        n_H=n_h,
        temperature_K=temperature_k,
        n=n,
        species=np.array(chemistry.species),
        elements=np.array(elements),
        totals=totals,
        integrator_steps=tally.inner(tally.integrator_steps),
        learned=tally.inner(tally.learned),
        calls=tally.calls,
        repaired=tally.repaired,
        statuses=np.array(sorted(tally.statuses.items())).reshape(-1, 2),
        seconds=np.array([seconds_gas, tally.seconds_coupling, tally.seconds_library]),
        time_kyr=time_kyr,
        extent_pc=np.array(extent_pc),
    )
