"""Mode exact on a GPU, by the emulated one: the same statuses and answers as the CPU's, in any order and shape."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from device_memory import emulated
from joined import joined_model
from krome_files import PRIMORDIAL
from large_network import gas as larger_gas
from large_network import hydrocarbons
from native_build import BUILD, build, run
from numpy.typing import NDArray
from test_expression import as_formulas, gas
from test_stress import Draw as StressDraw
from test_stress import compressed, exact_zeros, noise
from workload import Workload, dex_errors, workload

from pychemsurrogate.integrators import conservation_defect, open_network
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.network import Network
from pychemsurrogate.network.formats.krome import parse_krome
from pychemsurrogate.solver import Solver
from pychemsurrogate.status import Status

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]
ByteArray = NDArray[np.int8]

CELLS = 77  # no multiple of anything
OTHER_SHAPES = [
    {"PCS_EMULATED_ORDER": "reverse", "PCS_EMULATED_MULTIPROCESSORS": "1", "PCS_CUDA_EXACT_BLOCKS": "1"},
    {"PCS_EMULATED_ORDER": "random", "PCS_EMULATED_MULTIPROCESSORS": "5", "PCS_CUDA_EXACT_BLOCKS": "3"},
]


@dataclass(frozen=True)
class Answer:
    n: FloatArray
    status: ByteArray
    counts: IntArray
    error_dex: FloatArray
    report: dict[str, float]


@dataclass(frozen=True)
class Device:
    """The program of tests/cuda/exact_step.cu with a network."""

    program: Path
    network: Network
    model: Path

    def step(
        self,
        cells: Workload,
        *,
        rtol: float = 1e-2,
        atol: float = 1e-15,
        max_steps: int = 2000,
        repair: int = 0,
        tables: bool = True,
        by_species: bool = False,
        error_dex: FloatArray | None = None,
        routes: bool = False,
        skip_dex: float = 0.0,
        budget_dex: float = 0.0,
        mask: ByteArray | None = None,
        repeats: int = 1,
        environment: dict[str, str] | None = None,
    ) -> Answer:
        count, species = cells.n.shape
        head = [count, max_steps, repair, tables, by_species, error_dex is not None, routes, repeats]
        conditions = [np.broadcast_to(cells.conditions[name], count) for name in self.network.conditions]
        parts = [
            np.array(head, np.int64),
            np.array([rtol, atol, skip_dex, budget_dex, np.inf]),
            (cells.n.T if by_species else cells.n).astype(float).ravel(),
            cells.temperature,
            cells.dt,
            np.stack(conditions, axis=1).ravel() if conditions else np.empty(0),
            np.zeros(count) if error_dex is None else error_dex,
            np.ones(count, np.int8) if mask is None else mask,
        ]
        given, made = self.model.with_suffix(".in"), self.model.with_suffix(".out")
        given.write_bytes(b"".join(np.ascontiguousarray(part).tobytes() for part in parts))
        text = run([self.program, self.model, given, made], environment)
        report = {key: float(value) for key, value in (line.split() for line in text.splitlines())}
        raw, size = made.read_bytes(), count * species
        n = np.frombuffer(raw, np.float64, size)
        rest = 8 * (size + count)
        return Answer(
            n=n.reshape(species, count).T.copy() if by_species else n.reshape(count, species),
            status=np.frombuffer(raw, np.int8, count, rest),
            counts=np.frombuffer(raw[rest + count :], np.int32).reshape(count, 3),
            error_dex=np.frombuffer(raw, np.float64, count, 8 * size),
            report=report,
        )


@pytest.fixture(scope="module")
def program() -> Path:
    build("exact_step")
    return BUILD / "exact_step"


def device_of(program: Path, network: Network, folder: Path) -> Device:
    model = folder / f"{network.name}.pcs"
    ModelFile.from_network(network).write(model)
    return Device(program, network, model)


@pytest.fixture(scope="module")
def device(program: Path, osu: Network, tmp_path_factory: pytest.TempPathFactory) -> Device:
    return device_of(program, osu, tmp_path_factory.mktemp("osu"))


@pytest.fixture(scope="module")
def cells(osu: Network) -> Workload:
    return workload(osu, CELLS, seed=31)


def on_cpu(network: Network, cells: Workload, rtol: float, atol: float, max_steps: int, **options: str) -> Answer:
    solver = open_network(network)
    for key, value in {"rtol": rtol, "atol": atol, "max_steps": max_steps, **options}.items():
        solver.set_option(key, str(value))
    n, status = np.array(cells.n, order="C"), np.empty(len(cells), np.int8)
    counts = np.zeros((len(cells), 3), np.int32)
    conditions = [np.broadcast_to(cells.conditions[name], len(cells)) for name in network.conditions]
    table = np.stack(conditions, axis=1) if conditions else np.empty((len(cells), 0))
    solver.step(n, cells.dt, cells.temperature, table, status, counts=counts)
    return Answer(n, status, counts, np.zeros(len(cells)), {})


def same_answers(network: Network, found: Answer, expected: Answer, given: Workload, rtol: float) -> None:
    """Statuses and failed cells to the bit; the others within the tolerance, their elements conserved."""
    np.testing.assert_array_equal(found.status, expected.status)
    failed = found.status < 10
    np.testing.assert_array_equal(found.n[failed], given.n[failed])
    good = ~failed
    assert good.any()
    tables = network.tables()
    error = dex_errors(found.n[good], expected.n[good], tables.scale_weights)
    assert np.nanmax(error) <= rtol / np.log(10)
    assert conservation_defect(found.n[good], given.n[good], tables.composition).max() <= 1e-12


def same_bits(a: Answer, b: Answer) -> None:
    for one, other in ((a.n, b.n), (a.status, b.status), (a.counts, b.counts), (a.error_dex, b.error_dex)):
        np.testing.assert_array_equal(one.view(np.int8), other.view(np.int8))


@pytest.mark.parametrize("tables", [True, False], ids=["tables", "code"])
@pytest.mark.parametrize(("rtol", "atol"), [(1e-2, 1e-15), (1e-6, 1e-20)])
def test_as_on_the_cpu(device: Device, osu: Network, cells: Workload, rtol: float, atol: float, tables: bool) -> None:
    """With the CPU's numbers of steps, and sums in the report; nothing is waited for or allocated in a step."""
    found = device.step(cells, rtol=rtol, atol=atol, tables=tables)
    expected = on_cpu(osu, cells, rtol, atol, 2000)
    same_answers(osu, found, expected, cells, rtol)
    assert np.abs(found.counts - expected.counts).max() <= 1
    assert found.report["exact"] == found.report["cells"] == CELLS
    assert found.report["steps"] == found.counts[:, 0].sum()
    assert found.report["rejected_steps"] == found.counts[:, 1].sum()
    assert 0 < found.report["defect_max"] < 1e-2
    assert found.report["waited"] == found.report["allocated"] == 0


