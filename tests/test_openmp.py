"""Hosts with OpenMP, in C and in Fortran: the bits of one thread, the host's settings and threads as they were.

tests/c/threads.c has the part that any host has: threads on one handle, a call from a region, floating-point settings.
"""

from __future__ import annotations

from pathlib import Path

import clouds
import pytest
from native_build import MODEL, ROOT, NativeBuild, has_fortran, run
from test_c import write_cells
from workload import workload

from pychemsurrogate.network import Network

PLACES = [{}, {"OMP_PLACES": "cores", "OMP_PROC_BIND": "close"}, {"OMP_WAIT_POLICY": "passive"}]


@pytest.mark.parametrize("environment", PLACES, ids=["plain", "places", "passive"])
def test_host_in_c(libpcs: NativeBuild, osu: Network, tmp_path: Path, environment: dict[str, str]) -> None:
    write_cells(tmp_path / "cells.bin", workload(osu, 500, seed=9))
    program = libpcs.compile_c([ROOT / "tests" / "c" / "openmp.c"], tmp_path / "openmp", ("-pthread", "-fopenmp"))
    assert run([program, MODEL, tmp_path / "cells.bin"], environment) == "ok\n"


@pytest.mark.skipif(not has_fortran(), reason="no gfortran")
def test_program_of_the_guide(osu: Network, tmp_path: Path) -> None:
    """Fortran: one solver, a parallel loop over blocks."""
    program = clouds.built("openmp", "blocks.f90", tmp_path)
    (line,) = {run([program], {"OMP_NUM_THREADS": str(threads)}) for threads in (1, 2, 5)}
    assert float(line.split()[-1]) == pytest.approx(clouds.mean_co(osu), rel=1e-12)
