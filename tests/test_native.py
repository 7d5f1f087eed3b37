"""The native integrator: known answers, every cell on its own, conservation, and what it promises for bad input."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace

import numpy as np
import pytest
from conftest import Published
from numpy.typing import NDArray
from workload import YEAR_S, Workload, cell_errors, workload

from pychemsurrogate import _native
from pychemsurrogate.integrators import NativeRosenbrock, ScipyBDF, conservation_defect, open_network
from pychemsurrogate.network import Network
from pychemsurrogate.status import Status

FloatArray = NDArray[np.float64]
Result = tuple[FloatArray, NDArray[np.int8]]
WIDEST = 8  # doubles in the widest vector

# Tight enough to be the truth for whatever is looked at here; test_truth_is_scipys holds it against scipy.
TRUTH = {"rtol": 1e-7, "atol": 1e-21, "max_steps": 100_000}


def advance(integrator: NativeRosenbrock, cells: Workload) -> Result:
    return integrator.advance(cells.n, cells.dt, cells.temperature, cells.conditions)


def joined(*parts: Workload) -> Workload:
    columns = (np.concatenate([getattr(part, name) for part in parts]) for name in ("n", "dt", "temperature"))
    return Workload(*columns, {"zeta": np.concatenate([part.zeta for part in parts])})


def assert_same_bits(a: NDArray[np.generic], b: NDArray[np.generic]) -> None:
    assert a.shape == b.shape
    assert a.tobytes() == b.tobytes()


@pytest.fixture(scope="module")
def cells(osu: Network) -> Workload:
    return workload(osu, 1000, seed=20)


@pytest.fixture(scope="module")
def truth(osu: Network, cells: Workload) -> FloatArray:
    n, status = advance(NativeRosenbrock(osu, **TRUTH), cells)
    assert set(status) == {Status.EXACT_REQUESTED}
    return n


@pytest.fixture(scope="module")
def weights(osu: Network) -> FloatArray:
    return osu.tables().scale_weights


# --- known answers ----------------------------------------------------------------------------------------------------


def test_rhs_is_the_networks(osu: Network, cells: Workload) -> None:
    solver, tables = open_network(osu), osu.tables()
    for i in range(0, len(cells), 20):
        n, T, zeta = cells.n[i], float(cells.temperature[i]), float(cells.zeta[i])
        k = osu.rate_coefficients(T, {"zeta": zeta})
        rates = k * np.append(n, 1.0)[tables.reactants].prod(axis=1)
        gross = np.zeros(osu.n_species)  # production and loss together: what round-off is relative to
        for slot in (*tables.reactants.T, *tables.products.T):
            np.add.at(gross, slot[slot >= 0], rates[slot >= 0])
        native = solver.rhs(n, T, np.array([zeta]))
        assert np.all(np.abs(native - osu.rhs(n, k)) <= 1e-13 * gross)
        assert np.any(native != 0)


def test_truth_is_scipys(osu: Network, cells: Workload, truth: FloatArray, weights: FloatArray) -> None:
    some = slice(0, 40)
    part = cells[some]
    reference, status = ScipyBDF(osu, rtol=1e-9, atol=1e-24).advance(part.n, part.dt, part.temperature, part.conditions)
    assert set(status) == {Status.EXACT_SCIPY}
    assert cell_errors(truth[some], reference, weights).max() < 1e-6


def test_default_tolerance(osu: Network, cells: Workload, truth: FloatArray, weights: FloatArray) -> None:
    n, status = advance(NativeRosenbrock(osu), cells)
    assert set(status) == {Status.EXACT_REQUESTED}
    errors = cell_errors(n, truth, weights)
    assert np.median(errors) < 1e-3
    assert np.quantile(errors, 0.99) <= 0.02


def test_tight_tolerance(osu: Network, cells: Workload, truth: FloatArray, weights: FloatArray) -> None:
    n, _ = advance(NativeRosenbrock(osu, rtol=1e-6, atol=1e-20), cells)
    assert cell_errors(n, truth, weights).max() <= 1e-5


@pytest.mark.parametrize(("rtol", "atol", "limit"), [(1e-2, 1e-15, 0.02), (1e-6, 1e-20, 2e-5)])
def test_published_trajectories(
    osu: Network, published: Published, weights: FloatArray, rtol: float, atol: float, limit: float
) -> None:
    trajectories, times, species = published.log10_n.shape
    n, _ = NativeRosenbrock(osu, rtol=rtol, atol=atol).advance(
        np.repeat(published.n0, times, axis=0),
        np.tile(published.times, trajectories),
        published.temperature,
        {"zeta": published.zeta},
    )
    errors = cell_errors(n, 10.0 ** published.log10_n.reshape(-1, species), weights)
    assert np.quantile(errors, 0.99) <= limit


def test_decay_chain_closed_form(decay_chain: Network) -> None:
    k1, k2 = decay_chain.rate_coefficients(50.0, {})
    times = np.geomspace(1e6, 1e10, 20)
    n, status = NativeRosenbrock(decay_chain, rtol=1e-9, atol=1e-20).advance(
        np.tile([7.0, 0.0, 0.0], (20, 1)), times, 50.0, {}
    )
    assert set(status) == {Status.EXACT_REQUESTED}
    a = 7.0 * np.exp(-k1 * times)
    b = 7.0 * k1 / (k2 - k1) * (np.exp(-k1 * times) - np.exp(-k2 * times))
    c = 7.0 * (1.0 + (k1 * np.expm1(-k2 * times) - k2 * np.expm1(-k1 * times)) / (k2 - k1) - 1.0)
    np.testing.assert_allclose(n, np.stack([a, b, c], axis=1), rtol=2e-8)


def test_robertson(robertson: Network) -> None:
    # Mazzia & Magherini 2008, Test Set for IVP Solvers, release 2.4, problem ROBER, t = 1e11 s.
    n, _ = NativeRosenbrock(robertson, rtol=1e-6, atol=1e-20, max_steps=10_000).advance(
        [[1.0, 0.0, 0.0]] * 2, [1e11, 4e11], 300.0, {}
    )
    np.testing.assert_allclose(n[0], [2.083340149701255e-8, 8.333360770334713e-14, 0.9999999791665050], rtol=1e-5)
    # For y_C -> 1: y_B = k1 y_A / k3 and dy_A/dt = -k2 y_B^2, so y_A -> 1 / (4.8e-4 t).
    np.testing.assert_allclose(n[1, 0], 1.0 / (4.8e-4 * 4e11), rtol=1e-4)


def test_order_of_rodas4(decay_chain: Network) -> None:
    """The error falls with the fourth power of the mean step size."""
    k1, k2 = decay_chain.rate_coefficients(50.0, {})
    time = 3e9
    b = k1 / (k2 - k1) * (np.exp(-k1 * time) - np.exp(-k2 * time))
    exact = np.array([np.exp(-k1 * time), b, 1.0 - np.exp(-k1 * time) - b])
    steps, errors = [], []
    for rtol in (1e-5, 1e-6, 1e-7, 1e-8):
        solver = open_network(decay_chain)
        solver.set_option("rtol", str(rtol))
        solver.set_option("atol", str(1e-5 * rtol))
        n, status = np.array([[1.0, 0.0, 0.0]]), np.zeros(1, np.int8)
        report = solver.step(n, np.array([time]), np.array([50.0]), np.zeros((1, 0)), status)
        steps.append(report["steps"])
        errors.append(np.abs(n[0] / exact - 1.0).max())
    order = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert 3.7 < order < 4.6


# --- a cell's answer belongs to that cell -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def together(osu: Network, cells: Workload) -> Result:
    return advance(NativeRosenbrock(osu, threads=1), cells)


def test_invariance_permuted(osu: Network, cells: Workload, together: Result) -> None:
    order = np.random.default_rng(1).permutation(len(cells))
    n, status = advance(NativeRosenbrock(osu), cells[order])
    assert_same_bits(n, together[0][order])
    assert_same_bits(status, together[1][order])


def test_invariance_split(osu: Network, cells: Workload, together: Result) -> None:
    integrator = NativeRosenbrock(osu)
    for cuts in ([1], [3, 4, 11], [100, 650]):
        edges = [0, *cuts, len(cells)]
        parts = [advance(integrator, cells[a:b])[0] for a, b in itertools.pairwise(edges)]
        assert_same_bits(np.concatenate(parts), together[0])


def test_invariance_padded(osu: Network, cells: Workload, together: Result) -> None:
    # Neighbours that need many steps, fail, or are left alone.
    hard = replace(cells[:40], temperature=np.full(40, 300.0), dt=np.full(40, 1e6 * YEAR_S))
    failing = replace(cells[:7], temperature=np.full(7, np.nan))
    still = replace(cells[:5], dt=np.zeros(5))
    n, _ = advance(NativeRosenbrock(osu), joined(hard, cells[:60], failing, still, cells[60:]))
    assert_same_bits(np.concatenate([n[40:100], n[112:]]), together[0])


@pytest.mark.parametrize("size", range(1, 2 * WIDEST + 2))
def test_invariance_batch_size(osu: Network, cells: Workload, together: Result, size: int) -> None:
    n, _ = advance(NativeRosenbrock(osu), cells[:size])
    assert_same_bits(n, together[0][:size])


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_invariance_thread_count(osu: Network, cells: Workload, together: Result, threads: int) -> None:
    n, status = advance(NativeRosenbrock(osu, threads=threads), cells)
    assert_same_bits(n, together[0])
    assert_same_bits(status, together[1])


def test_invariance_called_from_many_threads(osu: Network, cells: Workload, together: Result) -> None:
    integrator = NativeRosenbrock(osu, threads=2)
    edges = [(0, 1000), (0, 133), (7, 300), (200, 201), (50, 900), (0, 1000)]
    with ThreadPoolExecutor(len(edges)) as pool:
        results = list(pool.map(lambda edge: advance(integrator, cells[slice(*edge)])[0], edges))
    for (a, b), n in zip(edges, results, strict=True):
        assert_same_bits(n, together[0][a:b])


@pytest.mark.parametrize(
    "view",
    [
        lambda n: np.asfortranarray(n),
        lambda n: np.repeat(np.repeat(n, 2, axis=0), 3, axis=1)[::2, ::3],
        lambda n: np.ascontiguousarray(n[::-1, ::-1])[::-1, ::-1],
    ],
    ids=["species outermost", "gaps", "negative strides"],
)
def test_invariance_strides(
    osu: Network, cells: Workload, together: Result, view: Callable[[FloatArray], FloatArray]
) -> None:
    n, status = view(cells.n.copy()), np.zeros(len(cells), np.int8)
    open_network(osu).step(n, cells.dt, cells.temperature, cells.zeta[:, None], status)
    assert_same_bits(np.ascontiguousarray(n), together[0])


# --- conservation and positivity on unusual states --------------------------------------------------------------------


def state(osu: Network, **abundances: float) -> FloatArray:
    """One cell in cm^-3; `e` is the electron, `Cp` stands for C+."""
    n = np.zeros(osu.n_species)
    for name, value in abundances.items():
        n[osu.species_index({"e": "e-"}.get(name, name.replace("p", "+")))] = value
    return n


def unusual_states(osu: Network, cells: Workload) -> FloatArray:
    alone = np.diag(np.full(osu.n_species, 1e4))
    alone = alone[alone @ osu.tables().scale_weights > 0]  # without H nuclei there is no n_H
    made = [
        state(osu, H2=1e4),
        state(osu, H=1e3, e=1.0, Hp=1.0),
        state(osu, H2=1e4, O=1.0),  # no carbon
        state(osu, H2=1e4, C=1.0),  # no oxygen
        state(osu, H2=1e4, CO=1.0),
        state(osu, H2=1e4, Cp=1.0, O=2.0),  # no electrons: net charge
        state(osu, H2=1e4, C=1.0, O=2.0, e=0.5),  # net charge below 0
        state(osu, H2=1e2, C=1e3, O=1e3),  # more metals than hydrogen
        state(osu, H=1e-6, e=1e-9, Hp=1e-9),
        state(osu, H2=1e12, C=1e7, O=1e8),
    ]
    some = cells.n[:64]
    zeros = np.where(np.random.default_rng(2).random(some.shape) < 0.3, 0.0, some)
    zeros[:, osu.species_index("H2")] = some[:, osu.species_index("H2")]
    return np.concatenate([alone, made, zeros, 1e-5 * some, 1e5 * some])


@pytest.mark.parametrize("rtol", [1e-2, 1e-6])
@pytest.mark.parametrize("dt_yr", [1e-3, 1e2, 1e6])
def test_conservation_of_unusual_states(osu: Network, cells: Workload, dt_yr: float, rtol: float) -> None:
    n0 = unusual_states(osu, cells)
    n, status = NativeRosenbrock(osu, rtol=rtol).advance(n0, dt_yr * YEAR_S, 35.0, {"zeta": 1e-16})
    assert conservation_defect(n, n0, osu.tables().composition).max() <= 1e-12
    assert np.all(n >= 0)
    assert np.all(np.isfinite(n))
    solved = status >= 0
    assert np.mean(solved) > 0.9
    assert_same_bits(n[~solved], n0[~solved])
    # An element that is not there is not made.
    for name, row in zip(osu.elements, osu.tables().composition, strict=False):
        absent = solved & (n0 @ row == 0)
        assert absent.any() or name == "H"
        assert np.all(n[absent] @ row == 0)


def test_conservation_of_the_workload(osu: Network, cells: Workload, together: Result) -> None:
    n, _ = together
    assert conservation_defect(n, cells.n, osu.tables().composition).max() <= 1e-12
    assert np.all(n > 0)


def jumped(cells: Workload) -> Workload:
    rng = np.random.default_rng(3)
    heat = 10.0 ** rng.uniform(1.0, 1.5, len(cells))
    return replace(cells, temperature=cells.temperature * heat, n=4.0 * cells.n)


def noisy(cells: Workload) -> Workload:
    return replace(cells, n=cells.n * 10.0 ** np.random.default_rng(4).normal(0.0, 0.3, cells.n.shape))


def cold_start(cells: Workload) -> Workload:
    n = np.where(cells.n > 1e-7 * cells.n.sum(axis=1, keepdims=True), cells.n, 0.0)
    return replace(cells, n=n, dt=np.resize(np.geomspace(1.0, 1e6, 40) * YEAR_S, len(cells)))


@pytest.mark.parametrize(("change", "p99"), [(jumped, 0.1), (noisy, 0.03), (cold_start, 0.03)])
def test_stressed_cells(
    osu: Network, cells: Workload, weights: FloatArray, change: Callable[[Workload], Workload], p99: float
) -> None:
    stressed = change(cells[:200])
    n, status = advance(NativeRosenbrock(osu), stressed)
    assert set(status) == {Status.EXACT_REQUESTED}
    assert np.all(n >= 0)
    assert conservation_defect(n, stressed.n, osu.tables().composition).max() <= 1e-12
    reference, solved = advance(NativeRosenbrock(osu, **TRUTH), stressed)
    assert set(solved) == {Status.EXACT_REQUESTED}
    assert np.quantile(cell_errors(n, reference, weights), 0.99) <= p99


# --- cells that cannot be advanced ------------------------------------------------------------------------------------

PAYLOAD = np.array([0x7FF8_0000_DEAD_BEEF], dtype=np.uint64).view(np.float64)[0]


@pytest.mark.parametrize(
    ("where", "value", "expected"),
    [
        ("n", np.nan, Status.BAD_INPUT),
        ("n", PAYLOAD, Status.BAD_INPUT),
        ("n", np.inf, Status.BAD_INPUT),
        ("n", -np.inf, Status.BAD_INPUT),
        ("n", -1e-30, Status.BAD_INPUT),
        ("temperature", np.nan, Status.BAD_INPUT),
        ("temperature", np.inf, Status.BAD_INPUT),
        ("temperature", 0.0, Status.BAD_INPUT),
        ("temperature", -10.0, Status.BAD_INPUT),
        ("temperature", 1e-3, Status.UNSUPPORTED),
        ("temperature", 1e8, Status.UNSUPPORTED),
        ("dt", np.nan, Status.BAD_INPUT),
        ("dt", np.inf, Status.BAD_INPUT),
        ("dt", -1.0, Status.BAD_INPUT),
        ("dt", 1e25, Status.UNSUPPORTED),
        ("zeta", np.nan, Status.BAD_INPUT),
        ("zeta", np.inf, Status.BAD_INPUT),
        ("zeta", -1e-17, Status.BAD_INPUT),
    ],
)
def test_bad_cell_keeps_its_bits(
    osu: Network, cells: Workload, together: Result, where: str, value: float, expected: Status
) -> None:
    batch = joined(cells[:30])
    column = getattr(batch, where)
    bad = [0, 13, 29]
    column[(bad, 5) if where == "n" else bad] = value
    batch.n[bad, 7] = -0.0  # is not negative, and must not become 0
    before = batch.n.copy()
    n, status = advance(NativeRosenbrock(osu), batch)
    good = np.setdiff1d(np.arange(30), bad)
    assert set(status[bad]) == {expected}
    assert set(status[good]) == {Status.EXACT_REQUESTED}
    assert_same_bits(n[bad], before[bad])
    assert_same_bits(n[good], together[0][:30][good])


def test_bad_density(osu: Network) -> None:
    n0 = np.stack(
        [
            np.zeros(osu.n_species),
            state(osu, CO=10.0),  # no H nuclei
            state(osu, H=1e-12),
            state(osu, H=1e22),
            state(osu, H=1e-5, CO=1e10),
        ]
    )
    n, status = NativeRosenbrock(osu).advance(n0, YEAR_S, 50.0, {"zeta": 1e-16})
    assert set(status) == {Status.UNSUPPORTED}
    assert_same_bits(n, n0)


def test_no_time_no_change(osu: Network, cells: Workload) -> None:
    n0 = cells.n[:9].copy()
    n0[0, 7] = -0.0
    n0[1] = 0.0
    n0[2, 3] = np.nan
    for dt in (0.0, -0.0):
        n, status = NativeRosenbrock(osu).advance(n0, dt, 50.0, {"zeta": 1e-16})
        assert_same_bits(n, n0)
        assert list(status) == [Status.UNCHANGED] * 2 + [Status.BAD_INPUT] + [Status.UNCHANGED] * 6


def test_step_limit(osu: Network, cells: Workload, truth: FloatArray, weights: FloatArray) -> None:
    """One step, then a second try with ten: some cells make it, the others are as they were."""
    n, status = advance(NativeRosenbrock(osu, max_steps=1), cells)
    assert set(status) >= {Status.STEP_LIMIT, Status.EXACT_SECOND_TRY}
    assert set(status) <= {Status.STEP_LIMIT, Status.EXACT_SECOND_TRY, Status.EXACT_REQUESTED}
    failed = status == Status.STEP_LIMIT
    assert_same_bits(n[failed], cells.n[failed])
    again = status == Status.EXACT_SECOND_TRY
    assert cell_errors(n[again], truth[again], weights).max() < 0.02


def test_masked_cells(osu: Network, cells: Workload, together: Result) -> None:
    n, mask = cells.n[:50].copy(), np.ones(50, np.int8)
    masked = np.array([0, 1, 2, 3, 4, 5, 6, 7, 20, 49])
    mask[masked] = 0
    n[masked[::2], 3] = np.nan  # nobody looks
    before, status = n.copy(), np.full(50, 99, np.int8)
    part = cells[:50]
    report = open_network(osu).step(n, part.dt, part.temperature, part.zeta[:, None], status, mask)
    others = np.flatnonzero(mask)
    assert set(status[masked]) == {Status.MASKED}
    assert set(status[others]) == {Status.EXACT_REQUESTED}
    assert_same_bits(n[masked], before[masked])
    assert_same_bits(n[others], together[0][others])
    assert (report["cells"], report["masked"], report["exact"], report["failed"]) == (50, 10, 40, 0)


def test_report_counts(osu: Network, cells: Workload) -> None:
    n, status = cells.n[:6].copy(), np.zeros(6, np.int8)
    dt = np.array([1e9, 0.0, 1e9, -1.0, 1e9, 1e9])
    report = open_network(osu).step(n, dt, np.array([30.0]), np.array([[1e-16]]), status)
    assert {key: report[key] for key in ("cells", "exact", "unchanged", "failed", "surrogate", "second_try")} == {
        "cells": 6,
        "exact": 4,
        "unchanged": 1,
        "failed": 1,
        "surrogate": 0,
        "second_try": 0,
    }
    assert report["steps"] > report["rejected_steps"] >= 0
    assert report["seconds"] >= report["seconds_exact"] > 0
    assert 0 <= report["defect_max"] < 1e-9


def test_workspace_is_small(osu: Network) -> None:
    """Memory per thread: at least the factors of one cell, at most 1 MB."""
    solver = open_network(osu)
    narrow = solver.workspace_bytes
    solver.set_option("kernels", "tables")
    assert 8 * 2 * osu.n_species**2 < narrow <= solver.workspace_bytes <= 1e6


def test_empty_batch(osu: Network) -> None:
    n, status = NativeRosenbrock(osu).advance(np.zeros((0, osu.n_species)), 1.0, 50.0, {"zeta": 1e-16})
    assert n.shape == (0, osu.n_species)
    assert status.shape == (0,)


# --- wrong calls ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("rtol", "0", "must be a number between"),
        ("rtol", "1e-2x", "must be a number between"),
        ("rtol", "nan", "must be a number between"),
        ("atol", "", "must be a number between"),
        ("max_steps", "0", "must be a number between"),
        ("threads", "-1", "must be a number between"),
        ("mode", "fast", "must be one of auto, surrogate, exact"),
        ("mode", "surrogate", "use mode exact"),
        ("repair", "yes", "must be one of none, floor"),
        ("speed", "9", "unknown option 'speed': the options are mode"),
    ],
)
def test_wrong_option(osu: Network, key: str, value: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_network(osu).set_option(key, value)


def test_repair_electrons_needs_electrons(decay_chain: Network) -> None:
    with pytest.raises(ValueError, match="needs a species e-"):
        open_network(decay_chain).set_option("repair", "electrons")


def test_options_may_be_numpy_numbers(osu: Network, cells: Workload, together: Result) -> None:
    integrator = NativeRosenbrock(osu, rtol=np.float64(1e-2), max_steps=np.int64(2000), threads=np.int32(1))
    assert_same_bits(advance(integrator, cells[:8])[0], together[0][:8])


def test_wrong_arrays(osu: Network, cells: Workload) -> None:
    solver, part = open_network(osu), cells[:4]
    given = {
        "n": part.n.copy(),
        "dt": part.dt,
        "temperature": part.temperature,
        "conditions": part.zeta[:, None],
        "status": np.zeros(4, np.int8),
    }
    read_only = part.n.copy()
    read_only.setflags(write=False)
    wrong: list[tuple[str, object, type[Exception], str]] = [
        ("n", part.n[:, 1:], ValueError, "cells, species"),
        ("n", part.n[0], ValueError, "cells, species"),
        ("n", part.n.astype(np.float32), TypeError, "incompatible"),
        ("n", read_only, ValueError, "not writeable"),
        ("dt", np.ones(3), ValueError, "dt must hold"),
        ("temperature", np.ones((4, 1)), ValueError, "temperature must hold"),
        ("conditions", part.zeta, ValueError, "conditions must be"),
        ("status", np.zeros(3, np.int8), ValueError, "status must be"),
        ("status", np.zeros(4, np.int32), TypeError, "incompatible"),
        ("mask", np.ones(5, np.int8), ValueError, "mask must be"),
    ]
    for name, value, error, message in wrong:
        with pytest.raises(error, match=message):
            solver.step(**{**given, name: value})
    np.testing.assert_array_equal(given["n"], part.n)


@pytest.mark.parametrize(
    ("table", "change", "message"),
    [
        ("reactants", lambda a: a + 29, "a reactant is no species"),
        ("products", lambda a: a + 29, "a product is no species"),
        ("law", lambda a: a + 10, "unknown rate law"),
        ("law_conditions", lambda a: a * 0 + 5, "unknown condition"),
        ("parameters", lambda a: a * np.nan, "not finite"),
        ("composition", lambda a: a[:-1], r"composition must be"),
        ("scale_weights", lambda a: -a, "not negative"),
        ("species", lambda a: (), "no species"),
    ],
)
def test_wrong_tables(
    osu: Network, table: str, change: Callable[[NDArray[np.generic]], NDArray[np.generic]], message: str
) -> None:
    tables = {item.name: getattr(osu.tables(), item.name) for item in fields(osu.tables())}
    with pytest.raises(ValueError, match=message):
        _native.Solver({**tables, table: change(tables[table])})