@pytest.mark.parametrize("shape", OTHER_SHAPES, ids=["reverse", "random"])
def test_bits_do_not_depend_on_the_shape(device: Device, cells: Workload, shape: dict[str, str]) -> None:
    expected = device.step(cells, tables=False)
    found = device.step(cells, tables=False, environment=shape)
    same_bits(found, expected)
    assert found.report == expected.report


def test_bits_do_not_depend_on_the_batch(device: Device, cells: Workload) -> None:
    """Permuted, split, one cell alone, the other layout, and twice in a row."""
    whole = device.step(cells)
    order = np.random.default_rng(1).permutation(CELLS)
    permuted = device.step(cells[order])
    np.testing.assert_array_equal(permuted.n, whole.n[order])
    np.testing.assert_array_equal(device.step(cells, by_species=True).n, whole.n)
    for part in (slice(0, 1), slice(1, 40), slice(40, CELLS)):
        np.testing.assert_array_equal(device.step(cells[part]).n, whole.n[part])
    again = device.step(replace(cells, n=whole.n))
    np.testing.assert_array_equal(device.step(cells, repeats=2).n, again.n)


def test_no_cells(device: Device, cells: Workload) -> None:
    assert device.step(cells[:0]).report["cells"] == 0


def test_bad_cells_among_good_ones(device: Device, osu: Network, cells: Workload) -> None:
    n, dt, T = cells.n.copy(), cells.dt.copy(), cells.temperature.copy()
    zeta = cells.zeta.copy()
    n[3, 5], n[4, 0], dt[7], T[9], T[11], zeta[13], dt[15], T[17] = np.nan, -1e3, 0, 0.5, -3, np.inf, np.nan, 2e6
    n[19] *= 1e30
    mask = np.ones(CELLS, np.int8)
    mask[21] = mask[3] = 0
    given = Workload(n, dt, T, {"zeta": zeta})
    found = device.step(given, mask=mask)
    good = np.ones(CELLS, bool)
    good[[3, 4, 7, 9, 11, 13, 15, 17, 19, 21]] = False
    np.testing.assert_array_equal(found.status[~good], [2, -1, 1, -4, -1, -1, -1, -4, -4, 2])
    np.testing.assert_array_equal(found.n[~good], n[~good])
    np.testing.assert_array_equal(found.n[good], device.step(cells).n[good])
    names = ("failed", "masked", "unchanged", "exact")
    assert [found.report[name] for name in names] == [7, 2, 1, CELLS - 10]


