"""The package as a release: source archive, wheel for other machines, and what both serve away from the source tree."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import DECAY_CHAIN
from consumers import TESTS, assert_hosts_answer, build_by_cmake, build_by_make
from native_build import ROOT, run
from test_readme import snippet

from pychemsurrogate import __version__

pytestmark = pytest.mark.long
PLATFORM = "manylinux_2_34_x86_64"


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the source archive and the wheel that was made from it."""
    folder = tmp_path_factory.mktemp("release")
    run([ROOT / "packaging" / "wheel.sh", folder], {"PYTHON": sys.executable})
    return folder


@pytest.fixture(scope="module")
def wheel(release: Path) -> Path:
    (found,) = release.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def python(wheel: Path) -> Path:
    """The interpreter of a fresh environment, in a folder with a space in its name, with the wheel alone."""
    environment = wheel.parent / "my codes"
    run([sys.executable, "-m", "venv", environment])
    run([environment / "bin" / "python", "-m", "pip", "install", "-q", wheel])
    return environment / "bin" / "python"


def ask(python: Path, *options: str) -> str:
    return run([python, "-W", "error", "-m", "pychemsurrogate", *options], cwd=python.parent).rstrip("\n")


def test_source_archive(release: Path) -> None:
    """All that the build and its tests read, and nothing that a build made."""
    (archive,) = release.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        names = {Path(*Path(member.name).parts[1:]) for member in file if member.isfile()}
    inside = {str(name) for name in names}
    tracked = {
        str(path.relative_to(ROOT))
        for folder in ("native", "bindings", "pychemsurrogate", "tools", "packaging", "fortran_example/src")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix not in {".pyc", ".so", ".mod"}
    }
    assert tracked <= inside, sorted(tracked - inside)
    assert {"LICENSE", "README.md", "CMakeLists.txt", "pyproject.toml", "Makefile", "docs/architecture.md"} <= inside
    assert "tests/consumer/host.c" in inside
    junk = [name for name in names if name.suffix in {".so", ".o", ".a", ".mod", ".pyc", ".whl", ".gz"}]
    assert not junk
    assert not [name for name in names if name.parts[0] in {"build", "dist", ".venv", ".git", ".ci"}]


def test_wheel_contents(wheel: Path) -> None:
    assert wheel.name.endswith(f"-{PLATFORM}.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for needed in (
        "data/models/osu_09_2008.pcs",
        "data/networks/osu_09_2008.network",
        "evaluation/card/card.html.j2",
        "py.typed",
        "native/kernels.cpp",
        "native/include/pcs/errors.def",
        "lib/libpcs.so",
        "lib/libpcs_embed.so",
        "lib/pkgconfig/pcs.pc",
        "lib/cmake/pychemsurrogate/pychemsurrogateConfig.cmake",
        "include/pcs.h",
        "include/pcs_status.h",
        "share/pychemsurrogate/fortran/pychemsurrogate.f90",
    ):
        assert f"pychemsurrogate/{needed}" in names
    libraries = {Path(name).name for name in names if name.startswith("pychemsurrogate/lib/") and ".so" in name}
    assert libraries == {"libpcs.so", "libpcs_embed.so"}, "a wheel has no links: each name is a whole copy"
    assert any(name.startswith("pychemsurrogate/_native") and name.endswith(".so") for name in names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0] for name in names} == {
        "pychemsurrogate",
        "pychemsurrogate.libs",
        f"pychemsurrogate-{__version__}.dist-info",
    }
    models = [name for name in names if name.endswith(".pcs")]
    assert len(models) == len({Path(name).name for name in models}), "a model is shipped twice"
    assert wheel.stat().st_size < 20e6


def test_wheel_serves_python(python: Path, tmp_path: Path) -> None:
    assert "1000 cells" in run([python, "-W", "error", "-c", snippet("python")], cwd=tmp_path)
    source = tmp_path / "chain.network"
    source.write_text(DECAY_CHAIN, encoding="utf-8")
    cache = {"PCS_KERNEL_CACHE": str(tmp_path / "cache")}
    command = python.parent / "pychemsurrogate"
    compiled = run([command, "model", "compile", source], cache, cwd=tmp_path)
    assert Path(compiled.split()[0]).is_file()
    serves = "from pychemsurrogate import load_network; from pychemsurrogate.integrators import NativeRosenbrock as N"
    script = f"{serves}; assert N(load_network('chain.network'), kernels='compiled')._solver.has_code"
    run([python, "-W", "error", "-c", script], {**cache, "CXX": "no-such-compiler"}, cwd=tmp_path)
    listing = run([command, "network", "osu_09_2008"], cwd=tmp_path)
    assert "224 reactions" in listing


