"""`pychemsurrogate reproduce`: a tiny plan from data to pictures in seconds; the real one, marked long."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import Published

from pychemsurrogate.cli import main
from pychemsurrogate.network import Network
from pychemsurrogate.solver import Solver
from pychemsurrogate.status import Status

torch = pytest.importorskip("torch")

from pychemsurrogate.evaluation import reproduce  # noqa: E402
from pychemsurrogate.evaluation.reproduce_figures import slope_and_curvature  # noqa: E402
from pychemsurrogate.evaluation.seed_metrics import PUBLISHED_MAX, PUBLISHED_MIN, measure  # noqa: E402
from pychemsurrogate.evaluation.seed_plan import Plan, full_plan, quick_plan  # noqa: E402
from pychemsurrogate.evaluation.seed_rows import predict  # noqa: E402
from pychemsurrogate.training.seed import data as seed_data  # noqa: E402
from pychemsurrogate.training.seed.fit import fit  # noqa: E402
from pychemsurrogate.training.seed.kind import SeedRecipe  # noqa: E402

ZETA = seed_data.ZETA
FIGURES = {"trajectories", "latent", "error_size", "error_time", "error_species", "error_plane", "loss"}


def recipe(kind: str, **changes: int) -> SeedRecipe:
    """Of two epochs."""
    return SeedRecipe(kind, budget=2 / SeedRecipe(kind).resolved.epochs, **changes)


def tiny_plan() -> Plan:
    return Plan(
        seeds=(1, 2),
        models={"linear latent": recipe("linear"), "polynomial latent": recipe("polynomial"), "best": recipe("best")},
        latent_sweep=(recipe("linear", latent=2), recipe("linear")),
        degree_sweep=(recipe("polynomial", degree=2), recipe("polynomial")),
        references=("polynomial latent",),
        trajectories=40,
        scipy_trajectories=1,
        batches=(1,),
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished tiny run."""
    folder = tmp_path_factory.mktemp("reproduce")
    reproduce.run(tiny_plan(), folder, workers=1, progress=False)
    return folder


def table(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "reproduce.csv").open(encoding="utf-8") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def test_table(done: Path) -> None:
    rows = table(done)
    assert [row["group"] for row in rows.values()] == 4 * ["quoted"] + 2 * ["interpolation"] + 3 * ["learned"] + 4 * [
        "exact"
    ]
    text = (done / "reproduce.txt").read_text(encoding="utf-8")
    assert "seeds 1, 2" in text
    assert all(name in text for name in rows)
    for row in rows.values():
        if row["group"] == "learned":
            assert row["seeds"] == "2"
            assert float(row["rmse_smallest"]) <= float(row["rmse"]) <= float(row["rmse_largest"])
            assert min(float(row["native_s_batch_1"]), float(row["python_s_batch_1"])) > 0.0
            assert row["python_s_batch_10000"] == ""
    assert float(rows["cubic RBF in log n(C), log n(C+)"]["rmse"]) < float(rows["linear latent"]["rmse"])
    # The exact integrators must agree with the truth, whose tolerance is tighter.
    exact = [float(row["rmse"]) for row in rows.values() if row["group"] == "exact"]
    assert max(exact) < 2e-4
    assert min(exact) < 1e-6


def test_errors_are_those_of_the_models(done: Path) -> None:
    errors = []
    for seed in (1, 2):
        data = seed_data.read(done / f"data_published_{seed}.h5")
        model = fit(recipe("linear", seed=seed), data, done / "fits").model
        errors.append(measure(data.held_out, predict(model, 10.0 ** data.held_out[:, 0])).rmse)
    assert float(table(done)["linear latent"]["rmse"]) == pytest.approx(np.mean(errors), rel=1e-6)


