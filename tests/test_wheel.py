"""The package as pip builds and installs it, away from the source tree (long)."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest
from conftest import DECAY_CHAIN
from native_build import ROOT, run
from test_readme import snippet

pytestmark = pytest.mark.long


def test_wheel_serves_a_fresh_environment(tmp_path: Path) -> None:
    run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path / "wheel", ROOT])
    (wheel,) = (tmp_path / "wheel").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for needed in (
        "data/models/osu_09_2008.pcs",
        "data/networks/osu_09_2008.network",
        "evaluation/card/card.html.j2",
        "py.typed",
        "native/kernels.cpp",
    ):
        assert f"pychemsurrogate/{needed}" in names
    assert any(name.startswith("pychemsurrogate/_native") and name.endswith(".so") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "native/"))]

    environment = tmp_path / "venv"
    run([sys.executable, "-m", "venv", environment])
    python = environment / "bin" / "python"
    run([python, "-m", "pip", "install", "-q", wheel])
    assert "1000 cells" in run([python, "-W", "error", "-c", snippet("python")], cwd=tmp_path)
    source = tmp_path / "chain.network"
    source.write_text(DECAY_CHAIN, encoding="utf-8")
    cache = {"PCS_KERNEL_CACHE": str(tmp_path / "cache")}
    compiled = run([environment / "bin" / "pychemsurrogate", "model", "compile", source], cache, cwd=tmp_path)
    assert Path(compiled.split()[0]).is_file()
    serves = "from pychemsurrogate import load_network; from pychemsurrogate.integrators import NativeRosenbrock as N"
    script = f"{serves}; assert N(load_network('chain.network'), kernels='compiled')._solver.has_code"
    run([python, "-W", "error", "-c", script], {**cache, "CXX": "no-such-compiler"}, cwd=tmp_path)
    listing = run([environment / "bin" / "pychemsurrogate", "network", "osu_09_2008"], cwd=tmp_path)
    assert "224 reactions" in listing
