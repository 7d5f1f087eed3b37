"""libpcs_embed: which Python it runs, what only Python serves, and what it leaves to the host.

The suites of test_c.py and test_fortran.py run on it as well.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import guide
import numpy as np
import pytest
from native_build import MODEL, PATH, ROOT, NativeBuild, build, has_fortran, needs_libpython
from numpy.typing import NDArray
from test_c import SOURCES, broken_models, read_result, write_cells
from workload import Workload, workload

from pychemsurrogate import Solver
from pychemsurrogate.network import Network

pytestmark = needs_libpython

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
E_FILE, E_OPTION, E_PYTHON, E_DEVICE = -102, -103, -108, -109
FloatArray = NDArray[np.float64]


@pytest.fixture(scope="module")
def libpcs_with_embed(libpcs_embed: NativeBuild) -> NativeBuild:
    """libpcs, with libpcs_embed beside it."""
    return build("pcs", "pcs_embed")


@pytest.fixture(scope="module")
def cells(osu: Network) -> Workload:
    return workload(osu, 20, seed=5)


@pytest.fixture(scope="module")
def cell_file(cells: Workload, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cells") / "cells.bin"
    write_cells(path, cells)
    return path


@pytest.fixture(scope="module")
def program(libpcs_embed: NativeBuild, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return libpcs_embed.compile_c([SOURCES / "embed.c"], tmp_path_factory.mktemp("embed") / "embed")


def execute(command: list[object], **environment: str | None) -> tuple[int, str]:
    """Exit code and standard output; nothing may be on the other. A variable of None is taken away."""
    variables: dict[str, str] = {**os.environ, "PCS_PYTHON": sys.executable}
    variables.pop("VIRTUAL_ENV", None)
    for name, value in environment.items():
        variables.pop(name, None)
        if value is not None:
            variables[name] = value
    words = [str(word) for word in command]
    result = subprocess.run(words, env=variables, capture_output=True, text=True, check=False, timeout=300)
    assert result.stderr == ""
    return result.returncode, result.stdout


def failure(command: list[object], **environment: str | None) -> tuple[int, str]:
    """Code and message of the call that fails."""
    exit_code, text = execute(command, **environment)
    assert exit_code == 3, text
    code, _, message = text.partition("\n")
    return int(code), message


class Library:
    """libpcs_embed in this very process, whose Python runs already. kind: ctypes.CDLL calls without the GIL."""

    def __init__(self, build: NativeBuild, kind: type[ctypes.CDLL] = ctypes.CDLL) -> None:
        self.pcs = kind(str(build.library))
        self.pcs.pcs_last_error.restype = ctypes.c_char_p

    def error(self, handle: ctypes.c_void_p | None = None) -> str:
        return str(self.pcs.pcs_last_error(handle).decode())

    def open(self, model: object) -> ctypes.c_void_p:
        handle = ctypes.c_void_p()
        code = self.pcs.pcs_open(str(model).encode(), ctypes.byref(handle))
        assert code == 0, (code, self.error())
        return handle

    def option(self, handle: ctypes.c_void_p, key: str, value: str) -> int:
        return int(self.pcs.pcs_set_option(handle, key.encode(), value.encode()))

    def step(self, handle: ctypes.c_void_p, cells: Workload, n: FloatArray, status: NDArray[np.int8]) -> int:
        """One step of n, of any strides, in place."""
        strides = [ctypes.c_int64(stride // 8) for stride in n.strides]
        at = [ctypes.c_void_p(a.ctypes.data) for a in (cells.dt, n, cells.temperature, cells.zeta, status)]
        one, two = ctypes.c_int64(1), ctypes.c_int64(len(n))
        arguments = (two, at[0], one, at[1], *strides, at[2], one, at[3], one, one, None, at[4])
        return int(self.pcs.pcs_step(handle, *arguments))

    def close(self, handle: ctypes.c_void_p) -> int:
        return int(self.pcs.pcs_close(ctypes.byref(handle)))


@pytest.fixture(scope="module")
def library(libpcs_embed: NativeBuild) -> Library:
    return Library(libpcs_embed)


# --- which Python -----------------------------------------------------------------------------------------------


def environment(folder: Path, version: str = sys.version.split()[0], home: Path | None = None) -> Path:
    """A virtual environment with nothing in it, as `python -m venv` makes it; returns its python."""
    (folder / "bin").mkdir(parents=True)
    (folder / "lib" / f"python{VERSION}" / "site-packages").mkdir(parents=True)
    python = folder / "bin" / "python3"
    python.symlink_to(Path(sys.executable).resolve())
    home = home or Path(sys.executable).resolve().parent
    (folder / "pyvenv.cfg").write_text(f"home = {home}\ninclude-system-site-packages = false\nversion = {version}\n")
    return python


def test_a_python_that_is_not_there(program: Path, tmp_path: Path) -> None:
    for variables, text in (
        ({"PCS_PYTHON": "/no/such/python"}, "PCS_PYTHON is '/no/such/python', which is not there"),
        ({"PCS_PYTHON": None, "VIRTUAL_ENV": str(tmp_path)}, f"VIRTUAL_ENV is '{tmp_path}'"),
    ):
        code, message = failure([program, MODEL, "-", "-"], **variables)
        assert code == E_PYTHON
        assert text in message


def test_a_python_of_another_version(program: Path, tmp_path: Path) -> None:
    code, message = failure([program, MODEL, "-", "-"], PCS_PYTHON=str(environment(tmp_path / "a", "3.2.1")))
    assert code == E_PYTHON
    assert f"built for Python {VERSION}" in message
    assert "is Python 3.2.1" in message
    (tmp_path / "usr" / "lib" / "python3.2" / "encodings").mkdir(parents=True)
    python = environment(tmp_path / "b", home=tmp_path / "usr" / "bin")
    assert "is Python 3.2: set PCS_PYTHON" in failure([program, MODEL, "-", "-"], PCS_PYTHON=str(python))[1]


def test_a_python_without_a_shared_library(program: Path, tmp_path: Path) -> None:
    (tmp_path / "usr" / "lib" / f"python{VERSION}" / "encodings").mkdir(parents=True)
    python = environment(tmp_path / "b", home=tmp_path / "usr" / "bin")
    code, message = failure([program, MODEL, "-", "-"], PCS_PYTHON=str(python))
    assert code == E_PYTHON
    assert f"install libpython{VERSION}" in message
    assert str(tmp_path / "usr" / "lib") in message


def test_a_python_without_its_library(program: Path, tmp_path: Path) -> None:
    code, message = failure([program, MODEL, "-", "-"], PYTHONHOME=str(tmp_path))
    assert code == E_PYTHON
    assert "PYTHONHOME" in message


def test_an_environment_without_the_package(program: Path, tmp_path: Path) -> None:
    python = environment(tmp_path / "empty")
    code, message = failure([program, MODEL, "-", "-"], PCS_PYTHON=str(tmp_path / "empty"))  # its folder does, too
    assert code == E_PYTHON
    assert f"{python} (PCS_PYTHON) cannot serve pychemsurrogate: install it there" in message
    assert "Traceback" in message
    assert "ModuleNotFoundError: No module named 'pychemsurrogate'" in message
    packages = tmp_path / "empty" / "lib" / f"python{VERSION}" / "site-packages"
    (packages / "pychemsurrogate").symlink_to(ROOT / "pychemsurrogate")
    code, message = failure([program, MODEL, "-", "-"], PCS_PYTHON=str(python))
    assert code == E_PYTHON
    assert "ModuleNotFoundError: No module named" in message


def test_the_order_of_the_search(libpcs_embed: NativeBuild, program: Path, tmp_path: Path, cell_file: Path) -> None:
    """The environment that the library lies in, the active one, the one of the build."""
    nobody = os.fsencode(sys.executable)
    content = libpcs_embed.library.read_bytes()
    assert nobody in content
    here = tmp_path / "here"
    environment(here)
    for folder in (here / "lib", tmp_path / "elsewhere"):
        folder.mkdir(exist_ok=True)
        (folder / libpcs_embed.soname).write_bytes(content.replace(nobody, b"/" + b"x" * (len(nobody) - 1)))
    given = {"PCS_PYTHON": None, "LD_LIBRARY_PATH": str(here / "lib")}
    assert "(the environment that libpcs_embed lies in)" in failure([program, MODEL, "-", "-"], **given)[1]
    active = tmp_path / "active"
    environment(active)
    given["VIRTUAL_ENV"] = str(active)
    assert "(the environment that libpcs_embed lies in)" in failure([program, MODEL, "-", "-"], **given)[1]
    packages = tmp_path / "prefix" / "lib" / f"python{VERSION}" / "site-packages"  # of no virtual environment
    (tmp_path / "prefix" / "bin").mkdir(parents=True)
    (tmp_path / "prefix" / "bin" / f"python{VERSION}").symlink_to(Path(sys.executable).resolve())
    packages.mkdir(parents=True)
    shutil.copy(here / "lib" / libpcs_embed.soname, packages)
    given["LD_LIBRARY_PATH"] = str(packages)
    python = tmp_path / "prefix" / "bin" / f"python{VERSION}"
    assert f"{python} (the environment that" in failure([program, MODEL, "-", "-"], **given)[1]
    given["LD_LIBRARY_PATH"] = str(tmp_path / "elsewhere")
    assert "(VIRTUAL_ENV)" in failure([program, MODEL, "-", "-"], **given)[1]
    del given["VIRTUAL_ENV"]
    code, message = failure([program, MODEL, "-", "-"], **given)
    assert (code, message[:15]) == (E_PYTHON, "no Python found")
    assert execute([program, MODEL, cell_file, tmp_path / "out"], PCS_PYTHON=None)[0] == 0  # that of the build


# --- what only Python serves ------------------------------------------------------------------------------------


MODELS = '''
import os
import numpy as np
from types import SimpleNamespace
from pychemsurrogate import Solver

class Halving:
    """Every abundance falls with the cell's own e-folding time 1e9 s; the second cell fails."""
    species = [f"S{k}" for k in range(29)]
    conditions = ["zeta"]

    def step(self, n, dt, temperature, *, out, mask, zeta):
        told = [array.__array_interface__["data"][0] for array in (n, dt, temperature, zeta)]
        with open(os.environ["TOLD"], "w") as file:
            print(*map(hex, told), file=file)
        assert not dt.flags.writeable and n.flags.writeable and not n.flags.owndata
        status = np.full(len(n), 10, np.int8)
        status[1] = -1
        return n * np.exp(-dt / 1e9)[:, None], SimpleNamespace(status=status)

