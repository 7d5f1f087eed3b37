"""libpcs and its C clients under the address, undefined-behaviour and thread sanitizers (long)."""

from __future__ import annotations

from pathlib import Path

import pytest
from native_build import MODEL, ROOT, STRICT, run
from test_c import broken_models, write_cells
from workload import workload

from pychemsurrogate.network import Network

pytestmark = pytest.mark.long

# OpenMP is off: libgomp's barriers look like races to the thread sanitizer.
KINDS = {"address,undefined": ["interface", "steps", "threads", "misuse"], "thread": ["threads", "misuse"]}


@pytest.mark.parametrize("kind", KINDS)
def test_clients_run_clean(kind: str, osu: Network, tmp_path: Path) -> None:
    flags = [f"-fsanitize={kind}", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g"]
    build = ROOT / "build" / f"sanitize-{kind.partition(',')[0]}"
    options = [
        f"-DCMAKE_CXX_FLAGS={' '.join(flags)}",
        "-DPCS_OPENMP=OFF",
        "-DCMAKE_INSTALL_LIBDIR=lib",
        "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
    ]
    run(["cmake", "-S", ROOT, "-B", build, "-G", "Ninja", *options])
    run(["cmake", "--build", build, "--target", "pcs"])

    broken_models(tmp_path)
    write_cells(tmp_path / "cells.bin", workload(osu, 60, seed=8))
    arguments = {
        "interface": [MODEL, tmp_path],
        "steps": [MODEL, tmp_path / "cells.bin", tmp_path / "out"],
        "threads": [MODEL, tmp_path / "cells.bin"],
        "misuse": [MODEL, tmp_path / "cells.bin"],
    }
    for name in KINDS[kind]:
        program = tmp_path / name
        include = [f"-I{ROOT / 'bindings' / 'c'}", f"-I{ROOT / 'tests' / 'c'}"]
        link = [f"-L{build}/lib", f"-Wl,-rpath,{build}/lib", "-lpcs", "-lm", "-pthread"]
        source = ROOT / "tests" / "c" / f"{name}.c"
        run(["gcc", "-std=c11", *STRICT, *flags, *include, source, "-o", program, *link])
        assert run([program, *arguments[name]]) == "ok\n"
