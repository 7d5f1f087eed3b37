"""The router, the error budget and the audit: what they promise, on small fixed sets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from seed_models import text
from workload import Workload, workload

from pychemsurrogate import _native
from pychemsurrogate.integrators.native import open_network
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.network import Network
from pychemsurrogate.solver import Report, Solver
from pychemsurrogate.solver.log import MOST_A_CALL
from pychemsurrogate.state_log import LogError
from pychemsurrogate.status import Status

COUNT = 400
COSTS = (0.8, 0.95, 0.4, 2.0)
EDGE = 20.0  # of the integrator's `change`
KAPPA_EDGE, KAPPA = 1e15, (0.5, 0.25)  # of theta


@pytest.fixture(scope="module")
def cells(osu: Network) -> Workload:
    return workload(osu, COUNT, seed=91)


@pytest.fixture(scope="module")
def truth(cells: Workload) -> NDArray[np.float64]:
    """What the exact path gives at the default target of mode auto."""
    return step(Solver.load("osu_09_2008", mode="exact", target_error_dex=0.1), cells)[0]


def routed_model(network: Network) -> ModelFile:
    """The shipped model with a router of two bins, of which the upper one is worth sending at COSTS, and a budget."""
    model = ModelFile.read("osu_09_2008-multiclock")
    sample = workload(network, 64, seed=3)
    model.arrays |= {
        "router/change_edges": np.array([EDGE]),
        "router/rate_edges": np.empty(0),
        "router/steps": np.array([[[1.1], [9.0]]]),
        "router/accepted": np.array([[[0.9], [0.6]]]),
        "router/saved": np.array([[[0.9], [0.5]]]),
        "router/sample_n": sample.n,
        "router/sample_temperature": sample.temperature,
        "router/sample_dt": sample.dt,
        "router/sample_conditions": sample.zeta[:, None],
        "budget/theta_edges": np.array([KAPPA_EDGE]),
        "budget/kappa": np.array(KAPPA),
    }
    return model


@pytest.fixture(scope="module")
def routed(osu: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("routed") / "routed.pcs"
    routed_model(osu).write(path)
    return path


@pytest.fixture(scope="module")
def budgeted(osu: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without the router."""
    model = routed_model(osu)
    model.arrays = {name: array for name, array in model.arrays.items() if not name.startswith("router/")}
    path = tmp_path_factory.mktemp("budgeted") / "budgeted.pcs"
    model.write(path)
    return path


def step(solver: Solver, cells: Workload, **options: Any) -> tuple[NDArray[np.float64], Report]:
    return solver.step(cells.n, cells.dt, cells.temperature, zeta=cells.zeta, **options)


def changes(network: Network, cells: Workload) -> NDArray[np.float64]:
    """The integrator's `change` at a target of 0.1 dex."""
    solver = open_network(network)
    solver.set_option("target_error_dex", "0.1")
    estimates, status = np.full((len(cells), 2), np.nan), np.zeros(len(cells), dtype=np.int8)
    solver.step(cells.n.copy(), cells.dt, cells.temperature, cells.zeta[:, None].copy(), status, estimates=estimates)
    assert (estimates > 0).all()
    return np.asarray(estimates[:, 0])


# --- the router ---------------------------------------------------------------------------------------------


def test_the_router_sends_the_dear_cells(
    osu: Network, cells: Workload, routed: Path, budgeted: Path, truth: NDArray[np.float64]
) -> None:
    n, report = step(Solver.load(routed, costs=COSTS, audit=0.0), cells)
    unrouted, everywhere = step(Solver.load(budgeted, audit=0.0), cells)
    dear = changes(osu, cells) >= EDGE
    assert 0.1 < dear.mean() < 0.9
    np.testing.assert_array_equal(report.status != Status.EXACT_ROUTED, dear)
    np.testing.assert_array_equal(report.status[dear], everywhere.status[dear])
    np.testing.assert_array_equal(n[dear], unrouted[dear])
    exact = report.status != Status.SURROGATE
    np.testing.assert_array_equal(n[exact], truth[exact])
    assert report.routed == np.count_nonzero(~dear)
    assert 0 < report.surrogate < np.count_nonzero(dear)
    refused = report.refused_box + report.refused_distance + report.refused_error + report.refused_budget
    assert report.routed + report.surrogate + refused == COUNT