class Broken(Halving):
    def step(self, *arrays, **more):
        raise RuntimeError("the flux capacitor is empty")

class Leaving(Halving):
    def step(self, *arrays, **more):
        raise SystemExit(4)

class Half:
    species = ["H"]

def exact():
    return Solver.load("osu_09_2008", mode="exact")
'''


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    (folder / "my_models.py").write_text(MODELS, encoding="utf-8")
    return folder


def served(program: Path, cells: Workload, cell_file: Path, out: Path, model: object, *options: str, **env: str):
    exit_code, text = execute([program, model, cell_file, out, *options], **env)
    assert exit_code == 0, text
    bits, status = read_result(out, cells)
    return np.frombuffer(bits).reshape(cells.n.shape), status


def test_the_torch_engine(program: Path, cells: Workload, cell_file: Path, tmp_path: Path) -> None:
    """Through C what the same call gives in Python, on arrays of the same layout."""
    n, status = served(program, cells, cell_file, tmp_path / "out", MODEL, "engine", "torch", "audit", "0")
    solver = Solver.load(MODEL, engine="torch", audit=0)
    column_major = np.asfortranarray(cells.n)
    expected, report = solver.step(column_major, cells.dt, cells.temperature, out=column_major, zeta=cells.zeta)
    assert status == report.status.tolist()
    assert report.surrogate > 0
    assert report.exact > 0
    np.testing.assert_array_equal(n, expected)


@pytest.mark.skipif(not has_fortran(), reason="no gfortran")
def test_the_guide(library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's Fortran program, built by its commands against the installed package, and its Python model."""
    (tmp_path / "cloud.f90").write_text(guide.block("embed", "fortran"), encoding="utf-8")
    commands = {"PATH": PATH, "PCS_PYTHON": None, "PYTHONWARNINGS": "error"}
    exit_code, text = execute(["bash", "-euc", f"cd {tmp_path}; {guide.block('embed', 'sh')}"], **commands)
    assert exit_code == 0, text
    counts = re.fullmatch(r"surrogate: (\d+), exact: (\d+), failed: 0\nCO per H2: +(\d\.\d+E-\d+)\n", text)
    assert counts is not None, text
    assert int(counts[1]) + int(counts[2]) == 1000
    (tmp_path / "decay.py").write_text(guide.block("embed", "python"), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    handle, n, status = library.open("python:decay:Decay"), np.ones((2, 2)), np.zeros(2, np.int8)
    ones = np.ones(2)
    gas = Workload(n, ones, ones, {"zeta": np.array([0.0, 1.0])})
    assert library.step(handle, gas, n, status) == 0
    np.testing.assert_allclose(n, [[1, 1], [np.exp(-1), 2 - np.exp(-1)]], rtol=1e-15)
    np.testing.assert_array_equal(status, 10)
    assert library.close(handle) == 0


def test_torch_in_other_units(library: Library, cells: Workload) -> None:
    """n/n_H with n_H as a last condition: what densities give, to round-off; cells without a density fail alone."""
    solver = Solver.load(MODEL, engine="torch", audit=0)
    expected, report = solver.step(cells.n, cells.dt, cells.temperature, zeta=cells.zeta)
    n_h = cells.n @ solver.network.tables().scale_weights
    n_h[3] = np.nan
    handle, status = library.open(MODEL), np.zeros(len(cells), np.int8)
    for pair in (("engine", "torch"), ("audit", "0"), ("units", "hydrogen_fraction")):
        assert library.option(handle, *pair) == 0, library.error(handle)
    assert library.pcs.pcs_n_conditions(handle) == 2
    x = cells.n / n_h[:, None]
    x[3] = 1.0
    conditions = np.column_stack([cells.zeta, n_h])
    strides = [ctypes.c_int64(k) for k in (29, 1)]
    at = [ctypes.c_void_p(a.ctypes.data) for a in (cells.dt, x, cells.temperature, conditions, status)]
    one, two = ctypes.c_int64(1), ctypes.c_int64(2)
    arguments = (ctypes.c_int64(len(x)), at[0], one, at[1], *strides, at[2], one, at[3], two, one, None, at[4])
    assert library.pcs.pcs_step(handle, *arguments) == 0, library.error(handle)
    assert status[3] == -1
    assert (x[3] == 1.0).all()
    others = np.arange(len(x)) != 3
    np.testing.assert_array_equal(status[others], report.status[others])
    np.testing.assert_allclose(x[others] * n_h[others, None], expected[others], rtol=1e-3, atol=1e-15)
    assert library.close(handle) == 0


def test_a_step_that_fails_leaves_no_trace(library: Library, cells: Workload, monkeypatch: pytest.MonkeyPatch) -> None:
    """The integrator runs out of memory after the surrogate has served its cells."""
    handle, n = library.open(MODEL), cells.n.copy()
    assert library.option(handle, "engine", "torch") == 0

    def exhausted(*_: object) -> None:
        raise MemoryError("no room")

    with monkeypatch.context() as patched:
        patched.setattr("pychemsurrogate.solver.ladder.Ladder.step", exhausted)
        assert library.step(handle, cells, n, np.zeros(len(cells), np.int8)) == -105
    assert "use smaller batches\nno room" in library.error(handle)
    np.testing.assert_array_equal(n, cells.n)
    assert library.step(handle, cells, n, np.zeros(len(cells), np.int8)) == 0
    assert (n != cells.n).any()
    assert library.close(handle) == 0


def test_a_gpu(library: Library, cells: Workload) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    handle, n, status = library.open(MODEL), cells.n.copy(), np.zeros(len(cells), np.int8)
    assert library.option(handle, "audit", "0") == library.option(handle, "device", "cuda") == 0
    assert library.step(handle, cells, n, status) == 0
    moved = torch.tensor(cells.n, device="cuda")
    expected, report = Solver.load(MODEL, device="cuda", audit=0).step(
        moved, cells.dt, cells.temperature, zeta=cells.zeta
    )
    np.testing.assert_array_equal(n, expected.cpu().numpy())
    np.testing.assert_array_equal(status, report.status)
    assert library.close(handle) == 0


def test_threads_in_a_python_model(
    library: Library, cells: Workload, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads of the host on one handle, and errors that are each thread's own."""
    monkeypatch.syspath_prepend(models)
    handle = library.open("python:my_models:exact")
    expected, _ = Solver.load(MODEL, mode="exact").step(cells.n, cells.dt, cells.temperature, zeta=cells.zeta)

    together = Barrier(6)

    def work(number: int) -> bool:
        together.wait()  # six threads, none of which takes two turns
        right = library.error(handle) == ""
        for _ in range(5):
            n = cells.n.copy()
            right &= library.step(handle, cells, n, np.zeros(len(cells), np.int8)) == 0
            right &= bool((n == expected).all())
            library.pcs.pcs_species_index(handle, f"nobody{number}".encode())
            right &= f"'nobody{number}'" in library.error(handle)
        return right

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(work, range(6)))
    assert library.close(handle) == 0


def test_scipy(program: Path, osu: Network, tmp_path: Path) -> None:
    few = workload(osu, 3, seed=5)
    write_cells(tmp_path / "few.bin", few)
    n, status = served(
        program, few, tmp_path / "few.bin", tmp_path / "out", MODEL, "mode", "exact", "integrator", "scipy"
    )
    expected, report = Solver.load(MODEL, mode="exact", integrator="scipy").step(
        few.n, few.dt, few.temperature, zeta=few.zeta
    )
    assert status == report.status.tolist() == [21] * 3
    np.testing.assert_array_equal(n, expected)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("engine", "abacus"), "must be one of native, torch"),
        (("integrator", "euler"), "must be one of native, host, scipy"),
        (("speed", "high"), "unknown option 'speed'"),
        (("device", "cuda:77"), "option device is 'cuda:77'"),
        (("integrator", "host", "engine", "torch"), "engine torch has native and scipy alone"),
        (("engine", "native", "device", "gpu"), "option device is 'gpu': it must be one of cpu, cuda, cuda:k"),
        (("memory", "device"), "link to libpcs for those of a GPU"),
        (("stream", "0x10"), "link to libpcs for those of a GPU"),
    ],
)
def test_options_of_its_own(
    library: Library, capfd: pytest.CaptureFixture[str], options: tuple[str, ...], text: str
) -> None:
    handle = library.open(MODEL)
    codes = [library.option(handle, *pair) for pair in zip(options[::2], options[1::2], strict=True)]
    assert codes == [0] * (len(codes) - 1) + [E_OPTION]
    assert text in library.error(handle)
    assert "Traceback" not in library.error(handle)
    assert library.close(handle) == 0
    assert capfd.readouterr() == ("", "")


def test_the_native_engine_on_a_gpu(library: Library, cells: Workload, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the emulated runtime: the host's arrays are copied there and back, as by libpcs."""
    monkeypatch.setenv("PCS_CUDA_LIBRARY", "/nowhere/libpcs_cuda.so")
    handle = library.open(MODEL)
    assert library.option(handle, "engine", "native") == 0
    assert library.option(handle, "device", "cuda") == E_DEVICE
    assert "/nowhere/libpcs_cuda.so" in library.error(handle)
    emulated = build("pcs_cuda_emulated").libraries / "libpcs_cuda_emulated.so"
    monkeypatch.setenv("PCS_CUDA_LIBRARY", str(emulated))
    results = []
    few = cells[:9]
    for device in ("cpu", "cuda"):
        assert library.option(handle, "device", device) == 0, library.error(handle)
        assert library.option(handle, "mode", "exact") == 0
        n, status = few.n.copy(), np.full(len(few), 99, np.int8)
        assert library.step(handle, few, n, status) == 0, library.error(handle)
        results.append((n, status.tolist()))
    assert results[0][1] == results[1][1]
    np.testing.assert_allclose(results[1][0], results[0][0], rtol=1e-6)
    assert library.close(handle) == 0


def test_a_model_of_python_alone_works_on_the_hosts_memory(
    program: Path, cells: Workload, cell_file: Path, models: Path, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    environment = {"PYTHONPATH": str(models), "TOLD": str(told)}
    exit_code, text = execute([program, "python:my_models:Halving", cell_file, tmp_path / "out"], **environment)
    assert exit_code == 0, text
    assert told.read_text().split() == text.split()[:4]  # addresses of n, dt, temperature, conditions
    bits, status = read_result(tmp_path / "out", cells)
    assert status == [10, -1, *[10] * 18]
    expected = cells.n * np.exp(-cells.dt / 1e9)[:, None]
    expected[1] = cells.n[1]
    np.testing.assert_array_equal(np.frombuffer(bits).reshape(cells.n.shape), expected)


def test_a_solver_that_python_made(
    library: Library, cells: Workload, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(models)
    handle, n, status = library.open("python:my_models:exact"), cells.n.copy(), np.zeros(len(cells), np.int8)
    assert library.step(handle, cells, n, status) == 0
    expected, report = Solver.load(MODEL, mode="exact").step(cells.n, cells.dt, cells.temperature, zeta=cells.zeta)
    np.testing.assert_array_equal(n, expected)
    np.testing.assert_array_equal(status, report.status)
    assert library.option(handle, "mode", "auto") == E_OPTION
    assert library.close(handle) == 0


@pytest.mark.parametrize(
    ("model", "code", "texts"),
    [
        ("my_models:Broken", E_PYTHON, ("Traceback", "in step", "RuntimeError: the flux capacitor is empty")),
        ("my_models:Leaving", E_PYTHON, ("SystemExit: 4",)),
        ("my_models:Half", E_PYTHON, ("returned Half, which has no conditions, step",)),
        ("my_models:absent", E_PYTHON, ("AttributeError", "'absent'")),
        ("no_such_module:f", E_PYTHON, ("ModuleNotFoundError: No module named 'no_such_module'",)),
        ("my_models", E_FILE, ("write python:package.module:name",)),
    ],
)
def test_what_python_raises(
    library: Library,
    cells: Workload,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    model: str,
    code: int,
    texts: tuple[str, ...],
) -> None:
    monkeypatch.syspath_prepend(models)
    handle, n = ctypes.c_void_p(), cells.n.copy()
    told = library.pcs.pcs_open(f"python:{model}".encode(), ctypes.byref(handle))
    if told == 0:
        told = library.step(handle, cells, n, np.zeros(len(cells), np.int8))
        np.testing.assert_array_equal(n, cells.n)
    assert told == code
    for text in texts:
        assert text in library.error(handle)
    assert capfd.readouterr() == ("", "")


# --- by an environment variable ---------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", ["interface", "steps", "threads", "misuse"])
def test_libpcs_passes_handles_on(libpcs_with_embed: NativeBuild, cell_file: Path, tmp_path: Path, suite: str) -> None:
    """The suites of libpcs, linked to libpcs, served by Python: nothing but the environment tells."""
    flags = ("-std=c11", "-pthread") if suite == "misuse" else ("-pthread",)
    program = libpcs_with_embed.compile_c([SOURCES / f"{suite}.c"], tmp_path / suite, flags)
    if suite == "interface":
        broken_models(tmp_path)
    arguments = {"interface": [tmp_path], "steps": [cell_file, tmp_path / "out"]}.get(suite, [cell_file])
    assert execute([program, MODEL, *arguments], PCS_BACKEND="embed") == (0, "ok\n")


def test_a_backend_that_is_none(libpcs_with_embed: NativeBuild, cell_file: Path, tmp_path: Path) -> None:
    program = libpcs_with_embed.compile_c([SOURCES / "embed.c"], tmp_path / "embed")
    command = [program, MODEL, cell_file, tmp_path / "out"]
    code, message = failure(command, PCS_BACKEND="embed", PCS_PYTHON="/no/such/python")
    assert (code, "PCS_PYTHON is '/no/such/python'" in message) == (E_PYTHON, True)
    code, message = failure(command, PCS_BACKEND="fortran")
    assert (code, "must be one of native, embed" in message) == (E_OPTION, True)
    code, message = failure(command, PCS_BACKEND="embed", PCS_EMBED_LIBRARY="/no/such.so")
    assert (code, "set PCS_EMBED_LIBRARY" in message) == (E_FILE, True)
    code, message = failure(command, PCS_BACKEND="embed", PCS_EMBED_LIBRARY="libm.so.6")
    assert (code, "libm.so.6 has no function pcs_abi_version" in message) == (E_FILE, True)
    code, message = failure([*command, "engine", "torch"], PCS_BACKEND="native")
    assert (code, "PCS_BACKEND=embed" in message) == (E_OPTION, True)
    assert execute(command, PCS_BACKEND="native", PCS_PYTHON="/not/asked")[0] == 0


# --- hosts ------------------------------------------------------------------------------------------------------


def test_a_process_that_forks(libpcs_embed: NativeBuild, tmp_path: Path) -> None:
    program = libpcs_embed.compile_c([SOURCES / "embed_fork.c"], tmp_path / "embed_fork")
    assert execute([program, MODEL]) == (0, "ok\n")


@pytest.mark.parametrize("kind", [ctypes.CDLL, ctypes.PyDLL])
def test_a_python_that_runs_already(libpcs_embed: NativeBuild, cells: Workload, kind: type[ctypes.CDLL]) -> None:
    """With and without the GIL; strides of every kind."""
    library = Library(libpcs_embed, kind)
    handle = library.open(MODEL)
    assert library.option(handle, "mode", "exact") == 0
    expected, report = Solver.load(MODEL, mode="exact").step(cells.n, cells.dt, cells.temperature, zeta=cells.zeta)
    wide = np.zeros((2 * len(cells), 40))
    for n in (cells.n.copy(), np.asfortranarray(cells.n), cells.n[:, ::-1].copy()[:, ::-1], wide[::2, 3:32]):
        n[...] = cells.n
        status = np.zeros(len(cells), np.int8)
        assert library.step(handle, cells, n, status) == 0
        np.testing.assert_array_equal(n, expected)
        np.testing.assert_array_equal(status, report.status)
    assert wide[1::2].any() == wide[:, 32:].any() == wide[:, :3].any() == False  # noqa: E712
    assert library.close(handle) == 0


def test_a_host_with_a_python_of_its_own(libpcs_embed: NativeBuild, tmp_path: Path) -> None:
    names = sysconfig.get_config_vars("LIBDIR", "MULTIARCH", "LDVERSION")
    folders = [Path(names[0]), Path(names[0]) / (names[1] or "")]
    flags = [f"-isystem{sysconfig.get_path('include')}", "-pthread"]
    flags += [flag for folder in folders for flag in (f"-L{folder}", f"-Wl,-rpath,{folder}")]
    program = libpcs_embed.compile_c(
        [SOURCES / "embed_host.c"], tmp_path / "embed_host", (*flags, "-Wno-pedantic"), (f"-lpython{names[2]}",)
    )
    assert execute([program, MODEL, sys.executable], PCS_PYTHON="/not/asked") == (0, "ok\n")
