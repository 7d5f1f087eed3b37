"""The GPU kernel for networks that need a block of threads a cell, on the emulated GPU against the CPU's integrator."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
from device_memory import emulated, real
from large_network import Cells, gas, hydrocarbons
from native_build import ROOT, build, compile_emulated, run
from numpy.typing import NDArray

from pychemsurrogate.integrators import NativeRosenbrock, conservation_defect
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.network import Network, load_network
from pychemsurrogate.solver import Solver
from pychemsurrogate.status import Status

FloatArray = NDArray[np.float64]
EMULATOR = ROOT / "tests" / "cuda" / "emulator"
CUDA = ROOT / "native" / "cuda"
NATIVE = ROOT / "native"
UMIST = os.environ.get("PCS_UMIST", "")


@dataclass(frozen=True)
class Answer:
    """What the kernel leaves."""

    n: FloatArray
    status: NDArray[np.int8]
    counts: NDArray[np.int64]  # (cells, 3)
    estimates: FloatArray  # (cells, 2)
    error_dex: FloatArray
    solved: int
    failed: int
    skipped: int
    steps: int
    rejected: int
    worst_defect: float


class Kernel:
    """The kernel on one network, run by a program of its own."""

    def __init__(self, program: Path, network: Network, folder: Path) -> None:
        self.program, self.network, self.folder = program, network, folder
        self.model = folder / "network.pcs"
        ModelFile.from_network(network).write(self.model)

    def __call__(self, cells: Cells, order: str = "forward", error_dex: float = 0.0, **options: float) -> Answer:
        count, S = cells.n.shape
        given = np.array([cells.conditions[name] for name in self.network.conditions]).T
        numbers = [cells.n, cells.temperature, cells.dt, given, np.full(count, error_dex)]
        np.concatenate([np.ravel(part) for part in numbers]).tofile(self.folder / "in")
        words = [f"{key}={value!r}" for key, value in options.items()]
        command = [self.program, self.model, self.folder / "in", self.folder / "out", *words]
        run(command, {"PCS_EMULATED_ORDER": order})
        found = np.fromfile(self.folder / "out")
        ends = np.cumsum([count * S, count, 3 * count, 2 * count, count])
        n, status, counts, estimates, error, statistics = np.split(found, ends)
        return Answer(
            n.reshape(count, S),
            status.astype(np.int8),
            counts.reshape(count, 3).astype(np.int64),
            estimates.reshape(count, 2),
            error,
            *(int(value) for value in statistics[:5]),
            float(statistics[5]),
        )


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    native, program = build("pcs_core", "cudart_emulated"), tmp_path_factory.mktemp("gpu_large") / "large_harness"
    flags = ["-std=c++20", "-O1", "-fno-math-errno", "-ffp-contract=fast", "-Wall", "-Wextra", "-Werror"]
    flags += ["-DPCS_SCALAR", *(f"-I{path}" for path in (EMULATOR, CUDA, NATIVE / "include"))]
    compile_emulated(native, flags, [ROOT / "tests" / "cuda" / "large_harness.cu"], program)
    return program


@dataclass(frozen=True)
class Case:
    """A network's kernel, cells, and what the CPU makes of them."""

    kernel: Kernel
    cells: Cells
    n: FloatArray
    status: NDArray[np.int8]
    counts: NDArray[np.int32]

    @cached_property
    def answer(self) -> Answer:
        """The kernel's, in the default shape."""
        return self.kernel(self.cells)


def solved_case(program: Path, network: Network, cells: Cells, folder: Path) -> Case:
    counts = np.zeros((len(cells), 3), dtype=np.int32)
    cpu = NativeRosenbrock(network, threads=1, kernels="tables")
    n, status = cpu.advance(cells.n, cells.dt, cells.temperature, cells.conditions, counts)
    return Case(Kernel(program, network, folder), cells, n, status, counts)


