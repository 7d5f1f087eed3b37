"""What `cmake --install` puts down serves a host by CMake and by pkg-config, wherever the tree is moved to."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from native_build import BUILD, ROOT, build, has_fortran, run

import pychemsurrogate
from pychemsurrogate.integrators import NativeRosenbrock
from pychemsurrogate.network import Network

CONSUMER = ROOT / "tests" / "consumer"
MODEL_NAME = "brought_along"  # known to no other folder, so that it can only be found beside the library


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation that was moved after it was made."""
    build()
    folder = tmp_path_factory.mktemp("install")
    run(["cmake", "--install", BUILD, "--prefix", folder / "first"])
    (folder / "first").rename(folder / "moved")
    models = folder / "moved" / "share" / "pychemsurrogate" / "models"
    shutil.copy(models / "osu_09_2008.pcs", models / f"{MODEL_NAME}.pcs")
    return folder / "moved"


@pytest.fixture(scope="module")
def expected(osu: Network) -> float:
    """n(CO) [cm^-3] of the gas in the consumer's sources."""
    n = np.zeros((1, osu.n_species))
    for name, value in {"H2": 5e3, "C+": 1.0, "e-": 1.0, "O": 3.0}.items():
        n[0, osu.species_index(name)] = value
    n, _ = NativeRosenbrock(osu).advance(n, 3.15576e11, 20.0, {"zeta": 1e-16})
    return float(n[0, osu.species_index("CO")])


def library_folder(installed: Path) -> Path:
    return next(installed.rglob("libpcs.so")).parent


def assert_answers(program: Path, expected: float) -> None:
    for model in ("osu_09_2008", MODEL_NAME):
        assert float(run([program, model])) == pytest.approx(expected, rel=1e-14)
    with pytest.raises(AssertionError, match=r"looked for .*/moved/share/pychemsurrogate/models/nothing\.pcs"):
        run([program, "nothing"])


def test_cmake_package(installed: Path, expected: float, tmp_path: Path) -> None:
    fortran = "ON" if has_fortran() else "OFF"
    options = [
        f"-DCMAKE_PREFIX_PATH={installed}",
        f"-DWITH_FORTRAN={fortran}",
        f"-DPCS_WANTED={pychemsurrogate.__version__}",
    ]
    run(["cmake", "-S", CONSUMER, "-B", tmp_path, "-G", "Ninja", *options])
    run(["cmake", "--build", tmp_path])
    assert_answers(tmp_path / "host_c", expected)
    if has_fortran():
        assert_answers(tmp_path / "host_fortran", expected)


def test_another_version_is_refused(installed: Path, tmp_path: Path) -> None:
    options = [f"-DCMAKE_PREFIX_PATH={installed}", "-DPCS_WANTED=99.0"]
    with pytest.raises(AssertionError, match="compatible with requested version"):
        run(["cmake", "-S", CONSUMER, "-B", tmp_path, "-G", "Ninja", *options])


@pytest.mark.skipif(shutil.which("pkg-config") is None, reason="needs pkg-config")
def test_pkg_config_and_make(installed: Path, expected: float, tmp_path: Path) -> None:
    environment = {"PKG_CONFIG_PATH": str(library_folder(installed) / "pkgconfig")}
    run(["make", "-f", CONSUMER / "Makefile"], environment, cwd=tmp_path)
    assert_answers(tmp_path / "host_c", expected)
    assert run(["pkg-config", "--modversion", "pcs"], environment).strip() == pychemsurrogate.__version__


def test_no_file_names_another_place(installed: Path) -> None:
    """Neither the build folder nor the first prefix is written into what a host's build reads."""
    texts = [path for path in installed.rglob("*") if path.suffix in {".cmake", ".pc", ".h", ".f90", ".inc"}]
    assert len(texts) >= 7
    for path in texts:
        content = path.read_text(encoding="utf-8")
        assert str(BUILD) not in content
        assert str(installed.parent / "first") not in content


def test_fortran_source_comes_along(installed: Path) -> None:
    source = installed / "share" / "pychemsurrogate" / "fortran"
    assert {path.name for path in source.iterdir()} == {"pychemsurrogate.f90", "pcs_status.inc"}
