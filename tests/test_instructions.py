"""Guard of the exact integrator's speed that no noise can fool: instructions counted by valgrind's callgrind.

A fixed program (tests/c/instructions.c: one thread, AVX2 kernels, since valgrind knows no AVX-512) may not take more
instructions than tests/data/instructions.json says for the compiler at hand, nor far fewer: pcs_step alone counts,
with all that it calls. After a change that is meant, record anew: make record-instructions.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path

import pytest
from native_build import MODEL, ROOT, NativeBuild, build, run

RECORD = ROOT / "tests" / "data" / "instructions.json"
MARGIN = 0.05


def compiler() -> str:
    """The compiler by name and full version, as CMake found it for the library."""
    cache = (ROOT / "build" / "tests" / "CMakeCache.txt").read_text(encoding="utf-8")
    path = re.search(r"^CMAKE_CXX_COMPILER:\w+=(.*)$", cache, re.MULTILINE)
    assert path is not None
    return run([path[1], "--version"]).splitlines()[0]


def has_avx2() -> bool:
    return " avx2 " in Path("/proc/cpuinfo").read_text(encoding="utf-8").replace("\n", " ")


def count(libpcs: NativeBuild, folder: Path) -> int:
    """Instructions of the program's calls of pcs_step."""
    program = libpcs.compile_c([ROOT / "tests" / "c" / "instructions.c"], folder / "instructions")
    out = folder / "callgrind.out"
    tool = ["valgrind", "--tool=callgrind", "--toggle-collect=pcs_step", f"--callgrind-out-file={out}"]
    assert run([*tool, program, MODEL], {"PCS_ISA": "avx2"}) == "ok\n"
    total = re.search(r"^(?:summary|totals): (\d+)", out.read_text(encoding="utf-8"), re.MULTILINE)
    assert total is not None
    return int(total[1])


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="needs valgrind (apt-get install valgrind)")
@pytest.mark.skipif(not has_avx2(), reason="the processor lacks AVX2")
def test_instructions_of_the_exact_integrator(libpcs: NativeBuild, tmp_path: Path) -> None:
    recorded = json.loads(RECORD.read_text(encoding="utf-8"))
    if compiler() not in recorded:
        pytest.skip(f"no count for {compiler()}: record one by `make record-instructions`")
    expected, found = recorded[compiler()], count(libpcs, tmp_path)
    assert abs(found - expected) <= MARGIN * expected, (
        f"{found:,} instructions, {found / expected - 1:+.1%} against the recorded {expected:,}; if that is meant, "
        "record anew by `make record-instructions`"
    )


def main() -> None:
    """Record the count for this machine's compiler."""
    recorded = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    libpcs = build("pcs")
    with tempfile.TemporaryDirectory() as folder:
        recorded[compiler()] = count(libpcs, Path(folder))
    RECORD.write_text(json.dumps(recorded, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{compiler()}: {recorded[compiler()]:,} instructions, written to {RECORD.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
