"""The guide's page on GPU hosts (docs/hosts/gpu.md): its programs, on the emulated CUDA runtime or on a GPU."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import clouds
import guide
import native_build
import numpy as np
import pytest
from native_build import has_fortran, run

from pychemsurrogate import _native, hosts
from pychemsurrogate.solver import Solver

EMULATOR = native_build.ROOT / "tests" / "cuda" / "emulator"


@dataclass(frozen=True)
class Machine:
    """Where a host finds libpcs and CUDA: environment variables of the page's commands."""

    prefix: Path
    variables: dict[str, str]

    def program(self, source: str, name: str, commands: str, folder: Path) -> str:
        """Build and run one of the page's programs by the page's commands; what it prints."""
        (folder / name).write_text(source, encoding="utf-8")
        return run(["bash", "-euc", commands], self.variables, cwd=folder)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """With the emulated runtime in CUDA's place."""
    prefix = native_build.install()
    libraries = native_build.BUILD / "lib"
    toolkit = tmp_path_factory.mktemp("cuda")
    (toolkit / "include").symlink_to(EMULATOR)
    (toolkit / "lib64").mkdir()
    (toolkit / "lib64" / "libcudart.so").symlink_to(libraries / "libcudart_emulated.so")
    return Machine(
        prefix,
        {
            "PREFIX": str(prefix),
            "CUDA": str(toolkit),
            "LD_LIBRARY_PATH": str(libraries),
            "PCS_CUDA_LIBRARY": str(libraries / "libpcs_cuda_emulated.so"),
        },
    )


