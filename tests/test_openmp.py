"""Hosts with OpenMP, in C and in Fortran: the bits of one thread, the host's settings and its threads left as they were.

tests/c/threads.c has the part that any host has: threads on one handle, a call from a region, floating-point settings.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from native_build import MODEL, ROOT, NativeBuild, run
from test_c import write_cells
from workload import workload

from pychemsurrogate.network import Network

PLACES = [{}, {"OMP_PLACES": "cores", "OMP_PROC_BIND": "close"}, {"OMP_WAIT_POLICY": "passive"}]


@pytest.mark.parametrize("environment", PLACES, ids=["plain", "places", "passive"])
def test_host_in_c(libpcs: NativeBuild, osu: Network, tmp_path: Path, environment: dict[str, str]) -> None:
    write_cells(tmp_path / "cells.bin", workload(osu, 500, seed=9))
    program = libpcs.compile_c([ROOT / "tests" / "c" / "openmp.c"], tmp_path / "openmp", ("-pthread", "-fopenmp"))
    assert run([program, MODEL, tmp_path / "cells.bin"], environment) == "ok\n"
