"""The emulated GPU that the tests of CUDA sources stand on."""

from __future__ import annotations

from pathlib import Path

import pytest
from native_build import ROOT, run


@pytest.fixture(scope="module")
def self_test(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("emulator") / "self_test"
    emulator = ROOT / "tests" / "cuda" / "emulator"
    includes = [f"-I{emulator}", f"-I{ROOT / 'native' / 'cuda'}", f"-I{ROOT / 'native' / 'include'}"]
    sources = [emulator / "emulator.cpp", ROOT / "tests" / "cuda" / "self_test.cu"]
    flags = ["-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread"]
    run(["g++", *flags, *includes, "-x", "c++", *sources, "-o", program])
    return program


@pytest.mark.parametrize("order", ["forward", "reverse", "random", "random:7"])
def test_self_test(self_test: Path, order: str) -> None:
    """Barriers, warp operations, atomics, streams that wait, graphs and errors, in any order of a block's threads."""
    assert run([self_test], {"PCS_EMULATED_ORDER": order}) == "ok\n"
