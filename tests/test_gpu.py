"""The native engine on arrays of a GPU: the CPU's answers, in place, on the caller's stream, and nothing waits.

Every test runs on the emulated GPU; where a real one is (`pytest -m gpu`), on that as well.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from device_memory import ByDlpack, Place, Plain, emulated, real
from joined import joined_model
from numpy.typing import NDArray

from pychemsurrogate import _native
from pychemsurrogate.integrators import NativeRosenbrock
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.network import Network, parse_network
from pychemsurrogate.solver import Report, Solver, device_arrays
from pychemsurrogate.status import Status

MODEL = joined_model()
SOME = 70  # cells: not a multiple of any tile, block or warp
REAL = {library: pytest.param("real", library, marks=pytest.mark.gpu) for library in ("plain", "torch", "cupy")}
PLACES = ("emulated", pytest.param("real", marks=pytest.mark.gpu))
WITH_LIBRARIES = pytest.mark.parametrize(
    ("place", "library"), [("emulated", "plain"), *REAL.values()], indirect=["place"]
)
LEARNED_FIRST = (1e6, 1e6, 0.0, 1.0, 1.0)  # costs that send every cell to the learned paths
MODES: dict[str, dict[str, Any]] = {
    "exact": {"mode": "exact", "rtol": 1e-2},
    "fast": {"mode": "surrogate", "path": "fast"},
    "accurate": {"mode": "surrogate", "path": "accurate"},
    "routed": {"mode": "auto", "costs": (0.1, 4.0, 0.5, 1.0, 2.5), "exact_every": 7, "audit": 0.0},
    "learned first": {"mode": "auto", "costs": LEARNED_FIRST, "audit": 0.1},
}
Cells = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


@pytest.fixture(scope="module")
def emulator() -> tuple[str, Place]:
    return emulated()


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    if request.param == "emulated":
        library, found = request.getfixturevalue("emulator")
        monkeypatch.setenv("PCS_CUDA_LIBRARY", library)
    else:
        monkeypatch.delenv("PCS_CUDA_LIBRARY", raising=False)
        there = real()
        if isinstance(there, str):
            pytest.skip(there)
        found = there
    device_arrays._spare.clear()
    yield found
    gc.collect()
    device_arrays._spare.clear()


@pytest.fixture(scope="module")
def some(cells: Cells) -> Cells:
    n, dt, temperature, zeta = cells
    return n[:SOME].copy(), dt[:SOME].copy(), temperature[:SOME].copy(), zeta[:SOME, 0].copy()


def on_cpu(some: Cells, **options: Any) -> tuple[NDArray[np.float64], Report]:
    n, dt, temperature, zeta = some
    return Solver.load(MODEL, **options).step(n, dt, temperature, zeta=zeta)


def step(
    place: Place, some: Cells, library: str = "plain", solver: Solver | None = None, **options: Any
) -> tuple[NDArray[np.float64], Report]:
    """The states after a step in place there, on the host, and the report."""
    solver = solver or Solver.load(MODEL, device="cuda", **options)
    n, dt, temperature, zeta = (place.put(array, library=library) for array in some)
    result, report = solver.step(n, dt, temperature, zeta=zeta, out=n)
    assert result is n
    assert report.cells == len(some[0])
    return place.host(n), report


def dex(n: NDArray[np.float64], expected: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    seen = expected > 1e-12 * (expected @ weights)[:, None]
    return float(np.abs(np.log10(n[seen] / expected[seen])).max())


# --- answers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_answers_are_the_cpus(place: Place, some: Cells, osu: Network, mode: str) -> None:
    expected, told = on_cpu(some, **MODES[mode])
    n, report = step(place, some, **MODES[mode])
    tables = osu.tables()
    same = report.status == told.status
    assert same.mean() >= (0.9999 if len(same) > 1000 else 1.0)
    served = same & (report.status >= 0)
    by_surrogate = served & (report.status == Status.SURROGATE)
    assert served.sum() >= 0.9 * SOME
    if by_surrogate.any():
        assert dex(n[by_surrogate], expected[by_surrogate], tables.scale_weights) < 1e-5
    solved = served & ~by_surrogate
    if solved.any():
        assert dex(n[solved], expected[solved], tables.scale_weights) < 1e-6
    assert np.array_equal(n[~served & same], some[0][~served & same])
    size = np.maximum(n, some[0]) @ np.abs(tables.composition).T
    assert (np.abs((n - some[0]) @ tables.composition.T) <= 1e-12 * size)[served].all()
    counts = ("surrogate", "exact", "unchanged", "failed", "routed", "refused_box")
    counts += ("refused_distance", "refused_error", "refused_budget")
    for name in (*counts, "audited"):
        assert getattr(report, name) == getattr(told, name), name
    assert report.by_path == told.by_path


def test_the_exact_path_is_as_exact_as_on_the_cpu(place: Place, some: Cells, osu: Network) -> None:
    n, dt, temperature, zeta = some
    truth, _ = NativeRosenbrock(osu, rtol=1e-9, atol=1e-22).advance(n, dt, temperature, {"zeta": zeta})
    found, _ = step(place, some, mode="exact", rtol=1e-2)
    assert dex(found, truth, osu.tables().scale_weights) < 0.015


@pytest.mark.parametrize("mode", ["exact", "learned first"])
def test_a_cells_bits_are_its_own(place: Place, some: Cells, mode: str) -> None:
    solver = Solver.load(MODEL, device="cuda", **MODES[mode])
    whole, report = step(place, some, solver=solver)
    order = np.random.default_rng(3).permutation(SOME)
    permuted, again = step(place, tuple(array[order] for array in some), solver=solver)
    assert np.array_equal(permuted, whole[order])
    assert np.array_equal(again.status, report.status[order])
    for begin, end in ((0, 1), (1, 33), (33, SOME)):
        part, _ = step(place, tuple(array[begin:end].copy() for array in some), solver=solver)
        assert np.array_equal(part, whole[begin:end])


def test_bad_cells_among_good_ones(place: Place, some: Cells) -> None:
    solver = Solver.load(MODEL, device="cuda", **MODES["learned first"])
    good, _ = step(place, some, solver=solver)
    n, dt, temperature, zeta = (array.copy() for array in some)
    n[3, 5], n[9, 0], temperature[20], zeta[33], dt[40], dt[50] = np.nan, -1.0, np.inf, -1e-17, np.nan, 0.0
    found, report = step(place, (n, dt, temperature, zeta), solver=solver)
    bad = [3, 9, 20, 33, 40]
    assert (report.status[bad] == Status.BAD_INPUT).all()
    assert report.status[50] == Status.UNCHANGED
    kept = np.isin(np.arange(SOME), [*bad, 50])
    assert found[kept].tobytes() == n[kept].tobytes()
    assert np.array_equal(found[~kept], good[~kept])
    assert report.failed == len(bad)
    assert "bad" in report.advice() or "finite" in report.advice()


def test_no_cells(place: Place, some: Cells) -> None:
    nothing, report = step(place, tuple(array[:0] for array in some), mode="exact")
    assert nothing.shape == (0, 29)
    assert (report.cells, report.ok) == (0, True)


def test_mask_and_error_budget(place: Place, some: Cells) -> None:
    n, dt, temperature, zeta = some
    options = {"mode": "auto", "costs": LEARNED_FIRST, "audit": 0.0, "error_budget_dex": 0.02}
    mask = np.arange(SOME) % 3 > 0
    carried = np.linspace(0.0, 0.03, SOME)
    expected, error = n.copy(), carried.copy()
    _, told = Solver.load(MODEL, **options).step(
        expected, dt, temperature, zeta=zeta, out=expected, mask=mask, error_dex=error
    )
    there = place.put(n)
    gaps = np.zeros(2 * SOME)
    gaps[::2] = carried
    errors = place.put(gaps, gaps[::2])
    arrays = (place.put(dt), place.put(temperature))
    masks = place.put(mask)
    solver = Solver.load(MODEL, device="cuda", **options)
    _, report = solver.step(there, *arrays, zeta=place.put(zeta), out=there, mask=masks, error_dex=errors)
    assert np.array_equal(report.status, told.status)
    assert report.refused_budget == told.refused_budget > 0
    assert report.masked == told.masked == 24
    np.testing.assert_allclose(place.host(there), expected, rtol=3e-5)
    np.testing.assert_allclose(place.host(errors), error, rtol=1e-4)


@pytest.mark.parametrize("mode", ["surrogate", "exact"])
def test_trajectories(place: Place, some: Cells, mode: str) -> None:
    n, _, temperature, zeta = (array[:20] for array in some)
    times = np.array([0.0, 1e8, 1e10, 1e11])
    expected, told = Solver.load(MODEL, mode=mode).trajectory(n, times, temperature, zeta=zeta)
    solver = Solver.load(MODEL, mode=mode, device="cuda")
    there = place.put(n.copy())
    arrays = {"zeta": place.put(zeta.copy())}
    found, report = solver.trajectory(there, times, place.put(temperature.copy()), **arrays)
    assert np.array_equal(report.status, told.status)
    served = report.status >= 0
    np.testing.assert_allclose(place.host(found)[served], expected[served], rtol=3e-5, atol=1e-20)
    assert np.array_equal(place.host(there), n)
    out = place.put(np.zeros((20, 4, n.shape[1])))
    again, _ = solver.trajectory(there, times, place.put(temperature.copy()), out=out, **arrays)
    assert again is out
    assert np.array_equal(place.host(out), place.host(found))


THREE_CONDITIONS = """pychemsurrogate network 1
name: three conditions
conditions: zeta A_V G0
species: H H2 H+ H2+ C C+ e-
reactions:
H2 -> H2+ + e- | cosmic_ray | 0.93
H2+ + e- -> H + H | arrhenius | 1e-8 -0.5 0
C -> C+ + e- | photo | 3e-10 3
C+ + e- -> C | arrhenius | 4e-12 -0.6 0
H -> H+ + e- | cosmic_ray | 0.46
H+ + e- -> H | arrhenius | 3e-12 -0.7 0
"""


def test_several_conditions(place: Place, tmp_path: Path) -> None:
    """Numbers and arrays, packed into one table."""
    network = parse_network(THREE_CONDITIONS)
    model = ModelFile.from_network(network)
    model.write(tmp_path / "three.pcs")
    cpu, gpu = Solver.load(tmp_path / "three.pcs"), Solver.load(tmp_path / "three.pcs", device="cuda")
    n = 10.0 ** np.random.default_rng(0).uniform(0, 3, (SOME, network.n_species))
    charges = network.tables().composition[-1].copy()
    charges[network.species_index("e-")] = 0.0
    n[:, network.species_index("e-")] = np.maximum(n @ charges, 0.0)
    extinction = np.linspace(0.5, 3.0, 2 * SOME)
    zeta = np.geomspace(1e-17, 1e-15, SOME)
    for at, there in (
        ({"zeta": 1e-16, "A_V": 1.0, "G0": 2.0}, {}),
        ({"zeta": 1e-16, "A_V": extinction[::2], "G0": 2.0}, {"A_V": place.put(extinction, extinction[::2])}),
        (
            {"zeta": zeta, "A_V": extinction[::2], "G0": 2.0},
            {"zeta": place.put(zeta), "A_V": place.put(extinction, extinction[::2]), "G0": place.put(np.full((), 2.0))},
        ),
    ):
        expected, _ = cpu.step(n, 1e9, 30.0, **at)
        moved = place.put(n)
        _, report = gpu.step(moved, 1e9, 30.0, out=moved, **(at | there))
        assert report.ok
        np.testing.assert_allclose(place.host(moved), expected, rtol=1e-9)


# --- arrays -----------------------------------------------------------------------------------------------------


def layouts(n: NDArray[np.float64]) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Buffers and views of the same states."""
    fields = np.ascontiguousarray(n.T)
    gaps = np.full((2 * len(n), n.shape[1] + 3), 7.0)
    gaps[::2, 1:-2] = n
    backwards = n[::-1].copy()
    return {
        "fields": (fields, fields.T),
        "gaps": (gaps, gaps[::2, 1:-2]),
        "backwards": (backwards, backwards[::-1]),
    }


