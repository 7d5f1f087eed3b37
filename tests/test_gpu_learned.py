"""The learned step and the learned trajectory of a GPU, on the emulated one, against the CPU's kernels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from native_build import ROOT, build, compile_emulated, run
from numpy.typing import NDArray
from workload import workload

from pychemsurrogate import _native
from pychemsurrogate.integrators import conservation_defect
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.network import Network
from pychemsurrogate.status import Status

FloatArray = NDArray[np.float64]
CUDA, NATIVE, EMULATOR = ROOT / "native" / "cuda", ROOT / "native", ROOT / "tests" / "cuda" / "emulator"
MODELS = [
    "osu_09_2008-fast",
    pytest.param("osu_09_2008-accurate", marks=pytest.mark.long),
    pytest.param("osu_09_2008-multiclock", marks=pytest.mark.long),
    "seed-linear",
    pytest.param("seed-neural-ode", marks=pytest.mark.long),
]
TARGET, CLOSE = 0.1, 1e-5  # dex


@dataclass(frozen=True)
class Cells:
    """Cells, the errors that they carry, and their statuses before."""

    n: FloatArray
    temperature: FloatArray
    dt: FloatArray
    conditions: FloatArray
    error: FloatArray
    status: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.n)

    def __getitem__(self, which: Any) -> Cells:
        return Cells(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Answer:
    """What the step leaves."""

    n: FloatArray
    status: NDArray[np.int8]
    error: FloatArray
    statistics: dict[str, float]

    def bits(self) -> tuple[bytes, ...]:
        return tuple(getattr(self, name).tobytes() for name in ("n", "status", "error"))


class Kernel:
    """The kernel on one model, run by a program of its own."""

    def __init__(self, program: Path, model: Path, folder: Path) -> None:
        self.program, self.model, self.folder = program, model, folder

    def _run(self, cells: Cells, times: FloatArray, order: str, options: dict[str, float]) -> FloatArray:
        parts = [cells.n, cells.temperature, cells.dt, cells.conditions, cells.error, cells.status, times]
        np.concatenate([np.ravel(part).astype(float) for part in parts]).tofile(self.folder / "in")
        words = [f"{key}={value!r}" for key, value in {"cells": len(cells), "times": len(times), **options}.items()]
        run([self.program, self.model, self.folder / "in", self.folder / "out", *words], {"PCS_EMULATED_ORDER": order})
        return np.fromfile(self.folder / "out")

    @staticmethod
    def _statistics(found: FloatArray) -> dict[str, float]:
        names = (
            "accepted",
            "refused_box",
            "refused_distance",
            "refused_error",
            "refused_budget",
            "audited",
            "worst_defect",
        )
        return dict(zip(names, map(float, found), strict=True))

    def step(self, cells: Cells, order: str = "forward", **options: float) -> Answer:
        count = len(cells)
        found = self._run(cells, np.empty(0), order, options)
        n, status, error, rest = np.split(found, np.cumsum([cells.n.size, count, count]))
        return Answer(n.reshape(cells.n.shape), status.astype(np.int8), error, self._statistics(rest))

    def trajectory(self, cells: Cells, times: FloatArray, order: str = "forward", **options: float) -> Answer:
        count, species = cells.n.shape
        found = self._run(cells, times, order, options)
        n, status, rest = np.split(found, np.cumsum([count * len(times) * species, count * len(times)]))
        shape = (count, len(times))
        return Answer(
            n.reshape(*shape, species), status.reshape(shape).astype(np.int8), np.empty(0), self._statistics(rest)
        )


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    native, program = build("pcs_core", "cudart_emulated"), tmp_path_factory.mktemp("gpu_learned") / "learned_harness"
    flags = ["-std=c++20", "-O1", "-fno-math-errno", "-ffp-contract=fast", "-Wall", "-Wextra", "-Werror"]
    flags += ["-DPCS_SCALAR", "-DPCS_GENERATED"]
    # A GPU fuses multiplications and additions as AVX2 does: in single precision, a cell where the nets extrapolate
    # differs by up to 1e-4 dex between CPUs that do and that do not.
    if _native.isa() not in ("sse2", "scalar"):
        flags += ["-mfma", "-fexpensive-optimizations"]
    includes = [f"-I{path}" for path in (EMULATOR, CUDA, NATIVE / "include", native.folder / "generated")]
    sources = [*CUDA.glob("learned*.cu"), ROOT / "tests" / "cuda" / "learned_harness.cu"]
    compile_emulated(native, [*flags, *includes], sources, program)
    return program


@dataclass(frozen=True)
class Case:
    """A model's kernel, cells, and the CPU's solver."""

    name: str
    kernel: Kernel
    cells: Cells
    solver: _native.Solver
    composition: FloatArray

    @property
    def gated(self) -> bool:
        return not self.name.startswith("seed")

    @cached_property
    def options(self) -> dict[str, float]:
        return {"target": TARGET, "budget_dex": TARGET, "errors": 1, "audit_share": 0.2 if self.gated else 0}

    @cached_property
    def answer(self) -> Answer:
        """The kernel's, in the shape that it chooses."""
        return self.kernel.step(self.cells, **self.options)

    def on_cpu(self, mode: str, errors: bool = True, **options: str) -> Answer:
        for key, value in {"target_error_dex": str(TARGET), "audit": "0.2", "mode": mode, **options}.items():
            self.solver.set_option(key, value)
        c = self.cells
        n, status, error = c.n.copy(), np.zeros(len(c), np.int8), c.error.copy()
        mask = (c.status != Status.MASKED).astype(np.int8)
        report = self.solver.step(
            n, c.dt, c.temperature, c.conditions, status, mask=mask, error_dex=error if errors else None
        )
        return Answer(n, status, error, dict(report))