def test_small_negatives_are_mended(device: Device, osu: Network, cells: Workload) -> None:
    n = cells.n.copy()
    n[:9, osu.species_index("H2O")] = -1e-10 * n[:9].sum(axis=1)
    given = replace(cells, n=n)
    assert (device.step(given).status[:9] == -1).all()
    found = device.step(given, repair=1)
    expected = on_cpu(osu, given, 1e-2, 1e-15, 2000, repair="floor")
    np.testing.assert_array_equal(found.status, expected.status)
    assert found.report["repaired"] == 9
    assert np.nanmax(dex_errors(found.n, expected.n, osu.tables().scale_weights)) < 1e-2 / np.log(10)


@pytest.mark.parametrize("family", [exact_zeros, noise, compressed], ids=lambda f: f.__name__)
def test_ladder(device: Device, osu: Network, family) -> None:
    """Stiff states, few steps in the first try: those that fail are tried again, as on the CPU."""
    base = workload(osu, 40, seed=2024)
    draw = StressDraw(2024, len(base))
    given = family(osu, base, draw, 1e8, 1e12) if family is compressed else family(osu, base, draw)
    found = device.step(given, max_steps=6, tables=False)
    expected = on_cpu(osu, given, 1e-2, 1e-15, 6)
    same_answers(osu, found, expected, given, 1e-2)
    assert found.report["second_try"] == np.sum(expected.status == 20) > 0
    assert found.report["failed"] == np.sum(expected.status < 0)


def test_router_keeps(device: Device, osu: Network, cells: Workload) -> None:
    """Cells that the router keeps have its status and the same bits; those that hardly change are skipped."""
    plain = device.step(cells)
    routed = device.step(cells, routes=True)
    np.testing.assert_array_equal(routed.n, plain.n)
    assert (routed.status == 17).all()
    assert routed.report["routed"] == CELLS
    short = replace(cells, dt=np.where(np.arange(CELLS) % 2, cells.dt, 1e-7 * cells.dt))
    carried = np.full(CELLS, 1e-4)
    found = device.step(short, routes=True, error_dex=carried, skip_dex=1e-2, budget_dex=1.0)
    skipped = found.status == 1
    assert skipped.any()
    assert not skipped.all()
    np.testing.assert_array_equal(found.n[skipped], cells.n[skipped])
    assert (found.error_dex[skipped] > carried[skipped]).all()
    assert (found.error_dex[skipped] <= carried[skipped] + 1e-2).all()
    assert found.report["unchanged"] == skipped.sum()


def part_of(network: Network, most: int) -> Network:
    """The reactions among the species of at most so many atoms."""
    species = [s for s in network.species if sum(s.elements.values()) <= most]
    names = {s.name for s in species}
    reactions = [r for r in network.reactions if names.issuperset(s.name for s in (*r.reactants, *r.products))]
    return Network(f"part{most}", species, reactions, network.conditions, network.source)


@pytest.mark.parametrize("most", [3, 5, 6])
def test_other_sizes(program: Path, tmp_path: Path, most: int) -> None:
    """Networks of 19, 41 and 55 species: the last is more than a thread can have, and goes to blocks of threads."""
    network = part_of(hydrocarbons(), most)
    cells = larger_gas(network, 9, seed=4)
    given = Workload(cells.n, cells.dt, cells.temperature, cells.conditions)
    found = device_of(program, network, tmp_path).step(given)
    same_answers(network, found, on_cpu(network, given, 1e-2, 1e-15, 2000), given, 1e-2)


def test_formulas(program: Path, osu: Network, cells: Workload, tmp_path: Path) -> None:
    """A network of formulas: as the same network by rate laws."""
    network = as_formulas(osu)
    found = device_of(program, network, tmp_path).step(cells)
    same_answers(network, found, on_cpu(network, cells, 1e-2, 1e-15, 2000), cells, 1e-2)


def test_formulas_refuse_cells(program: Path, tmp_path: Path) -> None:
    """Where a formula gives no rate no path takes the cell."""
    text = PRIMORDIAL
    network = parse_krome(text, "primordial.ntw", "primordial").network
    n, dt, T, given = gas(network)
    T[::5] = 9e5
    cells = Workload(n, dt, T, given)
    found = device_of(program, network, tmp_path).step(cells)
    same_answers(network, found, on_cpu(network, cells, 1e-2, 1e-15, 2000), cells, 1e-2)


# --- the whole step, through the library ------------------------------------------------------------------------------


