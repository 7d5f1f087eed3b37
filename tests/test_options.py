"""target_error_dex keeps its promise; statistics count what the totals say."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from workload import Workload, cell_errors, workload

from pychemsurrogate.integrators import NativeRosenbrock
from pychemsurrogate.network import Network
from pychemsurrogate.solver import Solver
from pychemsurrogate.status import Status


@pytest.fixture(scope="module")
def cells(osu: Network) -> Workload:
    return workload(osu, 600, seed=77)  # benchmarks/error_table.py measured others


@pytest.fixture(scope="module")
def truth(osu: Network, cells: Workload) -> NDArray[np.float64]:
    integrator = NativeRosenbrock(osu, rtol=1e-9, atol=1e-22, max_steps=10**6)
    n, status = integrator.advance(cells.n, cells.dt, cells.temperature, cells.conditions)
    assert (status > 0).all()
    return n


@pytest.mark.parametrize("target", [0.1, 0.01, 1e-3, 1e-4, 1e-5])
def test_target_error_is_kept(osu: Network, cells: Workload, truth: NDArray[np.float64], target: float) -> None:
    solver = Solver.load("osu_09_2008", mode="exact", target_error_dex=target, max_steps=20_000)
    n, report = solver.step(cells.n, cells.dt, cells.temperature, zeta=cells.zeta)
    assert report.ok
    p99 = np.quantile(cell_errors(n, truth, osu.tables().scale_weights), 0.99)
    assert p99 <= target
    assert p99 >= 0.05 * target  # and it does not cost more than it must


@pytest.mark.parametrize("other", [{"rtol": 1e-3}, {"atol": 1e-16}, {"rtol": 1e-3, "atol": 1e-16}])
def test_target_error_excludes_tolerances(other: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="set it or them, not both"):
        Solver.load("osu_09_2008", mode="exact", target_error_dex=0.01, **other)


@pytest.mark.parametrize("target", [0.0, -1.0, 1e-7, 2.0, float("nan")])
def test_target_error_out_of_range(target: float) -> None:
    with pytest.raises(ValueError, match=r"target_error_dex .* must be a number between 1e-06 and 1"):
        Solver.load("osu_09_2008", mode="exact", target_error_dex=target)


@pytest.mark.parametrize("engine", ["native", "torch"])
@pytest.mark.parametrize("mode", ["exact", "auto"])
def test_statistics_add_up(cells: Workload, mode: str, engine: str) -> None:
    if engine == "torch":
        pytest.importorskip("torch")
    part = cells[:80]
    n0 = part.n.copy()
    n0[5, 3] = np.nan
    mask = np.ones(80, dtype=bool)
    mask[9] = False
    solver = Solver.load("osu_09_2008", mode=mode, engine=engine)
    plain, without = solver.step(n0, part.dt, part.temperature, zeta=part.zeta, mask=mask)
    n, report = solver.step(n0, part.dt, part.temperature, zeta=part.zeta, mask=mask, statistics=True)
    assert without.steps_per_cell is None
    assert np.array_equal(n, plain, equal_nan=True)
    steps, rejected, factorisations = (
        report.steps_per_cell,
        report.rejected_per_cell,
        report.factorisations_per_cell,
    )
    assert steps is not None
    assert rejected is not None
    assert factorisations is not None
    assert steps.sum() == report.steps
    assert rejected.sum() == report.rejected_steps
    assert ((steps > 0) == (report.status >= Status.EXACT_REQUESTED)).all()
    assert (factorisations <= steps).all()
    assert ((factorisations > 0) == (steps > 0)).all()
    assert (rejected < np.maximum(steps, 1)).all()


def test_statistics_of_a_cell_do_not_depend_on_its_neighbours(cells: Workload) -> None:
    solver = Solver.load("osu_09_2008", mode="exact")
    _, together = solver.step(cells.n, cells.dt, cells.temperature, zeta=cells.zeta, statistics=True)
    one = cells[17:18]
    _, alone = solver.step(one.n, one.dt, one.temperature, zeta=one.zeta, statistics=True)
    assert together.steps_per_cell is not None
    assert alone.steps_per_cell is not None
    assert alone.steps_per_cell[0] == together.steps_per_cell[17]


def test_second_try_counts_both(cells: Workload) -> None:
    part = cells[:40]
    once = Solver.load("osu_09_2008", mode="exact", max_steps=2)
    _, report = once.step(part.n, part.dt, part.temperature, zeta=part.zeta, statistics=True)
    second = report.status == Status.EXACT_SECOND_TRY
    assert second.any()
    assert report.steps_per_cell is not None
    assert (report.steps_per_cell[second] > 2).all()