def test_a_routed_cell_depends_on_itself_alone(cells: Workload, routed: Path) -> None:
    n, report = step(Solver.load(routed, costs=COSTS, threads=1), cells)
    order = np.random.default_rng(0).permutation(COUNT)
    for threads in (1, 2, 5):
        solver = Solver.load(routed, costs=COSTS, threads=threads)
        permuted, told = step(solver, cells[order])
        np.testing.assert_array_equal(permuted, n[order])
        np.testing.assert_array_equal(told.status, report.status[order])
        for a, b in ((0, 1), (1, 130), (130, COUNT)):
            np.testing.assert_array_equal(step(solver, cells[a:b])[0], n[a:b])


@pytest.mark.parametrize(("costs", "kept"), [((0.8, 0.95, 0.4, 1e3), 1.0), ((0.8, 0.95, 0.0, 0.0), 0.0)])
def test_costs_decide(cells: Workload, routed: Path, costs: tuple[float, ...], kept: float) -> None:
    solver = Solver.load(routed, costs=costs)
    _, report = step(solver, cells)
    assert report.routed == kept * COUNT
    assert list(solver.costs.values()) == list(costs)


def test_costs_are_measured(cells: Workload, routed: Path) -> None:
    measured = Solver.load(routed).costs
    assert set(measured) == {"cell", "step", "eviction", "learned"}
    assert all(0.0 <= cost < 1e3 for cost in measured.values())
    assert min(measured["step"], measured["eviction"], measured["learned"]) > 0.01
    repeated = Solver.load(routed, costs=list(measured.values()))
    assert repeated.costs == measured
    first, second = (
        step(solver, cells)[0] for solver in (repeated, Solver.load(routed, costs=repeated.costs.values()))
    )
    np.testing.assert_array_equal(first, second)
    with pytest.raises(ValueError, match="no router"):
        _ = Solver.load("osu_09_2008-multiclock").costs
    with pytest.raises(ValueError, match="4 numbers"):
        Solver.load(routed, costs=(1.0, 2.0))


def test_a_router_that_does_not_fit_is_refused(osu: Network, tmp_path: Path) -> None:
    for name, value in {
        "router/saved": np.full((1, 2, 1), 1.5),
        "router/steps": np.ones(3),
        "router/change_edges": np.array([2.0, 1.0]),
        "router/sample_dt": np.ones(3),
        "budget/kappa": np.array([0.5, 1.5]),
        "gate/thresholds": np.zeros((2, 1)),
        "gate/targets": np.array([-1.0]),
    }.items():
        model = routed_model(osu)
        model.arrays[name] = value
        model.write(tmp_path / "spoilt.pcs")
        with pytest.raises(ValueError, match="model file"):
            Solver.load(tmp_path / "spoilt.pcs")


# --- the target ---------------------------------------------------------------------------------------------


def test_a_target_below_all_calibrated_ones_is_served_exactly(cells: Workload) -> None:
    n, report = step(Solver.load("osu_09_2008-multiclock", target_error_dex=0.05), cells)
    assert (report.status == Status.EXACT_REQUESTED).all()
    np.testing.assert_array_equal(n, step(Solver.load("osu_09_2008", mode="exact", target_error_dex=0.05), cells)[0])


