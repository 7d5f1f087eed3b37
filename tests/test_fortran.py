"""The Fortran module, by gfortran: every procedure and error, who closes a handle, and the numbers it hands back."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import native_build
import numpy as np
import pytest

from pychemsurrogate.integrators import NativeRosenbrock
from pychemsurrogate.network import Network

pytestmark = pytest.mark.skipif(not native_build.has_fortran(), reason="no gfortran")

HERE = Path(__file__).parent / "fortran"
BINDINGS = native_build.ROOT / "bindings"
# -Wno-uninitialized: gfortran warns of descriptors that it makes itself when an allocatable array is assigned.
STRICT = ["-std=f2008", "-Wall", "-Wextra", "-Werror", "-O1"]
STRICT += ["-Wno-function-elimination", "-Wno-compare-reals", "-Wno-uninitialized"]
# Hosts trap floating-point exceptions when they look for errors: the library must live with that.
STRICT += ["-ffpe-trap=invalid,zero,overflow"]


@pytest.fixture(scope="module", params=native_build.EITHER_LIBRARY)
def built(request: pytest.FixtureRequest) -> native_build.NativeBuild:
    return replace(native_build.build(request.param, "pcs_fortran"), name=request.param)


@pytest.fixture(scope="module")
def built_pcs() -> native_build.NativeBuild:
    return native_build.build("pcs", "pcs_fortran")


def compile_program(name: str, built: native_build.NativeBuild, folder: Path) -> Path:
    """Compile a test program against the module and link it to the library."""
    sources = [HERE / "expect.f90", HERE / f"{name}.f90"]
    link = [built.libraries / "libpcs_fortran.a", *built.link]
    program = folder / name
    native_build.run(["gfortran", *STRICT, f"-I{built.fortran_modules}", f"-J{folder}", *sources, "-o", program, *link])
    return program


def test_every_procedure_and_error(built: native_build.NativeBuild, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.pcs"
    content = bytearray(native_build.MODEL.read_bytes())
    content[len(content) // 2] ^= 0xFF
    damaged.write_bytes(content)
    program = compile_program("interface_test", built, tmp_path)
    assert native_build.run([program, native_build.MODEL, damaged]) == "all checks passed\n"


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("open", "no/such/model.pcs"),
        ("closed", "call open first"),
        ("shape", "n(species, cell)"),
        ("option", "colour"),
        ("report", "weather"),
        ("copy", "cannot be assigned"),
    ],
)
def test_without_stat_a_failure_stops_the_program(
    built_pcs: native_build.NativeBuild, tmp_path_factory: pytest.TempPathFactory, case: str, message: str
) -> None:
    folder = tmp_path_factory.getbasetemp()
    program = folder / "error_stop_test"
    if not program.exists():
        compile_program("error_stop_test", built_pcs, folder)
    result = subprocess.run([program, case, native_build.MODEL], capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert message in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("abi", [2, 3])
def test_lifetime_of_handles_and_abi_version(tmp_path: Path, abi: int) -> None:
    fake = tmp_path / "fake_pcs.o"
    flags = ["-std=c99", *native_build.STRICT, f"-DFAKE_ABI={abi}", f"-I{BINDINGS / 'c'}"]
    native_build.run(["gcc", *flags, "-c", HERE / "fake_pcs.c", "-o", fake])
    sources = [BINDINGS / "fortran" / "pychemsurrogate.f90", HERE / "expect.f90", HERE / "lifetime_test.f90"]
    program = tmp_path / "lifetime_test"
    native_build.run(["gfortran", *STRICT, f"-I{BINDINGS / 'fortran'}", f"-J{tmp_path}", *sources, fake, "-o", program])
    assert native_build.run([program]) == "all checks passed\n"


def test_fortran_and_python_agree_bit_for_bit(built: native_build.NativeBuild, tmp_path: Path, osu: Network) -> None:
    random = np.random.default_rng(7)
    cells = 37
    n_h = 10.0 ** random.uniform(2, 6, cells)
    n = np.zeros((cells, osu.n_species))
    carbon = 10.0 ** random.uniform(-6, -3.5, cells)
    for name, share in {"H2": np.full(cells, 0.5), "C+": carbon, "e-": carbon, "O": 2 * carbon}.items():
        n[:, osu.species_index(name)] = share * n_h
    dt = 10.0 ** random.uniform(9, 12, cells)
    temperature = random.uniform(10, 300, cells)
    zeta = 10.0 ** random.uniform(-17, -15, cells)
    path = tmp_path / "cells.bin"
    path.write_bytes(b"".join(part.tobytes() for part in (dt, temperature, zeta, n)))
    program = compile_program("step_file", built, tmp_path)
    native_build.run([program, native_build.MODEL, path, osu.n_species, cells])
    here = np.fromfile(path, count=n.size).reshape(n.shape)
    there, status = NativeRosenbrock(osu).advance(n, dt, temperature, {"zeta": zeta})
    assert (status > 0).all()
    np.testing.assert_array_equal(here, there)
