"""libpcs as a host would build it: by CMake, once, kept in build/tests for the next run."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pychemsurrogate import __version__

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "tests"
MODEL = ROOT / "pychemsurrogate" / "data" / "models" / "osu_09_2008-multiclock.pcs"
VERSION_MAJOR = __version__.partition(".")[0]
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]

# cmake and ninja of the environment that runs the tests come first.
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


def run(command: list[object], environment: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run a command and return its standard output; a failure shows all that it printed."""
    result = subprocess.run(
        [str(word) for word in command],
        env={**os.environ, "PATH": PATH, "PCS_PYTHON": sys.executable, **(environment or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    shown = " ".join(map(str, command))
    assert result.returncode == 0, f"{shown}\nexit code {result.returncode}\n{result.stdout}{result.stderr}"
    return result.stdout


def has_libpython() -> bool:
    """Whether this Python has the shared library that libpcs_embed runs (tools/setup.sh installs Debian's)."""
    folder, multiarch, version = sysconfig.get_config_vars("LIBDIR", "MULTIARCH", "LDVERSION")
    return any((Path(folder) / name / f"libpython{version}.so").exists() for name in ("", multiarch or ""))


needs_libpython = pytest.mark.skipif(not has_libpython(), reason="this Python was built without a shared library")
EITHER_LIBRARY = ["pcs", pytest.param("pcs_embed", marks=needs_libpython)]  # a host must not see which one it has


def has_fortran() -> bool:
    """Whether a Fortran compiler is here."""
    return shutil.which("gfortran") is not None


@dataclass(frozen=True)
class NativeBuild:
    """Where the parts of the build lie."""

    folder: Path
    includes: tuple[Path, ...]
    fortran_modules: Path
    name: str = "pcs"  # of the library that programs are linked to: pcs, or pcs_embed

    @property
    def library(self) -> Path:
        """The shared library."""
        return self.libraries / f"lib{self.name}.so"

    @property
    def soname(self) -> str:
        """What a program's loader looks for."""
        return f"lib{self.name}.so.{VERSION_MAJOR}"

    @property
    def link(self) -> list[str]:
        """The linker's flags."""
        return [f"-L{self.libraries}", f"-Wl,-rpath,{self.libraries}", f"-l{self.name}"]

    @property
    def libraries(self) -> Path:
        """Where the libraries lie."""
        return self.folder / "lib"

    def compile_c(
        self, sources: list[Path], program: Path, flags: tuple[str, ...] = (), libraries: tuple[str, ...] = ()
    ) -> Path:
        """Compile strict C99 against pcs.h, link it to the library, and return the program."""
        includes = [f"-I{folder}" for folder in self.includes]
        link = [*self.link, *libraries, "-lm"]
        run(["gcc", "-std=c99", "-O1", *STRICT, *flags, *includes, *sources, "-o", program, *link])
        return program


@contextmanager
def alone() -> Iterator[None]:
    """Two test runs, or two workers of one, must not build over each other."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build(*targets: str) -> NativeBuild:
    """Configure and build the targets (pcs, pcs_fortran; none: all); what is up to date is kept."""
    fortran = "ON" if has_fortran() else "OFF"
    options = [
        "-DCMAKE_BUILD_TYPE=Release",
        "-DPCS_WERROR=ON",
        "-DPCS_CUDA_EMULATED=ON",
        "-DPCS_SCALAR=ON",
        "-DCMAKE_INSTALL_LIBDIR=lib",
        f"-DPCS_FORTRAN={fortran}",
        f"-DPython_EXECUTABLE={sys.executable}",
    ]
    chosen = ["--target", *targets] if targets else []
    with alone():
        run(["cmake", "-S", ROOT, "-B", BUILD, "-G", "Ninja", *options])
        run(["cmake", "--build", BUILD, *chosen])
    return NativeBuild(BUILD, (ROOT / "bindings" / "c",), BUILD / "fortran")


def compile_emulated(native: NativeBuild, flags: list[str], sources: list[Path], program: Path) -> None:
    """Compile CUDA sources for the emulated runtime and link them to the build's pcs_core and cudart_emulated."""
    link = [native.folder / "libpcs_core.a", f"-L{native.libraries}", f"-Wl,-rpath,{native.libraries}"]
    link += ["-lcudart_emulated", "-fopenmp", "-ldl"]
    run(["g++", *flags, "-x", "c++", *sources, "-x", "none", *link, "-o", program])


def install() -> Path:
    """The prefix of an installation of the build, made anew."""
    build()
    with alone():
        run(["cmake", "--install", BUILD, "--prefix", BUILD / "prefix"])
    return BUILD / "prefix"


def cloud_hydro(*, mpi: bool = False) -> Path:
    """The example hydro code, built as a host would: against an installed libpcs."""
    prefix, folder = install(), BUILD / ("cloud_hydro_mpi" if mpi else "cloud_hydro")
    options = [
        f"-DCMAKE_PREFIX_PATH={prefix}",
        f"-DEXAMPLE_MPI={'ON' if mpi else 'OFF'}",
        f"-DCMAKE_Fortran_FLAGS=-Werror{' -fcheck=bounds' if mpi else ''}",
    ]
    with alone():
        run(["cmake", "-S", ROOT / "fortran_example", "-B", folder, "-G", "Ninja", *options])
        run(["cmake", "--build", folder])
    return folder / "cloud_hydro"


ADDRESS, THREAD = "address,undefined", "thread"


def sanitizer_flags(kind: str) -> tuple[str, ...]:
    """For compilers and linker."""
    return (f"-fsanitize={kind}", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g")


def sanitized(kind: str) -> NativeBuild:
    """libpcs under a sanitizer."""
    openmp = "OFF" if kind == THREAD else "ON"  # libgomp's barriers look like races to the thread sanitizer
    folder = ROOT / "build" / f"sanitize-{kind.partition(',')[0]}"
    options = [
        f"-DCMAKE_CXX_FLAGS={' '.join(sanitizer_flags(kind))}",
        f"-DPCS_OPENMP={openmp}",
        "-DPCS_EMBED=OFF",
        f"-DPCS_GENERATE={'ON' if kind == ADDRESS else 'OFF'}",
        "-DPCS_KERNEL_OPTIMISATION=-O1",  # else straight-line code takes a quarter of an hour to compile
        "-DCMAKE_INSTALL_LIBDIR=lib",
        "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
    ]
    run(["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", *options])
    run(["cmake", "--build", folder, "--target", "pcs"])
    return NativeBuild(folder, (ROOT / "bindings" / "c",), folder / "fortran")