def test_wheel_serves_other_languages(python: Path, molecular_co: float, tmp_path: Path) -> None:
    """By CMake, by pkg-config and by the printed flags."""
    cmake, pkg_config, flags = (tmp_path / name for name in ("cmake", "pkg-config", "flags"))
    pkg_config.mkdir()
    flags.mkdir()
    build_by_cmake("consumer", cmake, f"-Dpychemsurrogate_DIR={ask(python, '--cmake-dir')}")
    build_by_make("consumer", pkg_config, environment={"PKG_CONFIG_PATH": ask(python, "--pkg-config-dir")})
    build_by_make("consumer_flags", flags, f"PYTHON='{python}'")
    for folder in (cmake, pkg_config, flags):
        assert_hosts_answer(folder, molecular_co)


def build_openmp_host(python: Path, program: Path, flags: str) -> Path:
    source = TESTS / "consumer_openmp" / "host.c"
    command = f"gcc -fopenmp {flags} {source} -o {program} {ask(python, '--cflags', '--libs')}"
    run(["sh", "-c", f"{command} -Wall -Wextra -Werror"])
    return program


SHARED_OPENMP = [
    "threads after a step with omp_set_num_threads(1): 1",
    "threads after steps inside a region of two: 2",
    "threads after a step with omp_set_num_threads(3): 3",
    "same bits: yes",
]


def test_openmp_host(python: Path, tmp_path: Path) -> None:
    """The wheel has a libgomp of its own; the host's symbols come first, so that libpcs knows the host's regions."""
    program = build_openmp_host(python, tmp_path / "host", "")
    libraries = [line for line in run(["ldd", program]).splitlines() if "libgomp" in line]
    assert len(libraries) == 2
    assert run([program]).splitlines() == SHARED_OPENMP


def test_openmp_plug_in(python: Path, tmp_path: Path) -> None:
    """So it is for a host that is loaded, as Python loads its modules, unless libpcs was in the process before it."""
    plugin = build_openmp_host(python, tmp_path / "plugin.so", "-shared -fPIC -DPLUGIN")
    loader = tmp_path / "loader"
    run(["gcc", TESTS / "consumer_openmp" / "loader.c", "-o", loader, "-ldl"])
    assert run([loader, plugin]).splitlines() == SHARED_OPENMP
    library = Path(ask(python, "--pkg-config-dir")).parent / "libpcs.so"
    before = f"import ctypes; ctypes.CDLL({str(library)!r}); ctypes.CDLL({str(plugin)!r}).plugin_run()"
    assert run([python, "-c", before]).splitlines()[-1] == SHARED_OPENMP[-1]  # the bits, not the number of threads


WITH_TORCH = """
import os, sys
first, second = sys.argv[1:3]
__import__(first), __import__(second)
import numpy as np, torch
from pychemsurrogate import Solver
threads = lambda: len(os.listdir("/proc/self/task"))
n = np.full((4000, 29), 1e-8); solver = Solver.load("osu_09_2008", mode="exact")
for name, value in {"H2": 5e3, "C+": 1.0, "e-": 1.0, "O": 3.0}.items():
    n[:, solver.index(name)] = value * np.linspace(1, 3, 4000)
step = lambda: solver.step(n, 3e11, temperature=20.0, zeta=1e-16)[0]
work = lambda: torch.exp(torch.sin(torch.linspace(0, 1, 4_000_000, dtype=torch.float64))).sum().item()
start = threads(); answer = step(); by_step = threads() - start; total = work(); by_torch = threads() - start - by_step
for _ in range(5):
    assert np.array_equal(step(), answer) and work() == total
assert threads() == start + by_step + by_torch
with open("/proc/self/maps") as maps:
    runtimes = {line.split()[-1] for line in maps if "gomp" in line}
print(by_step, by_torch, len(runtimes))
"""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("order", "pools"), [(("torch", "pychemsurrogate._native"), 1), (("pychemsurrogate._native", "torch"), 2)]
)
def test_beside_torch(python: Path, order: tuple[str, str], pools: int, threads: int, tmp_path: Path) -> None:
    """Two libgomps in one process: the same answers, and the threads that OMP_NUM_THREADS gives. What torch loads is
    seen by all that comes after it, so that both share its pool; the other way round each has a pool of its own."""
    torch = find_spec("torch")
    assert torch is not None
    assert torch.origin is not None
    script = tmp_path / "script.py"
    script.write_text(WITH_TORCH, encoding="utf-8")
    elsewhere = f"import sys; sys.path.append({str(Path(torch.origin).parents[1])!r}); "
    code = f"{elsewhere}import runpy; runpy.run_path({str(script)!r}, run_name='__main__')"
    words = [python, "-W", "error", "-c", code, *order]
    by_step, by_torch, runtimes = map(int, run(words, {"OMP_NUM_THREADS": str(threads)}, cwd=tmp_path).split())
    assert by_step == threads - 1
    assert by_torch == (threads - 1 if pools == 2 else 0)
    assert runtimes == 2