@WITH_LIBRARIES
@pytest.mark.parametrize("layout", ["fields", "gaps", "backwards"])
def test_any_strides_and_libraries(place: Place, some: Cells, library: str, layout: str) -> None:
    if library not in place.libraries:
        pytest.skip(f"{library} has no arrays here")
    if library == "torch" and layout == "backwards":
        pytest.skip("torch has no negative strides")
    expected, _ = step(place, some, mode="exact")
    buffer, view = layouts(some[0])[layout]
    n = place.put(buffer, view, library)
    _, dt, temperature, zeta = (place.put(array, library=library) for array in some)
    solver = Solver.load(MODEL, mode="exact", device="cuda")
    result, report = solver.step(n, dt, temperature, zeta=zeta, out=n)
    assert result is n
    assert np.array_equal(place.host(n), expected)
    if library == "plain":
        assert isinstance(report.status_on_device, device_arrays.DeviceBuffer)
    else:
        assert type(report.status_on_device) is type(n)
    assert np.array_equal(place.host(report.status_on_device), report.status)


@WITH_LIBRARIES
def test_out(place: Place, some: Cells, library: str) -> None:
    if library not in place.libraries:
        pytest.skip(f"{library} has no arrays here")
    n, dt, temperature, zeta = (place.put(array, library=library) for array in some)
    solver = Solver.load(MODEL, mode="exact", device="cuda")
    fresh, _ = solver.step(n, dt, temperature, zeta=zeta)
    assert np.array_equal(place.host(n), some[0])
    other = place.put(np.zeros_like(some[0]), library=library)
    filled, _ = solver.step(n, dt, temperature, zeta=zeta, out=other)
    assert filled is other
    assert np.array_equal(place.host(n), some[0])
    assert np.array_equal(place.host(other), place.host(fresh))
    moved, _ = solver.step(n, dt, temperature, zeta=zeta, out=n)
    assert np.array_equal(place.host(moved), place.host(fresh))


