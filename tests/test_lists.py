"""One list each of statuses, errors of a call and options, for all languages."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pychemsurrogate.options import OPTIONS, Option
from pychemsurrogate.solver import Solver
from pychemsurrogate.status import STATUS_MESSAGES, CallError, Status

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_interfaces", ROOT / "tools" / "generate_interfaces.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_generated_files_are_current(generator: ModuleType) -> None:
    for path, text in generator.generated_files().items():
        assert path.read_text(encoding="utf-8") == text, f"{path} is stale: run python tools/generate_interfaces.py"


def test_every_language_has_the_same_codes() -> None:
    python = {status.name: int(status) for status in Status}
    c_text = (ROOT / "bindings" / "c" / "pcs_status.h").read_text(encoding="utf-8")
    fortran_text = (ROOT / "bindings" / "fortran" / "pcs_status.inc").read_text(encoding="utf-8")
    pattern = r"PCS_STATUS_(\w+)\s*= (-?\d+)"
    assert {name: int(value) for name, value in re.findall(pattern, c_text)} == python
    assert {name: int(value) for name, value in re.findall(pattern, fortran_text)} == python


def test_every_code_fits_a_byte_and_is_explained() -> None:
    assert set(STATUS_MESSAGES) == set(Status)
    for status, message in STATUS_MESSAGES.items():
        assert -128 <= status <= 127
        assert message.startswith("failed, input unchanged") == (status < 0)


def test_compiled_core_agrees() -> None:
    native = pytest.importorskip("pychemsurrogate._native")
    assert {status: native.status_message(int(status)) for status in Status} == STATUS_MESSAGES


def test_every_language_has_the_same_errors() -> None:
    python = {error.name: int(error) for error in CallError}
    c_text = (ROOT / "bindings" / "c" / "pcs.h").read_text(encoding="utf-8")
    fortran_text = (ROOT / "bindings" / "fortran" / "pychemsurrogate.f90").read_text(encoding="utf-8")
    assert {name: int(v) for name, v in re.findall(r"#define PCS_E_(\w+) \((-\d+)\)", c_text)} == python
    found = re.findall(r"parameter, public :: PCS_E_(\w+) = (-\d+)", fortran_text)
    assert {name: int(v) for name, v in found} == python
    assert sorted(python.values()) == list(range(-100 - len(python), -100))


@pytest.fixture
def core() -> object:
    native = pytest.importorskip("pychemsurrogate._native")
    return native.Solver.open(str(ROOT / "pychemsurrogate" / "data" / "models" / "osu_09_2008-multiclock.pcs"))


def refusal(core: Any, key: str, value: str) -> str:
    """Why the native solver refuses an option; "" if it takes it."""
    try:
        core.set_option(key, value)
    except ValueError as error:
        return str(error)
    return ""


def test_the_native_solver_knows_exactly_these_options(core: Any) -> None:
    message = refusal(core, "colour", "blue")
    assert message == f"unknown option 'colour': the options are {', '.join(OPTIONS)}"
    for name in OPTIONS:
        assert "unknown option" not in refusal(core, name, "\x01"), name
    for name in [*OPTIONS, "x"]:
        assert "unknown option" in refusal(core, name.upper(), "\x01")


@pytest.mark.parametrize("option", OPTIONS.values(), ids=list(OPTIONS))
def test_the_native_solver_takes_what_the_list_says(core: Any, option: Option) -> None:
    elsewhere = {"torch"} if option.name == "engine" else set()  # libpcs_embed has it
    if option.type == "choice":
        assert option.default == option.choices[0]
        for choice in option.choices:
            assert (refusal(core, option.name, choice) != "") == (choice in elsewhere), choice
        assert refusal(core, option.name, "something else").endswith(", ".join(option.choices)) or elsewhere
    elif option.type in ("number", "integer"):
        low, high = map(float, option.values.split(" to "))
        for inside in (low, high):
            assert refusal(core, option.name, repr(inside)) == ""
        for outside in (low - max(abs(low), 1) * 1e-3, high * 1.001, float("nan")):
            assert "must be a number between" in refusal(core, option.name, repr(outside))
    if option.type != "text" and option.default not in OPTIONS:
        assert refusal(core, option.name, option.default) == ""


def test_python_has_the_options_and_their_defaults() -> None:
    """But for the units, which it leaves to other hosts, and what belongs to a call there."""
    found = inspect.signature(Solver.__init__).parameters
    missing = {"units", "statistics", "memory", "stream"}
    assert set(OPTIONS) - set(found) == missing
    assert set(found) - set(OPTIONS) == {"self", "model", "log", "precision"}
    follows = {"rtol", "atol", "target_error_dex", "error_budget_dex", "engine", "species"}  # from other options
    for name in OPTIONS.keys() - missing:
        default = found[name].default
        if name in follows:
            assert default is None
        elif OPTIONS[name].type in ("number", "integer"):
            assert float(OPTIONS[name].default) == default
        else:
            assert OPTIONS[name].default == default


def test_malformed_definition_is_refused(generator: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "status.def"
    path.write_text('PCS_STATUS(A, 1, "one")\nPCS_STATUS(B, two, "two")\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"status\.def:2"):
        generator.read_statuses(path)
    path.write_text('PCS_STATUS(A, 1, "one")\nPCS_STATUS(B, 1, "two")\n', encoding="utf-8")
    with pytest.raises(ValueError, match="value is used twice"):
        generator.read_statuses(path)
    path.write_text('PCS_OPTION(speed, velocity, "1", "", "how fast")\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"status\.def:1"):
        generator.read_options(path)
    path.write_text('PCS_ERROR(A, a, -1, "one")\nPCS_ERROR(A, a, -2, "one")\n', encoding="utf-8")
    with pytest.raises(ValueError, match="name is used twice"):
        generator.read_errors(path)


def test_sections_are_replaced_and_must_be_there(generator: ModuleType) -> None:
    text = "a\n// [generated: x] by a tool\nold\n// [end of generated]\nb\n"
    assert generator.with_section(text, "x", "new\n") == text.replace("old", "new")
    with pytest.raises(ValueError, match=r"one section \[generated: y\]"):
        generator.with_section(text, "y", "new\n")
