"""Hosts in Python: the guide's page, and two hydro codes that others wrote, PyClaw and pyro2 (examples/)."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import guide
import native_build
import numpy as np
import pytest
import python_hosts
from joined import joined_model
from numpy.typing import NDArray
from scipy.optimize import brentq

from pychemsurrogate import Solver
from pychemsurrogate.integrators.conserve import conservation_defect
from pychemsurrogate.status import Status

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
YEAR_S = 3.15576e7
Fields = dict[str, NDArray[Any]]


# The guide's page


@pytest.fixture(scope="module")
def page() -> str:
    return (guide.PAGES / "python.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """The page's program, run as it stands: its names at the end, and the folder that it ran in."""
    folder = tmp_path_factory.mktemp("python_page")
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(compile(guide.block("python", "python"), "docs/hosts/python.md", "exec"), names)
    return names, folder


def test_program_agrees_with_one_step_in_the_frame_of_the_gas(program: tuple[dict[str, Any], Path]) -> None:
    """The gas only drifts, so a cell's end is its start, 40 kyr later, at its own density and temperature."""
    names, _ = program
    solver, n_h = names["solver"], names["n_h"]
    start = np.full((n_h.size, len(solver.species)), 1e-20) * n_h.reshape(-1, 1)
    for name, abundance in {"H2": 0.5, "O": 2e-4, "C+": 1e-4, "e-": 1e-4}.items():
        start[:, solver.index(name)] = abundance * n_h.ravel()
    reference = Solver.load("osu_09_2008", mode="exact", rtol=1e-6)
    temperature = 50 * (n_h.ravel() / 1e3) ** -0.3
    expected, report = reference.step(start, 40e3 * YEAR_S, temperature, zeta=1e-16)
    assert report.ok
    found = names["fields"].reshape(len(solver.species), -1).T
    ghost = names["mask"].ravel() == 0
    assert np.array_equal(found[ghost], start[ghost])  # the transport only moved them
    x, y = found[~ghost] / n_h.reshape(-1, 1)[~ghost], expected[~ghost] / n_h.reshape(-1, 1)[~ghost]
    seen = y > 1e-10
    error = np.abs(np.log10(x[seen] / y[seen]))
    assert np.quantile(error, 0.99) < 0.03, np.quantile(error, 0.99)
    matrix = solver.network.tables().composition
    assert conservation_defect(found, start, matrix).max() < 40e-12


def test_program_leaves_a_checkpoint_that_goes_on_with_the_same_bits(program: tuple[dict[str, Any], Path]) -> None:
    names, folder = program
    with np.load(folder / "checkpoint.npz") as saved:
        assert np.array_equal(saved["fields"], names["fields"])
        species = saved["species"].tolist()

    def advance(solver: Solver, fields: NDArray[Any], error_dex: NDArray[Any], steps: int) -> None:
        n = fields.reshape(len(solver.species), -1).T
        for _ in range(steps):
            temperature = names["temperature_k"].ravel()
            _, report = solver.step(n, 2e4 * YEAR_S, temperature, zeta=1e-16, out=n, error_dex=error_dex.ravel())
            assert report.ok, report.advice()

    def load() -> Solver:
        return Solver.load(joined_model(), audit=0.0, species=species)

    fields, error_dex = names["fields"].copy(), names["error_dex"].copy()
    advance(load(), fields, error_dex, 6)
    again, error_again = names["fields"].copy(), names["error_dex"].copy()
    advance(load(), again, error_again, 3)
    np.savez(folder / "again.npz", fields=again, error_dex=error_again)
    with np.load(folder / "again.npz") as saved:
        again, error_again = saved["fields"], saved["error_dex"]
    advance(load(), again, error_again, 3)
    assert np.array_equal(again, fields)
    assert np.array_equal(error_again, error_dex)


