"""The guide's pages for C, C++, Fortran and Grackle's users, and on failures: built by the pages' own commands."""

from __future__ import annotations

from pathlib import Path

import clouds
import guide
import numpy as np
import pytest
from native_build import has_fortran, install, run

from pychemsurrogate.solver import Solver

SOURCES = {"c": "host.c", "cpp": "host.cpp", "fortran": "host.f90"}


@pytest.fixture(scope="module")
def prefix() -> Path:
    return install()


def answer(page: str, language: str, prefix: Path, folder: Path) -> str:
    """What the page's program prints, built and run by the page's commands."""
    (folder / SOURCES[language]).write_text(guide.block(page, language), encoding="utf-8")
    return run(["bash", "-euc", guide.block(page, "sh")], {"PREFIX": str(prefix)}, cwd=folder)


@pytest.fixture(scope="module")
def expected() -> float:
    return clouds.mean_co_of_gas(1, 3.15576e11)


@pytest.mark.parametrize("language", SOURCES)
def test_program(language: str, prefix: Path, expected: float, tmp_path: Path) -> None:
    if language == "fortran" and not has_fortran():
        pytest.skip("no gfortran")
    words = answer(language, language, prefix, tmp_path).split()
    assert words[:2] == ["mean", "n(CO)/n_H"]
    assert float(words[2]) == pytest.approx(expected, rel=1e-14)


def test_failures(prefix: Path, tmp_path: Path) -> None:
    lines = answer("failures", "c", prefix, tmp_path).splitlines()
    assert lines[0] == "3 cells failed"
    assert "step limit" in lines[1]
    assert "mend the cell" in lines[2]
    assert lines[4:7] == ["cell 0: status 10", "cell 1: status 2", "cell 2: status 10"]
    assert lines[7] == "unknown option 'colour':..."
    assert lines[8] == "a closed handle: -101"


def test_moving_from_grackle(prefix: Path, tmp_path: Path) -> None:
    """Mass densities in code units: CO/H2 by mass as from number densities, within the target error of mode auto."""
    label, value = answer("moving_from_grackle", "c", prefix, tmp_path).strip().rsplit(maxsplit=1)
    assert label == "CO/H2 by mass:"
    solver = Solver.load("osu_09_2008", mode="exact", rtol=1e-6)
    mass = {s.name: s.mass_g for s in solver.network.species}
    n = np.zeros((1, len(solver.species)))
    for name, code_units in {"H2": 1e4, "O": 30.0, "C+": 12.0}.items():
        n[0, solver.index(name)] = code_units * 1.67e-24 / mass[name]
    n[0, solver.index("e-")] = n[0, solver.index("C+")]
    n, report = solver.step(n, 3.15576e12, 20.0, zeta=1e-16)
    assert report.ok
    expected = n[0, solver.index("CO")] * mass["CO"] / (n[0, solver.index("H2")] * mass["H2"])
    assert abs(np.log10(float(value) / expected)) < 0.1


def test_index_names_every_page() -> None:
    index = (guide.PAGES / "README.md").read_text(encoding="utf-8")
    pages = {path.name for path in guide.PAGES.glob("*.md")} - {"README.md"}
    assert len(pages) >= 12
    assert all(f"({page})" in index for page in pages)