def test_the_largest_target_that_is_no_larger_serves(osu: Network, cells: Workload, tmp_path: Path) -> None:
    model = ModelFile.read("osu_09_2008-multiclock")
    model.arrays["gate/targets"] = np.array([0.05, 0.1, 0.3])
    model.arrays["gate/thresholds"] = np.array([[-1.6], [-1.286645770072937], [-0.8]])
    model.write(tmp_path / "three.pcs")
    shares = {
        target: step(Solver.load(tmp_path / "three.pcs", target_error_dex=target), cells)[1].surrogate
        for target in (0.05, 0.09, 0.1, 0.3, 1.0)
    }
    assert shares[0.05] == shares[0.09] < shares[0.1] < shares[0.3] == shares[1.0]
    assert shares[0.1] == step(Solver.load("osu_09_2008-multiclock"), cells)[1].surrogate


def test_bins_have_their_own_thresholds(cells: Workload, tmp_path: Path) -> None:
    model = ModelFile.read("osu_09_2008-multiclock")
    model.arrays["gate/bin_names"] = text("T\ntheta")
    model.arrays["gate/bin_edges0"] = np.array([30.0, 100.0])
    model.arrays["gate/bin_edges1"] = np.array([1e15])
    thresholds = np.full(6, -1.286645770072937)
    thresholds[[2, 5]] = -np.inf
    model.arrays["gate/thresholds"] = thresholds[None]
    model.write(tmp_path / "bins.pcs")
    _, whole = step(Solver.load("osu_09_2008-multiclock"), cells)
    _, report = step(Solver.load(tmp_path / "bins.pcs"), cells)
    theta = cells.n @ Solver.load("osu_09_2008-multiclock").network.tables().scale_weights * cells.dt
    closed = ((cells.temperature >= 30) & (cells.temperature < 100) & (theta < 1e15)) | (
        (cells.temperature >= 100) & (theta >= 1e15)
    )
    lost = closed & (whole.status == Status.SURROGATE)
    assert lost.any()
    assert (report.status[lost] == Status.EXACT_ERROR).all()
    np.testing.assert_array_equal(report.status[~closed], whole.status[~closed])
    rows = Solver.load(tmp_path / "bins.pcs").audit()
    assert [row.bin for row in rows][:2] == ["T < 30, theta < 1e+15", "T < 30, theta >= 1e+15"]
    assert rows[2].threshold == -np.inf


# --- the budget ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_the_budget_is_kept(osu: Network, cells: Workload, budgeted: Path, engine: str) -> None:
    if engine == "torch":
        pytest.importorskip("torch")
    given = np.random.default_rng(4).uniform(0.0, 0.3, COUNT)
    error = given.copy()
    _, report = step(Solver.load(budgeted, engine=engine, audit=0.0), cells, error_dex=error)
    _, free = step(Solver.load(budgeted, audit=0.0, exact_every=0), cells)
    native = _native.Solver.open(str(budgeted))
    predicted = 10.0 ** native.trace(cells.n, cells.dt, cells.temperature, cells.zeta[:, None])["score"][:, 0]
    theta = (cells.n @ osu.tables().scale_weights) * cells.dt
    left = np.where(theta < KAPPA_EDGE, *KAPPA) * given
    trusted = free.status == Status.SURROGATE
    within = left + predicted <= 0.1
    tolerance = 1e-4 * (left + predicted)
    clear = np.abs(left + predicted - 0.1) > tolerance
    assert (report.status[clear & trusted & within] == Status.SURROGATE).all()
    assert (report.status[clear & trusted & ~within] == Status.EXACT_BUDGET).all()
    served = report.status == Status.SURROGATE
    assert min(np.count_nonzero(served), np.count_nonzero(report.status == Status.EXACT_BUDGET)) > 10
    assert (np.abs(error - left - predicted) <= tolerance)[served].all()
    np.testing.assert_allclose(error[~served], left[~served], rtol=1e-9)
    assert report.refused_budget == np.count_nonzero(report.status == Status.EXACT_BUDGET)


def test_a_larger_budget_lets_more_through(cells: Workload, budgeted: Path) -> None:
    shares = []
    for budget in (0.02, 0.1, 0.5):
        error = np.full(COUNT, 0.15)
        _, report = step(Solver.load(budgeted, error_budget_dex=budget), cells, error_dex=error)
        assert (error[report.status == Status.SURROGATE] <= budget).all()
        shares.append(report.surrogate)
    assert shares[0] < shares[1] < shares[2]


