"""Straight-line kernels against the tables that they were written from."""

from __future__ import annotations

import numpy as np
import pytest
from native_build import MODEL
from workload import YEAR_S, Workload, cell_errors, workload

from pychemsurrogate import _native
from pychemsurrogate.integrators import NativeRosenbrock
from pychemsurrogate.network import Network, parse_network


def pair(network: Network, **options: float) -> tuple[NativeRosenbrock, NativeRosenbrock]:
    """The same integrator on straight-line code and on tables."""
    auto, tables = NativeRosenbrock(network, **options), NativeRosenbrock(network, **options)
    tables._solver.set_option("kernels", "tables")
    return auto, tables


@pytest.fixture(scope="module")
def cells(osu: Network) -> Workload:
    return workload(osu, 400, seed=21)


def test_the_shipped_network_has_code_and_others_do_not(osu: Network, decay_chain: Network) -> None:
    def has_code(network: Network) -> bool:
        return NativeRosenbrock(network)._solver.has_code

    assert has_code(osu)
    assert not has_code(decay_chain)
    # Other rate coefficients are no other structure; another product is.
    text = osu.text()
    line = next(line for line in text.splitlines() if line.startswith("CH + H+ -> CH+ + H"))
    for old, new, same in (("1.4e-08", "1.5e-08", True), ("CH+ + H ", "C+ + H2 ", False)):
        assert old in line
        assert has_code(parse_network(text.replace(line, line.replace(old, new)))) is same


def test_one_step_is_the_same_to_round_off(osu: Network, cells: Workload) -> None:
    auto, tables = pair(osu)
    n, status = auto.advance(cells.n, 1e-3 * YEAR_S, cells.temperature, cells.conditions)
    n_tables, status_tables = tables.advance(cells.n, 1e-3 * YEAR_S, cells.temperature, cells.conditions)
    assert np.array_equal(status, status_tables)
    scale = np.maximum(n_tables, 1e-15 * n_tables.sum(1, keepdims=True))
    assert np.max(np.abs(n - n_tables) / scale) <= 1e-11


@pytest.mark.parametrize("rtol", [1e-2, 1e-4])
def test_integrations_agree_within_a_tenth_of_the_tolerance(osu: Network, cells: Workload, rtol: float) -> None:
    auto, tables = pair(osu, rtol=rtol)
    n, _ = auto.advance(cells.n, cells.dt, cells.temperature, cells.conditions)
    n_tables, _ = tables.advance(cells.n, cells.dt, cells.temperature, cells.conditions)
    error = cell_errors(n, n_tables, osu.tables().scale_weights)
    assert np.quantile(error, 0.99) <= 0.1 * rtol / np.log(10)


def test_unknown_kernels() -> None:
    with pytest.raises(ValueError, match="auto, tables"):
        _native.Solver.open(str(MODEL)).set_option("kernels", "fast")