def test_numbers_and_one_value_for_all(place: Place, some: Cells) -> None:
    solver = Solver.load(MODEL, mode="exact", device="cuda")
    n = some[0]
    expected, _ = Solver.load(MODEL, mode="exact").step(n, 1e10, 20.0, zeta=1e-16)
    for shape in ((), (1,)):
        there = place.put(n)
        given = [place.put(np.full(shape, value)) for value in (1e10, 20.0, 1e-16)]
        solver.step(there, given[0], given[1], zeta=given[2], out=there)
        np.testing.assert_allclose(place.host(there), expected, rtol=1e-9)
    there = place.put(n)
    solver.step(there, 1e10, np.array([20.0]), zeta=np.float64(1e-16), out=there)
    np.testing.assert_allclose(place.host(there), expected, rtol=1e-9)


@pytest.mark.parametrize("managed", [False, True])
def test_dlpack(place: Place, some: Cells, managed: bool) -> None:
    expected, _ = step(place, some, mode="exact")
    n = ByDlpack(place.put(some[0]), kind=13 if managed else 2)
    _, dt, temperature, zeta = (ByDlpack(place.put(array)) for array in some)
    result, report = Solver.load(MODEL, mode="exact", device="cuda").step(n, dt, temperature, zeta=zeta, out=n)
    assert result is n
    assert np.array_equal(n.numpy(), expected)
    assert n.streams == [device_arrays.LEGACY_STREAM]
    assert report.ok