def test_a_cell_that_nothing_happens_to_is_left_alone(osu: Network, cells: Workload, routed: Path) -> None:
    solver = Solver.load(routed, costs=COSTS)
    calm = replace(cells, dt=np.full(COUNT, 1e3))
    error = np.full(COUNT, 0.01)
    n, report = step(solver, calm, error_dex=error)
    still = report.status == Status.UNCHANGED
    assert still.sum() == report.unchanged > COUNT // 10
    np.testing.assert_array_equal(n[still], calm.n[still])
    truth, _ = step(Solver.load("osu_09_2008", mode="exact", rtol=1e-7, atol=1e-20), calm)
    counted = truth > 1e-10 * (calm.n @ osu.tables().scale_weights)[:, None]
    moved = np.where(counted, np.abs(np.log10(np.maximum(truth, 1e-99) / np.maximum(calm.n, 1e-99))), 0.0).max(1)
    assert (moved[still] <= (error - 0.01)[still] * 1.01 + 1e-9).all()
    assert (error[still] - 0.01 <= 1e-3).all()
    # Left alone again and again, it is not left alone for ever.
    for _ in range(200):
        _, report = step(solver, calm, error_dex=error)
    assert (error <= 0.1).all()
    # Without the array nobody knows how often: nothing is left alone.
    assert step(solver, calm)[1].unchanged == 0


def test_bad_error_arrays(cells: Workload) -> None:
    solver = Solver.load("osu_09_2008-multiclock")
    error = np.zeros(COUNT)
    error[3], error[5] = np.nan, -1.0
    n, report = step(solver, cells, error_dex=error)
    assert (report.status[[3, 5]] == Status.BAD_INPUT).all()
    np.testing.assert_array_equal(n[[3, 5]], cells.n[[3, 5]])
    with pytest.raises(ValueError, match="error_dex has shape"):
        step(solver, cells, error_dex=np.zeros(3))
    with pytest.raises(TypeError, match="float64"):
        step(solver, cells, error_dex=np.zeros(COUNT, dtype=np.float32))


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_exact_every(cells: Workload, engine: str) -> None:
    if engine == "torch":
        pytest.importorskip("torch")
    _, never = step(Solver.load("osu_09_2008-multiclock", exact_every=0, audit=0.0), cells)
    assert not (never.status == Status.EXACT_REFRESH).any()
    solver = Solver.load("osu_09_2008-multiclock", engine=engine, exact_every=5, audit=0.0)
    _, report = step(solver, cells)
    taken = report.status == Status.EXACT_REFRESH
    reached = never.status != Status.EXACT_BOX
    assert taken.sum() == pytest.approx(reached.sum() / 5, abs=3 * np.sqrt(reached.sum() / 5))
    # The same cells in any order, others when their input is another, and none where the host keeps a budget.
    order = np.random.default_rng(1).permutation(COUNT)
    np.testing.assert_array_equal(step(solver, cells[order])[1].status[order.argsort()], report.status)
    other = replace(cells, temperature=cells.temperature * (1 + 1e-15))
    assert ((step(solver, other)[1].status == Status.EXACT_REFRESH) != taken).any()
    assert not (step(solver, cells, error_dex=np.zeros(COUNT))[1].status == Status.EXACT_REFRESH).any()
    if engine == "torch":
        _, native = step(Solver.load("osu_09_2008-multiclock", exact_every=5, audit=0.0), cells)
        np.testing.assert_array_equal(native.status == Status.EXACT_REFRESH, taken)