@pytest.fixture(scope="module")
def real_machine() -> Machine:
    """This machine's GPU, toolkit and installed package."""
    if os.environ.get("PCS_CUDA_LIBRARY"):
        pytest.skip("PCS_CUDA_LIBRARY is set, perhaps to the emulated runtime")
    try:
        if not _native.device_count():
            pytest.skip("no GPU")
    except RuntimeError as failure:
        pytest.skip(str(failure))
    compiler = Path(os.environ.get("CUDACXX") or shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc")
    toolkit = compiler.resolve().parent.parent
    if not (toolkit / "lib64" / "libcudart.so").exists() or not shutil.which("gcc"):
        pytest.skip(f"no C compiler, or no lib64/libcudart.so in {toolkit}")
    prefix = hosts.library_dir().parent
    return Machine(prefix, {"PREFIX": str(prefix), "CUDA": str(toolkit), "LD_LIBRARY_PATH": str(toolkit / "lib64")})


@pytest.fixture(scope="module")
def expected() -> float:
    """What the page's programs print, from the CPU."""
    return clouds.mean_co_of_gas(10, 3.15576e10)


def test_c(machine: Machine, expected: float, tmp_path: Path) -> None:
    printed = machine.program(guide.block("gpu", "c"), "host.c", guide.named_block("gpu", "sh", "c"), tmp_path)
    words = printed.split()
    assert words[:2] == ["mean", "n(CO)/n_H"]
    assert float(words[2]) == pytest.approx(expected, rel=1e-9)
    assert words[3:] == ["failed", "0"]


def with_a_graph() -> str:
    """The page's C program, nine of whose ten steps are launches of a graph."""
    before, loop, after = re.split(r"(    for \(int step = 0; .*\n.*\n)", guide.block("gpu", "c"))
    assert "pcs_step" in loop
    return before + guide.named_block("gpu", "c", "graph") + after


def test_c_with_a_graph(machine: Machine, expected: float, tmp_path: Path) -> None:
    words = machine.program(with_a_graph(), "host.c", guide.named_block("gpu", "sh", "c"), tmp_path).split()
    assert float(words[2]) == pytest.approx(expected, rel=1e-9)
    assert words[3:] == ["failed", "0"]


@pytest.mark.gpu
@pytest.mark.parametrize("graph", [False, True])
def test_c_on_a_gpu(graph: bool, real_machine: Machine, expected: float, tmp_path: Path) -> None:
    source = with_a_graph() if graph else guide.block("gpu", "c")
    words = real_machine.program(source, "host.c", guide.named_block("gpu", "sh", "c"), tmp_path).split()
    assert float(words[2]) == pytest.approx(expected, rel=1e-6)
    assert words[3:] == ["failed", "0"]


@pytest.mark.parametrize("where", ["GPU", "CPU"])
def test_cpp_with_and_without_a_gpu(where: str, machine: Machine, expected: float, tmp_path: Path) -> None:
    """One binary; without libpcs_cuda it says why it goes on with the CPU."""
    printed = machine.program(guide.block("gpu", "cpp"), "host.cpp", guide.block("cpp", "sh"), tmp_path)
    if where == "CPU":
        gone = {"PCS_CUDA_LIBRARY": str(tmp_path / "libpcs_cuda.so")}
        result = subprocess.run(
            [tmp_path / "host"], env={**os.environ, **gone}, capture_output=True, text=True, check=True
        )
        assert result.stderr.startswith("on the CPU: ")
        assert "libpcs_cuda" in result.stderr
        printed = result.stdout
    assert printed.endswith(f" on the {where}\n")
    assert float(printed.split()[2]) == pytest.approx(expected, rel=1e-9 if where == "GPU" else 1e-14)


@pytest.mark.skipif(not has_fortran(), reason="no gfortran")
def test_fortran(machine: Machine, expected: float, tmp_path: Path) -> None:
    commands = guide.named_block("gpu", "sh", "fortran")
    printed = machine.program(guide.block("gpu", "fortran"), "host.f90", commands, tmp_path)
    assert float(printed.split()[2]) == pytest.approx(expected, rel=1e-9)


@pytest.mark.skipif(not has_fortran(), reason="no gfortran")
def test_openacc_on_the_cpu(machine: Machine, expected: float, tmp_path: Path) -> None:
    """gfortran's OpenACC without an accelerator: the program's other branch, where addresses are the host's."""
    source = guide.named_block("gpu", "fortran", "openacc")
    printed = machine.program(source, "host.f90", guide.named_block("gpu", "sh", "openacc"), tmp_path)
    assert float(printed.split()[2]) == pytest.approx(expected, rel=1e-14)


def test_cpp_with_cells_on_the_gpu(machine: Machine, tmp_path: Path) -> None:
    source = (native_build.ROOT / "tests" / "cpp" / "device_test.cpp").read_text(encoding="utf-8")
    warnings = "-Wall -Wextra -Werror -Wconversion -Wshadow"
    commands = (
        f"g++ -std=c++20 -O1 {warnings} -I $PREFIX/include -isystem $CUDA/include host.cpp -o host "
        "-L $PREFIX/lib -lpcs -Wl,-rpath,$PREFIX/lib -L $CUDA/lib64 -lcudart\n./host"
    )
    assert machine.program(source, "host.cpp", commands, tmp_path) == "ok\n"


def test_fortran_refuses_addresses_of_the_host(machine: Machine, tmp_path: Path) -> None:
    if not has_fortran():
        pytest.skip("no gfortran")
    source = (native_build.ROOT / "tests" / "fortran" / "device_test.f90").read_text(encoding="utf-8")
    expect = native_build.ROOT / "tests" / "fortran" / "expect.f90"
    commands = guide.named_block("gpu", "sh", "fortran").replace("host.f90 -o", f"{expect} host.f90 -o")
    assert machine.program(source, "host.f90", commands, tmp_path) == "all checks passed\n"


def run_python(device: str, folder: Path) -> float:
    """CO/H as the page's Python program prints it, with fewer cells."""
    program = guide.block("gpu", "python").replace("1 << 20", "1 << 10").replace('"cuda"', repr(device))
    (folder / "host.py").write_text(program, encoding="utf-8")
    lines = run([sys.executable, folder / "host.py"]).splitlines()
    assert lines[0].startswith("1024 cells: ")
    assert " 0 failed " in lines[0]
    return float(lines[-1].removeprefix("CO/H "))


@pytest.fixture(scope="module")
def python_on_the_cpu(tmp_path_factory: pytest.TempPathFactory) -> float:
    pytest.importorskip("torch")
    return run_python("cpu", tmp_path_factory.mktemp("python"))


def test_python_on_the_cpu(python_on_the_cpu: float) -> None:
    n_h = np.logspace(2, 5, 1024)
    solver = Solver.load("osu_09_2008", mode="exact")
    n = np.full((1024, len(solver.species)), 1e-20) * n_h[:, None]
    for name, abundance in {"H2": 0.5, "O": 2e-4, "C+": 1e-4, "e-": 1e-4}.items():
        n[:, solver.index(name)] = abundance * n_h
    for _ in range(10):
        n, _ = solver.step(n, 3.15576e10, 50 * (n_h / 1e3) ** -0.3, zeta=1e-16)
    assert python_on_the_cpu == pytest.approx(np.mean(n[:, solver.index("CO")] / n_h), rel=0.05)


@pytest.mark.gpu
def test_python_on_a_gpu(python_on_the_cpu: float, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no GPU that torch can use")
    assert run_python("cuda", tmp_path) == pytest.approx(python_on_the_cpu, rel=0.02)
