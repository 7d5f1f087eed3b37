"""The example hydro code: Sod's tube, advection that keeps elements and charge, coupled runs, and its figures."""

from __future__ import annotations

import subprocess
from pathlib import Path

import h5py
import native_build
import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from scipy.optimize import brentq

from pychemsurrogate.cli import main
from pychemsurrogate.evaluation.hydro import PARSEC_CM, FieldsError, Snapshot, dex_error, read_run, read_snapshot
from pychemsurrogate.integrators import ScipyBDF
from pychemsurrogate.network import Network
from pychemsurrogate.status import Status
from pychemsurrogate.training.dataset import load
from pychemsurrogate.training.sampling import STARTS

pytestmark = pytest.mark.skipif(not native_build.has_fortran(), reason="no gfortran")

EXAMPLE = native_build.ROOT / "fortran_example"

COLLISION = EXAMPLE / "cases" / "small_collision.nml"


@pytest.fixture(scope="module")
def cloud_hydro() -> Path:
    return native_build.cloud_hydro()


def simulate(
    program: Path, folder: Path, case: str, mode: str | None = "exact", threads: int = 1, compare: Path | None = None
) -> tuple[list[Snapshot], dict[str, float], str]:
    """Run a case; return its snapshots, the figures of its summary, and what it printed. mode None: no chemistry."""
    folder.mkdir(parents=True)
    case_file = folder / "case.nml"
    case_file.write_text(case)
    command: list[object] = [program, case_file, "--output", folder]
    command += ["--model", native_build.MODEL, "--mode", mode] if mode else []
    command += ["--compare", compare] if compare else []
    printed = native_build.run(command, {"OMP_NUM_THREADS": str(threads)})
    lines = [line.split() for line in (folder / "summary.txt").read_text().splitlines()]
    return read_run(folder), {name: float(value) for name, value in lines if name != "mode"}, printed


