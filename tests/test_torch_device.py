"""The torch engine as it runs on a GPU: nothing waits, nothing leaves the device, and the answers are the CPU's.

On a machine without a GPU the same code runs on CPU tensors, where every operation is watched.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any

import numpy as np
import pytest
from joined import joined_model
from numpy.typing import NDArray

from pychemsurrogate.solver import Report, Solver
from pychemsurrogate.status import Status

torch = pytest.importorskip("torch")

from rounding import PRODUCTS, OtherKernels  # noqa: E402
from torch.fx.experimental.proxy_tensor import make_fx  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from pychemsurrogate.solver import tensors  # noqa: E402
from pychemsurrogate.solver.captured import CapturedStep, check_in_place  # noqa: E402
from pychemsurrogate.solver.step import Course, by_learned_paths, write  # noqa: E402
from pychemsurrogate.solver.torch_engine import Given, NativeOnDevice, TorchEngine  # noqa: E402

Cells = tuple[NDArray[np.float64], ...]
HERE = torch.device("cpu")
MODELS = (joined_model(), "osu_09_2008-multiclock", "seed-linear", "seed-neural-ode")
FIGURES: dict[str, Any] = dict.fromkeys(
    (
        *("refused_box", "refused_distance", "refused_error", "refused_budget", "audited", "violations"),
        *("bins_tightened", "bins_closed"),
        *("second_try", "repaired", "steps", "rejected_steps", "seconds", "seconds_surrogate", "seconds_exact"),
        "defect_max",
    ),
    0,
) | {"by_path": {"fast": 1}}


def engine_of(model: str, mode: str = "auto", *, compact: bool = False, **options: Any) -> TorchEngine:
    """An engine on the CPU, which goes the way of a GPU unless it is compact."""
    solver = Solver.load(model, mode=mode, engine="torch", **options)
    assert solver._torch is not None
    old = solver._torch
    parts = (solver.model, solver.network, "cpu", solver._native, solver._ladder, solver._paths)
    more = {"mode": mode, "repair": solver.repair, "precision": old.precision, "compact": compact}
    return TorchEngine(*parts, **more)


def given(cells: Cells, **more: Any) -> Given:
    n, dt, temperature, zeta = (torch.tensor(array) for array in cells)
    return Given(n, dt, temperature, (zeta[:, 0],), **more)


@pytest.fixture(scope="module")
def mixed(cells: Cells) -> Cells:
    """Cells of every kind: good, outside the box, bad, without time, empty."""
    n, dt, temperature, zeta = (array[:160].copy() for array in cells)
    temperature[::7] = 900.0
    n[3, 5], n[4], n[5, 2], dt[6], dt[8], temperature[9] = np.nan, 0.0, -1.0, 0.0, np.inf, -5.0
    return n, dt, temperature, zeta


def test_a_report_that_is_fetched_later_is_fetched_once() -> None:
    told = Report.of(np.array([0, 11, -1], np.int8), FIGURES)
    fetched = []

    def fetch() -> Report:
        fetched.append(1)
        return told

    report = Report.later(fetch, "there")
    assert isinstance(report, Report)
    assert report.status_on_device == "there"
    assert not fetched
    assert (report.failed, report.ok, report.cells) == (1, False, 3)
    assert str(report) == str(told)
    assert report.steps_per_cell is None
    assert report.by_path == told.by_path
    assert len(fetched) == 1
    assert told.status_on_device is told.status


@pytest.mark.parametrize("mode", ["auto", "surrogate"])
@pytest.mark.parametrize("model", MODELS)
def test_masks_give_what_indices_give(mixed: Cells, model: str, mode: str) -> None:
    """The CPU packs the cells that a path sees; a GPU computes all and writes some. In float64, which rounds little."""
    options = {"audit": 0.05, "exact_every": 20, "target_error_dex": 0.05} if "multi" not in model else {}
    if model.startswith("seed"):
        options = {}
    answers = []
    for compact in (True, False):
        some = given(mixed, mask=torch.arange(len(mixed[0])) % 11 != 10)
        report = engine_of(model, mode, compact=compact, precision="float64", **options).step(some)
        answers.append((some.n.numpy(), report))
    (n, report), (masked_n, masked) = answers
    assert np.array_equal(report.status, masked.status)
    served = report.status == Status.SURROGATE
    assert np.array_equal(n[~served], masked_n[~served], equal_nan=True)
    seen = served[:, None] & (n > 1e-14 * n.sum(1, keepdims=True))
    assert dex(n[seen], masked_n[seen]).max() <= 1e-9
    names = ("refused_box", "refused_distance", "refused_error", "refused_budget", "audited", "violations", "repaired")
    for name in (*names, "by_path"):
        assert getattr(report, name) == getattr(masked, name), name
    assert masked.defect_max == pytest.approx(report.defect_max, rel=1e-4)
    if model == joined_model() and mode == "auto":
        assert len({*report.status.tolist()} & {0, 1, 2, -1}) == 4  # the cells are of many kinds
        assert all(report.by_path.values())


def test_error_budgets_are_carried_by_masks_too(cells: Cells) -> None:
    carried = []
    for compact in (True, False):
        errors = torch.linspace(0.0, 0.12, len(cells[0]), dtype=torch.float64)
        report = engine_of("osu_09_2008-fast", compact=compact).step(given(cells, error_dex=errors))
        carried.append((errors.numpy(), report))
    assert carried[0][1].refused_budget == carried[1][1].refused_budget > 0
    np.testing.assert_allclose(carried[0][0], carried[1][0], rtol=1e-5)


def test_audits_reach_the_core(cells: Cells) -> None:
    """As many cells are compared, and found wrong, as the compact way finds; the core's table has them."""
    tables = []
    for compact in (True, False):
        engine = engine_of("osu_09_2008-multiclock", compact=compact, audit=1.0, exact_every=0)
        report = engine.step(given(cells))
        assert report.audited > 0
        tables.append((engine._native.audit_table(0), report.violations))
    assert tables[0] == tables[1]
    assert sum(row[1] for row in tables[0][0]) == report.audited


