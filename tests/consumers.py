"""Separate projects that build against an installation: which there are, how each is built, what each must print."""

from __future__ import annotations

from pathlib import Path

import pytest
from native_build import ROOT, has_fortran, run

TESTS = ROOT / "tests"
LANGUAGES = ["C", "CXX", *(["Fortran"] if has_fortran() else [])]
HOSTS = ["host_c", "host_cpp", *(["host_fortran"] if has_fortran() else [])]


def assert_hosts_answer(
    folder: Path,
    expected: float,
    models: tuple[str, ...] = ("osu_09_2008",),
    hosts: list[str] = HOSTS,
    rel: float = 1e-14,
) -> None:
    """Every host opens every model by its name and prints the same n(CO) [cm^-3]."""
    for host in hosts:
        for model in models:
            assert float(run([folder / host, model])) == pytest.approx(expected, rel=rel)


def build_by_cmake(project: str, folder: Path, *options: object, languages: list[str] = LANGUAGES) -> None:
    """Configure and build a CMake project of tests/."""
    chosen = f"-DHOST_LANGUAGES={';'.join(languages)}"
    run(["cmake", "-S", TESTS / project, "-B", folder, "-G", "Ninja", chosen, *options])
    run(["cmake", "--build", folder])


def build_by_make(project: str, folder: Path, *settings: str, environment: dict[str, str] | None = None) -> None:
    """Build all hosts by the makefile of a project of tests/."""
    run(["make", "-f", TESTS / project / "Makefile", *settings, *HOSTS], environment, cwd=folder)
