"""A model of two learned paths: who serves which cell, what each path keeps to itself, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from native_build import NativeBuild, run
from numpy.typing import NDArray
from seed_models import text
from test_c import SOURCES, read_result, write_cells
from test_router import changes, step
from workload import Workload, workload

from pychemsurrogate import _native
from pychemsurrogate.cli import main
from pychemsurrogate.model_file import ModelFile, ModelFileError
from pychemsurrogate.network import Network
from pychemsurrogate.solver import Solver
from pychemsurrogate.status import Status

COUNT = 400
NAMES = ("fast", "accurate")
COSTS = (0.8, 0.95, 0.4, 0.6, 2.0)
EDGES = (5.0, 50.0)  # of the integrator's `change`: at COSTS exact below, fast between, accurate above
SHARES = {"fast": ([0.1, 0.9, 0.3], [0.1, 0.9, 0.1]), "accurate": ([0.1, 0.9, 0.9], [0.1, 0.9, 0.8])}
KAPPA = {"fast": 0.5, "accurate": 0.25}
REFUSED = (Status.EXACT_BOX, Status.EXACT_DISTANCE, Status.EXACT_ERROR, Status.EXACT_BUDGET)
Step = tuple[NDArray[np.float64], Any]


@pytest.fixture(scope="module")
def cells(osu: Network) -> Workload:
    return workload(osu, COUNT, seed=92)


def shift(arrays: dict[str, Any], by: float) -> None:
    """Another map: its features are moved by so many of their standard deviations."""
    mean, std = (arrays[f"surrogate/feature_{name}"] for name in ("mean", "std"))
    arrays["surrogate/feature_mean"] = mean + np.float32(by) * std


def one_path(network: Network, name: str) -> ModelFile:
    """The shipped map; as "accurate" a little different, with its own gate of two bins and its own box."""
    shipped = ModelFile.read("osu_09_2008-multiclock")
    model = shipped.of_path(shipped.paths[0])
    arrays = model.arrays
    for key in [key for key in arrays if key.startswith(("router/", "gate/bin_"))]:
        del arrays[key]
    targets = len(arrays["gate/targets"])
    threshold = arrays["gate/thresholds"].max(axis=1)[:, None]
    if name == "fast":
        arrays["gate/thresholds"] = threshold - 0.1
    else:
        shift(arrays, 1e-3)
        arrays |= {"gate/bin_names": text("T"), "gate/bin_edges0": np.array([40.0])}
        arrays["gate/thresholds"] = np.hstack([threshold + 0.1, threshold + 0.2])
        arrays["gate/alpha"] = np.float64(0.5)  # its thresholds are loose: no alarm unless a test wants one
        arrays["gate/box_max"] = arrays["gate/box_max"] * 1.5
    sample = workload(network, 64, seed=3)
    accepted, saved = (np.tile(np.array(share)[:, None], (targets, 1, 1)) for share in SHARES[name])
    arrays |= {
        "router/change_edges": np.array(EDGES),
        "router/rate_edges": np.empty(0),
        "router/steps": np.tile(np.array([1.1, 6.0, 20.0])[:, None], (targets, 1, 1)),
        "router/accepted": accepted,
        "router/saved": saved,
        "router/sample_n": sample.n,
        "router/sample_temperature": sample.temperature,
        "router/sample_dt": sample.dt,
        "router/sample_conditions": sample.zeta[:, None],
        "budget/theta_edges": np.empty(0),
        "budget/kappa": np.array([KAPPA[name]]),
    }
    return model


@pytest.fixture(scope="module")
def folder(osu: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """fast.pcs, accurate.pcs and both of them (both.pcs); the same without routers in plain/."""
    folder = tmp_path_factory.mktemp("paths")
    (folder / "plain").mkdir()
    for place in (folder, folder / "plain"):
        models = {name: one_path(osu, name) for name in NAMES}
        for name, model in models.items():
            if place != folder:
                model.arrays = {key: array for key, array in model.arrays.items() if not key.startswith("router/")}
            model.write(place / f"{name}.pcs")
        ModelFile.join(models.items()).write(place / "both.pcs")
    return folder


def alone(folder: Path, cells: Workload, **options: Any) -> dict[str, Step]:
    """Every cell by each path alone, without a router."""
    return {name: step(Solver.load(folder / "plain" / f"{name}.pcs", audit=0.0, **options), cells) for name in NAMES}


# --- who serves a cell --------------------------------------------------------------------------------------


def test_every_bin_goes_where_it_costs_least(osu: Network, cells: Workload, folder: Path) -> None:
    n, report = step(Solver.load(folder / "both.pcs", costs=COSTS, audit=0.0), cells)
    exact, _ = step(Solver.load(folder / "both.pcs", mode="exact", target_error_dex=0.1), cells)
    place = np.searchsorted(EDGES, changes(osu, cells), side="right")
    assert np.bincount(place, minlength=3).min() > COUNT // 20
    np.testing.assert_array_equal(report.status[place == 0], Status.EXACT_ROUTED)
    np.testing.assert_array_equal(n[place == 0], exact[place == 0])
    for k, (name, (expected, its_report)) in enumerate(alone(folder, cells).items(), 1):
        np.testing.assert_array_equal(report.status[place == k], its_report.status[place == k])
        np.testing.assert_array_equal(n[place == k], expected[place == k])
        served = np.count_nonzero(report.status[place == k] == Status.SURROGATE)
        assert report.by_path[name] == served > 0
    assert sum(report.by_path.values()) == report.surrogate
    told = report.routed + report.surrogate + report.refused_box + report.refused_distance
    told += report.refused_error + report.refused_budget
    assert told == COUNT
    assert f"{report.by_path['fast']} fast, {report.by_path['accurate']} accurate" in str(report)


@pytest.mark.parametrize(
    ("costs", "served"),
    [
        ((0.8, 0.95, 0.4, 1e3, 1e3), ()),
        ((0.8, 0.95, 0.4, 0.6, 1e3), ("fast",)),
        ((0.8, 0.95, 0.4, 1e3, 2.0), ("accurate",)),
        ((0.8, 0.95, 0.4, 2.0, 2.0), ("fast", "accurate")),  # the first of equals
    ],
)
def test_costs_decide(cells: Workload, folder: Path, costs: tuple[float, ...], served: tuple[str, ...]) -> None:
    solver = Solver.load(folder / "both.pcs", costs=costs)
    _, report = step(solver, cells)
    assert {name for name, count in report.by_path.items() if count} == set(served)
    assert list(solver.costs.values()) == list(costs)


def test_costs_are_measured_for_each_path(cells: Workload, folder: Path) -> None:
    measured = Solver.load(folder / "both.pcs").costs
    assert list(measured) == ["cell", "step", "eviction", "learned_fast", "learned_accurate"]
    assert all(0.0 <= cost < 1e3 for cost in measured.values())
    assert min(measured["learned_fast"], measured["learned_accurate"]) > 0.01
    assert Solver.load(folder / "both.pcs", costs=list(measured.values())).costs == measured
    with pytest.raises(ValueError, match="5 numbers"):
        Solver.load(folder / "both.pcs", costs=COSTS[:4])
    with pytest.raises(ValueError, match="no router"):
        _ = Solver.load(folder / "plain" / "both.pcs").costs


@pytest.mark.parametrize("place", [".", "plain"])
def test_a_cell_depends_on_itself_alone(cells: Workload, folder: Path, place: str) -> None:
    n, report = step(Solver.load(folder / place / "both.pcs", costs=COSTS, threads=1), cells)
    order = np.random.default_rng(0).permutation(COUNT)
    for threads in (1, 2, 5):
        solver = Solver.load(folder / place / "both.pcs", costs=COSTS, threads=threads)
        permuted, told = step(solver, cells[order])
        np.testing.assert_array_equal(permuted, n[order])
        np.testing.assert_array_equal(told.status, report.status[order])
        for a, b in ((0, 1), (1, 130), (130, COUNT)):
            np.testing.assert_array_equal(step(solver, cells[a:b])[0], n[a:b])


def expected_cascade(folder: Path, cells: Workload) -> tuple[Step, NDArray[np.bool_]]:
    """What the fast path says, the accurate one where that refuses; and where it does."""
    (fast, fast_report), (accurate, accurate_report) = alone(folder, cells).values()
    second = np.isin(fast_report.status, REFUSED)
    n = np.where(second[:, None], accurate, fast)
    return (n, np.where(second, accurate_report.status, fast_report.status)), second


def test_without_a_router_what_one_refuses_meets_the_next(cells: Workload, folder: Path) -> None:
    (n, status), second = expected_cascade(folder, cells)
    result, report = step(Solver.load(folder / "plain" / "both.pcs", audit=0.0), cells)
    np.testing.assert_array_equal(report.status, status)
    np.testing.assert_array_equal(result, n)
    assert report.by_path == {
        "fast": np.count_nonzero(status[~second] == Status.SURROGATE),
        "accurate": np.count_nonzero(status[second] == Status.SURROGATE),
    }
    assert min(report.by_path.values()) > 10
    assert report.refused_box == np.count_nonzero(status == Status.EXACT_BOX)
    assert report.refused_error == np.count_nonzero(status == Status.EXACT_ERROR)
    assert report.refused_budget == np.count_nonzero(status == Status.EXACT_REFRESH)
    # A host that integrates gets no routing: the cells meet the paths in order.
    native = _native.Solver.open(str(folder / "both.pcs"))
    native.set_option("integrator", "host")
    mine, told = cells.n.copy(), np.zeros(COUNT, dtype=np.int8)
    native.step(mine, cells.dt, cells.temperature, cells.zeta[:, None].copy(), told)
    np.testing.assert_array_equal(told, status)
    np.testing.assert_array_equal(mine, np.where((status == Status.SURROGATE)[:, None], n, cells.n))


def test_engines_agree(cells: Workload, folder: Path) -> None:
    pytest.importorskip("torch")
    for options in ({}, {"path": "fast"}, {"path": "accurate"}, {"mode": "surrogate"}):
        for error in (None, 0.05):
            answers = []
            for engine in ("native", "torch"):
                carried = None if error is None else np.full(COUNT, error)
                solver = Solver.load(folder / "plain" / "both.pcs", engine=engine, audit=0.1, **options)
                answers.append((*step(solver, cells, error_dex=carried), solver.audit()))
            (n, report, rows), (torch_n, told, torch_rows) = answers
            same = report.status == told.status
            assert same.mean() >= 0.99  # a cell may sit on a threshold
            seen = same[:, None] & (n > 1e-14 * n.sum(1, keepdims=True))
            trusted = "mode" not in options  # without a gate some cells are such that nets amplify rounding
            assert np.abs(np.log10(n[seen] / torch_n[seen])).max() <= (1e-5 if trusted else 1e-4)
            assert all(abs(report.by_path[name] - told.by_path.get(name, 0)) <= COUNT // 100 for name in NAMES)
            assert [(row.path, row.bin) for row in rows] == [(row.path, row.bin) for row in torch_rows]


# --- the option path ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_one_path_serves_as_its_own_model(cells: Workload, folder: Path, name: str) -> None:
    costs = (*COSTS[:3], COSTS[3 + NAMES.index(name)])
    for mode in ("auto", "surrogate"):
        error, its_error = np.full((2, COUNT), 0.02)
        one, report = step(Solver.load(folder / f"{name}.pcs", mode, costs=costs), cells, error_dex=error)
        solver = Solver.load(folder / "both.pcs", mode, path=name, costs=COSTS)
        n, told = step(solver, cells, error_dex=its_error)
        np.testing.assert_array_equal(n, one)
        np.testing.assert_array_equal(told.status, report.status)
        np.testing.assert_array_equal(error, its_error)
        assert told.by_path[name] == report.by_path[""] == report.surrogate > 0
        assert {row.path for row in solver.audit()} == {name}


def test_mode_surrogate_and_trajectories_use_the_last(cells: Workload, folder: Path) -> None:
    few, times = cells[:40], np.array([1e9, 1e11])
    for path, name in (("", "accurate"), ("fast", "fast"), ("accurate", "accurate")):
        one, both = Solver.load(folder / f"{name}.pcs"), Solver.load(folder / "both.pcs", path=path)
        for mode in ("auto", "surrogate"):
            (n, report), (its_n, told) = (
                solver.trajectory(few.n, times, few.temperature, zeta=few.zeta, mode=mode) for solver in (one, both)
            )
            np.testing.assert_array_equal(n, its_n)
            np.testing.assert_array_equal(report.status, told.status)
            assert told.by_path[name] == report.surrogate
    n, _ = step(Solver.load(folder / "both.pcs", "surrogate"), cells)
    np.testing.assert_array_equal(n, step(Solver.load(folder / "accurate.pcs", "surrogate"), cells)[0])


def test_an_unknown_path_is_told(folder: Path) -> None:
    with pytest.raises(ValueError, match="the model has fast, accurate"):
        Solver.load(folder / "both.pcs", path="slow")
    with pytest.raises(ValueError, match="names no paths"):
        Solver.load(folder / "fast.pcs", path="fast")


# --- budget and audit ---------------------------------------------------------------------------------------


def test_the_path_that_served_counts_for_the_budget(cells: Workload, folder: Path) -> None:
    error = np.full(COUNT, 0.12)
    status, served = {}, {}
    for name in NAMES:
        _, report = step(Solver.load(folder / "plain" / f"{name}.pcs", audit=0.0), cells, error_dex=error.copy())
        status[name] = report.status
    carried = error.copy()
    _, report = step(Solver.load(folder / "plain" / "both.pcs", audit=0.0), cells, error_dex=carried)
    second = np.isin(status["fast"], REFUSED)
    np.testing.assert_array_equal(report.status, np.where(second, status["accurate"], status["fast"]))
    for name, mine in (("fast", ~second), ("accurate", second)):
        native = _native.Solver.open(str(folder / "both.pcs"))
        native.set_option("path", name)
        score = native.trace(cells.n, cells.dt, cells.temperature, cells.zeta[:, None])["score"][:, 0]
        served[name] = mine & (report.status == Status.SURROGATE)
        expected = KAPPA[name] * error + 10.0**score
        np.testing.assert_allclose(carried[served[name]], expected[served[name]], rtol=1e-4)
        assert served[name].sum() == report.by_path[name] > 10
    exact = report.status >= Status.EXACT_REQUESTED
    np.testing.assert_allclose(carried[exact], KAPPA["fast"] * error[exact])
    assert (second & (status["fast"] == Status.EXACT_BUDGET) & served["accurate"]).any()


@pytest.mark.parametrize("place", [".", "plain"])
def test_each_path_is_audited_for_itself(cells: Workload, folder: Path, place: str) -> None:
    _, open_report = step(Solver.load(folder / place / "both.pcs", costs=COSTS, audit=0.0), cells)
    solver = Solver.load(folder / place / "both.pcs", costs=COSTS, audit=1.0)
    _, report = step(solver, cells)
    assert report.surrogate == 0
    np.testing.assert_array_equal(report.status == Status.EXACT_AUDIT, open_report.status == Status.SURROGATE)
    rows = solver.audit()
    assert [(row.path, row.bin) for row in rows] == [("fast", ""), ("accurate", "T < 40"), ("accurate", "T >= 40")]
    for name in NAMES:
        assert sum(row.audited for row in rows if row.path == name) == open_report.by_path[name]
    assert sum(row.violations for row in rows) == report.violations


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_a_bad_path_is_shut_off_alone(cells: Workload, folder: Path, tmp_path: Path, engine: str) -> None:
    if engine == "torch":
        pytest.importorskip("torch")
    models = {name: ModelFile.read(folder / "plain" / f"{name}.pcs") for name in NAMES}
    arrays = models["accurate"].arrays
    shift(arrays, 0.3)
    arrays["gate/alpha"] = models["fast"].arrays["gate/alpha"]
    arrays["gate/thresholds"] = np.full_like(arrays["gate/thresholds"], 3.0)
    ModelFile.join(models.items()).write(tmp_path / "bad.pcs")
    solver = Solver.load(tmp_path / "bad.pcs", engine=engine, audit=0.5)
    before = [row.threshold for row in solver.audit()]
    for call in range(8):
        step(solver, replace(cells, temperature=cells.temperature * (1 + 1e-9 * call)))
    after = [row.threshold for row in solver.audit()]
    assert after[0] == before[0]
    assert after[1] < before[1]
    assert after[2] < before[2]
    native = _native.Solver.open(str(tmp_path / "bad.pcs"))
    native.merge_audit([(0, 50, 50, 0)], 1)
    assert [row[3] for row in native.audit_table(0) + native.audit_table(1)] == [0, 1, 0]
    with pytest.raises(ValueError, match="2 learned paths"):
        native.audit_table(2)


# --- files --------------------------------------------------------------------------------------------------


def test_join(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "joined.pcs"
    parts = [f"{name}={folder / name}.pcs" for name in NAMES]
    made = CliRunner().invoke(main, ["model", "join", "-o", str(target), *parts])
    assert made.exit_code == 0, made.output
    joined = ModelFile.read(target)
    assert joined.paths == list(NAMES)
    for name in NAMES:
        one, part = ModelFile.read(folder / f"{name}.pcs"), joined.of_path(name)
        assert part.paths == [""]
        assert part.meta == one.meta == joined.meta["paths"][name]
        assert part.arrays.keys() == one.arrays.keys() | {"network/mass_g"}  # the shipped files are older
        for key, array in one.arrays.items():
            np.testing.assert_array_equal(part.arrays[key], array)
    assert _native.Solver.open(str(target)).paths == list(NAMES)
    for wrong, reason in (
        ([parts[0], parts[0]], "names must differ"),
        (["a/b=" + parts[0].partition("=")[2]], "hold a /"),
        ([parts[0], f"both={target}"], "one unnamed learned path"),
        ([parts[0], "seed-linear"], "is not NAME=MODEL"),
    ):
        refused = CliRunner().invoke(main, ["model", "join", "-o", str(tmp_path / "no.pcs"), *wrong])
        assert refused.exit_code != 0
        assert not (tmp_path / "no.pcs").exists()
        assert reason in refused.output


def test_models_of_two_networks_are_not_joined(folder: Path, osu: Network) -> None:
    one, other = (ModelFile.read(folder / f"{name}.pcs") for name in NAMES)
    other.arrays |= ModelFile.from_network(osu.restricted(["H", "O"])).arrays
    with pytest.raises(ModelFileError, match=r"accurate\.pcs: is for another network than .*fast\.pcs"):
        ModelFile.join([("fast", one), ("accurate", other)])
    with pytest.raises(ModelFileError, match="one unnamed learned path"):
        ModelFile.join([("fast", ModelFile.from_network(osu))])
    with pytest.raises(ModelFileError, match="no model"):
        ModelFile.join([])


def without(*names: str) -> Callable[[dict[str, Any]], None]:
    def spoil(arrays: dict[str, Any]) -> None:
        for name in names:
            del arrays[name]

    return spoil


BOTH_REFUSE: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no names": (lambda arrays: arrays.update(paths=text("")), "must name 1 to 8 paths"),
    "nine names": (lambda arrays: arrays.update(paths=text("\n".join("abcdefghi"))), "must name 1 to 8 paths"),
    "twice": (lambda arrays: arrays.update(paths=text("fast\nfast")), "names must differ"),
    "empty": (lambda arrays: arrays.update(paths=text("fast\n\naccurate")), "names must differ, and none may be empty"),
    "last empty": (lambda arrays: arrays.update(paths=text("fast\naccurate\n")), "none may be empty"),
    "slash": (lambda arrays: arrays.update(paths=text("fast\na/b")), "hold a /"),
    "absent": (lambda arrays: arrays.update(paths=text("fast\nslow")), "slow/surrogate/kind"),
    "no map": (without("accurate/surrogate/kind"), "accurate/surrogate/kind"),
    "no box": (without("accurate/gate/box_names"), "accurate/gate/box_names"),
    "edges": (
        lambda arrays: arrays.update({"accurate/router/change_edges": np.array([5.0, 51.0])}),
        "path 'accurate': its router/change_edges .*must be those of the other paths",
    ),
}
NATIVE_REFUSES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no edges": (without("fast/gate/box_min"), "fast/gate/box_min"),
    "other network": (
        lambda arrays: arrays.update({"accurate/surrogate/feature_mean": np.zeros(7, np.float32)}),
        "path 'accurate': .*do not fit this network",
    ),
    "type": (lambda arrays: arrays.update(paths=np.zeros(2)), "another type"),
}


@pytest.mark.parametrize("case", [*BOTH_REFUSE, *NATIVE_REFUSES])
def test_files_that_do_not_fit_are_refused(folder: Path, tmp_path: Path, case: str) -> None:
    spoil, reason = {**BOTH_REFUSE, **NATIVE_REFUSES}[case]
    model = ModelFile.read(folder / "both.pcs")
    spoil(model.arrays)
    model.write(tmp_path / "spoilt.pcs")
    with pytest.raises(ValueError, match=reason):
        _native.Solver.open(str(tmp_path / "spoilt.pcs"))
    if case in BOTH_REFUSE:
        with pytest.raises(ModelFileError, match=reason):
            ModelFile.read(tmp_path / "spoilt.pcs")


def test_c(libpcs: NativeBuild, cells: Workload, folder: Path, tmp_path: Path) -> None:
    write_cells(tmp_path / "cells.bin", cells)
    program = libpcs.compile_c([SOURCES / "paths.c"], tmp_path / "paths")
    costs = ",".join(map(str, COSTS))
    assert run([program, folder / "both.pcs", tmp_path / "cells.bin", tmp_path / "out", costs]) == "ok\n"
    n, report = step(Solver.load(folder / "both.pcs", costs=COSTS, audit=0.0), cells)
    assert read_result(tmp_path / "out", cells) == (n.tobytes(), report.status.tolist())
