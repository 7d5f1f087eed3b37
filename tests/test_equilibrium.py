"""Equilibrium: closed forms, long integrations, other starts, cells that have none, and the C interface's answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from workload import YEAR_S, Workload, cell_errors, workload

from pychemsurrogate.integrators import NativeRosenbrock, conservation_defect
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.network import Network, parse_network
from pychemsurrogate.solver import Solver
from pychemsurrogate.status import Status

FloatArray = NDArray[np.float64]

EXCHANGE = """pychemsurrogate network 1
name: exchange
source: a closed form
species: A B C
define: A X=1 charge=0 mass_g=1e-24
define: B X=1 charge=0 mass_g=1e-24
define: C X=1 charge=0 mass_g=1e-24
reactions:
A -> B | arrhenius | 3e-10 0 0
B -> A | arrhenius | 1e-10 0 0
B -> C | arrhenius | 5e-8 0 0
C -> B | arrhenius | 2e-8 0 0
"""


def solver_for(network: Network, folder: Path, **options: object) -> Solver:
    model = ModelFile.from_network(network)
    model.write(folder / f"{network.name}.pcs")
    return Solver.load(folder / f"{network.name}.pcs", **options)


@pytest.fixture(scope="module")
def exact() -> Solver:
    return Solver.load("osu_09_2008", mode="exact", threads=1)


@pytest.fixture(scope="module")
def cells(osu: Network) -> Workload:
    return workload(osu, 200, seed=21)


def test_decay_chain_ends_in_its_last_member(decay_chain: Network, tmp_path: Path) -> None:
    n, report = solver_for(decay_chain, tmp_path).equilibrium(np.array([[3.0, 1.0, 0.5]]), 50.0)
    np.testing.assert_allclose(n, [[0.0, 0.0, 4.5]], atol=1e-14)
    assert list(report.status) == [Status.EXACT_REQUESTED]


def test_exchange_ends_where_the_rates_balance(tmp_path: Path) -> None:
    n, report = solver_for(parse_network(EXCHANGE), tmp_path).equilibrium(np.array([[3.0, 1.0, 0.5]]), 50.0)
    balance = np.array([1.0, 3.0, 7.5])  # B = 3 A, C = 2.5 B
    np.testing.assert_allclose(n, 4.5 * balance[None, :] / balance.sum(), rtol=1e-9)
    assert report.ok


def test_as_a_long_integration(exact: Solver, osu: Network, cells: Workload) -> None:
    n, report = exact.equilibrium(cells.n, cells.temperature, zeta=cells.zeta)
    assert set(report.status) == {Status.EXACT_REQUESTED}
    truth, status = NativeRosenbrock(osu, rtol=1e-8, atol=1e-20, max_steps=100_000).advance(
        cells.n, 1e10 * YEAR_S, cells.temperature, cells.conditions
    )
    assert (status > 0).all()
    assert cell_errors(n, truth, osu.tables().scale_weights).max() < 1e-5
    assert conservation_defect(n, cells.n, osu.tables().composition).max() <= 1e-12


def test_start_does_not_matter(exact: Solver, osu: Network) -> None:
    """Ions and atoms, molecules, and a mixture with the same elements and no net charge."""
    starts = np.zeros((3, osu.n_species))
    for start, abundances in zip(
        starts,
        (
            {"H2": 5000.0, "C+": 1.0, "e-": 1.0, "O": 3.0},
            {"H2": 4998.0, "CO": 1.0, "H2O": 2.0},
            {"H": 8000.0, "H2": 999.5, "C": 0.5, "CO": 0.5, "O2": 0.5, "O": 1.0, "H2O": 0.5},
        ),
        strict=True,
    ):
        for name, value in abundances.items():
            start[osu.species_index(name)] = value
    elements = starts @ osu.tables().composition.T
    assert np.array_equal(elements, elements[[0, 0, 0]])
    for temperature in (10.0, 50.0, 200.0):
        n, report = exact.equilibrium(starts, temperature, zeta=1e-16)
        assert report.ok
        spread = cell_errors(n, n[[0, 0, 0]], osu.tables().scale_weights)
        assert spread.max() < 1e-5


def test_equilibrium_stays(exact: Solver, cells: Workload, osu: Network) -> None:
    n, _ = exact.equilibrium(cells.n, cells.temperature, zeta=cells.zeta)
    again, report = exact.equilibrium(n, cells.temperature, zeta=cells.zeta, statistics=True)
    assert report.ok
    assert cell_errors(again, n, osu.tables().scale_weights).max() < 1e-4
    assert report.steps_per_cell is not None
    assert report.steps_per_cell.max() <= 5


def test_no_equilibrium_is_a_status(decay_chain: Network, tmp_path: Path) -> None:
    """A has a mean life of 3e9 s: over 30 times 1e6 s it still changes, over 30 times 1e10 s it is gone."""
    n0 = np.array([[3.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
    solver = solver_for(decay_chain, tmp_path)
    n, report = solver.equilibrium(n0, 50.0, duration=1e6, tolerance=1e-6)
    assert list(report.status) == [Status.NO_EQUILIBRIUM, Status.EXACT_REQUESTED]
    assert np.array_equal(n, n0)
    assert (report.failed, report.exact) == (1, 1)
    assert "longer duration" in report.advice()
    _, report = solver.equilibrium(n0, 50.0, duration=1e10)
    assert report.ok


def test_a_cell_is_alone(exact: Solver, cells: Workload) -> None:
    n0 = cells.n[:20].copy()
    n0[3, 4] = np.nan
    mask = np.ones(20, dtype=bool)
    mask[7] = False
    part = cells[:20]
    n, report = exact.equilibrium(n0, part.temperature, zeta=part.zeta, mask=mask)
    assert report.status[3] == Status.BAD_INPUT
    assert report.status[7] == Status.MASKED
    assert (report.exact, report.failed, report.masked) == (18, 1, 1)
    assert np.array_equal(n[[3, 7]], n0[[3, 7]], equal_nan=True)
    alone, _ = exact.equilibrium(n0[11:12], part.temperature[11], zeta=part.zeta[11])
    assert np.array_equal(alone[0], n[11])
    target = np.asfortranarray(n0)
    result, _ = exact.equilibrium(target, part.temperature, zeta=part.zeta, mask=mask, out=target)
    assert result is target
    assert np.array_equal(target, n, equal_nan=True)


def test_mode_does_not_matter(exact: Solver, cells: Workload) -> None:
    auto = Solver.load("osu_09_2008-multiclock", rtol=1e-2)  # the default of mode exact; that of mode auto is looser
    n, report = auto.equilibrium(cells.n[:9], cells.temperature[:9], zeta=cells.zeta[:9])
    expected, _ = exact.equilibrium(cells.n[:9], cells.temperature[:9], zeta=cells.zeta[:9])
    assert np.array_equal(n, expected)
    assert report.surrogate == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tolerance": 0.0}, "tolerance of an equilibrium"),
        ({"tolerance": float("nan")}, "tolerance of an equilibrium"),
        ({"duration": 0.0}, "duration of an equilibrium"),
        ({"duration": 1e21}, "duration of an equilibrium"),
    ],
)
def test_wrong_settings(exact: Solver, cells: Workload, options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        exact.equilibrium(cells.n, cells.temperature, zeta=cells.zeta, **options)


def test_empty_batch(exact: Solver) -> None:
    n, report = exact.equilibrium(np.zeros((0, len(exact.species))), 50.0, zeta=1e-16)
    assert n.shape == (0, len(exact.species))
    assert report.cells == 0
