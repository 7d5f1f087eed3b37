"""The C++ header, by g++: C++17 and C++20, with exceptions and without."""

from __future__ import annotations

from pathlib import Path

import pytest
from native_build import MODEL, ROOT, STRICT, NativeBuild, run

FLAGS = [*STRICT, "-Wconversion", "-Wshadow", "-Wno-pessimizing-move"]


@pytest.mark.parametrize("standard", ["c++17", "c++20"])
@pytest.mark.parametrize("exceptions", ["-fexceptions", "-fno-exceptions"])
def test_every_function_and_error(libpcs: NativeBuild, standard: str, exceptions: str, tmp_path: Path) -> None:
    includes = [f"-I{folder}" for folder in (*libpcs.includes, ROOT / "bindings" / "cpp")]
    link = [f"-L{libpcs.libraries}", f"-Wl,-rpath,{libpcs.libraries}", "-lpcs"]
    program = tmp_path / "host"
    source = ROOT / "tests" / "cpp" / "host.cpp"
    run(["g++", f"-std={standard}", "-O1", exceptions, *FLAGS, *includes, source, "-o", program, *link])
    assert run([program, MODEL]) == "ok\n"
