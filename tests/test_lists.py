"""One list of status codes for all languages."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from pychemsurrogate.status import STATUS_MESSAGES, Status

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


def test_malformed_definition_is_refused(generator: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "status.def"
    path.write_text('PCS_STATUS(A, 1, "one")\nPCS_STATUS(B, two, "two")\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"status\.def:2"):
        generator.read_definition(path)
    path.write_text('PCS_STATUS(A, 1, "one")\nPCS_STATUS(B, 1, "two")\n', encoding="utf-8")
    with pytest.raises(ValueError, match="used twice"):
        generator.read_definition(path)
