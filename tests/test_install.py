"""What `cmake --install` puts down serves hosts by CMake and by pkg-config, wherever the tree is moved to."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from consumers import HOSTS, LANGUAGES, TESTS, assert_hosts_answer, build_by_cmake, build_by_make
from native_build import BUILD, ROOT, build, has_fortran, run

import pychemsurrogate

FAST_BUILD = "-DPCS_GENERATE=OFF"  # no straight-line kernels: a third of the time to compile, and other round-off
ROUND_OFF = 1e-8
MODEL_NAME = "brought_along"  # known to no other folder, so that it can only be found beside the library


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation that was moved after it was made, into a folder with a space in its name."""
    build()
    folder = tmp_path_factory.mktemp("install")
    run(["cmake", "--install", BUILD, "--prefix", folder / "first"])
    (folder / "first").rename(folder / "moved to")
    models = folder / "moved to" / "share" / "pychemsurrogate" / "models"
    shutil.copy(models / "osu_09_2008.pcs", models / f"{MODEL_NAME}.pcs")
    return folder / "moved to"


def assert_answers(folder: Path, expected: float) -> None:
    assert_hosts_answer(folder, expected, ("osu_09_2008", MODEL_NAME))
    for host in HOSTS:
        with pytest.raises(AssertionError, match=r"looked for .*/moved to/share/pychemsurrogate/models/nothing\.pcs"):
            run([folder / host, "nothing"])


def test_cmake_package(installed: Path, molecular_co: float, tmp_path: Path) -> None:
    options = [f"-DCMAKE_PREFIX_PATH={installed}", f"-DPCS_WANTED={pychemsurrogate.__version__}"]
    build_by_cmake("consumer", tmp_path, *options)
    assert_answers(tmp_path, molecular_co)


@pytest.mark.skipif(not has_fortran(), reason="no Fortran compiler")
def test_the_module_is_compiled_where_the_installed_one_does_not_fit(
    installed: Path, molecular_co: float, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(installed, other, symlinks=True)
    config = other / "lib" / "cmake" / "pychemsurrogate" / "pychemsurrogateConfig.cmake"
    text = config.read_text(encoding="utf-8")
    assert text.count('STREQUAL "GNU ') == 1
    config.write_text(text.replace('STREQUAL "GNU ', 'STREQUAL "Cray '), encoding="utf-8")
    (other / "include" / "pychemsurrogate" / "fortran" / "pychemsurrogate.mod").write_text("of another compiler")
    # A host's own flags must not meet the module's source: fixed form, another standard, warnings.
    flags = "-DCMAKE_Fortran_FLAGS=-fdefault-real-8 -std=f2018 -Wall -Wextra -Werror"
    build_by_cmake("consumer", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={other}", flags, "-DPCS_COMPONENTS=Fortran")
    assert_hosts_answer(tmp_path / "build", molecular_co)


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("-DPCS_WANTED=99.0", "compatible with requested version"),
        ("-DPCS_COMPONENTS=Fortran", "enable the language Fortran before find_package"),
        ("-DPCS_COMPONENTS=Cobol", "there is no component Cobol"),
    ],
)
def test_what_is_not_there_is_refused(installed: Path, option: str, reason: str, tmp_path: Path) -> None:
    options = [f"-DCMAKE_PREFIX_PATH={installed}", option]
    with pytest.raises(AssertionError, match=reason):
        run(["cmake", "-S", TESTS / "consumer", "-B", tmp_path, "-G", "Ninja", *options])


@pytest.mark.skipif(shutil.which("pkg-config") is None, reason="needs pkg-config")
def test_pkg_config_and_make(installed: Path, molecular_co: float, tmp_path: Path) -> None:
    environment = {"PKG_CONFIG_PATH": str(installed / "lib" / "pkgconfig")}
    build_by_make("consumer", tmp_path, environment=environment)
    assert_answers(tmp_path, molecular_co)
    assert run(["pkg-config", "--modversion", "pcs"], environment).strip() == pychemsurrogate.__version__
    flags = run(["pkg-config", "--cflags", "--libs", "pcs_embed"], environment).replace("\n", " ")
    run(["sh", "-c", f"gcc {TESTS}/consumer/host.c -o host_embed {flags}"], cwd=tmp_path)
    assert "libpcs_embed" in run(["ldd", tmp_path / "host_embed"])  # tests/test_embed.py runs such hosts
    if has_fortran():  # the module that was compiled along, for the compiler that it fits
        flags = run(["pkg-config", "--cflags", "--libs", "pcs_fortran"], environment).replace("\n", " ")
        run(["sh", "-c", f"gfortran {TESTS}/consumer/host.f90 -o host_fortran {flags}"], cwd=tmp_path)
        assert_answers(tmp_path, molecular_co)


