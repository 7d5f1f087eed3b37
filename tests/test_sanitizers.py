"""libpcs and its clients in C, C++ and Fortran under the address, undefined-behaviour and thread sanitizers (long)."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from native_build import (
    ADDRESS,
    MODEL,
    ROOT,
    STRICT,
    THREAD,
    has_fortran,
    needs_libpython,
    run,
    sanitized,
)
from native_build import sanitizer_flags as flags
from test_c import broken_models, write_cells
from workload import workload

from pychemsurrogate.network import Network

pytestmark = pytest.mark.long

TESTS, BINDINGS = ROOT / "tests", ROOT / "bindings"
C_CLIENTS = [(ADDRESS, name) for name in ("interface", "steps", "threads", "openmp", "misuse")]
C_CLIENTS += [(THREAD, name) for name in ("threads", "misuse")]


def link(kind: str) -> list[str]:
    build = sanitized(kind).libraries
    return [f"-L{build}", f"-Wl,-rpath,{build}", "-lpcs", "-lm", "-pthread"]


@needs_libpython
@pytest.mark.parametrize("name", ["interface", "steps", "threads", "misuse", "embed_fork"])
def test_clients_with_a_python_inside(name: str, osu: Network, tmp_path: Path) -> None:
    """libpcs_embed and its clients; Python itself frees nothing when a process ends, so that leaks are not told."""
    build = ROOT / "build" / "sanitize-embed"
    options = [
        f"-DCMAKE_CXX_FLAGS={' '.join(flags(ADDRESS))}",
        f"-DPython_EXECUTABLE={sys.executable}",
        "-DPCS_GENERATE=OFF",
        "-DCMAKE_INSTALL_LIBDIR=lib",
        "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
    ]
    run(["cmake", "-S", ROOT, "-B", build, "-G", "Ninja", *options])
    run(["cmake", "--build", build, "--target", "pcs_embed"])
    broken_models(tmp_path)
    cells = tmp_path / "cells.bin"
    write_cells(cells, workload(osu, 60, seed=8))
    arguments = {"interface": [tmp_path], "steps": [cells, tmp_path / "out"], "embed_fork": []}.get(name, [cells])
    program = tmp_path / name
    include = [f"-I{BINDINGS / 'c'}", f"-I{TESTS / 'c'}"]
    libraries = [f"-L{build}/lib", f"-Wl,-rpath,{build}/lib", "-lpcs_embed", "-lm", "-pthread"]
    source = TESTS / "c" / f"{name}.c"
    run(["gcc", "-std=c11", *STRICT, *flags(ADDRESS), *include, source, "-o", program, *libraries])
    assert run([program, MODEL, *arguments], {"ASAN_OPTIONS": "detect_leaks=0"}) == "ok\n"


@pytest.mark.parametrize(("kind", "name"), C_CLIENTS)
def test_clients_in_c(kind: str, name: str, osu: Network, tmp_path: Path) -> None:
    broken_models(tmp_path)
    write_cells(tmp_path / "cells.bin", workload(osu, 60, seed=8))
    arguments = {"interface": [tmp_path], "steps": [tmp_path / "cells.bin", tmp_path / "out"]}
    program = tmp_path / name
    include = [f"-I{BINDINGS / 'c'}", f"-I{TESTS / 'c'}"]
    source = TESTS / "c" / f"{name}.c"
    openmp = ["-fopenmp"] if name == "openmp" else []
    run(["gcc", "-std=c11", *STRICT, *flags(kind), *openmp, *include, source, "-o", program, *link(kind)])
    assert run([program, MODEL, *arguments.get(name, [tmp_path / "cells.bin"])]) == "ok\n"


def test_client_in_cpp(tmp_path: Path) -> None:
    program = tmp_path / "host"
    include = [f"-I{BINDINGS / 'c'}", f"-I{BINDINGS / 'cpp'}"]
    source = TESTS / "cpp" / "host.cpp"
    run(["g++", "-std=c++17", *STRICT, *flags(ADDRESS), *include, source, "-o", program, *link(ADDRESS)])
    assert run([program, MODEL]) == "ok\n"


@pytest.mark.skipif(not has_fortran(), reason="no gfortran")
def test_client_in_fortran(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.pcs"
    content = np.fromfile(MODEL, np.uint8)
    content[len(content) // 2] ^= 0xFF
    content.tofile(damaged)
    sources = [BINDINGS / "fortran" / "pychemsurrogate.f90", TESTS / "fortran" / "expect.f90"]
    program = tmp_path / "interface_test"
    # gfortran's own code for an absent optional array, handed on, trips the check for null pointers.
    sanitize = [*flags(ADDRESS), "-fno-sanitize=null", "-fcheck=all", "-ffpe-trap=invalid,zero,overflow"]
    compile_them = ["gfortran", "-std=f2008", "-O1", *sanitize, f"-I{BINDINGS / 'fortran'}", f"-J{tmp_path}"]
    run([*compile_them, *sources, TESTS / "fortran" / "interface_test.f90", "-o", program, *link(ADDRESS)])
    assert run([program, MODEL, damaged]).endswith("all checks passed\n")