def test_models_are_served_by_the_solver(done: Path, osu: Network) -> None:
    data = seed_data.read(done / "data_published_1.h5")
    model = fit(recipe("linear", seed=1), data, done / "fits").model
    states, times = 10.0 ** data.held_out[:, 0], seed_data.TIMES - seed_data.TIMES[0]
    solver = Solver.load(done / "models" / "osu_09_2008-linear.pcs", mode="surrogate")
    served, report = solver.trajectory(states, times, seed_data.TEMPERATURE, conserve=False, zeta=seed_data.ZETA)
    assert report.ok
    np.testing.assert_array_equal(served[:, 0], states)  # dt = 0 is the identity
    np.testing.assert_allclose(np.log10(served[:, 1:]), predict(model, states)[:, 1:], rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", ["seed-linear", "seed-neural-ode"])
def test_shipped_models_answer_for_fresh_trajectories(name: str, tmp_path: Path) -> None:
    """To the error that their files state, on trajectories of another seed, and through their gate."""
    data = seed_data.make("published", tmp_path / "fresh.h5", trajectories=20, seed=99)
    solver = Solver.load(name)
    states, times = 10.0 ** data.log10_n[:, 0], seed_data.TIMES - seed_data.TIMES[0]
    raw, _ = solver.trajectory(states, times, seed_data.TEMPERATURE, mode="surrogate", conserve=False, zeta=ZETA)
    stated = solver.model.meta["accuracy"]["held_out_rmse_normalised"]
    assert 0.5 * stated < measure(data.log10_n, np.log10(raw)).rmse < 2.0 * stated
    inside = (data.initial[:, [solver.index("C"), solver.index("C+")]] > 0.015).all(axis=1)  # not at the box's edge
    _, report = solver.trajectory(states[inside], times, seed_data.TEMPERATURE, zeta=ZETA)
    assert (report.status[:, 1:] == Status.SURROGATE).all()
    assert solver.model.meta["provenance"]["command"].startswith("pychemsurrogate reproduce")


def test_figures(done: Path) -> None:
    assert {path.stem for path in (done / "figures").iterdir()} == FIGURES
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (done / "figures").iterdir())


def test_a_second_run_repeats_no_fit(done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(shutil.copytree(done, tmp_path / "again"))
    before = {path.name: path.stat().st_mtime_ns for path in (folder / "fits").iterdir()}
    assert len(before) == 8, "three models of two seeds, and a size of each sweep"
    monkeypatch.setattr(reproduce, "table_rows", lambda *_: iter(()))
    monkeypatch.setattr(reproduce, "draw_figures", lambda *_, **__: None)
    reproduce.run(tiny_plan(), folder, workers=1, progress=False)
    assert {path.name: path.stat().st_mtime_ns for path in (folder / "fits").iterdir()} == before


def test_plans() -> None:
    full, quick = full_plan("published", 3), quick_plan("text", 1)
    labels = [job.label for job in full.jobs()]
    assert len(labels) == len(set(labels)) == 7 * 3 + 7 + 6
    assert {job.seed for job in quick.jobs()} == {1}
    epochs = [sum(job.resolved.epochs for job in plan.jobs()) for plan in (full, quick)]
    assert epochs[1] < epochs[0] / 5, "20 minutes are a sixth of 120, and the timings take as long"


def test_published_limits(published: Published) -> None:
    assert (PUBLISHED_MIN, PUBLISHED_MAX) == seed_data.PUBLISHED_RANGE
    assert published.log10_n.min() >= PUBLISHED_MIN
    assert published.log10_n.max() <= PUBLISHED_MAX + 1e-4


def test_slope_and_curvature() -> None:
    tau = np.linspace(0.0, 1.0, 101)
    line = np.stack([2.0 * tau, 1.0 - 4.0 * tau], axis=1)[None]
    assert slope_and_curvature(tau, line) == (pytest.approx(3.0), pytest.approx(0.0, abs=1e-12))
    # tau^2: least-squares slope 1; variances 4/45 about the mean and 1/180 about the line.
    slope, curvature = slope_and_curvature(tau, (tau**2)[None, :, None])
    assert slope == pytest.approx(1.0)
    assert curvature == pytest.approx((1 / 180 / (4 / 45)) ** 0.5, rel=0.01)
    assert slope_and_curvature(tau, np.ones((1, 101, 1))) == (0.0, 0.0)


def test_a_folder_of_other_data_is_refused(tmp_path: Path) -> None:
    seed_data.make("published", tmp_path / "data_published_1.h5", trajectories=10, seed=1)
    result = CliRunner().invoke(main, ["reproduce", "--quick", "-o", str(tmp_path)])
    assert result.exit_code == 1
    assert "delete it, or name another file" in result.output


@pytest.mark.long
def test_quick(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["reproduce", "--quick", "-o", str(tmp_path)])
    assert result.exit_code == 0, result.output
    rmse = {name: float(row["rmse"]) for name, row in table(tmp_path).items() if row["rmse"]}
    assert rmse["linear latent"] < 4e-3
    assert rmse["best of latent dimension 5"] < 1e-3