# --- the audit ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_audited_cells_get_the_exact_answer(cells: Workload, truth: NDArray[np.float64], engine: str) -> None:
    if engine == "torch":
        pytest.importorskip("torch")
    _, trusted = step(Solver.load("osu_09_2008-multiclock", audit=0.0), cells)
    solver = Solver.load("osu_09_2008-multiclock", engine=engine, audit=1.0)
    n, report = step(solver, cells)
    assert report.surrogate == 0
    audited = report.status == Status.EXACT_AUDIT
    assert abs(np.count_nonzero(audited != (trusted.status == Status.SURROGATE))) <= COUNT // 100
    np.testing.assert_array_equal(n[audited], truth[audited])
    assert report.audited == audited.sum()
    found = solver.audit()
    assert sum(row.audited for row in found) == report.audited
    assert sum(row.violations for row in found) == report.violations <= 0.1 * report.audited


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_a_bad_model_is_caught_and_shut_off(osu: Network, cells: Workload, tmp_path: Path, engine: str) -> None:
    if engine == "torch":
        pytest.importorskip("torch")
    model = ModelFile.read("osu_09_2008-multiclock")
    rng = np.random.default_rng(2)
    for name in [name for name in model.arrays if name.startswith("surrogate/decode_b")]:
        model.arrays[name] = model.arrays[name] + rng.normal(0.0, 0.1, model.arrays[name].shape).astype(np.float32)
    model.write(tmp_path / "bad.pcs")
    assert step(Solver.load(tmp_path / "bad.pcs", engine=engine, audit=0), cells)[1].surrogate > COUNT // 20
    solver = Solver.load(tmp_path / "bad.pcs", engine=engine, audit=0.1)
    threshold = solver.audit()[0].threshold
    thresholds, closed = [threshold], 0
    for call in range(60):
        shifted = replace(cells, temperature=cells.temperature * (1 + 1e-9 * call))  # other cells are audited
        _, report = step(solver, shifted)
        thresholds.append(solver.audit()[0].threshold)
        closed += report.bins_closed
        if closed:
            break
    assert closed == 1
    steps = sorted(set(thresholds), reverse=True)
    assert steps[-1] == -np.inf
    np.testing.assert_allclose(-np.diff(steps[:-1]), 0.15)
    assert solver.audit()[0].alarms in (len(steps) - 1, 3)
    _, report = step(solver, cells)
    assert report.surrogate == report.audited == 0
    assert report.ok


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_one_gross_error_withholds_the_rest_of_its_batch(cells: Workload, tmp_path: Path, engine: str) -> None:
    if engine == "torch":
        pytest.importorskip("torch")
    model = ModelFile.read("osu_09_2008-multiclock")
    last = max(name for name in model.arrays if name.startswith("surrogate/decode_b"))
    model.arrays[last] = model.arrays[last] + np.float32(2.0)  # dex, where nothing is near equilibrium
    model.arrays["gate/thresholds"] = np.full_like(model.arrays["gate/thresholds"], 5.0)  # and the gate trusts it
    model.write(tmp_path / "gross.pcs")
    options = {"engine": engine, "exact_every": 0}
    _, blind = step(Solver.load(tmp_path / "gross.pcs", audit=0, **options), cells)
    assert blind.surrogate > COUNT // 2
    solver = Solver.load(tmp_path / "gross.pcs", audit=0.05, **options)
    n, report = step(solver, cells)
    assert 0 < report.audited < COUNT // 8
    assert report.bins_closed == 1
    assert report.surrogate == 0
    assert report.by_path == {"": 0}
    assert report.refused_error >= blind.surrogate - report.audited
    exact = step(Solver.load("osu_09_2008-multiclock", mode="exact", target_error_dex=0.1), cells)[0]
    np.testing.assert_array_equal(n, exact)
    assert solver.audit()[0].threshold == -np.inf


def test_a_good_model_is_left_open(cells: Workload) -> None:
    solver = Solver.load("osu_09_2008-multiclock", audit=0.3)
    for call in range(10):
        step(solver, replace(cells, temperature=cells.temperature * (1 + 1e-9 * call)))
    assert solver.audit()[0].audited > 200
    assert solver.audit()[0].alarms == 0