# --- the host looks at nothing ------------------------------------------------------------------------------------

LOOKS = ("_local_scalar_dense", "item", "nonzero", "masked_select", "unique", "bincount", "equal", "is_nonzero")


class Watched(TorchDispatchMode):
    """Raises for operations that make a host wait for a GPU, or that have a tensor elsewhere than on `device`."""

    def __init__(self, device: Any) -> None:
        super().__init__()
        self.device = device
        self.seen: set[str] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function._schema.name.split("::")[1]
        self.seen.add(name)
        if name in LOOKS:
            raise AssertionError(f"{name} makes the host wait")
        if name in ("index", "index_put", "index_put_", "_index_put_impl_") and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        ):
            raise AssertionError("an index of bools makes the host wait")
        made = function(*args, **(kwargs or {}))
        for tensor in [*args, *(made if isinstance(made, tuple | list) else [made])]:
            if isinstance(tensor, torch.Tensor) and tensor.device != self.device:
                raise AssertionError(f"{name} has a tensor on {tensor.device}, not {self.device}")
        return made


@pytest.mark.parametrize("mode", ["auto", "surrogate"])
@pytest.mark.parametrize("model", MODELS)
def test_a_step_looks_at_no_tensor(mixed: Cells, model: str, mode: str) -> None:
    some = given(mixed, error_dex=torch.zeros(len(mixed[0]), dtype=torch.float64))
    engine = engine_of(model, mode, repair="floor,electrons")
    thresholds = engine.thresholds()
    with torch.no_grad(), Watched(HERE) as watched:
        course = engine.course(some, thresholds)
        by_learned_paths(course)
        write(course)
    assert watched.seen
    with pytest.raises(AssertionError, match="makes the host wait"), Watched(HERE):
        engine_of(model, mode, compact=True).step(given(mixed))


@pytest.mark.parametrize("model", ["osu_09_2008", "osu_09_2008-multiclock", "seed-neural-ode"])
def test_every_tensor_is_on_the_cells_device(mixed: Cells, model: str) -> None:
    """torch's device without data stands for a second GPU: what would need a tensor's contents fails there."""
    there = torch.device("meta")
    some = given(mixed, error_dex=torch.zeros(len(mixed[0]), dtype=torch.float64))
    engine = engine_of(model)
    course = moved_to(engine.course(some, engine.thresholds()), lambda tensor: tensor.to(there))
    with torch.no_grad(), Watched(there):
        by_learned_paths(course)
        write(course)
    assert course.cells.n.device == there