def audited(solver: Solver, cells: Workload, steps: int) -> tuple[list[tuple[object, ...]], list[tuple[int, ...]]]:
    """The audit's table after some steps of the same cells, and what the reports said of it."""
    said = []
    for _ in range(steps):
        _, report = solver.step(cells.n, cells.dt, cells.temperature, zeta=cells.zeta)
        said.append((report.audited, report.violations, report.bins_tightened, report.bins_closed))
    return [(b.path, b.audited, b.violations, b.alarms, b.threshold) for b in solver.audit()], said


def test_audit(monkeypatch: pytest.MonkeyPatch, osu: Network, tmp_path: Path) -> None:
    """Every trusted cell of a model that is worse than it says: bins are counted, tightened, closed as on the CPU."""
    cells = workload(osu, 200, seed=5)
    model, rng = ModelFile.read(joined_model()), np.random.default_rng(2)
    for name in [name for name in model.arrays if "expert_b" in name]:
        noise = rng.normal(0.0, 0.1, model.arrays[name].shape)
        model.arrays[name] = (model.arrays[name] + noise).astype(np.float32)
    model.write(tmp_path / "bad.pcs")
    options = {"mode": "auto", "costs": (1e6, 1e6, 0.0, 1.0, 1.0), "audit": 1.0, "exact_every": 0}
    table, said = audited(Solver.load(tmp_path / "bad.pcs", **options), cells, 3)
    assert sum(row[0] for row in said) > 100
    assert sum(row[2] for row in said) > 0
    library, _ = emulated()
    monkeypatch.setenv("PCS_CUDA_LIBRARY", library)
    found, heard = audited(Solver.load(tmp_path / "bad.pcs", device="cuda", **options), cells, 3)
    assert heard == said
    assert found == table


def test_paths_in_turn(monkeypatch: pytest.MonkeyPatch, osu: Network, tmp_path: Path) -> None:
    """Without a router each path takes what the one before refused, which is then not said to be refused."""
    cells = workload(osu, 150, seed=6)
    model = ModelFile.read(joined_model())
    for name in [name for name in model.arrays if "/router/" in name]:
        del model.arrays[name]
    model.write(tmp_path / "turns.pcs")
    options = {"mode": "auto", "audit": 0.05, "exact_every": 20}
    n, told = Solver.load(tmp_path / "turns.pcs", **options).step(*cells.given[:3], zeta=cells.zeta)
    assert min(told.by_path.values()) > 0
    assert min(told.refused_error, told.refused_budget, told.audited) > 0
    library, _ = emulated()
    monkeypatch.setenv("PCS_CUDA_LIBRARY", library)
    found, report = Solver.load(tmp_path / "turns.pcs", device="cuda", **options).step(
        *cells.given[:3], zeta=cells.zeta
    )
    np.testing.assert_array_equal(report.status, told.status)
    names = (
        "surrogate",
        "exact",
        "refused_box",
        "refused_distance",
        "refused_error",
        "refused_budget",
        "audited",
        "violations",
    )
    assert [getattr(report, name) for name in names] == [getattr(told, name) for name in names]
    assert report.by_path == told.by_path
    assert np.nanmax(dex_errors(found, n, osu.tables().scale_weights)) < 1e-5


@pytest.mark.parametrize("mode", ["exact", "auto"])
def test_trajectories_with_bad_cells(monkeypatch: pytest.MonkeyPatch, osu: Network, mode: str) -> None:
    """Bad cells, and cells that the integrator gives up on their way, with all that lies behind."""
    cells = workload(osu, 8, seed=7)
    n, T = cells.n.copy(), cells.temperature.copy()
    n[4, 3], T[6] = np.nan, 0.1
    times = np.array([0.0, 1e6, 1e10, 1e13])
    options = {"mode": mode, "max_steps": 2}
    if mode == "exact":
        options |= {"rtol": 1e-6}
    expected, told = Solver.load(joined_model(), **options).trajectory(n, times, T, zeta=cells.zeta)
    library, _ = emulated()
    monkeypatch.setenv("PCS_CUDA_LIBRARY", library)
    on_device = Solver.load(joined_model(), device="cuda", **options)
    found, report = on_device.trajectory(n, times, T, zeta=cells.zeta)
    np.testing.assert_array_equal(report.status, told.status)
    assert (report.cells, report.failed, report.exact) == (told.cells, told.failed, told.exact)
    if mode == "exact":
        assert (told.status == Status.EXACT_SECOND_TRY).any()
        assert (told.status == Status.EXACT_SCIPY).any()  # whom the integrator gave up
        assert abs(report.steps - told.steps) <= 0.01 * told.steps
    seen = expected > 1e-12 * (np.nan_to_num(expected) @ osu.tables().scale_weights)[..., None]
    np.testing.assert_allclose(found[seen], expected[seen], rtol=1e-3)
