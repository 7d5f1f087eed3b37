"""The recipes of package managers name what is there: options, versions and requirements of the project."""

from __future__ import annotations

import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from native_build import ROOT

from pychemsurrogate import __version__

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SPACK = ROOT / "packaging" / "spack" / "spack_repo" / "pychemsurrogate"
CONDA = ROOT / "packaging" / "conda" / "recipe.yaml"
OPTIONS = set(re.findall(r"option\((\w+)", (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")))


def requirements(of: list[str]) -> dict[str, str]:
    """Name -> least version."""
    return dict(requirement.split(">=") for requirement in of)


def run_spack_recipe(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[list[tuple[str, Any, Any]], Any]:
    """The directives that a recipe calls, and its class, with stand-ins for Spack's modules."""
    calls: list[tuple[str, Any, Any]] = []

    def directive(word: str) -> Callable[..., None]:
        return lambda *given, **named: calls.append((word, given, named))

    class Package:
        def define_from_variant(self, option: str, variant: str) -> tuple[str, str]:
            return option, variant

    stand_in = ModuleType("spack.package")
    words = ["conflicts", "depends_on", "license", "variant", "version"]
    for word in words:
        setattr(stand_in, word, directive(word))
    stand_in.__all__ = words  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "spack", ModuleType("spack"))
    monkeypatch.setitem(sys.modules, "spack.package", stand_in)
    for module, base in (("cmake", "CMakePackage"), ("python", "PythonPackage")):
        systems = ModuleType(f"spack_repo.builtin.build_systems.{module}")
        setattr(systems, base, Package)
        monkeypatch.setitem(sys.modules, systems.__name__, systems)
    names = runpy.run_path(str(SPACK / "packages" / name / "package.py"))
    classes = [value for value in names.values() if isinstance(value, type) and issubclass(value, Package)]
    (found,) = [value for value in classes if value is not Package]
    return calls, found


def test_spack_library(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, recipe = run_spack_recipe("pychemsurrogate", monkeypatch)
    variants = {given[0] for word, given, _ in calls if word == "variant"}
    used = recipe().cmake_args()
    assert {option for option, _ in used} <= OPTIONS
    assert {variant for _, variant in used} == variants
    assert Path(recipe.git.removeprefix("file://")) == ROOT
    least = re.search(r"cmake_minimum_required\(VERSION ([\d.]+)\)", (ROOT / "CMakeLists.txt").read_text())
    assert least is not None
    assert ("depends_on", (f"cmake@{least[1]}:",), {"type": "build"}) in calls


def test_spack_python(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, recipe = run_spack_recipe("py_pychemsurrogate", monkeypatch)
    needs: dict[Any, dict[str, str]] = {"build": {}, ("build", "run"): {}}
    for word, given, named in calls:
        if word == "depends_on" and given[0].startswith("py"):
            name, _, version = given[0].partition("@")
            needs[named["type"]][name.removeprefix("py-")] = version.removesuffix(":")
    assert needs["build"] == requirements(PROJECT["build-system"]["requires"])
    python = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert needs["build", "run"] == {"python": python, **requirements(PROJECT["project"]["dependencies"])}
    assert Path(recipe.git.removeprefix("file://")) == ROOT


def test_spack_repository_has_the_folders_that_spack_looks_for() -> None:
    """Package API 2: <...>/spack_repo/<namespace>, folders with underscores for names with dashes."""
    text = (SPACK / "repo.yaml").read_text(encoding="utf-8")
    assert f"namespace: {SPACK.name}\n" in text
    assert SPACK.parent.name == "spack_repo"
    assert {path.name for path in (SPACK / "packages").iterdir()} == {"pychemsurrogate", "py_pychemsurrogate"}


@pytest.mark.long
def test_conda() -> None:
    """As rattler-build renders the recipe."""
    from rattler_build import Stage0Recipe, VariantConfig

    (rendered,) = Stage0Recipe.from_file(CONDA).render(VariantConfig())
    recipe = rendered.recipe.to_dict()
    assert recipe["package"] == {"name": "pychemsurrogate", "version": __version__}
    split = [
        dict((*word.split(" >="), "")[:2] for word in recipe["requirements"][kind]) for kind in ("build", "host", "run")
    ]
    assert split[0].items() >= {"cmake": "3.20", "ninja": ""}.items()
    assert split[1] == {"python": "", "pip": "", **requirements(PROJECT["build-system"]["requires"])}
    python = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert split[2] == {"python": python, **requirements(PROJECT["project"]["dependencies"])}
    assert (CONDA.parent / recipe["source"][0]["path"]).resolve() == ROOT