def sod_density(s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Density of Sod's problem at x/t = s: the exact solution (Toro 2009, Riemann Solvers, chapter 4)."""
    g, (rho_l, p_l), (rho_r, p_r) = 1.4, (1.0, 1.0), (0.125, 0.1)
    c_l, c_r = np.sqrt(g * p_l / rho_l), np.sqrt(g * p_r / rho_r)

    def rarefaction(p: float) -> float:  # velocity behind the left rarefaction
        return float(2 * c_l / (g - 1) * (1 - (p / p_l) ** ((g - 1) / (2 * g))))

    def shock(p: float) -> float:  # velocity behind the right shock
        return float((p - p_r) * np.sqrt(2 / ((g + 1) * rho_r) / (p + (g - 1) / (g + 1) * p_r)))

    p = brentq(lambda p: rarefaction(p) - shock(p), p_r, p_l, xtol=1e-14)
    u = shock(p)
    rho_1 = rho_l * (p / p_l) ** (1 / g)
    ratio, k = p / p_r, (g - 1) / (g + 1)
    rho_2 = rho_r * (ratio + k) / (k * ratio + 1)
    front = c_r * np.sqrt((g + 1) / (2 * g) * ratio + (g - 1) / (2 * g))
    tail = u - c_l * (p / p_l) ** ((g - 1) / (2 * g))
    fan = rho_l * (2 / (g + 1) - k / c_l * np.clip(s, -c_l, tail)) ** (2 / (g - 1))
    return np.select([s < -c_l, s < tail, s < u, s < front], [rho_l, fan, rho_1, rho_2], rho_r)


def test_reconstruction_and_riemann_solver(tmp_path: Path) -> None:
    sources = [EXAMPLE / "src" / f"{name}.f90" for name in ("constants", "reconstruct", "riemann")]
    tests = [Path(__file__).parent / "fortran" / f"{name}.f90" for name in ("expect", "numerics_test")]
    program = tmp_path / "numerics_test"
    native_build.run(["gfortran", "-std=f2008", "-O1", f"-J{tmp_path}", *sources, *tests, "-o", program])
    assert native_build.run([program]) == "all checks passed\n"


def test_sod_converges_to_the_exact_solution(cloud_hydro: Path, tmp_path: Path) -> None:
    errors = {}
    for cells in (100, 200, 400):
        case = (EXAMPLE / "cases" / "sod.nml").read_text().replace("nx = 200", f"nx = {cells}")
        run, _, _ = simulate(cloud_hydro, tmp_path / str(cells), case, mode=None)
        final = run[-1]
        assert final.time_s == pytest.approx(0.2 * PARSEC_CM, rel=1e-9)
        density = final.values("density")[0]
        errors[cells] = np.abs(density - sod_density(final.x_pc * PARSEC_CM / final.time_s)).mean()
        # No wave has reached an end: mass is what it was.
        assert density.mean() == pytest.approx(run[0].values("density").mean(), rel=1e-13)
    print(errors)
    assert errors[200] < 4e-3
    # First order, at best, where there are discontinuities.
    assert errors[200] < 0.62 * errors[100]
    assert errors[400] < 0.62 * errors[200]


def element_ratios(snapshot: Snapshot, network: Network) -> tuple[NDArray[np.float64], float]:
    """Nuclei of each element per H nucleus of the gas (element, cell), and the largest net charge share."""
    n = np.array([snapshot.values(f"n({name})").ravel() for name in network.species_names])
    content = network.tables().composition
    charges = content[-1]
    net = np.abs(charges @ n) / (np.abs(charges) @ n)
    return content[:-1] @ n / snapshot.values("n_H").ravel(), float(net.max())


def test_advection_alone_keeps_elements_and_charge(cloud_hydro: Path, tmp_path: Path, osu: Network) -> None:
    case = (
        COLLISION.read_text()
        .replace("max_steps = 10", "max_steps = 40")
        .replace("age_kyr", "react = .false.\n  chemistry%age_kyr")
    )
    run, figures, _ = simulate(cloud_hydro, tmp_path / "run", case)
    start, end = run[0], run[-1]
    assert end.step == 40
    for name in osu.species_names:
        assert (end.values(f"n({name})") >= 0).all(), name
    # The composition differs between cells and has moved, ...
    co = start.abundance("CO")
    assert co.max() > 2 * co.min()
    assert np.abs(end.abundance("CO") / co - 1).max() > 0.1
    # ... but the elements are where the gas is, and the gas is neutral.
    ratios, net_charge = element_ratios(end, osu)
    assert (np.ptp(ratios, axis=1) <= 1e-12 * ratios.max(axis=1)).all()
    assert net_charge < 1e-12
    assert figures["net_charge"] == pytest.approx(net_charge, abs=1e-15)


@pytest.fixture(scope="module")
def coupled(cloud_hydro: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small 2-D run with the exact integrator."""
    folder = tmp_path_factory.mktemp("coupled") / "exact"
    simulate(cloud_hydro, folder, COLLISION.read_text())
    return folder


def test_coupled_run_conserves(coupled: Path, osu: Network) -> None:
    figures = dict(line.split() for line in (coupled / "summary.txt").read_text().splitlines())
    assert float(figures["chemistry_defect"]) <= 1e-12
    assert float(figures["failed_share"]) == 0
    for line in (EXAMPLE / "expected" / "small_collision.txt").read_text().splitlines():
        name, value = line.split()
        assert float(figures[name]) == pytest.approx(float(value), rel=1e-2), name  # the integrator's rtol
    end = read_run(coupled)[-1]
    ratios, net_charge = element_ratios(end, osu)
    assert (np.ptp(ratios, axis=1) <= 1e-11 * ratios.max(axis=1)).all()
    assert net_charge < 1e-11
    assert set(np.unique(end.fields["status"])) == {10}
    assert end.abundance("CO").max() > 1.2 * read_run(coupled)[0].abundance("CO").max()


def test_threads_do_not_change_the_answer(cloud_hydro: Path, coupled: Path, tmp_path: Path) -> None:
    case = (coupled / "case.nml").read_text()
    run, _, printed = simulate(cloud_hydro, tmp_path / "run", case, threads=2, compare=coupled)
    for name, values in read_run(coupled)[-1].fields.items():
        np.testing.assert_array_equal(run[-1].fields[name], values, err_msg=name)
    table = [line.split() for line in printed.splitlines() if line.split()[:1] == ["CO"]]
    assert [float(number) for number in table[0][1:5]] == [0, 0, 0, 0]


def test_compared_with_another_run(cloud_hydro: Path, coupled: Path, tmp_path: Path) -> None:
    case = (coupled / "case.nml").read_text().replace("chemistry%zeta = 1e-16", "chemistry%zeta = 2e-16")
    run, figures, _ = simulate(cloud_hydro, tmp_path / "run", case, compare=coupled)
    error = dex_error(run[-1], read_run(coupled)[-1], "CO")
    assert np.nanmax(error) > 1e-3
    assert figures["dex_mean_CO"] == pytest.approx(np.nanmean(error), rel=1e-10)
    assert figures["dex_median_CO"] == pytest.approx(np.quantile(error, 0.5, method="inverted_cdf"), rel=1e-10)
    assert figures["dex_p99_CO"] == pytest.approx(np.quantile(error, 0.99, method="inverted_cdf"), rel=1e-10)


def test_surrogate_serves_most_cells_and_conserves(cloud_hydro: Path, coupled: Path, tmp_path: Path) -> None:
    run, figures, _ = simulate(cloud_hydro, tmp_path / "run", COLLISION.read_text(), mode="auto", compare=coupled)
    others = ("routed", "refused_box", "refused_distance", "refused_error", "refused_budget", "audited")
    assert figures["surrogate_share"] + sum(figures[f"{path}_share"] for path in others) == pytest.approx(1)
    assert figures["surrogate_share"] > 0.5
    assert figures["chemistry_defect"] <= 1e-12
    assert all(figures[f"dex_p99_{name}"] < 0.2 for name in ("CO", "C", "C+", "e-"))
    assert set(np.unique(run[-1].fields["status"])) <= {0, 11, 13, 14, 18}
    # Both runs start from the same state.
    for name, values in read_run(coupled)[0].fields.items():
        np.testing.assert_array_equal(run[0].fields[name], values, err_msg=name)


@pytest.mark.parametrize("problem", ["colliding_flows", "shock_cloud"])
def test_shipped_cases_start(cloud_hydro: Path, tmp_path: Path, problem: str) -> None:
    case = (EXAMPLE / "cases" / f"{problem}.nml").read_text()
    case = case.replace("run%snapshots", "run%max_steps = 2\n  run%snapshots")
    run, _, _ = simulate(cloud_hydro, tmp_path / "run", case)
    assert run[-1].step == 2
    assert 10 <= run[-1].values("temperature").min() <= run[-1].values("temperature").max() <= 300
    dt_yr = run[-1].time_s / 2 / 3.15576e7
    assert 1e2 < dt_yr < 1e4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "usage"),
        (["no_such_case.nml"], "cannot be read"),
        (["--mode"], "usage"),
        (["{case}", "--model", "no_such_model"], "no_such_model"),
        (["{case}", "--model", "{model}", "--mode", "guess"], "guess"),
    ],
)
def test_mistakes_are_told(cloud_hydro: Path, coupled: Path, tmp_path: Path, words: list[str], message: str) -> None:
    filled = [word.format(case=coupled / "case.nml", model=native_build.MODEL) for word in words]
    result = subprocess.run([cloud_hydro, *filled], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert message in result.stdout + result.stderr


def test_plot_draws_maps_and_keeps_hdf5(coupled: Path, tmp_path: Path) -> None:
    out = tmp_path / "figures"
    result = CliRunner().invoke(main, ["plot", str(coupled), "--compare", str(coupled), "--out", str(out)])
    assert result.exit_code == 0, result.output
    figures = {path.name for path in out.glob("*.png")}
    assert figures == {"final_state.png", "evolution.png", "abundance_density.png", "errors.png", "paths.png"}
    assert all(path.stat().st_size > 20_000 for path in out.glob("*.png"))
    run = read_run(coupled)
    with h5py.File(out / "fields.h5") as file:
        assert len(file) == len(run)
        kept = file["snapshot_0001/n(CO)"]
        np.testing.assert_array_equal(kept[:], run[1].values("n(CO)"))
        assert kept.attrs["unit"] == "cm^-3"


def test_plot_draws_profiles(cloud_hydro: Path, tmp_path: Path) -> None:
    case = (EXAMPLE / "cases" / "shock_cloud.nml").read_text().replace("nx = 600", "nx = 60")
    folder = tmp_path / "run"
    simulate(cloud_hydro, folder, case.replace("t_end_kyr = 300", "t_end_kyr = 30"))
    result = CliRunner().invoke(main, ["plot", str(folder), "--compare", str(folder)])
    assert result.exit_code == 0, result.output
    assert {path.name for path in folder.glob("*.png")} == {"profiles.png", "abundance_density.png", "errors.png"}


def test_every_status_has_its_colour() -> None:
    pytest.importorskip("matplotlib")
    from pychemsurrogate.evaluation import hydro_figures

    shown = [code for _, _, group in hydro_figures._PATHS for code in group]
    assert sorted(shown) == sorted(Status)


def test_bad_snapshots_are_refused(coupled: Path, tmp_path: Path) -> None:
    header, binary = coupled / "snapshot_0001.txt", coupled / "snapshot_0001.bin"
    with pytest.raises(FieldsError, match="no snapshots"):
        read_run(tmp_path)
    target = tmp_path / header.name
    target.write_text(header.read_text())
    with pytest.raises(FieldsError, match="missing"):
        read_snapshot(target)
    target.with_suffix(".bin").write_bytes(binary.read_bytes()[:-8])
    with pytest.raises(FieldsError, match="bytes"):
        read_snapshot(target)
    target.write_text(header.read_text().replace("cells 24", "cells many"))
    with pytest.raises(FieldsError, match="damaged"):
        read_snapshot(target)
    target.write_text("something else\n")
    with pytest.raises(FieldsError, match="not a snapshot"):
        read_snapshot(target)
    snapshot = read_snapshot(header)
    with pytest.raises(FieldsError, match="no field"):
        snapshot.values("n(Xx)")
    with pytest.raises(FieldsError, match="same case twice"):
        dex_error(snapshot, read_run(coupled)[0], "CO")
    result = CliRunner().invoke(main, ["plot", str(tmp_path / "nothing")])
    assert result.exit_code == 1
    assert "no snapshots" in result.output


# --- test pairs from a run --------------------------------------------------------------------------------------------


def test_recorded_pairs_start_from_cells_of_the_run(coupled: Path, tmp_path: Path, osu: Network) -> None:
    target = tmp_path / "recorded.h5"
    made = CliRunner().invoke(main, ["record", str(coupled), "-o", str(target), "--pairs", "300"])
    assert made.exit_code == 0, made.output
    pairs = load(target)
    assert len(pairs) == 300
    run = read_run(coupled)
    mixed = pairs.begin == STARTS.index("neighbour mixture")
    assert 0.3 < mixed.mean() < 0.7
    ny, nx = run[0].shape
    for row in np.flatnonzero(~mixed)[:20]:
        time, cell = divmod(int(pairs.run[row]), ny * nx)
        n = np.array([run[time].values(f"n({name})").ravel()[cell] for name in osu.species_names])
        np.testing.assert_allclose(pairs.start[row], n / run[time].values("n_H").ravel()[cell], rtol=1e-5, atol=1e-30)
        assert pairs.temperature[row] == run[time].values("temperature").ravel()[cell]
    n, status = ScipyBDF(osu, rtol=1e-7).advance(
        pairs.start[:4] * pairs.density[:4, None],
        pairs.dt[:4],
        pairs.temperature[:4],
        {"zeta": pairs.conditions[:4, 0]},
    )
    assert (status > 0).all()
    x = n / pairs.density[:4, None]
    assert np.abs(np.log10(x) - np.log10(pairs.end[:4]))[x > 1e-12].max() < 1e-3


def test_runs_of_another_network_are_not_recorded(coupled: Path, tmp_path: Path, robertson: Network) -> None:
    network, target = tmp_path / "robertson.network", str(tmp_path / "r.h5")
    network.write_text(robertson.text())
    refused = CliRunner().invoke(main, ["record", str(coupled), "-o", target, "--network", str(network)])
    assert refused.exit_code == 1
    assert "other species" in refused.output
    nothing = CliRunner().invoke(main, ["record", str(tmp_path), "-o", target])
    assert nothing.exit_code == 1
    assert "no snapshots" in nothing.output
