"""libkrome, libpcs and the clients under the address and undefined-behaviour sanitizers (long)."""

from __future__ import annotations

from pathlib import Path

import pytest
from krome_build import Krome, build, generate, write_cells, write_model
from native_build import ADDRESS, NativeBuild, has_fortran, run, sanitized, sanitizer_flags
from workload import workload

from pychemsurrogate.network import Network

pytestmark = [pytest.mark.long, pytest.mark.skipif(not has_fortran(), reason="no gfortran")]

FLAGS = sanitizer_flags(ADDRESS)
CELLS = 24


@pytest.fixture(scope="module")
def libpcs() -> NativeBuild:
    return sanitized(ADDRESS)


def test_clients_run_clean(libpcs: NativeBuild, osu: Network, tmp_path: Path) -> None:
    kinds = {}
    for name, options in {"n": ["--ierr"], "x": ["--use-x", "--common", "zeta=user_crflux"]}.items():
        generate("osu_09_2008", tmp_path / name, "--mode", "exact", *options)
        build(tmp_path / name, libpcs, FLAGS)
        kinds[name] = Krome(tmp_path / name, libpcs, osu, FLAGS)
    cells = write_cells(tmp_path / "cells.bin", workload(osu, CELLS, seed=3), kinds["n"].order)
    foreign = tmp_path / "foreign.pcs"
    write_model(osu.restricted(max_heavy_atoms=1), foreign)
    program = kinds["n"].fortran("misuse", tmp_path)
    assert (
        run([program, tmp_path / "n" / "krome.pcs", foreign, tmp_path / "missing.pcs", cells]) == "all checks passed\n"
    )
    assert "close 0" in run([kinds["n"].c("interface", tmp_path), cells])
    for client in ("collapse", "cloud", "flash_like", "enzo_like", "ramses_like", "threads"):
        run([kinds["n"].fortran(client, tmp_path), cells, tmp_path / "out", CELLS], {"OMP_NUM_THREADS": "2"})
    run([kinds["x"].fortran("phantom_like", tmp_path), cells, tmp_path / "out", CELLS], {"OMP_NUM_THREADS": "2"})
    run([kinds["x"].c("gizmo_like", tmp_path), cells, tmp_path / "out", CELLS])
