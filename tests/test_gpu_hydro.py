"""The 2-D hydro code on torch tensors (examples/gpu_hydro), on the CPU, and on a GPU where one is."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import native_build
import numpy as np
import pytest
from joined import joined_model

from pychemsurrogate import Solver
from pychemsurrogate.evaluation.hydro import read_run
from pychemsurrogate.status import Status

torch = pytest.importorskip("torch")
colliding_flows, hydro = (import_module(name) for name in ("colliding_flows", "hydro"))

ROOT = Path(__file__).resolve().parent.parent
MULTICLOCK = "osu_09_2008-multiclock"  # no router: the surrogate serves whatever its gate trusts
# Costs with which the router sends a part of the cells to the integrator and asks a surrogate for the rest.
ROUTED = {"model": joined_model(), "costs": (0.3, 1.0, 0.3, 1.2, 1.9), "audit": 0.0, "exact_every": 0}


def abundance(run: dict[str, Any], species: str) -> np.ndarray:
    return run["n"][run["species"].index(species)] / run["n_H"]


@pytest.mark.skipif(not native_build.has_fortran(), reason="no gfortran")
def test_the_fortran_code_gives_the_same_fields(tmp_path: Path) -> None:
    case = ROOT / "fortran_example" / "cases" / "small_collision.nml"
    command = [native_build.cloud_hydro(), case, "--model", native_build.MODEL, "--mode", "exact", "--output", tmp_path]
    native_build.run(command)
    end = read_run(tmp_path)[-1]
    run = colliding_flows.run("cpu", 24, 10, model=MULTICLOCK, mode="exact")
    assert run["time_s"] == pytest.approx(end.time_s, rel=1e-13)
    for name, values in {"n_H": run["n_H"], "temperature": run["temperature_K"]}.items():
        np.testing.assert_allclose(values.T, end.values(name), rtol=1e-12, err_msg=name)
    for species, n in zip(run["species"], run["n"], strict=True):
        np.testing.assert_allclose(n.T, end.values(f"n({species})"), rtol=1e-11, err_msg=species)


@pytest.fixture(scope="module")
def routed() -> dict[str, Any]:
    """Seven steps in which a surrogate and the integrator both serve cells."""
    return colliding_flows.run("cpu", 32, 7, **ROUTED)


def test_every_cell_is_served_and_keeps_its_elements(routed: dict[str, Any]) -> None:
    assert sum(routed["counts"].values()) == 7 * 32 * 32
    assert all(status >= 0 for status in routed["counts"])
    assert routed["counts"][Status.SURROGATE] == routed["learned"].sum() > 100
    assert routed["counts"][Status.EXACT_ROUTED] > 100
    assert 0 < routed["chemistry_share"] < 1
    content = Solver.load("osu_09_2008").network.tables().composition
    totals = np.einsum("es,sxy->exy", content, routed["n"])
    per_h = totals[:-1] / routed["n_H"]
    assert (np.ptp(per_h, axis=(1, 2)) < 1e-12 * per_h.mean(axis=(1, 2))).all()
    charges = np.einsum("s,sxy->xy", np.abs(content[-1]), routed["n"])
    assert np.abs(totals[-1] / charges).max() < 1e-12
    assert routed["n"].min() >= 0


def test_chemistry_is_what_the_solver_gives_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The strided view of the fields is stepped in place, bit for bit as a copy by a solver of its own."""
    calls: list[tuple[np.ndarray, float, np.ndarray, np.ndarray]] = []
    step = Solver.step

    def watched(self: Solver, n: Any, dt: Any, kelvin: Any, **words: Any) -> Any:
        if not torch.is_tensor(n):  # the composition of the streams
            return step(self, n, dt, kelvin, **words)
        before = n.numpy().copy()
        result, report = step(self, n, dt, kelvin, **words)
        assert result is n
        calls.append((before, float(dt), kelvin.numpy().copy(), n.numpy().copy()))
        return result, report

    monkeypatch.setattr(Solver, "step", watched)
    options = {"audit": 0.0, "exact_every": 2}
    colliding_flows.run("cpu", 16, 2, model=MULTICLOCK, **options)
    assert len(calls) == 2
    alone = Solver.load(MULTICLOCK, **options)
    for before, dt, kelvin, after in calls:
        expected, report = step(alone, before, dt, kelvin, zeta=1e-16)
        assert report.ok
        np.testing.assert_array_equal(after, expected)
        assert np.abs(after / before - 1).max() > 1e-3