def test_no_file_names_another_place(installed: Path) -> None:
    """Neither the build folder nor the first prefix is written into what a host's build reads."""
    texts = [path for path in installed.rglob("*") if path.suffix in {".cmake", ".pc", ".h", ".hpp", ".f90", ".inc"}]
    assert len(texts) >= 7
    for path in texts:
        content = path.read_text(encoding="utf-8")
        assert str(BUILD) not in content
        assert str(installed.parent / "first") not in content


def test_all_interfaces_come_along(installed: Path) -> None:
    source = installed / "share" / "pychemsurrogate" / "fortran"
    assert {path.name for path in source.iterdir()} == {
        path.name for path in (ROOT / "bindings" / "fortran").iterdir() if path.suffix in {".f90", ".inc"}
    }
    headers = {path.name for path in (installed / "include").iterdir() if path.is_file()}
    ours = [*(ROOT / "bindings" / "c").glob("*.h"), *(ROOT / "bindings" / "cpp").glob("*.hpp")]
    assert headers == {path.name for path in ours}
    assert {"pcs.h", "pcs_status.h", "pcs.hpp"} <= headers


def configure_part(folder: Path, *options: str) -> dict[str, str]:
    """Configure the project that holds ours as a part; its cache."""
    chosen = [f"-DPCS_SOURCE={ROOT}", f"-DHOST_LANGUAGES={';'.join(LANGUAGES)}", *options]
    run(["cmake", "-S", TESTS / "consumer_subdirectory", "-B", folder, "-G", "Ninja", *chosen])
    lines = (folder / "CMakeCache.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith(("#", "//")))


def test_as_a_part_of_another_project(tmp_path: Path) -> None:
    """Nothing of ours is installed and none of the parent's settings is made (its build is among the long tests)."""
    cache = configure_part(tmp_path)
    assert cache["CMAKE_BUILD_TYPE:STRING"] == ""
    assert not [name for name in cache if name.startswith("BUILD_SHARED_LIBS")]
    assert "file(INSTALL" not in (tmp_path / "pychemsurrogate" / "cmake_install.cmake").read_text(encoding="utf-8")
    assert ("pcs_fortran" in (tmp_path / "build.ninja").read_text(encoding="utf-8")) == has_fortran()
    rules = (tmp_path / "build.ninja").read_text(encoding="utf-8")
    assert "lib/libpcs.so" in rules
    assert "libpcs.a" not in rules


@pytest.mark.long
@pytest.mark.parametrize(
    ("options", "rel"),
    [((), 1e-14), (("-DFETCH=ON", "-DBUILD_SHARED_LIBS=OFF", FAST_BUILD), ROUND_OFF)],
    ids=["shared", "fetched, static"],
)
def test_as_a_part_of_another_project_it_serves(
    options: tuple[str, ...], rel: float, molecular_co: float, tmp_path: Path
) -> None:
    build_by_cmake("consumer_subdirectory", tmp_path, f"-DPCS_SOURCE={ROOT}", *options)
    assert_hosts_answer(tmp_path / "bin", molecular_co, rel=rel)
    assert {path.name for path in (tmp_path / "bin").iterdir()} == set(HOSTS)
    run(["cmake", "--install", tmp_path, "--prefix", tmp_path / "prefix"])
    assert [path.relative_to(tmp_path / "prefix") for path in (tmp_path / "prefix").rglob("*") if path.is_file()] == [
        Path("bin/host_c")
    ]


@pytest.mark.long
def test_static_library(molecular_co: float, tmp_path: Path) -> None:
    """libpcs.a, whose hosts carry it inside: the models are where it was configured to be installed."""
    prefix = tmp_path / "prefix"
    options = ["-DBUILD_SHARED_LIBS=OFF", f"-DCMAKE_INSTALL_PREFIX={prefix}", "-DCMAKE_INSTALL_LIBDIR=lib", FAST_BUILD]
    run(["cmake", "-S", ROOT, "-B", tmp_path / "build", "-G", "Ninja", *options])
    run(["cmake", "--build", tmp_path / "build", "--target", "install"])
    assert not list(prefix.rglob("libpcs.so*"))

    (tmp_path / "cmake").mkdir()
    with pytest.raises(AssertionError, match="add CXX to the languages of your project"):
        build_by_cmake("consumer", tmp_path / "cmake", f"-DCMAKE_PREFIX_PATH={prefix}", languages=["C"])
    build_by_cmake("consumer", tmp_path / "cmake", f"-DCMAKE_PREFIX_PATH={prefix}")
    (tmp_path / "make").mkdir()
    found = {"PKG_CONFIG_PATH": str(prefix / "lib" / "pkgconfig")}
    build_by_make("consumer", tmp_path / "make", "STATIC=--static", environment=found)
    for way in ("cmake", "make"):
        assert_hosts_answer(tmp_path / way, molecular_co, rel=ROUND_OFF)
        assert "libpcs" not in run(["ldd", tmp_path / way / "host_c"])