def test_snippets_run_and_their_layouts_are_views(
    page: str, program: tuple[dict[str, Any], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    names, folder = program
    monkeypatch.chdir(folder)
    names = dict(names)
    snippets = re.findall(r"^```py\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert len(snippets) == 4
    layouts, fractions, options, restart = snippets
    owners = ("interleaved", "by_species", "fortran", "block")
    pieces = re.findall(r"^(\w+) = np.ones.*\nn = .*$", layouts, re.MULTILINE)
    assert tuple(pieces) == owners
    solver, cells = names["solver"], names["nx"] * names["ny"]
    lines = layouts.splitlines()
    start = names["fields"].reshape(len(solver.species), -1).T.copy()
    expected, _ = solver.step(start, 1e3 * YEAR_S, 30.0, zeta=1e-16)
    for i, owner in enumerate(owners):
        exec("\n".join(lines[2 * i : 2 * i + 2]), names)
        n = names["n"]
        assert n.shape == (cells, len(solver.species))
        assert np.shares_memory(n, names[owner])
        n[...] = start
        _, report = solver.step(n, 1e3 * YEAR_S, 30.0, zeta=1e-16, out=n)
        assert report.ok
        assert np.array_equal(n, expected), owner
    before = names["fields"].copy()
    exec(fractions, names)
    assert names["report"].ok
    mass = names["mass_g"][:, None, None]
    assert np.isclose((before * mass).sum(), (names["r"] * names["rho"]).sum(), rtol=1e-12)
    exec(options, names)
    exec(restart, names)
    assert names["solver"].species == solver.species


def test_torch_tensors_of_any_strides_are_advanced_in_place() -> None:
    import torch

    solver = Solver.load("osu_09_2008", mode="exact")
    fields = torch.full((len(solver.species), 6, 4), 1e-16, dtype=torch.float64)
    for name, density in {"H2": 500.0, "O": 0.2, "C+": 0.1, "e-": 0.1}.items():
        fields[solver.index(name)] = density
    expected, _ = solver.step(fields.reshape(len(fields), -1).T.numpy().copy(), 1e3 * YEAR_S, 30.0, zeta=1e-16)
    n = fields.reshape(len(fields), -1).T
    result, report = solver.step(n, 1e3 * YEAR_S, 30.0, zeta=1e-16, out=n)
    assert report.ok
    assert result is n
    assert np.array_equal(fields.numpy().reshape(len(fields), -1).T, expected)


def test_page_shows_the_line_that_the_examples_have(page: str) -> None:
    (line,) = re.findall(r"^```text\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    call = line.strip().removesuffix(")")
    for source in ("pyclaw/shock_cloud.py", "pyro2/mixing_layer.py"):
        text = (EXAMPLES / source).read_text(encoding="utf-8")
        assert text.count(call) == 1, source


# The Riemann solver that the PyClaw example brings, without PyClaw

GAMMA = 5 / 3
Slice = NDArray[np.float64]


@pytest.fixture(scope="module")
def riemann(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Slice], tuple[Slice, Slice, Slice, Slice]]:
    """rpn2 for a slice q (equations, cells) along x: waves (equations, 3, edges), speeds, left- and right-going parts.

    Of the edges between the cells, so there is one edge less than there are cells.
    """
    folder = tmp_path_factory.mktemp("riemann")
    source, library = EXAMPLES / "pyclaw" / "euler_species.f90", folder / "euler_species.so"
    flags = ["-std=f2018", "-Wall", "-Wextra", "-Werror", "-O2", "-fPIC", "-shared"]
    native_build.run(["gfortran", *flags, "-J", folder, "-o", library, source])
    code = ctypes.CDLL(str(library))
    ctypes.c_double.in_dll(code, "euler_species_gamma").value = GAMMA

    def solve(q: Slice) -> tuple[Slice, Slice, Slice, Slice]:
        equations, cells = q.shape
        q = np.asfortranarray(q)
        wave, speed = np.zeros((equations, 3, cells), order="F"), np.zeros((3, cells), order="F")
        amdq, apdq = np.zeros_like(q, order="F"), np.zeros_like(q, order="F")
        ghosts = 2
        sizes = (1, cells - 2 * ghosts, equations, 3, 0, ghosts, cells - 2 * ghosts)
        integers = [ctypes.byref(ctypes.c_int(size)) for size in sizes]
        arrays = [a.ctypes.data_as(ctypes.c_void_p) for a in (q, q, q, q, wave, speed, amdq, apdq)]
        code.euler_species_rpn2(*integers, *arrays)
        return wave[..., 1:], speed[:, 1:], amdq[:, 1:], apdq[:, 1:]

    return solve


def euler_flux(q: Slice) -> Slice:
    u = q[1] / q[0]
    pressure = (GAMMA - 1) * (q[3] - (q[1] ** 2 + q[2] ** 2) / (2 * q[0]))
    flux: Slice = u * q
    flux[1] += pressure
    flux[3] += u * pressure
    return flux


def random_gas(cells: int) -> Slice:
    """Gas with four species whose sum is n_H, and whose abundances span twelve decades."""
    rng = np.random.default_rng(7)
    n_h, u, v, pressure = 10 ** rng.uniform(0, 4, cells), *rng.normal(0, 3, (2, cells)), 10 ** rng.uniform(-1, 3, cells)
    x = 10 ** rng.uniform(-12, 0, (4, cells))
    energy = pressure / (GAMMA - 1) + n_h * (u**2 + v**2) / 2
    return np.stack([n_h, n_h * u, n_h * v, energy, *(n_h * x / x.sum(axis=0))])


def test_riemann_solver_is_conservative_and_keeps_sums_of_species(riemann: Callable[..., Any]) -> None:
    q = random_gas(400)
    wave, _, amdq, apdq = riemann(q)
    flux = euler_flux(q)
    size = np.abs(flux[:, 1:]) + np.abs(flux[:, :-1])
    assert (np.abs(amdq + apdq - np.diff(flux, axis=1)) <= 1e-12 * size).all()
    for moved in (amdq, apdq, *wave.transpose(1, 0, 2)):  # the species' sum is moved as the density is
        scale = np.abs(moved[4:]).sum(axis=0) + q[0, 1:] + q[0, :-1]
        assert (np.abs(moved[4:].sum(axis=0) - moved[0]) <= 1e-11 * scale).all()


def test_riemann_solver_keeps_a_contact_and_uniform_gas(riemann: Callable[..., Any]) -> None:
    """At rest, in pressure balance, nothing may move, whatever the density and the composition."""
    q = random_gas(60)
    q[1:3], q[3] = 0, 1 / (GAMMA - 1)
    _, speed, amdq, apdq = riemann(q)
    assert np.abs(speed[1]).max() < 1e-12
    assert max(np.abs(amdq).max(), np.abs(apdq).max()) < 1e-10


def test_riemann_solver_on_the_shock_tube(riemann: Callable[..., Any]) -> None:
    """First-order steps converge to Sod's states, gamma = 5/3, exact solution; the species stay with their gas."""
    errors = []
    for cells in (200, 400):
        x = (np.arange(cells) + 0.5) / cells - 0.5
        q = np.zeros((5, cells))
        q[0], q[4] = np.where(x < 0, 1, 0.125), np.where(x < 0, 1, 0.0)
        q[3] = np.where(x < 0, 1.0, 0.1) / (GAMMA - 1)
        time_now, end = 0.0, 0.15
        while time_now < end:
            padded = np.pad(q, ((0, 0), (2, 2)), mode="edge")
            _, speed, amdq, apdq = riemann(padded)
            dt = min(0.9 / cells / np.abs(speed).max(), end - time_now)
            q -= dt * cells * (apdq[:, 1:-2] + amdq[:, 2:-1])
            time_now += dt
        errors.append(np.abs(q[0] - exact_shock_tube(x / end)).mean())
        assert q[4].min() >= 0
        assert (q[4] <= q[0] * (1 + 1e-12)).all()
        assert np.isclose(q[4].sum() / cells, 0.5, rtol=1e-12)
    assert errors[0] < 0.015
    assert errors[1] < 0.75 * errors[0]


def exact_shock_tube(s: Slice) -> Slice:
    """Density at x/t = s for (rho, p) = (1, 1) and (0.125, 0.1) at rest (Toro 2009, Riemann Solvers, chapter 4)."""
    g, p_l, rho_r, p_r = GAMMA, 1.0, 0.125, 0.1
    c_l = np.sqrt(g)

    def velocity_l(p: float) -> float:
        return float(2 * c_l / (g - 1) * (1 - (p / p_l) ** ((g - 1) / (2 * g))))

    def velocity_r(p: float) -> float:
        return float((p - p_r) * np.sqrt(2 / ((g + 1) * rho_r) / (p + (g - 1) / (g + 1) * p_r)))

    p = brentq(lambda p: velocity_l(p) - velocity_r(p), p_r, p_l, xtol=1e-14)
    u = velocity_r(p)
    k, ratio = (g - 1) / (g + 1), p / p_r
    rho_1, rho_2 = p ** (1 / g), rho_r * (ratio + k) / (k * ratio + 1)
    front = np.sqrt(g * p_r / rho_r) * np.sqrt((g + 1) / (2 * g) * ratio + (g - 1) / (2 * g))
    tail = u - c_l * p ** ((g - 1) / (2 * g))
    fan = (2 / (g + 1) - k / c_l * np.clip(s, -c_l, tail)) ** (2 / (g - 1))
    return np.select([s < -c_l, s < tail, s < u, s < front], [1.0, fan, rho_1, rho_2], rho_r)


# The hosts, at small size. In processes of their own: PyClaw and pyro2 warn on import, and write files where they run.

SMALL = {
    "pyclaw/shock_cloud.py": ("--cells", "64", "--end-kyr", "400"),
    "pyro2/mixing_layer.py": ("--cells", "32", "--end-kyr", "200"),
}


@dataclass(frozen=True)
class Run:
    """What an example saved, and printed."""

    fields: Fields
    printed: str

    def of(self, species: str) -> NDArray[np.float64]:
        """Abundance n / n_H (x, y)."""
        abundance: NDArray[np.float64] = self.fields["n"][self.fields["species"].tolist().index(species)]
        return abundance / self.fields["n_H"]


def simulate(example: str, folder: Path, *options: str, threads: int = 2) -> Run:
    """Run an example at its small size."""
    command = [sys.executable, str(EXAMPLES / example), *SMALL[example], *options, "--output", "run.npz"]
    environment = os.environ | {"MPLBACKEND": "Agg", "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with np.load(folder / "run.npz") as saved:
        return Run(dict(saved), done.stdout)


@pytest.fixture(scope="module")
def runs_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Run]]:
    """Gives an example's runs in three modes; each example runs when it is first asked for."""
    folder = tmp_path_factory.mktemp("host")
    return cache(lambda example: {mode: simulate(example, folder, "--mode", mode) for mode in ("exact", "auto", "off")})


@pytest.fixture(params=SMALL)
def runs(request: pytest.FixtureRequest, runs_of: Callable[[str], dict[str, Run]]) -> tuple[str, dict[str, Run]]:
    """An example, and its runs in three modes."""
    return request.param, runs_of(request.param)


@pytest.mark.long
def test_host_serves_every_cell_and_keeps_elements_and_charge(runs: tuple[str, dict[str, Run]]) -> None:
    example, by_mode = runs
    for mode, run in by_mode.items():
        fields = run.fields
        counts = {Status(status): count for status, count in fields["statuses"].tolist()}
        assert sum(counts.values()) == fields["calls"] * fields["n_H"].size
        assert all(status >= 0 for status in counts)
        if mode == "exact":
            assert set(counts) <= {Status.EXACT_REQUESTED, Status.EXACT_SECOND_TRY, Status.UNCHANGED}
        assert fields["n"].min() >= 0
        for element, total in zip(fields["elements"], fields["totals"], strict=False):
            per_h = total / fields["n_H"]
            assert np.ptp(per_h) < 2e-13 * per_h.mean(), (example, mode, element)
        matrix = np.abs(Solver.load("osu_09_2008").network.tables().composition[-1])
        assert np.abs(fields["totals"][-1] / np.einsum("s,sxy->xy", matrix, fields["n"])).max() < 1e-12
        assert fields["repaired"] == 0


@pytest.mark.long
def test_chemistry_leaves_the_gas_of_the_host_alone(runs: tuple[str, dict[str, Run]]) -> None:
    """It has no heating. (Clawpack's limiter looks at the species too: the trace of them that the gas may keep.)"""
    example, by_mode = runs
    allowed = {"pyclaw/shock_cloud.py": 2e-3, "pyro2/mixing_layer.py": 0.0}[example]
    for name in ("n_H", "temperature_K"):
        assert np.allclose(by_mode["exact"].fields[name], by_mode["off"].fields[name], rtol=allowed, atol=0), name
    change = np.abs(np.log10(by_mode["exact"].of("C+") / by_mode["off"].of("C+")))
    assert change.max() > 0.5  # there is chemistry to be seen


@pytest.mark.long
def test_host_in_mode_auto_is_close_to_exact(runs: tuple[str, dict[str, Run]]) -> None:
    _, by_mode = runs
    for species in ("CO", "C", "C+", "e-", "OH", "H2O"):
        error = np.abs(np.log10(by_mode["auto"].of(species) / by_mode["exact"].of(species)))
        assert np.quantile(error, 0.99) < 0.05, (species, np.quantile(error, 0.99))


@pytest.mark.long
def test_host_gives_the_same_bits_on_one_thread(runs: tuple[str, dict[str, Run]], tmp_path: Path) -> None:
    example, by_mode = runs
    again = simulate(example, tmp_path, "--mode", "exact", threads=1)
    assert np.array_equal(again.fields["n"], by_mode["exact"].fields["n"])


@pytest.mark.long
def test_readme_of_host_has_the_numbers(runs: tuple[str, dict[str, Run]]) -> None:
    example, by_mode = runs
    text = (EXAMPLES / example).with_name("README.md").read_text(encoding="utf-8")
    assert " ".join(SMALL[example]) in text
    rows = re.findall(r"^\| ([\w+-]+) \| (\S+e-\d+) \| (\S+e-\d+) \|$", text, re.MULTILINE)
    assert len(rows) == 6
    fields = by_mode["exact"].fields
    for species, small, _ in rows:
        mean = (by_mode["exact"].of(species) * fields["n_H"]).sum() / fields["n_H"].sum()
        assert np.isclose(mean, float(small), rtol=0.01), species


@pytest.mark.long
def test_stream_of_pyclaw_ages_as_a_single_cell_does(runs_of: Callable[[str], dict[str, Run]]) -> None:
    """Ahead of the bow shock the gas is uniform but for its age x / v: a row of cells is one cell's history."""
    run = runs_of("pyclaw/shock_cloud.py")["exact"]
    fields = run.fields
    solver = Solver.load("osu_09_2008", mode="exact", rtol=1e-6)
    n = np.full((1, len(solver.species)), 1e-18)
    for name, abundance in {"H2": 0.5, "O": 3e-4, "C+": 1e-4, "e-": 1e-4}.items():
        n[0, solver.index(name)] = 100 * abundance
    length, cells = fields["extent_pc"][1], len(fields["n_H"])
    x_pc = (np.arange(cells) + 0.5) * length / cells
    ahead = (fields["n_H"][:, -1] < 100.001) & (fields["n_H"][:, -1] > 99.999) & (x_pc < 1.0)
    assert ahead.sum() > 8
    age_s = 2e5 * YEAR_S + x_pc[ahead] * 3.0857e13 / 4.0
    truth, report = solver.trajectory(n, age_s, 105.0, zeta=1e-16)
    assert report.ok
    for species in ("CO", "C", "C+", "e-", "OH", "H2O"):
        expected = truth[0, :, solver.index(species)] / 100
        assert np.allclose(run.of(species)[ahead, -1], expected, rtol=0.03), species


@pytest.mark.long
def test_transport_of_pyro2_needs_mending(runs_of: Callable[[str], dict[str, Run]]) -> None:
    printed = runs_of("pyro2/mixing_layer.py")["exact"].printed
    (defect,) = re.findall(r"by at most (\S+) a step", printed)
    assert 1e-5 < float(defect) < 0.05


@pytest.mark.long
def test_benchmark_of_the_hosts_says_what_it_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(python_hosts, "REPEATS", 1)
    monkeypatch.setattr(python_hosts, "CASES", {example: (example, *size) for example, size in SMALL.items()})
    monkeypatch.setattr(python_hosts, "OUTPUT", tmp_path / "hosts.txt")
    python_hosts.main()
    table = (tmp_path / "hosts.txt").read_text(encoding="utf-8")
    shares = re.findall(r"(exact|auto) +[\d.]+ +[\d.]+ +[\d.]+ +(\d+)%", table)
    assert [mode for mode, _ in shares] == ["exact", "auto"] * len(SMALL)
    assert all(0 < int(share) < 100 for _, share in shares)