def test_engines_give_the_same_fields() -> None:
    options = {"model": MULTICLOCK, "audit": 0.0, "exact_every": 0}
    native, other = (colliding_flows.run("cpu", 24, 5, **options, engine=engine) for engine in ("native", "torch"))
    np.testing.assert_array_equal(other["n_H"], native["n_H"])  # the gas does not look at the species
    assert other["counts"] == native["counts"] == {Status.SURROGATE: 5 * 24 * 24}
    for species in ("CO", "C", "C+", "e-", "OH", "H2O"):
        error = np.abs(np.log10(abundance(other, species) / abundance(native, species)))
        assert error.max() < 5e-5, (species, error.max())


@pytest.mark.parametrize("dim", [hydro.X, hydro.Y])
def test_slopes_and_fluxes_of_uniform_gas(dim: int) -> None:
    gas = hydro.Gas()
    shape = (4, 9, 9)
    w = torch.tensor([1e-21, 2e5, -3e4, 1e-12], dtype=torch.float64).reshape(4, 1, 1).expand(shape)
    n = torch.tensor([1e2, 1e-3], dtype=torch.float64).reshape(2, 1, 1).expand(2, 9, 9)
    flux, species_flux = hydro.fluxes(gas.conserved(w), n, dim, gas)
    velocity = w[dim, 0, 0]
    p = w[3, 0, 0]
    expected = velocity * gas.conserved(w)[:, 0, 0]
    expected[dim] += p
    expected[3] += p * velocity
    assert flux.shape[dim] == 6
    assert torch.allclose(flux, expected.reshape(4, 1, 1).expand_as(flux), rtol=1e-12, atol=0)
    assert torch.allclose(species_flux, (velocity * n[:, :1, :1]).expand_as(species_flux), rtol=1e-12, atol=0)


def test_command_line_and_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    examples = ROOT / "examples"
    run_file, picture = tmp_path / "run.npz", tmp_path / "run.png"
    options = ["--cells", "16", "--steps", "2", "--model", MULTICLOCK, "--mode", "surrogate", "--output", run_file]
    script = examples / "gpu_hydro" / "colliding_flows.py"
    printed = native_build.run([sys.executable, script, *options])
    assert "100.0000% of the cell steps: advanced by the surrogate" in printed
    assert "mean CO/H" in printed
    native_build.run([sys.executable, examples / "picture.py", run_file, picture], {"MPLBACKEND": "Agg"})
    assert picture.stat().st_size > 20_000


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch can use")
@pytest.mark.parametrize("engine", [None, "torch"])
@pytest.mark.parametrize("mode", ["surrogate", "exact"])
def test_gpu_gives_the_fields_of_the_cpu(engine: str | None, mode: str) -> None:
    cpu, gpu = (
        colliding_flows.run(device, 32, 7, model=MULTICLOCK, mode=mode, engine=engine) for device in ("cpu", "cuda")
    )
    np.testing.assert_allclose(gpu["n_H"], cpu["n_H"], rtol=1e-9)
    assert gpu["counts"] == cpu["counts"]
    for species in ("CO", "C", "C+", "e-", "OH", "H2O"):
        error = np.abs(np.log10(abundance(gpu, species) / abundance(cpu, species)))
        assert np.quantile(error, 0.99) < 1e-4, species


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch can use")
def test_gas_on_a_gpu_waits_for_nothing() -> None:
    gas = hydro.Gas()
    streams = colliding_flows.Streams(gas, Solver.load(MULTICLOCK, mode="exact"), 32, "cuda")
    now = torch.zeros((), dtype=torch.float64, device="cuda")
    u, n = streams(torch.arange(32, device="cuda"), now)
    torch.cuda.set_sync_debug_mode("error")
    try:
        dt = hydro.stable_time_step(u, streams.width, 0.4, gas)
        hydro.hydro_step(u, n, dt, now, streams.width, gas, streams.ghosts)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert bool(torch.isfinite(n).all())