def moved_to(thing: Any, move: Callable[[Any], Any], seen: set[int] | None = None) -> Any:
    """The thing with every tensor that it holds, at any depth, replaced by what `move` makes of it."""
    seen = set() if seen is None else seen
    if isinstance(thing, torch.nn.Module):
        for module in thing.modules():
            for held in (module._parameters, module._buffers):
                for name, tensor in held.items():
                    if tensor is not None:
                        held[name] = move(tensor)
        return thing
    if isinstance(thing, torch.Tensor):
        return move(thing)
    if isinstance(thing, list | tuple):
        return type(thing)([moved_to(part, move, seen) for part in thing])
    if type(thing).__module__.startswith("pychemsurrogate.") and id(thing) not in seen and hasattr(thing, "__dict__"):
        seen.add(id(thing))
        for name, part in vars(thing).items():
            thing.__dict__[name] = moved_to(part, move, seen)
    return thing


@pytest.mark.parametrize("model", [pytest.param("osu_09_2008", marks=pytest.mark.long), "osu_09_2008-multiclock"])
def test_the_learned_step_is_one_graph(mixed: Cells, model: str) -> None:
    """No branch of the host depends on data: what is recorded for some cells gives the right answer for others."""
    engine = engine_of(model, "surrogate")
    thresholds = engine.thresholds()

    def learned(n: Any, dt: Any, temperature: Any, zeta: Any) -> tuple[Any, Any]:
        course = engine.course(Given(n, dt, temperature, (zeta,)), thresholds)
        by_learned_paths(course)
        return course.cells.status, course.made

    n, dt, temperature, zeta = (torch.tensor(array) for array in mixed)
    columns = (n, dt, temperature, zeta[:, 0])
    with torch.no_grad():
        recorded = make_fx(learned)(*columns)
        others = [column.flip(0) for column in columns]
        status, made = recorded(*others)
        expected_status, expected = learned(*others)
    assert torch.equal(status, expected_status)
    served = expected_status == Status.SURROGATE
    assert torch.equal(made[served], expected[served])


# --- captured steps -----------------------------------------------------------------------------------------------


def record(work: Callable[[], Any]) -> tuple[Any, Callable[[], None]]:
    """What a CUDA graph does, on the CPU: work is done again on the same memory, and its results go where they were."""
    result = work()
    made = _tensors_of(result)

    def replay() -> None:
        for static, now in zip(made, _tensors_of(work()), strict=True):
            static.copy_(now)

    return result, replay


def _tensors_of(result: Any) -> list[Any]:
    if not isinstance(result, Course):
        return []
    figures = [v for v in result.figures.values() if isinstance(v, torch.Tensor)]
    by_path = list(result.figures["by_path"].values())
    return [result.state, result.made, result.cells.status, result.bins, result.served_by, *figures, *by_path]


