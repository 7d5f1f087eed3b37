"""device=cuda of libpcs through C: on the emulated runtime (tests/cuda/emulator), and where libpcs_cuda is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from native_build import MODEL, ROOT, STRICT, NativeBuild, build, run
from test_c import SOURCES, write_cells
from workload import workload

from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.network import Network

EMULATOR = ROOT / "tests" / "cuda" / "emulator"
MODELS = MODEL.parent
FAST = MODELS / "osu_09_2008-fast.pcs"
SAME_ARITHMETIC = {"PCS_ISA": "scalar"}  # on both sides


@pytest.fixture(scope="module")
def libpcs_and_cuda() -> NativeBuild:
    return build("pcs", "pcs_cuda_emulated")


@pytest.fixture(scope="module")
def emulated(libpcs_and_cuda: NativeBuild) -> dict[str, str]:
    return {"PCS_CUDA_LIBRARY": str(libpcs_and_cuda.libraries / "libpcs_cuda_emulated.so"), **SAME_ARITHMETIC}


@pytest.fixture(scope="module")
def cell_file(osu: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cells") / "cells.bin"
    write_cells(path, workload(osu, 100, seed=5))
    return path


@pytest.fixture(scope="module")
def program(libpcs_and_cuda: NativeBuild, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("device") / "device"
    flags = (f"-I{EMULATOR}", "-D_GNU_SOURCE", "-pthread")
    return libpcs_and_cuda.compile_c([SOURCES / "device.c"], path, flags, ("-lcudart_emulated",))


@pytest.mark.parametrize("model", ["osu_09_2008-fast", "osu_09_2008-multiclock"])
@pytest.mark.parametrize("part", ["modes", "calls"])
def test_as_on_the_cpu(program: Path, emulated: dict[str, str], cell_file: Path, model: str, part: str) -> None:
    """Steps, trajectories, reports and units; no wait and no allocation in a step whose arrays are on the device."""
    assert run([program, MODELS / f"{model}.pcs", cell_file, part], emulated) == "ok\n"


@pytest.mark.parametrize("order", ["reverse", "random:3"])
def test_whatever_order_threads_have(program: Path, emulated: dict[str, str], cell_file: Path, order: str) -> None:
    """A step whose threads raced would give other results."""
    assert run([program, FAST, cell_file, "modes"], {**emulated, "PCS_EMULATED_ORDER": order}) == "ok\n"


@pytest.mark.parametrize("part", ["costs", "graph", "misuse", "lost", "fork"])
def test_part(program: Path, emulated: dict[str, str], cell_file: Path, part: str) -> None:
    """Costs measured on the device; a step in a graph; wrong memory, streams and options; a lost device; a fork."""
    assert run([program, FAST, cell_file, part], emulated) == "ok\n"


def test_thresholds_that_the_audit_moves(
    program: Path, emulated: dict[str, str], cell_file: Path, tmp_path: Path
) -> None:
    trusting = ModelFile.read(FAST)
    arrays = trusting.arrays
    arrays["gate/thresholds"] = np.full_like(arrays["gate/thresholds"], 3.0)
    for name in ("router/accepted", "router/saved"):  # all cells are sent to it
        arrays[name] = np.ones_like(arrays[name])
    trusting.write(tmp_path / "trusting.pcs")
    assert run([program, tmp_path / "trusting.pcs", cell_file, "audit"], emulated) == "ok\n"


def test_little_memory(program: Path, emulated: dict[str, str], cell_file: Path) -> None:
    """A batch is worked on as a whole, or in pieces, or refused before a cell is touched."""
    served = []
    for kilobytes in (100, 1000, *range(1500, 2300, 100), 64000):
        environment = {**emulated, "PCS_EMULATED_MEMORY": str(1000 * kilobytes)}
        answer = run([program, FAST, cell_file, "memory"], environment)
        assert answer == "ok\n" or answer.startswith("-105 the GPU has no memory left")
        assert answer.endswith("ok\n")
        served.append(answer == "ok\n")
    assert served == sorted(served)
    assert (served[0], served[-1]) == (False, True)


def refusal(libpcs: NativeBuild, folder: Path, environment: dict[str, str]) -> str:
    """What a host that sets device=cuda is told."""
    source = folder / "ask.c"
    source.write_text(
        '#include <stdio.h>\n#include "pcs.h"\nint main(int argc, char** argv) {\n'
        "    pcs_solver* solver = NULL;\n    if (argc != 2 || pcs_open(argv[1], &solver) != 0) return 2;\n"
        '    printf("%d ", pcs_set_option(solver, "device", "cuda"));\n'
        '    printf("%s", pcs_last_error(solver));\n    return pcs_close(&solver);\n}\n'
    )
    return run([libpcs.compile_c([source], folder / "ask"), FAST], environment)


def shared_object(path: Path, source: str) -> dict[str, str]:
    """A library that is asked for in place of libpcs_cuda."""
    (path.with_suffix(".c")).write_text(source)
    run(["gcc", "-std=c99", *STRICT, "-shared", "-fPIC", path.with_suffix(".c"), "-o", path])
    return {"PCS_CUDA_LIBRARY": str(path)}


def test_missing_or_wrong_library(libpcs_and_cuda: NativeBuild, tmp_path: Path) -> None:
    missing = refusal(libpcs_and_cuda, tmp_path, {"PCS_CUDA_LIBRARY": "/nowhere/libpcs_cuda.so"})
    assert missing.startswith("-109 device cuda needs libpcs_cuda, which cannot be loaded: /nowhere/libpcs_cuda.so")
    assert "set PCS_CUDA_LIBRARY" in missing
    assert refusal(libpcs_and_cuda, tmp_path, {"PCS_CUDA_LIBRARY": ""}).startswith("-109 device cuda needs libpcs_cuda")
    other = shared_object(tmp_path / "other.so", "int something_else(void);\nint something_else(void) { return 0; }\n")
    assert "is not libpcs_cuda" in refusal(libpcs_and_cuda, tmp_path, other)
    old = shared_object(
        tmp_path / "old.so",
        "const void* pcs_cuda_backend(void);\n"
        "const void* pcs_cuda_backend(void) { static const unsigned long long old[64] = {1}; return old; }\n",
    )
    assert "is of another release than this library" in refusal(libpcs_and_cuda, tmp_path, old)


def test_no_gpu(libpcs_and_cuda: NativeBuild, emulated: dict[str, str], tmp_path: Path) -> None:
    told = refusal(libpcs_and_cuda, tmp_path, {**emulated, "PCS_EMULATED_DEVICES": "0"})
    assert told.startswith("-109 there is no GPU here that this process may use: use device=cpu")


def test_one_symbol(libpcs_and_cuda: NativeBuild) -> None:
    library = libpcs_and_cuda.libraries / "libpcs_cuda_emulated.so"
    exported = run(["nm", "-D", "--defined-only", library]).split()[2::3]
    assert exported == ["pcs_cuda_backend"]
