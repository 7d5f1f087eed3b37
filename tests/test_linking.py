"""The commands of docs/hosts/linking.md, as they stand there."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from consumers import TESTS, assert_hosts_answer
from guide import block, named_block
from native_build import BUILD, PATH, ROOT, build, has_fortran, run

needs_fortran = pytest.mark.skipif(not has_fortran(), reason="no Fortran compiler")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the three hosts, and a `python` that has the package."""
    folder = tmp_path / "project"
    folder.mkdir()
    for suffix in ("c", "cpp", "f90"):
        shutil.copy(TESTS / "consumer" / f"host.{suffix}", folder)
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -W error "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    return folder


def shell(commands: str, project: Path, **environment: str) -> str:
    path = os.pathsep.join([str(project.parent / "bin"), PATH])
    return run(["sh", "-ec", commands], {"PATH": path, **environment}, cwd=project)


@needs_fortran
@pytest.mark.parametrize("way", ["flags", "pkg-config"])
def test_compiler_commands(way: str, molecular_co: float, project: Path) -> None:
    shell(named_block("linking", "sh", way), project)
    assert_hosts_answer(project, molecular_co)


@needs_fortran
def test_makefile(molecular_co: float, project: Path) -> None:
    (project / "Makefile").write_text(block("linking", "make"), encoding="utf-8")
    shell("make", project)
    assert_hosts_answer(project, molecular_co, hosts=["host_c", "host_fortran"])


@needs_fortran
def test_find_package(molecular_co: float, project: Path) -> None:
    (project / "CMakeLists.txt").write_text(named_block("linking", "cmake", "find_package"), encoding="utf-8")
    shell(named_block("linking", "sh", "find_package"), project)
    assert_hosts_answer(project / "build", molecular_co)


@needs_fortran
def test_part_of_a_project(project: Path) -> None:
    """Configured only: the same calls are built among the long tests of test_install.py."""
    (project / "CMakeLists.txt").write_text(named_block("linking", "cmake", "subdirectory"), encoding="utf-8")
    shell("cmake -S . -B build -G Ninja", project, PCS_SOURCE=str(ROOT))
    targets = shell("cmake --build build -- -t targets all", project)
    for target in ("host_c:", "host_fortran:", "pychemsurrogate-build/lib/libpcs.so:"):
        assert target in targets


@needs_fortran
def test_without_python(project: Path) -> None:
    """The options are those of the build that the tests of test_install.py install; its compiling is left to them."""
    build()
    configure, compile_, install = named_block("linking", "sh", "install").splitlines()
    shell(configure, project, PCS_SOURCE=str(ROOT))
    assert compile_ == "cmake --build build --parallel 2"
    prefix = project / "prefix"
    shell(install.replace("--install build", f"--install {BUILD}"), project, PREFIX=str(prefix))
    assert (prefix / "lib" / "libpcs.so").is_file()
    assert (prefix / "share" / "pychemsurrogate" / "models" / "osu_09_2008.pcs").is_file()
