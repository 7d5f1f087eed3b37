"""Hosts in Python: the guide's page, and two hydro codes that others wrote, PyClaw and pyro2 (examples/)."""

from __future__ import annotations

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
import numpy as np
import pytest
from numpy.typing import NDArray

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
        costs, species = saved["costs"], saved["species"].tolist()

    def advance(solver: Solver, fields: NDArray[Any], error_dex: NDArray[Any], steps: int) -> None:
        n = fields.reshape(len(solver.species), -1).T
        for _ in range(steps):
            temperature = names["temperature_k"].ravel()
            _, report = solver.step(n, 2e4 * YEAR_S, temperature, zeta=1e-16, out=n, error_dex=error_dex.ravel())
            assert report.ok, report.advice()

    def load() -> Solver:
        return Solver.load("osu_09_2008", costs=costs, audit=0.0, species=species)

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
    assert names["solver"].costs == solver.costs


def test_page_shows_the_line_that_the_examples_have(page: str) -> None:
    (line,) = re.findall(r"^```text\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    call = line.strip().removesuffix(")")
    for source in ("pyclaw/shock_cloud.py", "pyro2/mixing_layer.py"):
        text = (EXAMPLES / source).read_text(encoding="utf-8")
        assert text.count(call) == 1, source


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