def statuses(count: int) -> NDArray[np.int8]:
    status = np.full(count, Status.EXACT_REQUESTED, np.int8)
    status[5::17] = Status.MASKED
    return status


def gas(network: Network, count: int) -> Cells:
    """The workload of the benchmarks, some cells with next to no time or without one of the species."""
    w = workload(network, count, seed=3)
    rng = np.random.default_rng(7)
    n = w.n.copy()
    n[::13, 3] = 0
    dt = w.dt * rng.choice([1.0, 1e-9], count, p=[0.9, 0.1])
    return Cells(n, w.temperature, dt, w.zeta[:, None], rng.choice([0.0, 0.09], count), statuses(count))


def seed_gas(file: ModelFile, network: Network, count: int) -> Cells:
    """Initial states of the seed paper's kind, with some that its box has no room for."""
    names = file.text("gate/box_names").split("\n")
    sides = {
        name: (low, high)
        for name, low, high in zip(names, file.arrays["gate/box_min"], file.arrays["gate/box_max"], strict=True)
    }
    rng = np.random.default_rng(7)
    x = np.empty((count, network.n_species))
    for i, name in enumerate(network.species_names):
        low, high = sides[f"abundance/{name}"]
        x[:, i] = (
            np.exp(rng.uniform(np.log(1.001 * low), np.log(0.999 * high), count))
            if high > 1.1 * low
            else np.sqrt(low * high)
        )
    electrons = network.species_index("e-")
    x[:, network.species_index("H2")] = 0.5
    x[:, electrons] += x @ network.tables().composition[-1]
    x[:, network.species_index("O")] = 4 * (x[:, network.species_index("C")] + x[:, network.species_index("C+")])
    density = 10 ** rng.uniform(3, 5, count)
    temperature = np.where(np.arange(count) % 9 == 8, 60.0, np.mean(sides["T"]))
    dt = rng.choice([1e-3, 0.9, 1.1], count) * sides["theta"][1] / density
    zeta = np.mean(sides["zeta/n_H"]) * density
    return Cells(x * density[:, None], temperature, dt, zeta[:, None], np.zeros(count), statuses(count))


