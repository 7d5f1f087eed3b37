"""Every instruction set: the same promises, the same answers, and a baseline that an old processor can run."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from native_build import MODEL, ROOT, NativeBuild, run
from numpy.typing import NDArray
from test_c import SOURCES, read_result, write_cells
from workload import Workload, cell_errors, workload

from pychemsurrogate import _native
from pychemsurrogate.network import Network

# What the processor must have for each, as /proc/cpuinfo spells it.
NEEDS = {"sse2": {"sse2"}, "avx2": {"avx2", "fma"}, "avx512": {"avx2", "fma", "avx512f", "avx512dq", "avx512vl"}}
WITHOUT_SCALAR = "built without PCS_SCALAR"
SCALAR = "scalar"  # one lane, as a GPU runs the kernels: where the build has it (PCS_SCALAR, on in an editable one)

ADVANCE = """
import sys
import numpy as np
from pychemsurrogate import _native
from pychemsurrogate.integrators import NativeRosenbrock
from pychemsurrogate.network import load_network
cells = np.load(sys.argv[1])
integrator = NativeRosenbrock(load_network("osu_09_2008"), rtol=1e-8, atol=1e-20, max_steps=100_000)
n, status = integrator.advance(cells["n"], cells["dt"], cells["temperature"], {"zeta": cells["zeta"]})
assert (status == 10).all()
np.save(sys.argv[2], n)
print(_native.isa())
"""

STEPS = """
import sys
import numpy as np
from pychemsurrogate import Solver, _native
cells, answers = np.load(sys.argv[1]), {}
for model in "osu_09_2008-accurate", "osu_09_2008-multiclock", "seed-linear", "seed-neural-ode":
    for mode in "surrogate", "exact":
        for kernels in "auto", "tables":
            solver = Solver.load(model, mode=mode, kernels=kernels)
            n, report = solver.step(cells["n"], cells["dt"], cells["temperature"], zeta=cells["zeta"])
            answers[f"{model} {mode} {kernels} n"] = n.view(np.int64)
            answers[f"{model} {mode} {kernels} status"] = report.status
np.savez(sys.argv[2], **answers)
print(_native.isa())
"""


def features() -> set[str]:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("flags"):
            return set(line.split(":")[1].split())
    return set()


pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="these instruction sets are x86-64's")


def available(isa: str) -> bool:
    return NEEDS[isa] <= features()


def lacks_scalar() -> bool:
    """Whether this build is without it; asked of another process, since the choice is made once."""
    script = "from pychemsurrogate import _native; _native.isa()"
    result = subprocess.run([sys.executable, "-c", script], env={**os.environ, "PCS_ISA": SCALAR}, capture_output=True)
    assert result.returncode == 0 or b"built without" in result.stderr, result.stderr
    return result.returncode != 0


def why_not(isa: str) -> str:
    """Why it is not run here; empty if it is."""
    if not available(isa):
        return f"the processor lacks {isa}"
    return f"{isa} is what the other files run on here" if isa == _native.isa() else ""


isas = pytest.mark.parametrize(
    "isa",
    [pytest.param(name, marks=pytest.mark.skipif(bool(why_not(name)), reason=why_not(name))) for name in NEEDS]
    + [pytest.param(SCALAR, marks=[pytest.mark.long, pytest.mark.skipif(lacks_scalar(), reason=WITHOUT_SCALAR)])],
)


@pytest.fixture(scope="module")
def cells(osu: Network) -> Workload:
    return workload(osu, 61, seed=11)


def passed(isa: str, tests: str, chosen: str) -> str:
    """What pytest says of the chosen tests of a file on an instruction set; none may fail or be skipped."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", chosen, ROOT / "tests" / tests]
    output = run(command, {"PCS_ISA": isa}, cwd=ROOT)
    assert "skipped" not in output
    return output


@isas
def test_integrator_keeps_its_promises(isa: str) -> None:
    """What test_native.py says of answers, bits and conservation."""
    chosen = "rhs or tolerance or closed_form or robertson or invariance or conservation or stressed or bad_cell"
    assert " passed" in passed(isa, "test_native.py", chosen)


@isas
def test_integrator_stays_on_the_branch(isa: str) -> None:
    """Of starts whose chemistry leaves one branch for another; kernels of the library and tables."""
    assert "6 passed" in passed(isa, "test_exact_errors.py", "branch")


@isas
def test_formulas_keep_their_promises(isa: str) -> None:
    """What test_expression.py says of values and bits."""
    chosen = "native_values or itself_alone or by_formulas"
    assert "3 passed" in passed(isa, "test_expression.py", chosen)


@isas
def test_learned_step_keeps_its_promises(isa: str) -> None:
    """What test_step.py says of the verbs, bits, conservation and the box."""
    chosen = "agree_after or conserves or vanishes or itself_alone or outside_the_box"
    assert "6 passed" in passed(isa, "test_step.py", chosen)


@isas
def test_finish_keeps_its_promises(isa: str) -> None:
    """What test_finish.py says of the verbs, bits and conservation."""
    chosen = "agree_after or it_conserves or vanishes or itself_alone or bits_of_steps"
    assert "10 passed" in passed(isa, "test_finish.py", chosen)