def test_interface_of_version_2_and_a_read_only_array(place: Place, some: Cells) -> None:
    expected, _ = step(place, some, mode="exact")
    n, dt, temperature, zeta = (Plain(array, version=2) for array in some)
    solver = Solver.load(MODEL, mode="exact", device="cuda")
    solver.step(n, dt, temperature, zeta=zeta, out=n)
    assert np.array_equal(n.numpy(), expected)
    n = Plain(some[0])
    n.read_only = True
    with pytest.raises(ValueError, match="read-only"):
        solver.step(n, dt, temperature, zeta=zeta, out=n)
    copied, _ = solver.step(n, dt, temperature, zeta=zeta)
    assert np.array_equal(place.host(copied), expected)


def test_host_arrays_are_staged(place: Place, some: Cells) -> None:
    n, dt, temperature, zeta = some
    there, _ = step(place, some, mode="exact")
    solver = Solver.load(MODEL, mode="exact", device="cuda")
    found, report = solver.step(n, dt, temperature, zeta=zeta)
    assert isinstance(found, np.ndarray)
    assert np.array_equal(found, there)
    assert report.ok
    times = np.array([1e9, 1e10])
    states, _ = solver.trajectory(n[:9], times, temperature[:9], zeta=zeta[:9])
    expected, _ = Solver.load(MODEL, mode="exact").trajectory(n[:9], times, temperature[:9], zeta=zeta[:9])
    np.testing.assert_allclose(states, expected, rtol=1e-7)


