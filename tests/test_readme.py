"""The README's programs, extracted and run through the real interpreter and compilers."""

import re
import subprocess
import sys

import pytest
from native_build import ROOT, build, has_fortran, run

README = (ROOT / "README.md").read_text()
FOLDERS = (
    ".",
    "docs",
    "docs/hosts",
    "benchmarks",
    "fortran_example",
    "examples/mpi_python",
    "examples/pyclaw",
    "examples/pyro2",
)
PAGES = sorted(path.relative_to(ROOT) for folder in FOLDERS for path in (ROOT / folder).glob("*.md"))


def snippet(language):
    found = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert len(found) == 1, f"the README holds {len(found)} {language} programs"
    return found[0]


def number_after(label, text):
    return float(re.search(rf"{re.escape(label)}\s*([0-9.eE+-]+)", text)[1])


def test_python():
    code = snippet("python")
    assert len(code.strip().splitlines()) <= 20
    result = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert "1000 cells" in result.stdout
    assert 1e-6 < number_after("CO/H:", result.stdout) < 1e-4


def test_c(libpcs, tmp_path):
    source = tmp_path / "host.c"
    source.write_text(snippet("c"))
    program = libpcs.compile_c([source], tmp_path / "host")
    assert 1e-6 < number_after("CO/H =", run([program])) < 1e-4


@pytest.mark.skipif(not has_fortran(), reason="no Fortran compiler")
def test_fortran(tmp_path):
    code = snippet("fortran")
    assert len(code.strip().splitlines()) <= 32
    source = tmp_path / "host.f90"
    source.write_text(code)
    native = build("pcs", "pcs_fortran")
    program = tmp_path / "host"
    link = [f"-L{native.libraries}", "-lpcs_fortran", "-lpcs", f"-Wl,-rpath,{native.libraries}"]
    run(["gfortran", "-std=f2018", "-Wall", "-Werror", f"-I{native.fortran_modules}", source, "-o", program, *link])
    output = run([program])
    assert 1e-6 < number_after("CO/H =", output) < 1e-4
    assert number_after("steps of the integrator in the last call:", output) >= 1000


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text()):
        assert (ROOT / page).parent.joinpath(target).exists(), target
