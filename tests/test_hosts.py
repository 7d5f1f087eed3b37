"""The flags and paths that the Python package prints build hosts by plain compiler commands."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from consumers import TESTS, assert_hosts_answer, build_by_make
from native_build import ROOT, has_fortran, run

from pychemsurrogate import hosts
from pychemsurrogate.cli import main

ASK = [sys.executable, "-W", "error", "-m", "pychemsurrogate"]


def test_by_make(molecular_co: float, tmp_path: Path) -> None:
    build_by_make("consumer_flags", tmp_path, f"PYTHON={sys.executable}")
    assert_hosts_answer(tmp_path, molecular_co)


def test_by_plain_commands(molecular_co: float, tmp_path: Path) -> None:
    shutil.copy(TESTS / "consumer" / "host.c", tmp_path)
    shutil.copy(TESTS / "consumer" / "host.cpp", tmp_path)
    shutil.copy(TESTS / "consumer" / "host.f90", tmp_path)
    ask = " ".join(ASK)
    commands = [f"gcc host.c -o host_c $({ask} --cflags --libs)", f"g++ host.cpp -o host_cpp $({ask} --cflags --libs)"]
    if has_fortran():
        commands.append(f"gfortran $({ask} --fortran-source) host.f90 -o host_fortran $({ask} --libs)")
    for command in commands:
        run(["sh", "-c", command], cwd=tmp_path)
    assert_hosts_answer(tmp_path, molecular_co)


def test_what_is_printed_is_there() -> None:
    for option, holds in {
        "--include-dir": "pcs.h",
        "--cmake-dir": "pychemsurrogateConfig.cmake",
        "--pkg-config-dir": "pcs.pc",
    }.items():
        result = CliRunner().invoke(main, [option])
        assert result.exit_code == 0
        assert (Path(result.output.rstrip("\n")) / holds).is_file()
    assert hosts.fortran_source().is_file()
    assert (hosts.fortran_source().parent / "pcs_status.inc").is_file()
    assert hosts.library_dir().joinpath("libpcs.so").is_file()


def test_asking_imports_nothing_heavy() -> None:
    script = (
        "import sys; from pychemsurrogate.cli import main; main(['--cflags'], standalone_mode=False); "
        "assert not {'numpy', 'torch', 'scipy', 'pychemsurrogate._native'} & set(sys.modules), list(sys.modules)"
    )
    assert run([sys.executable, "-W", "error", "-c", script]).startswith("-I")


def test_paths_with_spaces_are_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tree = tmp_path / "my codes"
    (tree / "lib").mkdir(parents=True)
    (tree / "lib" / "libpcs.so").touch()
    monkeypatch.setattr(hosts, "find_spec", lambda _: None)
    monkeypatch.setattr(hosts, "__file__", str(tree / "hosts.py"))
    assert hosts.cflags() == f"'-I{tree}/include'"
    assert hosts.libs() == f"'-L{tree}/lib' -lpcs '-Wl,-rpath,{tree}/lib'"
    assert hosts.cmake_dir() == tree / "lib" / "cmake" / "pychemsurrogate"


def test_a_package_without_the_library_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(hosts, "find_spec", lambda _: None)
    monkeypatch.setattr(hosts, "__file__", str(tmp_path / "hosts.py"))
    result = CliRunner().invoke(main, ["--libs"])
    assert result.exit_code == 1
    assert f"{tmp_path} has no lib/libpcs.so: the package was built with PCS_LIBRARY=OFF" in result.output


def test_in_the_source_tree_the_reason_is_told() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-S", "-c", "import runpy; from pychemsurrogate import hosts; print(hosts.libs())"]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "is the source tree, which holds no libpcs: run this from another folder" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--libs", "network", "osu_09_2008"], "--libs stands alone"), ([], "Usage:"), (["--no-such"], "No such option")],
)
def test_misuse(words: list[str], said: str) -> None:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert said in result.output