# --- what is refused --------------------------------------------------------------------------------------------


def test_wrong_arrays_are_refused_by_name(place: Place, some: Cells) -> None:
    n, dt, temperature, zeta = (place.put(array) for array in some)
    solver = Solver.load(MODEL, mode="exact", device="cuda")

    def call(**changed: Any) -> None:
        given = {"dt": dt, "temperature": temperature, "zeta": zeta, "out": n} | changed
        solver.step(n, **given)

    with pytest.raises(TypeError, match="temperature lies in host memory"):
        call(temperature=some[2])
    with pytest.raises(TypeError, match="zeta lies in host memory"):
        call(zeta=some[3])
    with pytest.raises(TypeError, match="mask is a numpy array"):
        call(mask=np.ones(SOME, bool))
    with pytest.raises(TypeError, match="error_dex is a numpy array"):
        call(error_dex=np.zeros(SOME))
    with pytest.raises(TypeError, match="dt has dtype float32: pass float64"):
        call(dt=place.put(some[1].astype(np.float32)))
    with pytest.raises(TypeError, match="mask has dtype float64: pass int8"):
        call(mask=place.put(np.ones(SOME)))
    with pytest.raises(ValueError, match=r"temperature has shape \(3,\), not \(70,\)"):
        call(temperature=place.put(some[2][:3].copy()))
    with pytest.raises(ValueError, match=r"dt is -1\.0 s"):
        call(dt=-1.0)
    with pytest.raises(TypeError, match="missing none, unknown A_V"):
        call(A_V=1.0)
    with pytest.raises(TypeError, match="must be a CUDA stream"):
        call(stream="default")
    with pytest.raises(ValueError, match="statistics=True"):
        call(statistics=True)
    with pytest.raises(ValueError, match=r"abundances have shape \(70,\)"):
        solver.step(place.put(some[1]), dt, temperature, zeta=zeta)
    with pytest.raises(TypeError, match="abundances has dtype float32"):
        solver.step(place.put(some[0].astype(np.float32)), dt, temperature, zeta=zeta)
    broadcast = np.zeros((1, n.shape[1]))
    one_row = place.put(broadcast, np.lib.stride_tricks.as_strided(broadcast, n.shape, (0, 8)))
    with pytest.raises(ValueError, match="overlap"):
        solver.step(one_row, dt, temperature, zeta=zeta, out=one_row)
    with pytest.raises(ValueError, match="equilibria are found on the CPU alone"):
        solver.equilibrium(some[0], 20.0, zeta=1e-16)
    assert np.array_equal(place.host(n), some[0])