def test_the_audit_seldom_raises_a_false_alarm() -> None:
    """1000 audits of 3000 cells at a violation rate of alpha, looked at after every 10: at most 5 % may alarm."""
    rng = np.random.default_rng(3)
    alarms = 0
    path = str(ModelFile.read("osu_09_2008-multiclock").path)
    for _ in range(300):
        solver = _native.Solver.open(path)
        alpha = 0.01
        for _ in range(300):
            solver.merge_audit([(0, 10, int((rng.random(10) < alpha).sum()), 0)])
        alarms += solver.audit_table()[0][3] > 0
    assert alarms <= 0.05 * 300 + 3 * np.sqrt(0.05 * 300)


@pytest.mark.parametrize(("rate", "within"), [(0.5, 40), (0.1, 400), (0.03, 6000)])
def test_the_audit_finds_a_bad_bin(rate: float, within: int) -> None:
    rng = np.random.default_rng(5)
    solver = _native.Solver.open(str(ModelFile.read("osu_09_2008-multiclock").path))
    found = [(0, 5, int((rng.random(5) < rate).sum()), 0) for _ in range(within // 5)]
    tightened = [sum(solver.merge_audit([each])) for each in found]
    assert sum(tightened) >= 1


# --- engines and log ----------------------------------------------------------------------------------------


def test_engines_choose_the_same_cells(cells: Workload, budgeted: Path) -> None:
    pytest.importorskip("torch")
    options = {"exact_every": 7, "audit": 0.2}
    (n, report), (torch_n, told) = (
        step(Solver.load(budgeted, engine=engine, **options), cells) for engine in ("native", "torch")
    )
    same = report.status == told.status
    assert same.mean() >= 0.99  # a cell may sit on the threshold
    for status in (
        Status.SURROGATE,
        Status.EXACT_BOX,
        Status.EXACT_ERROR,
        Status.EXACT_REFRESH,
        Status.EXACT_AUDIT,
    ):
        assert (report.status == status).any()
    exact = same & (report.status >= Status.EXACT_REQUESTED)
    np.testing.assert_array_equal(n[exact], torch_n[exact])
    assert abs(report.audited - told.audited) <= COUNT // 100


def test_the_log_keeps_refused_and_audited_states(osu: Network, cells: Workload, tmp_path: Path) -> None:
    path = tmp_path / "states.h5"
    solver = Solver.load("osu_09_2008-multiclock", audit=0.3, log=path)
    given = cells.n.copy()
    _, report = step(solver, cells)
    _, again = step(solver, cells, out=given)  # in place: what is kept is the state before the step
    kept = np.isin(report.status, [Status.EXACT_BOX, Status.EXACT_DISTANCE, Status.EXACT_ERROR, Status.EXACT_AUDIT])
    with h5py.File(path) as file:
        assert file["start"].shape == (kept.sum() + np.isin(again.status, [11, 13, 14]).sum(), osu.n_species)
        assert list(file.attrs["species"]) == list(osu.species_names)
        first = slice(0, kept.sum())
        density = file["density"][first]
        np.testing.assert_allclose(file["start"][first] * density[:, None], cells.n[kept], rtol=1e-14)
        np.testing.assert_array_equal(file["dt"][first], cells.dt[kept])
        np.testing.assert_array_equal(file["temperature"][first], cells.temperature[kept])
        np.testing.assert_array_equal(file["conditions"][first, 0], cells.zeta[kept])
        np.testing.assert_array_equal(file["status"][first], report.status[kept])


def test_the_log_is_bounded_and_of_one_network(osu: Network, cells: Workload, tmp_path: Path) -> None:
    path = tmp_path / "states.h5"
    many = cells[np.resize(np.arange(COUNT), 5000)]
    _, report = step(Solver.load("osu_09_2008-multiclock", log=path), replace(many, temperature=np.full(5000, 900.0)))
    assert report.refused_box == 5000
    with h5py.File(path, "r+") as file:
        assert len(file["dt"]) == MOST_A_CALL
        file.attrs["network_hash"] = "other"
    with pytest.raises(LogError, match="name another file"):
        Solver.load("osu_09_2008-multiclock", log=path)