@pytest.fixture(scope="module", params=MODELS)
def case(request: pytest.FixtureRequest, program: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    name = request.param
    folder = tmp_path_factory.mktemp(name)
    file = ModelFile.read(name)
    file.arrays = {key: array for key, array in file.arrays.items() if not key.startswith("router/")}
    file.write(folder / "model.pcs")  # without a router every cell meets the surrogate
    network = file.network()
    cells = seed_gas(file, network, 101) if name.startswith("seed") else gas(network, 101)
    solver = _native.Solver.open(str(folder / "model.pcs"))
    return Case(name, Kernel(program, folder / "model.pcs", folder), cells, solver, network.tables().composition)


def largest_dex(n: FloatArray, truth: FloatArray, floor: float = 1e-16) -> float:
    """Largest |dlog10| of any species; densities that are 1e-16 of the cell's largest, or less, count as that."""
    least = floor * truth.max(axis=-1, keepdims=True)
    return float(np.abs(np.log10((n + least) / (truth + least))).max())


def test_statuses_and_answers_are_the_cpus(case: Case) -> None:
    cpu, gpu = case.on_cpu("auto"), case.answer
    np.testing.assert_array_equal(gpu.status, cpu.status)
    accepted = gpu.status == Status.SURROGATE
    assert accepted.sum() > 5
    assert largest_dex(gpu.n[accepted], cpu.n[accepted]) < CLOSE
    np.testing.assert_allclose(gpu.error[accepted], cpu.error[accepted], rtol=2e-5)
    np.testing.assert_array_equal(gpu.n[~accepted], case.cells.n[~accepted])
    np.testing.assert_array_equal(gpu.error[~accepted], case.cells.error[~accepted])
    assert conservation_defect(gpu.n[accepted], case.cells.n[accepted], case.composition).max() < 1e-12
    counted = {"surrogate": "accepted"}
    counted |= {name: name for name in ("refused_box", "refused_distance", "refused_error")}
    for theirs, ours in {**counted, "refused_budget": "refused_budget", "audited": "audited"}.items():
        assert gpu.statistics[ours] == cpu.statistics[theirs], ours
    tables = case.kernel.step(case.cells, code=0, **case.options)
    np.testing.assert_array_equal(tables.status, cpu.status)
    assert largest_dex(tables.n[accepted], cpu.n[accepted]) < CLOSE
    if case.gated:
        assert {Status.EXACT_BOX, Status.EXACT_AUDIT, Status.EXACT_BUDGET} <= set(gpu.status.tolist())


def test_without_a_gate_every_cell_is_accepted(case: Case) -> None:
    cpu, gpu = case.on_cpu("surrogate"), case.kernel.step(case.cells, errors=1, budget_dex=TARGET)
    np.testing.assert_array_equal(gpu.status, cpu.status)
    accepted = gpu.status == Status.SURROGATE
    assert accepted.sum() == (case.cells.status == Status.EXACT_REQUESTED).sum()
    assert largest_dex(gpu.n[accepted], cpu.n[accepted]) < CLOSE
    assert gpu.statistics["worst_defect"] == pytest.approx(cpu.statistics["defect_max"], rel=1e-3, abs=1e-6)


def test_cells_that_are_to_be_refreshed_are_the_cpus(case: Case) -> None:
    if not case.gated:
        pytest.skip("a model without an error head refreshes no cells")
    cpu = case.on_cpu("auto", errors=False, exact_every="4")
    gpu = case.kernel.step(case.cells, target=TARGET, audit_share=0.2, exact_share=0.25)
    np.testing.assert_array_equal(gpu.status, cpu.status)
    assert (gpu.status == Status.EXACT_REFRESH).sum() > 5


@pytest.mark.parametrize(
    ("order", "threads", "blocks"), [("reverse", 32, 1), ("random:3", 64, 2), ("forward", 96, 3), ("random:9", 128, 1)]
)
def test_bits_do_not_depend_on_the_launch(case: Case, order: str, threads: int, blocks: int) -> None:
    found = case.kernel.step(case.cells, order, threads=threads, blocks=blocks, **case.options)
    assert found.bits() == case.answer.bits()
    assert found.statistics == case.answer.statistics


def test_bits_do_not_depend_on_the_batch(case: Case) -> None:
    alone = case.kernel.step(case.cells[40:41], **case.options)
    assert alone.n.tobytes() == case.answer.n[40:41].tobytes()
    shuffled = np.random.default_rng(1).permutation(len(case.cells))[:77]
    found = case.kernel.step(case.cells[shuffled], threads=64, blocks=1, **case.options)
    for name in ("n", "status", "error"):
        assert getattr(found, name).tobytes() == getattr(case.answer, name)[shuffled].tobytes(), name


def test_a_cell_that_is_no_number_harms_no_other(case: Case) -> None:
    n = case.cells.n.copy()
    n[[2, 50]] = np.nan
    n[51] = 0
    found = case.kernel.step(replace(case.cells, n=n), **case.options)
    others = np.setdiff1d(np.arange(len(n)), [2, 50, 51])
    assert not np.any(found.status[[2, 50, 51]] == Status.SURROGATE)
    assert found.n[others].tobytes() == case.answer.n[others].tobytes()
    np.testing.assert_array_equal(found.n[[2, 50, 51]], n[[2, 50, 51]])


def test_an_empty_list_changes_nothing(case: Case) -> None:
    idle = replace(case.cells, status=np.full(len(case.cells), Status.MASKED, np.int8))
    found = case.kernel.step(idle, **case.options)
    assert found.n.tobytes() == idle.n.tobytes()
    assert not any(found.statistics.values())


@pytest.mark.parametrize("mode", ["auto", "surrogate"])
def test_trajectories_are_the_cpus(case: Case, mode: str) -> None:
    c = case.cells[:24]
    times = np.quantile(c.dt, 0.5) * np.geomspace(1e-6, 10, 7)
    n, status = np.zeros((len(c), len(times), c.n.shape[1])), np.zeros((len(c), len(times)), np.int8)
    mask = np.repeat(c.status != Status.MASKED, len(times)).reshape(status.shape).astype(np.int8)
    case.solver.set_option("target_error_dex", str(TARGET))
    case.solver.set_option("integrator", "host")
    case.solver.trajectory(c.n, c.temperature, c.conditions, times, n, status, mode, True, mask=mask)
    case.solver.set_option("integrator", "native")
    options = {"target": TARGET} if mode == "auto" else {}
    gpu = case.kernel.trajectory(c, times, **options)
    np.testing.assert_array_equal(gpu.status, status)
    accepted = status == Status.SURROGATE
    assert accepted.sum() > 20
    assert largest_dex(gpu.n[accepted], n[accepted]) < CLOSE
    assert np.all(gpu.n[~accepted] == -1)  # nothing was written
    # Shared out among other numbers of threads, in another order: the same bits; and those of the step to that time.
    for order, threads, blocks in (("reverse", 32, 1), ("random:5", 64, 2), ("random:6", 32, 9)):
        assert case.kernel.trajectory(c, times, order, threads=threads, blocks=blocks, **options).bits() == gpu.bits()
    # By tables; a jump's workspace then lies in device memory.
    tables = case.kernel.trajectory(c, times, threads=64, blocks=2, code=0, **options)
    np.testing.assert_array_equal(tables.status, status)
    assert largest_dex(tables.n[accepted], n[accepted]) < CLOSE
    step = case.kernel.step(replace(c, dt=np.full(len(c), times[4])), **options)
    both = (step.status == Status.SURROGATE) & accepted[:, 4]
    assert both.sum() > 2
    assert step.n[both].tobytes() == gpu.n[both, 4].tobytes()


def test_a_few_cells_at_many_times(case: Case) -> None:
    c = case.cells[1:4]
    times = np.quantile(case.cells.dt, 0.5) * np.geomspace(1e-3, 1, 40)
    together = case.kernel.trajectory(c, times)
    alone = case.kernel.trajectory(c[1:2], times, threads=32, blocks=1)
    assert alone.n.tobytes() == together.n[1:2].tobytes()
    few = case.kernel.trajectory(c, times[[3, 39]], threads=64, blocks=2)
    assert few.n.tobytes() == together.n[:, [3, 39]].tobytes()