def test_host_memory_that_an_interface_calls_the_devices(place: Place, some: Cells) -> None:
    class Wrong(Plain):
        @property
        def pointer(self) -> int:
            return int(self._buffer.ctypes.data)

    _, dt, temperature, zeta = (place.put(array) for array in some)
    solver = Solver.load(MODEL, mode="exact", device="cuda")
    with pytest.raises(ValueError, match="abundances is memory of the host, not of cuda"):
        solver.step(Wrong(some[0]), dt, temperature, zeta=zeta)


def test_devices_that_are_not_there(place: Place) -> None:
    assert Solver.load(MODEL, mode="exact", device="cuda:0").engine == "native"
    with pytest.raises(RuntimeError, match="cannot be served: libpcs_cuda sees"):
        Solver.load(MODEL, mode="exact", device="cuda:977")
    with pytest.raises(RuntimeError, match="977"):
        Solver.load(MODEL, mode="exact", device="cuda:977", engine="native")
    with pytest.raises(ValueError, match="GPUs are called"):
        Solver.load(MODEL, mode="exact", device="cuda:first")
    with pytest.raises(ValueError, match="integrators serve the cpu alone"):
        Solver.load(MODEL, device="cuda", integrator="scipy")


def test_no_gpu_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PCS_CUDA_LIBRARY", "/nowhere/libpcs_cuda.so")
    with pytest.raises(RuntimeError, match="libpcs_cuda"):
        Solver.load(MODEL, mode="exact", device="cuda", engine="native")
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        solver = Solver.load(MODEL, device="cuda")
        assert solver.engine == "torch"
        assert "libpcs_cuda" in repr(solver)
    else:
        with pytest.raises(RuntimeError, match=r"libpcs_cuda.*torch sees no GPU. Pass device='cpu'"):
            Solver.load(MODEL, mode="exact", device="cuda")


# --- streams ----------------------------------------------------------------------------------------------------


def test_a_step_waits_for_nothing(place: Place, some: Cells) -> None:
    """The report alone makes the host wait."""
    solver = Solver.load(MODEL, device="cuda", **MODES["learned first"])
    n, dt, temperature, zeta = (place.put(array) for array in some)

    def call() -> Report:
        return solver.step(n, dt, temperature, zeta=zeta, out=n)[1]

    reports = [call() for _ in range(3)]  # scratch and statuses are made
    assert reports[-1].cells == SOME
    del reports
    if place.emulated:
        before = _native.device_waits()
        reports = [call() for _ in range(3)]
        assert _native.device_waits() == before
        assert reports[0].cells == SOME
        assert _native.device_waits() > before
        return
    torch = pytest.importorskip("torch")
    busy = torch.cuda.Event()
    torch.cuda.synchronize()
    torch.cuda._sleep(int(2e9))  # cycles: a second
    busy.record()
    reports = [call() for _ in range(3)]
    assert not busy.query(), "the step waited for what was enqueued before it"
    assert reports[0].cells == SOME
    assert busy.query()


def test_report_of_an_earlier_step(place: Place, some: Cells) -> None:
    solver = Solver.load(MODEL, mode="exact", device="cuda")
    n, dt, temperature, zeta = (place.put(array[:5].copy()) for array in some)
    _, first = solver.step(n, dt, temperature, zeta=zeta, out=n)
    _, second = solver.step(n, 0.0, temperature, zeta=zeta, out=n)
    assert (first.exact, first.unchanged) == (5, 0)
    assert (second.exact, second.unchanged) == (0, 5)
    assert isinstance(first.status, np.ndarray)