@pytest.fixture(scope="module")
def small(program: Path, osu: Network, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """The shipped network, which a thread could serve as well."""
    return solved_case(program, osu, gas(osu, 4, 1), tmp_path_factory.mktemp("osu"))


@pytest.fixture(scope="module")
def large(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """The made-up network."""
    network = hydrocarbons()
    return solved_case(program, network, gas(network, 4, 1), tmp_path_factory.mktemp("hydrocarbons"))


@pytest.fixture(params=["small", "large"])
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.getfixturevalue(request.param)
    return found


def _rest(cells: Cells) -> tuple[FloatArray, FloatArray, dict[str, FloatArray]]:
    return cells.dt, cells.temperature, cells.conditions


def distance(found: FloatArray, expected: FloatArray) -> float:
    """Largest relative difference where a species is more than 1e-14 of the cell."""
    seen = expected > 1e-14 * expected.sum(axis=1, keepdims=True)
    return float(np.max(np.abs(found / np.where(seen, expected, 1) - 1)[seen]))


def assert_same(case: Case, found: Answer) -> None:
    """Statuses and steps as on the CPU, abundances but for round-off in the decisions, elements and charge exactly."""
    assert np.array_equal(found.status, case.status)
    assert np.array_equal(found.counts, case.counts)
    assert distance(found.n, case.n) < 1e-7
    defect = conservation_defect(found.n, case.cells.n, case.kernel.network.tables().composition)
    assert np.max(defect) < 1e-12
    assert (found.solved, found.failed) == (len(case.cells), 0)
    assert (found.steps, found.rejected) == tuple(case.counts.sum(axis=0)[:2])


def test_case(case: Case) -> None:
    """Cells are solved, with rejected steps among them; the matrix of the made-up network has both its parts."""
    assert case.kernel.network.n_species in (29, 113)
    assert np.all(case.status == Status.EXACT_REQUESTED)
    assert case.counts[:, 1].sum() > 0


def test_cpu(case: Case) -> None:
    """The CPU's integrator gives the same answers in as many steps."""
    assert_same(case, case.answer)


def test_estimates(case: Case) -> None:
    """What the router is to know before the first step is what the CPU finds."""
    estimates, cells = np.zeros((len(case.cells), 2)), case.cells
    solver, n, status = NativeRosenbrock(case.kernel.network)._solver, cells.n.copy(), case.status.copy()
    given = np.array([cells.conditions[name] for name in case.kernel.network.conditions]).T.copy()
    solver.step(n, cells.dt, cells.temperature, given, status, estimates=estimates)
    np.testing.assert_allclose(case.answer.estimates, estimates, rtol=1e-6)


@pytest.mark.parametrize(
    ("order", "options"),
    [
        ("reverse", {"threads": 64}),
        ("random", {"threads": 96, "blocks": 1, "shared": 0}),
        ("forward", {"blocks": 0}),  # as on a GPU
    ],
)
def test_bits(case: Case, order: str, options: dict[str, float]) -> None:
    """A cell's bits depend neither on how the threads take turns nor on how many there are, nor on where data lies."""
    expected, found = case.answer, case.kernel(case.cells, order, **options)
    assert found.n.tobytes() == expected.n.tobytes()
    assert np.array_equal(found.status, expected.status)
    assert np.array_equal(found.counts, expected.counts)
    assert found.worst_defect == expected.worst_defect


def test_batch(case: Case) -> None:
    """Nor on the cells around it."""
    expected, some = case.answer, np.array([3, 0])
    assert case.kernel(case.cells[some]).n.tobytes() == expected.n[some].tobytes()


def test_no_cells(case: Case) -> None:
    """A batch without cells."""
    assert case.kernel(case.cells[:0], blocks=0).solved == 0


def test_bad_cell(small: Case) -> None:
    """A cell that is not a number fails, keeps its bits, and touches no other."""
    n = small.cells.n[:2].copy()
    n[0, 3] = np.nan
    found = small.kernel(Cells(n, *_rest(small.cells[:2])), max_steps=30)
    assert found.status.tolist() == [Status.NON_FINITE, Status.EXACT_REQUESTED]
    assert found.n[0].tobytes() == n[0].tobytes()
    assert found.n[1].tobytes() == small.answer.n[1].tobytes()
    assert (found.solved, found.failed) == (1, 1)


def test_step_limit(small: Case) -> None:
    """A cell that needs more steps than it may take fails and keeps its input."""
    limit = int(small.counts[:, 0].max()) - 1
    found, late = small.kernel(small.cells, max_steps=limit), small.counts[:, 0] > limit
    assert late.any()
    assert np.array_equal(found.status == Status.STEP_LIMIT, late)
    assert found.n[late].tobytes() == small.cells.n[late].tobytes()
    assert np.all(found.status[~late] == Status.EXACT_REQUESTED)


def test_router(small: Case) -> None:
    """Cells that are expected to change much are given back untouched; `success` 0 leaves the status of the others."""
    change = small.answer.estimates[:, 0]
    edge = float(np.median(change))
    found = small.kernel(small.cells, router_change=edge, success=0)
    assert np.array_equal(found.status, np.where(change >= edge, 101, 0))
    assert found.n[change >= edge].tobytes() == small.cells.n[change >= edge].tobytes()
    assert found.solved == np.sum(change < edge)


def test_skip(small: Case) -> None:
    """Cells that nothing will happen to stay as they are, while their error budget lasts."""
    rate = small.answer.estimates[:, 1]
    moved = rate * 5 * 1e-2 / np.log(10)
    limit = float(np.median(moved)) * 1.01
    found = small.kernel(small.cells, error_dex=0.1, skip_dex=limit, budget_dex=1e9)
    still = moved <= limit
    assert np.array_equal(found.status == Status.UNCHANGED, still)
    assert found.n[still].tobytes() == small.cells.n[still].tobytes()
    np.testing.assert_allclose(found.error_dex, np.where(still, 0.1 + moved, 0.1), rtol=1e-12)
    assert (found.skipped, found.solved) == (still.sum(), (~still).sum())
    assert small.kernel(small.cells, error_dex=0.1, skip_dex=limit, budget_dex=0.1).skipped == 0


def test_unresolved_ions(small: Case) -> None:
    """Ions of gas that had none, fewer than the tolerance: dropped where that is asked for."""
    charged = small.kernel.network.tables().composition[-1] != 0
    cells = Cells(np.where(charged, 0, small.cells.n[:1]), np.ones(1), *_rest(small.cells[:1])[1:])
    assert np.all(small.kernel(cells).n[:, charged].sum(axis=1) > 0)
    found = small.kernel(cells, drop_ions=1)
    assert np.all(found.n[:, charged] == 0)
    assert np.all(found.status == Status.EXACT_REQUESTED)


def test_repair(small: Case) -> None:
    """A small negative number is read as 0 where that is asked for."""
    n = small.cells.n[:1].copy()
    n[:, 3] = -1e-12 * n.sum(axis=1)
    floored = Cells(np.maximum(n, 0), *_rest(small.cells[:1]))
    assert small.kernel(Cells(n, *_rest(floored)), repair=1).n.tobytes() == small.kernel(floored).n.tobytes()


def test_without_full_block(program: Path, decay_chain: Network, tmp_path: Path) -> None:
    """A matrix that has no full block at its end."""
    n, dt = np.array([[1.0, 0.5, 0.0], [3.0, 0.0, 1.0]]), np.array([1e8, 1e9])
    case = solved_case(program, decay_chain, Cells(n, dt, np.full(2, 100.0), {}), tmp_path)
    assert_same(case, case.kernel(case.cells))


@pytest.mark.parametrize("place", ["emulated", pytest.param("real", marks=pytest.mark.gpu)])
def test_whole_step(place: str, large: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """A solver on the device gives such a network to the kernel."""
    if place == "emulated":
        monkeypatch.setenv("PCS_CUDA_LIBRARY", emulated()[0])
    else:
        monkeypatch.delenv("PCS_CUDA_LIBRARY", raising=False)
        if isinstance(missing := real(), str):
            pytest.skip(missing)
    solver = Solver.load(large.kernel.model, mode="exact", rtol=1e-2, device="cuda")
    cells = large.cells
    n, report = solver.step(cells.n, cells.dt, cells.temperature, **cells.conditions)
    assert np.array_equal(report.status, large.status)
    assert report.exact == len(cells)
    assert distance(n, large.n) < 1e-7
    assert np.max(conservation_defect(n, cells.n, large.kernel.network.tables().composition)) < 1e-12


@pytest.mark.long
@pytest.mark.skipif(not UMIST, reason="PCS_UMIST does not name a file of UMIST RATE22")
@pytest.mark.parametrize("largest", [2, None])
def test_umist(program: Path, largest: int | None, tmp_path: Path) -> None:
    """UMIST RATE22, a part and the whole: 736 species."""
    whole = load_network(UMIST, "umist").restricted()
    network = whole.restricted(["H", "He", "C", "O", "N", "S"], largest) if largest else whole
    case = solved_case(program, network, gas(network, 6 if largest else 3, 2), tmp_path)
    found = case.kernel(case.cells, threads=64)
    assert_same(case, found)
    other = case.kernel(case.cells[1:], "random", threads=128, blocks=1, shared=0)
    assert other.n.tobytes() == found.n[1:].tobytes()
