"""The C interface, through gcc: strict C99 programs linked to libpcs."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from native_build import MODEL, ROOT, STRICT, NativeBuild, run
from workload import Workload, workload

from pychemsurrogate.integrators import NativeRosenbrock
from pychemsurrogate.model_file import ModelFile, shipped_model_path
from pychemsurrogate.network import Network

SOURCES = ROOT / "tests" / "c"


def write_cells(path: Path, cells: Workload) -> None:
    """Three int64 sizes, then n, dt, temperature and zeta as doubles (tests/c/check.h reads it)."""
    with path.open("wb") as file:
        file.write(struct.pack("<3q", *cells.n.shape, 1))
        for array in (cells.n, cells.dt, cells.temperature, cells.zeta):
            file.write(np.ascontiguousarray(array).tobytes())


def read_result(path: Path, cells: Workload) -> tuple[bytes, list[int]]:
    """The bits of the new abundances and the status of every cell, as steps.c writes them."""
    content = path.read_bytes()
    assert len(content) == cells.n.nbytes + len(cells)
    return content[: cells.n.nbytes], np.frombuffer(content[cells.n.nbytes :], np.int8).tolist()


@pytest.fixture(scope="module")
def cells(osu: Network) -> Workload:
    return workload(osu, 203, seed=5)


@pytest.fixture(scope="module")
def cell_file(cells: Workload, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cells") / "cells.bin"
    write_cells(path, cells)
    return path


def broken_models(folder: Path) -> None:
    """Model files that must be refused; interface.c knows their names and the reason for each."""
    good = MODEL.read_bytes()

    def changed(offset: int, code: str, value: int) -> bytes:
        """Another number in the first array's directory entry, and the checksum that belongs to it."""
        content = bytearray(good)
        struct.pack_into(code, content, 32 + offset, value)
        struct.pack_into("<I", content, 24, zlib.crc32(content[32:]))
        return bytes(content)

    half = len(good) // 2
    for name, content in {
        "empty": b"",
        "foreign": b"\x89HDF\r\n\x1a\n" + bytes(1000),
        "short": good[:20],
        "truncated": good[:-100],
        "longer": good + b"\0",
        "damaged": good[:half] + bytes([good[half] ^ 1]) + good[half + 1 :],
        "version": good[:8] + struct.pack("<I", 99) + good[12:],
        "directory": good[:12] + struct.pack("<I", 10**6) + good[16:],
        "type": changed(64, "<I", 9),
        "large": changed(72, "<Q", 2**63),
        "outside": changed(104, "<Q", 2**40),
    }.items():
        (folder / f"{name}.pcs").write_bytes(content)
    model = ModelFile.read(MODEL)
    model.arrays["network/reactants"] = model.arrays["network/reactants"] + np.int32(29)
    model.write(folder / "unbalanced.pcs")
    model = ModelFile.read(MODEL)
    del model.arrays["network/parameters"]
    model.write(folder / "without_network.pcs")


def test_every_function_and_error(host_library: NativeBuild, tmp_path: Path) -> None:
    broken_models(tmp_path)
    program = host_library.compile_c([SOURCES / "interface.c"], tmp_path / "interface")
    assert run([program, MODEL, tmp_path]) == "ok\n"


def test_layouts_mask_and_status(
    host_library: NativeBuild, osu: Network, cells: Workload, cell_file: Path, tmp_path: Path
) -> None:
    program = host_library.compile_c([SOURCES / "steps.c"], tmp_path / "steps")
    assert run([program, MODEL, cell_file, tmp_path / "out"]) == "ok\n"
    n, status = NativeRosenbrock(osu).advance(cells.n, cells.dt, cells.temperature, cells.conditions)
    assert read_result(tmp_path / "out", cells) == (n.tobytes(), status.tolist())


def test_threads(host_library: NativeBuild, cell_file: Path, tmp_path: Path) -> None:
    program = host_library.compile_c([SOURCES / "threads.c"], tmp_path / "threads", ("-pthread", "-fopenmp"))
    assert run([program, MODEL, cell_file]) == "ok\n"


@pytest.mark.parametrize("model", ["osu_09_2008", "osu_09_2008-fast"])
def test_bits_in_any_floating_point_environment_and_after_a_fork(
    libpcs: NativeBuild, cell_file: Path, tmp_path: Path, model: str
) -> None:
    """Rounding, flush to zero, traps: the host's own before and after, the library's meanwhile."""
    program = libpcs.compile_c([SOURCES / "environment.c"], tmp_path / "environment", ("-lm",))
    assert run([program, shipped_model_path(model), cell_file]) == "ok\n"


def test_handles_that_are_misused(host_library: NativeBuild, cell_file: Path, tmp_path: Path) -> None:
    program = host_library.compile_c([SOURCES / "misuse.c"], tmp_path / "misuse", ("-std=c11", "-pthread"))
    assert run([program, MODEL, cell_file]) == "ok\n"


def test_no_allocation_after_the_first_call(libpcs: NativeBuild, cell_file: Path, tmp_path: Path) -> None:
    program = libpcs.compile_c([SOURCES / "allocations.c"], tmp_path / "allocations")
    assert run([program, MODEL, cell_file]) == "ok\n"


def test_model_path(host_library: NativeBuild, cell_file: Path, tmp_path: Path) -> None:
    """A model by name is found in the folders of PCS_MODEL_PATH, in their order."""
    program = host_library.compile_c([SOURCES / "steps.c"], tmp_path / "steps")
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "mine.pcs").write_bytes(MODEL.read_bytes())
    path = {"PCS_MODEL_PATH": f"{tmp_path}/absent::{folder}"}
    assert run([program, "mine", cell_file, tmp_path / "out"], path) == "ok\n"
    with pytest.raises(AssertionError, match=r"no model named 'mine' .*give the path of a \.pcs file"):
        run([program, "mine", cell_file, tmp_path / "out"])


def test_header_is_cpp_too(host_library: NativeBuild, tmp_path: Path) -> None:
    source = tmp_path / "header.cpp"
    source.write_text('#include "pcs.h"\nint main() { return pcs_abi_version() == PCS_ABI_VERSION ? 0 : 1; }\n')
    program = tmp_path / "header"
    includes = [f"-I{folder}" for folder in host_library.includes]
    run(["g++", "-std=c++11", *STRICT, *includes, source, "-o", program, *host_library.link])
    run([program])


def test_only_the_interface_is_exported(host_library: NativeBuild) -> None:
    header = (ROOT / "bindings" / "c" / "pcs.h").read_text(encoding="utf-8")
    exported = [line.split()[-1] for line in run(["nm", "-D", "--defined-only", host_library.library]).splitlines()]
    assert len(exported) > 10
    for name in exported:
        assert name.startswith("pcs_")
        assert f" {name}(" in header or f"*{name}(" in header