@pytest.mark.parametrize(
    "place",
    [pytest.param("emulated", marks=pytest.mark.long), pytest.param("real", marks=pytest.mark.gpu)],
    indirect=True,
)
def test_a_report_is_not_kept_for_ever(place: Place, some: Cells) -> None:
    solver = Solver.load(MODEL, mode="exact", device="cuda")
    n = place.put(some[0][:5].copy())
    _, lost = solver.step(n, 0.0, 20.0, zeta=1e-16, out=n)
    for _ in range(300):
        solver.step(n, 0.0, 20.0, zeta=1e-16, out=n)
    with pytest.raises(ValueError, match="calls"):
        lost.exact  # noqa: B018 - the access asks for it


def test_the_callers_stream(place: Place, some: Cells) -> None:
    """Work that is pending before and after the step on a side stream keeps its order."""
    expected, _ = step(place, some, mode="exact")
    solver = Solver.load(MODEL, mode="exact", device="cuda")
    if not place.emulated:
        torch = pytest.importorskip("torch")
        side = torch.cuda.Stream()
        start, n = torch.as_tensor(some[0], device="cuda"), torch.full(some[0].shape, torch.nan, device="cuda").double()
        given = [torch.as_tensor(array, device="cuda") for array in some[1:]]
        torch.cuda.synchronize()
        with torch.cuda.stream(side):
            torch.cuda._sleep(int(5e8))
            n.copy_(start)
            solver.step(n, given[0], given[1], zeta=given[2], out=n)
            after = n * 2.0
        side.synchronize()
        assert np.array_equal(after.cpu().numpy(), 2.0 * expected)
        return
    side = place.stream()
    start, n = place.put(some[0]), Plain(np.full_like(some[0], np.nan), stream=side)
    _, dt, temperature, zeta = (place.put(array) for array in some)
    copied = Plain(np.zeros_like(some[0]))
    _native.device_copy(n.pointer, start.pointer, some[0].nbytes, 0, side)
    solver.step(n, dt, temperature, zeta=zeta, out=n)
    _native.device_copy(copied.pointer, n.pointer, some[0].nbytes, 0, side)
    _native.device_synchronise(0, side)
    assert np.array_equal(copied.numpy(), expected)


def test_a_stream_of_ones_own(place: Place, some: Cells) -> None:
    """stream= wins, and waits for the stream that another array names."""
    if not place.emulated:
        torch = pytest.importorskip("torch")
        streams = [torch.cuda.Stream().cuda_stream for _ in range(2)]
    else:
        streams = [place.stream() for _ in range(2)]
    expected, _ = step(place, some, mode="exact")
    dt, start = Plain(np.full(SOME, np.nan), stream=streams[1]), place.put(some[1])
    _native.device_copy(dt.pointer, start.pointer, some[1].nbytes, 0, streams[1])
    n, temperature, zeta = (place.put(array) for array in (some[0], some[2], some[3]))
    solver = Solver.load(MODEL, mode="exact", device="cuda")
    _, report = solver.step(n, dt, temperature, zeta=zeta, out=n, stream=streams[0])
    assert report.ok
    assert np.array_equal(n.numpy(), expected)


@pytest.mark.gpu
def test_graph_of_steps(some: Cells) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch sees no GPU")
    expected, _ = on_cpu(some, mode="exact")
    solver = Solver.load(MODEL, mode="exact", device="cuda")
    n, dt, temperature, zeta = (torch.as_tensor(array, device="cuda") for array in some)
    start = n.clone()
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        solver.step(n, dt, temperature, zeta=zeta, out=n)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=side):
        solver.step(n, dt, temperature, zeta=zeta, out=n)
    for _ in range(3):
        n.copy_(start)
        graph.replay()
        np.testing.assert_allclose(n.cpu().numpy(), expected, rtol=1e-7)