def test_captured_steps_read_and_write_where_the_arrays_lie(cells: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    some = given(tuple(array[:60] for array in cells))
    start = some.n.clone()
    expected, now = start.clone(), start.clone()
    engine, plain = (engine_of(joined_model(), audit=0.05) for _ in range(2))
    monkeypatch.setattr(engine, "recorded", record)
    captured = CapturedStep(engine, some)
    some.n.copy_(start)
    for factor in (1.0, 0.1):
        some.dt.mul_(factor)
        report = captured()
        wanted = Given(expected, some.dt.clone(), some.temperature, some.conditions)
        told = plain.step(wanted)
        assert np.array_equal(report.status, told.status)
        assert torch.equal(some.n, expected)
        assert (report.surrogate, report.audited, report.steps) == (told.surrogate, told.audited, told.steps)
    assert not torch.equal(expected, now)
    some.n.resize_(59, some.n.shape[1])
    with pytest.raises(ValueError, match="capture it again"):
        captured()


def test_captured_steps_copy_nothing(mixed: Cells) -> None:
    some = given(mixed)
    check_in_place(some, {"dt": 3.0, "temperature": 10, "mask": None, "zeta": some.conditions[0]})
    with pytest.raises(ValueError, match="reads dt where it lies: pass a number, or float64"):
        check_in_place(some, {"dt": some.dt.float(), "temperature": 10, "mask": None, "zeta": 1e-17})
    with pytest.raises(TypeError, match="ndarray in host memory"):
        check_in_place(some, {"dt": mixed[1], "temperature": 10, "mask": None, "zeta": 1e-17})
    with pytest.raises(ValueError, match="on a GPU"):
        Solver.load("osu_09_2008", engine="torch").capture(some.n, 1.0, 10.0, zeta=1e-17)


# --- the exact path of the device -----------------------------------------------------------------------------------


class CoreOfPointers:
    """A core whose "device" is the host: what `NativeOnDevice` hands over is read where the pointers say."""

    def __init__(self, core: Any, species: int) -> None:
        self.core = core
        self.species = species
        self.figures: list[Any] = []

    def step_on_device(
        self,
        n: Any,
        cells: int,
        dt: Any,
        temperature: Any,
        conditions: Any,
        status: int,
        mask: int,
        error: Any,
        stream: int,
    ) -> int:
        assert error == (0, 0)
        assert stream == 0
        columns = [at(dt[0], np.float64, (cells,), dt[1:]), at(temperature[0], np.float64, (cells,), temperature[1:])]
        table = at(conditions[0], np.float64, (cells, 1), conditions[1:])
        states = at(n[0], np.float64, (cells, self.species), n[1:])
        flags = [at(address, np.int8, (cells,), (1,)) for address in (status, mask)]
        self.figures.append(self.core.step(states, *(c.copy() for c in columns), table.copy(), *flags, exact=True))
        return len(self.figures) - 1

    def fetch(self, ticket: int) -> Any:
        return self.figures[ticket]


def at(address: int, kind: Any, shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    size = np.dtype(kind).itemsize
    reach = sum(stride * (extent - 1) for stride, extent in zip(strides, shape, strict=True)) + 1
    memory = (ctypes.c_byte * (reach * size)).from_address(address)
    return np.ndarray(shape, kind, memory, 0, tuple(stride * size for stride in strides))


def test_refused_cells_by_the_devices_own_integrator(mixed: Cells) -> None:
    answers = []
    for exact in (False, True):
        engine = engine_of(joined_model(), audit=0.05)
        core = CoreOfPointers(engine._native, 29)
        if exact:
            engine._exact = NativeOnDevice(core)
        some = given(mixed)
        some = Given(some.n.T.contiguous().T, some.dt, some.temperature, (torch.tensor([1e-17], dtype=torch.float64),))
        report = engine.step(some)
        answers.append((some.n, report))
        assert len(core.figures) == 2 * exact  # once more for what an audit withdraws
    assert np.array_equal(answers[0][1].status, answers[1][1].status)
    torch.testing.assert_close(answers[0][0], answers[1][0], rtol=1e-12, atol=0, equal_nan=True)
    assert answers[0][1].steps == answers[1][1].steps > 0
    assert answers[0][1].exact == answers[1][1].exact


def test_a_call_that_raises_leaves_the_cells_as_they_were(mixed: Cells) -> None:
    engine = engine_of(joined_model())

    class Broken:
        waits = False

        def __call__(self, cells: Any, state: Any) -> Any:
            state.fill_(7.0)
            raise RuntimeError("the device is gone")

    engine._exact = Broken()
    some = given(mixed, error_dex=torch.full((len(mixed[0]),), 0.01, dtype=torch.float64))
    with pytest.raises(RuntimeError, match="gone"):
        engine.step(some)
    assert np.array_equal(some.n.numpy(), mixed[0], equal_nan=True)
    assert (some.error_dex == 0.01).all()


# --- arrays ---------------------------------------------------------------------------------------------------------


def test_values_become_tensors_of_the_device() -> None:
    there = torch.device("meta")
    columns = torch.empty(5, 2, dtype=torch.float64, device=there)
    made = tensors.values(columns[:, 1], "dt", 5, "s", there, positive=False)
    assert (made.shape, made.stride()) == ((5,), (2,))
    assert tensors.values(torch.empty((), device=there), "dt", 5, "s", there, positive=False).shape == (1,)
    assert tensors.values(3, "dt", 5, "s", HERE, positive=False).tolist() == [3.0]
    assert tensors.values(np.arange(5.0), "dt", 5, "s", HERE, positive=False).tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match=r"dt has shape \(4,\)"):
        tensors.values(columns[:4, 0], "dt", 5, "s", there, positive=False)
    with pytest.raises(ValueError, match="must be finite and above 0"):
        tensors.values(0.0, "temperature", 5, "K", there, positive=True)
    with pytest.raises(ValueError, match="dt lives on meta, the solver on cuda:1"):
        tensors.values(columns[:, 0], "dt", 5, "s", torch.device("cuda", 1), positive=False)


def test_targets_are_the_callers_memory() -> None:
    there = torch.device("meta")
    n = torch.empty(29, 5, dtype=torch.float64, device=there).T
    assert tensors.target(n, n, there)[0] is n
    result, moved = tensors.target(n, None, there)
    assert result is moved
    assert moved.is_contiguous()
    out = torch.empty(5, 29, dtype=torch.float64, device=there)
    assert tensors.target(n, out, there)[0] is out
    with pytest.raises(ValueError, match="overlap"):
        tensors.target(n, n[:, :1].expand(5, 29), there)
    with pytest.raises(ValueError, match=r"out has shape \(4, 29\)"):
        tensors.target(n, out[:4], there)
    with pytest.raises(TypeError, match="pass float64"):
        tensors.target(n.float(), None, there)
    assert tensors.flags(np.array([1, 0]), 2, HERE).tolist() == [True, False]
    with pytest.raises(ValueError, match="mask has shape"):
        tensors.flags(np.array([1, 0]), 3, HERE)
    with pytest.raises(ValueError, match="error_dex has shape"):
        tensors.errors(out[:, 0], 4, there)


# --- precision --------------------------------------------------------------------------------------------------------


def rounded_to_tf32(tensor: Any) -> Any:
    """The nearest number with ten bits of mantissa, as tensor cores read factors."""
    bits = tensor.contiguous().view(torch.int32)
    return ((bits + 0xFFF + ((bits >> 13) & 1)) & ~0x1FFF).view(torch.float32)


class Tf32(TorchDispatchMode):
    """Products of float32 tensors as tensor cores make them."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function._schema.name.split("::")[1]
        if name in PRODUCTS and args[-1].dtype == torch.float32:
            args = (*args[:-2], *(rounded_to_tf32(factor) for factor in args[-2:]))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("model", ["osu_09_2008-fast", "osu_09_2008-accurate", "osu_09_2008-multiclock"])
def test_error_of_the_nets_precision(cells: Cells, model: str) -> None:
    """float32 errs as far as its rounding reaches, tf32, emulated here, up to the gate's targets."""

    def answer(precision: str, mode: Any) -> tuple[Any, Any]:
        some = given(cells)
        with torch.no_grad(), mode:
            report = engine_of(model, "surrogate", precision=precision).step(some)
        return some.n.numpy(), report.status

    exact, status = answer("float64", nullcontext())
    float32, *others = (answer("float32", mode) for mode in (nullcontext(), *map(OtherKernels, range(4))))
    tf32 = answer("tf32", Tf32())
    assert all(np.array_equal(status, other) for _, other in (float32, *others, tf32))
    check_precision(exact, status, float32[0], tf32[0])
    # A few cells amplify what rounding does to them: how far, other roundings of the same products tell.
    seen = learned_where(exact, status)
    tails = [np.quantile(dex(other[seen], exact[seen]), [0.999, 1.0]) for other, _ in (float32, *others)]
    assert (tails[0] <= 2.0 * np.max(tails[1:], axis=0)).all()


def dex(one: Any, other: Any) -> Any:
    return np.append(0.0, np.abs(np.log10(one / other)))


def learned_where(exact: Any, status: Any) -> Any:
    """Which abundances (B, S) count."""
    return (status == Status.SURROGATE)[:, None] & (exact > 1e-14 * exact.sum(1, keepdims=True))


def check_dex(one: Any, other: Any) -> None:
    """Two runs of float32 nets, or one and float64: all but a few cells, which amplify rounding, are equal to 1e-5."""
    apart = dex(one, other)
    assert np.quantile(apart, 0.99) <= 1e-5
    assert apart.max() <= 1e-3


def check_precision(exact: Any, status: Any, float32: Any, tf32: Any) -> None:
    seen = learned_where(exact, status)
    check_dex(float32[seen], exact[seen])
    tensor = dex(tf32[seen], exact[seen])
    assert 1e-4 < tensor.max() <= 0.2  # the stated bound, and why tf32 is not the default
    assert np.quantile(tensor, 0.99) <= 5e-3


def test_the_hosts_setting_of_products_stays() -> None:
    from pychemsurrogate.solver.precision import matmuls_in

    setting = torch.backends.cuda.matmul
    before = setting.fp32_precision
    with matmuls_in("float32", "cuda"):
        assert setting.fp32_precision == before  # torch's default is what is needed
    with matmuls_in("tf32", "cuda"), matmuls_in("tf32", "cuda"):
        assert setting.fp32_precision == "tf32"
    assert setting.fp32_precision == before
    with matmuls_in("tf32", "cpu"), matmuls_in("float64", "cuda"):
        assert setting.fp32_precision == before
    try:
        setting.fp32_precision = "tf32"
        with suppress(KeyError), matmuls_in("float32", "cuda"):
            assert setting.fp32_precision == "ieee"
            raise KeyError
        assert setting.fp32_precision == "tf32"
    finally:
        setting.fp32_precision = before
    with pytest.raises(ValueError, match="precision is 'half'"):
        Solver.load("osu_09_2008", engine="torch", precision="half")
    with pytest.raises(ValueError, match="native float32"):
        Solver.load("osu_09_2008", precision="tf32")


# --- a real GPU -------------------------------------------------------------------------------------------------------


def gpu_solver(model: str, mode: str = "auto", **options: Any) -> Any:
    if not torch.cuda.is_available():
        pytest.skip("torch sees no GPU")
    return Solver.load(model, mode=mode, engine="torch", **({"device": "cuda"} | options))


def on_gpu(cells: Cells, device: str = "cuda") -> tuple[Any, ...]:
    return tuple(torch.as_tensor(array, device=device) for array in cells)


def check_against_cpu(cells: Cells, model: str, mode: str, n: Any, report: Report, **options: Any) -> None:
    first, dt, temperature, zeta = cells
    solver = Solver.load(model, mode=mode, engine="torch", **options)
    expected, told = solver.step(first, dt, temperature, zeta=zeta[:, 0])
    same = report.status == told.status
    assert same.mean() >= 0.99
    counted = same[:, None] & (expected > 1e-14 * expected.sum(1, keepdims=True))
    learned = counted & (report.status == Status.SURROGATE)[:, None]
    moved = n.cpu().numpy()
    check_dex(moved[learned], expected[learned])
    assert np.abs(np.log10(moved[counted] / expected[counted])).max() <= 0.02  # the exact path's own tolerance


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:.*debug mode is a prototype.*")
@pytest.mark.parametrize("mode", ["surrogate", "auto"])
@pytest.mark.parametrize("model", ["osu_09_2008", "osu_09_2008-multiclock"])
def test_gpu_step_waits_for_nothing(cells: Cells, model: str, mode: str) -> None:
    """torch raises where the host would wait; views of any stride, scalars on the device."""
    solver = gpu_solver(model, mode)
    n, dt, temperature, zeta = on_gpu(cells)
    for shape in ("rows", "columns"):
        view = n.clone() if shape == "rows" else n.T.contiguous().T
        solver.step(view, dt, temperature, zeta=zeta[:, 0])  # what torch allocates once
        torch.cuda.synchronize()
        waits = mode == "auto" and solver._torch._exact is None  # the exact path travels to the host
        torch.cuda.set_sync_debug_mode("default" if waits else "error")
        try:
            result, report = solver.step(view, dt, temperature, zeta=zeta[:, 0], out=view)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert result is view
        assert report.status_on_device.device == n.device
        check_against_cpu(cells, model, mode, view, report)
    _, report = solver.step(n, dt[0], temperature.mean(), zeta=1e-16)
    assert report.cells == len(n)
    assert report.surrogate + report.exact + report.failed == len(n)


@pytest.mark.gpu
def test_gpu_bad_cells_and_masks(mixed: Cells) -> None:
    solver = gpu_solver(joined_model())
    n, dt, temperature, zeta = on_gpu(mixed)
    mask = torch.arange(len(n), device="cuda") % 11 != 10
    errors = torch.zeros(len(n), dtype=torch.float64, device="cuda")
    result, report = solver.step(n, dt, temperature, zeta=zeta[:, 0], mask=mask, error_dex=errors)
    some = given(mixed, mask=mask.cpu(), error_dex=torch.zeros(len(n), dtype=torch.float64))
    told = engine_of(joined_model(), compact=True).step(some)
    assert (report.status == told.status).mean() >= 0.99
    kept = (report.status < 0) | (report.status == Status.MASKED)
    assert np.array_equal(result.cpu().numpy()[kept], mixed[0][kept], equal_nan=True)
    same = report.status == told.status
    np.testing.assert_allclose(errors.cpu().numpy()[same], some.error_dex.numpy()[same], rtol=1e-3, atol=1e-6)


@pytest.mark.gpu
@pytest.mark.parametrize("mode", ["surrogate", "auto"])
def test_gpu_graphs(cells: Cells, mode: str) -> None:
    solver, options = gpu_solver(joined_model(), mode, audit=0.05), {"audit": 0.05}
    start, dt, temperature, zeta = on_gpu(cells)
    n = start.clone()
    captured = solver.capture(n, dt, temperature, zeta=zeta[:, 0])
    assert torch.equal(n, start)
    for factor in (1.0, 0.5):
        n.copy_(start)
        dt.mul_(factor)
        report = captured()
        changed = (cells[0], dt.cpu().numpy(), *cells[2:])
        check_against_cpu(changed, joined_model(), mode, n, report, **options)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    n.copy_(start)
    torch.cuda.synchronize()
    with torch.cuda.stream(side):
        report = captured()
    side.synchronize()
    check_against_cpu(changed, joined_model(), mode, n, report, **options)


@pytest.mark.gpu
def test_gpu_arrays_of_cupy(cells: Cells) -> None:
    cupy = pytest.importorskip("cupy")
    solver = gpu_solver("osu_09_2008-multiclock", "surrogate")
    n, dt, temperature, zeta = (cupy.asarray(array) for array in cells)
    result, report = solver.step(n, dt, temperature, zeta=zeta[:, 0], out=n)
    assert result is n
    torch.cuda.synchronize()
    check_against_cpu(cells, "osu_09_2008-multiclock", "surrogate", torch.as_tensor(n, device="cuda"), report)


@pytest.mark.gpu
@pytest.mark.parametrize("model", ["osu_09_2008-fast", "osu_09_2008-accurate", "osu_09_2008-multiclock"])
def test_gpu_error_of_the_nets_precision(cells: Cells, model: str) -> None:
    answers = {}
    for precision in ("float64", "float32", "tf32"):
        solver = gpu_solver(model, "surrogate", precision=precision)
        n, dt, temperature, zeta = on_gpu(cells)
        result, report = solver.step(n, dt, temperature, zeta=zeta[:, 0])
        answers[precision] = result.cpu().numpy(), report.status
    check_precision(*answers["float64"], answers["float32"][0], answers["tf32"][0])


@pytest.mark.gpu
def test_gpu_trajectories_stay_there(cells: Cells) -> None:
    solver = gpu_solver("osu_09_2008-multiclock", "surrogate")
    n, _, temperature, zeta = on_gpu(cells)
    times = np.array([0.0, 1e9, 1e11])
    states, report = solver.trajectory(n, times, temperature, zeta=zeta[:, 0])
    cpu = Solver.load("osu_09_2008-multiclock", mode="surrogate", engine="torch")
    expected, told = cpu.trajectory(cells[0], times, cells[2], zeta=cells[3][:, 0])
    assert states.device == n.device
    assert (report.status == told.status).mean() >= 0.99
    seen = (report.status == told.status)[..., None] & (expected > 1e-14 * expected.sum(-1, keepdims=True))
    check_dex(states.cpu().numpy()[seen], expected[seen])


@pytest.mark.gpu
def test_gpu_second_device(cells: Cells) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip(f"torch sees {torch.cuda.device_count()} GPUs")
    solver = gpu_solver("osu_09_2008-multiclock", "surrogate", device="cuda:1")
    n, dt, temperature, zeta = on_gpu(cells, "cuda:1")
    result, report = solver.step(n, dt, temperature, zeta=zeta[:, 0])
    assert result.device == n.device
    check_against_cpu(cells, "osu_09_2008-multiclock", "surrogate", result, report)
    with pytest.raises(ValueError, match="lives on cuda:1, the solver on cuda:0"):
        gpu_solver("osu_09_2008-multiclock", device="cuda:0").step(n, 1e9, 20.0, zeta=1e-16)