@isas
def test_jumps_keep_their_promises(isa: str) -> None:
    """What test_jump_native.py says of the verbs, bits and conservation, with experts of any shape."""
    chosen = "(agree_after or itself_alone or bits_of_steps or conserved or silent or any_shape) and not trained"
    assert "12 passed" in passed(isa, "test_jump_native.py", chosen)


@isas
def test_seed_models_keep_their_promises(isa: str) -> None:
    """What test_seed_step.py says of the verbs, bits, conservation and the box."""
    chosen = "agree_after or itself_alone or many_steps or conserves or first_moment or tanh"
    assert "18 passed" in passed(isa, "test_seed_step.py", chosen)


def test_instruction_sets_agree(osu: Network, cells: Workload, tmp_path: Path) -> None:
    np.savez(tmp_path / "cells.npz", n=cells.n, dt=cells.dt, temperature=cells.temperature, zeta=cells.zeta)
    answers: dict[str, NDArray[np.float64]] = {}
    for isa in [*filter(available, NEEDS), *([] if lacks_scalar() else [SCALAR])]:
        out = tmp_path / f"{isa}.npy"
        assert run([sys.executable, "-c", ADVANCE, tmp_path / "cells.npz", out], {"PCS_ISA": isa}).strip() == isa
        answers[isa] = np.load(out)
    weights = osu.tables().scale_weights
    for n in answers.values():
        assert cell_errors(n, answers["sse2"], weights).max() < 1e-6


@pytest.mark.skipif(lacks_scalar(), reason=WITHOUT_SCALAR)
def test_one_lane_has_the_bits_of_two(cells: Workload, tmp_path: Path) -> None:
    """Neither SSE2 nor the scalar form fuses multiplications and additions: the same arithmetic in the same order."""
    np.savez(tmp_path / "cells.npz", n=cells.n, dt=cells.dt, temperature=cells.temperature, zeta=cells.zeta)
    for isa in (SCALAR, "sse2"):
        out = tmp_path / f"{isa}.npz"
        assert run([sys.executable, "-c", STEPS, tmp_path / "cells.npz", out], {"PCS_ISA": isa}).strip() == isa
    one, two = np.load(tmp_path / "scalar.npz"), np.load(tmp_path / "sse2.npz")
    assert len(two.files) == 32
    for name in two.files:
        assert np.array_equal(one[name], two[name]), name


def test_best_instruction_set_is_the_default() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PCS_ISA"}
    command = [sys.executable, "-c", "from pychemsurrogate import _native; print(_native.isa())"]
    chosen = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()
    assert chosen == list(filter(available, NEEDS))[-1]


def test_unknown_instruction_set(libpcs: NativeBuild, cells: Workload, tmp_path: Path) -> None:
    message = "PCS_ISA is 'neon': it must be sse2, avx2, avx512 or unset"
    script = "from pychemsurrogate import _native; _native.isa()"
    with pytest.raises(AssertionError, match=message):
        run([sys.executable, "-c", script], {"PCS_ISA": "neon"})
    write_cells(tmp_path / "cells.bin", cells)
    program = libpcs.compile_c([SOURCES / "steps.c"], tmp_path / "steps")
    with pytest.raises(AssertionError, match=rf"exit code 3\n{message}"):
        run([program, MODEL, tmp_path / "cells.bin", tmp_path / "out"], {"PCS_ISA": "neon"})


def test_wide_units_leak_nothing(libpcs: NativeBuild) -> None:
    """A weak symbol of a wide unit outside its own namespace could replace the baseline's copy at link time."""
    for isa in [*NEEDS, SCALAR]:
        objects = list(libpcs.folder.glob(f"CMakeFiles/pcs_kernels_{isa}.dir/**/*.o"))
        assert objects
        for path in objects:
            defined = run(["nm", "-C", "--defined-only", path]).splitlines()
            symbols = [line.split(maxsplit=2)[1:] for line in defined]
            assert any(f"kernels_{isa}" in name for _, name in symbols)
            for kind, name in symbols:
                if kind.isupper() or kind in "uvw":  # visible to the linker
                    assert name == f"pcs::kernels_{isa}()" or f"pcs::{isa}::" in name, f"{path.name}: {kind} {name}"


@pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="needs qemu-x86_64 (apt-get install qemu-user)")
def test_old_processor(libpcs: NativeBuild, cells: Workload, tmp_path: Path) -> None:
    """A Core 2 has SSSE3 and nothing newer: the library must choose its baseline by itself, with the same bits."""
    write_cells(tmp_path / "cells.bin", cells)
    program = libpcs.compile_c([SOURCES / "steps.c"], tmp_path / "steps")
    arguments = [program, MODEL, tmp_path / "cells.bin"]
    run([*arguments, tmp_path / "native"], {"PCS_ISA": "sse2"})
    assert run(["qemu-x86_64", "-cpu", "core2duo", *arguments, tmp_path / "old"]) == "ok\n"
    assert read_result(tmp_path / "old", cells) == read_result(tmp_path / "native", cells)
    for isa in ("avx2", "avx512"):
        with pytest.raises(AssertionError, match="which this processor does not have: unset it"):
            run(["qemu-x86_64", "-cpu", "core2duo", *arguments, tmp_path / "old"], {"PCS_ISA": isa})