@pytest.mark.gpu
def test_a_batch_that_exceeds_the_memory(some: Cells) -> None:
    """It is cut into pieces, and the answers are the same."""
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch sees no GPU")
    count = 1 << 21
    repeats = -(-count // SOME)
    solver = Solver.load(MODEL, mode="exact", device="cuda")
    start = torch.as_tensor(some[0], device="cuda").repeat(repeats, 1)[:count]
    given = [torch.as_tensor(array, device="cuda").repeat(repeats)[:count] for array in some[1:]]
    few = start[:SOME].clone()
    solver.step(few, given[0][:SOME], given[1][:SOME], zeta=given[2][:SOME], out=few)
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    hoard = torch.empty(max(0, free - (256 << 20)), dtype=torch.uint8, device="cuda")
    solver.step(start, given[0], given[1], zeta=given[2], out=start)
    assert torch.equal(start[-SOME:], few.roll(-((count - SOME) % SOME), 0))
    del hoard


@pytest.mark.gpu
def test_two_devices(some: Cells) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.device_count() < 2:
        pytest.skip(f"{torch.cuda.device_count()} GPUs are here")
    answers = []
    for k in range(2):
        solver = Solver.load(MODEL, mode="exact", device=f"cuda:{k}")
        n, dt, temperature, zeta = (torch.as_tensor(array, device=f"cuda:{k}") for array in some)
        solver.step(n, dt, temperature, zeta=zeta, out=n)
        answers.append(n.cpu())
    assert torch.equal(*answers)
    with pytest.raises(ValueError, match="lives on cuda:1, the solver on cuda:0"):
        Solver.load(MODEL, mode="exact", device="cuda:0").step(n, dt, temperature, zeta=zeta)


# --- the description of arrays ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spelled", "address"),
    [
        (0, 0),
        (1, 0),
        (77, 77),
        (type("S", (), {"cuda_stream": 78})(), 78),
        (type("S", (), {"ptr": 79})(), 79),
        (type("S", (), {"handle": type("H", (), {"value": 80})()})(), 80),
        (type("S", (), {"__cuda_stream__": lambda self: (0, 81)})(), 81),
    ],
)
def test_streams_of_every_library(spelled: Any, address: int) -> None:
    assert device_arrays.stream_address(spelled) == address


def said(**changed: Any) -> Any:
    interface = {"shape": (2, 3), "typestr": "<f8", "data": (4096, False), "version": 3} | changed
    return type("Array", (), {"__cuda_array_interface__": interface})()


def test_interfaces_are_read_as_they_are_meant() -> None:
    found = device_arrays.device_array(said(strides=(8, 16), stream=5), "x")
    assert (found.pointer, found.shape, found.strides, found.stream) == (4096, (2, 3), (1, 2), 5)
    assert not found.contiguous
    assert device_arrays.device_array(said(strides=None), "x").strides == (3, 1)
    assert device_arrays.device_array(said(shape=(1, 3), strides=(1000, 8)), "x").contiguous
    refused: list[tuple[Callable[[], Any], type[Exception], str]] = [
        (lambda: said(strides=(9, 8)), ValueError, "whole elements"),
        (lambda: said(stream=0), ValueError, "stream 0"),
        (lambda: said(mask=said()), ValueError, "masked"),
        (lambda: np.zeros(3), TypeError, "must be an array on the GPU, not ndarray"),
    ]
    for make, error, words in refused:
        with pytest.raises(error, match=words):
            device_arrays.device_array(make(), "x")


def test_tensors_of_the_host_are_told_apart() -> None:
    torch = pytest.importorskip("torch")
    assert not device_arrays.on_device(torch.zeros(3))
    with pytest.raises(ValueError, match="temperature lives on cpu"):
        device_arrays.device_array(torch.zeros(3), "temperature")
    with pytest.raises(TypeError, match="ndarray in host memory"):
        device_arrays.as_tensor(np.zeros(3))
