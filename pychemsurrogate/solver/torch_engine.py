"""The torch engine: the step page (step.py) on a caller's arrays, of the host or of a GPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from threading import Lock
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pychemsurrogate import _native
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.network import Network
from pychemsurrogate.solver.arrays import FloatArray, from_host, host_tensor, shares_memory
from pychemsurrogate.solver.ladder import Batch, Ladder
from pychemsurrogate.solver.precision import matmuls_in
from pychemsurrogate.solver.report import Report
from pychemsurrogate.solver.step import (
    Constants,
    Course,
    DeviceCells,
    Exact,
    Figures,
    Learned,
    Pairs,
    audit,
    by_learned_paths,
    trajectory,
    write,
)
from pychemsurrogate.solver.tensors import hand_back
from pychemsurrogate.status import Status

_COUNTS = (
    *("refused_box", "refused_distance", "refused_error", "refused_budget", "audited", "violations"),
    *("bins_tightened", "bins_closed", "repaired", "steps", "rejected_steps", "second_try"),
)
_BY_EXACT = ("steps", "rejected_steps", "second_try", "seconds_exact", "defect_max")


@dataclass
class PackedLadder:
    """The exact path on the host: waiting cells are packed, travel there, and come back. The host waits for them.

    counts (B, 3), or None if nobody asked: as of `Batch`, for the cells of the call.
    """

    ladder: Ladder
    counts: NDArray[np.int32] | None = None
    waits: bool = True

    def __call__(self, cells: DeviceCells, state: Tensor) -> Callable[[], Figures]:
        """As `Exact`."""
        rows = torch.nonzero(cells.waiting)[:, 0]
        if not len(rows):
            return dict
        columns = (state, cells.dt, cells.temperature, cells.conditions, cells.status)
        packed = Batch(*(column[rows].cpu().numpy() for column in columns))
        reasons, places = packed.status.copy(), rows.cpu().numpy()
        packed.counts = None if self.counts is None else self.counts[places]
        figures = self.ladder.step(packed)
        if self.counts is not None and packed.counts is not None:
            self.counts[places] = packed.counts
        status = np.where(packed.status == Status.EXACT_REQUESTED, reasons, packed.status)
        state[rows] = torch.as_tensor(packed.n, device=state.device)
        cells.status[rows] = torch.as_tensor(status, device=state.device)
        return lambda: {key: figures[key] for key in _BY_EXACT}


@dataclass
class NativeOnDevice:
    """The exact path on the GPU, by a core of that device with mode "exact": nothing travels, and nobody waits."""

    core: _native.Solver
    waits: bool = False

    def __call__(self, cells: DeviceCells, state: Tensor) -> Callable[[], Figures]:
        """As `Exact`."""
        waiting = cells.waiting
        mask, status = waiting.to(torch.int8), torch.empty_like(cells.status)
        dt, temperature, conditions = cells.dt, cells.temperature, cells.conditions
        stream = torch.cuda.current_stream(state.device).cuda_stream if state.device.type == "cuda" else 0
        ticket = self.core.step_on_device(
            (state.data_ptr(), state.stride(0), state.stride(1)),
            len(state),
            (dt.data_ptr(), dt.stride(0)),
            (temperature.data_ptr(), temperature.stride(0)),
            (conditions.data_ptr() if conditions.shape[1] else 0, conditions.stride(0), conditions.stride(1)),
            status.data_ptr(),
            mask.data_ptr(),
            (0, 0),
            stream,
        )
        told = waiting & (status != Status.EXACT_REQUESTED)
        cells.status.copy_(torch.where(told, status, cells.status))

        def fetch() -> Figures:
            figures = self.core.fetch(ticket)
            return {key: figures[key] for key in _BY_EXACT if key != "seconds_exact"}  # it has no clock

        return fetch


@dataclass(frozen=True)
class Given:
    """What a call on a device reads: tensors there, dt, temperature and each condition (1) or (B), mask (B) bool."""

    n: Tensor
    dt: Tensor
    temperature: Tensor
    conditions: tuple[Tensor, ...]
    mask: Tensor | None = None
    error_dex: Tensor | None = None

    def table(self) -> Tensor:
        """The conditions (B or 1, C)."""
        if not self.conditions:
            return self.n.new_empty(1, 0)
        return torch.stack(torch.broadcast_tensors(*self.conditions), dim=1)

    def on_host(self, statistics: bool = False) -> Batch:
        """The same on the host, for which the host waits."""
        count = len(self.n)
        n, dt, temperature, conditions = (
            tensor.cpu().numpy() for tensor in (self.n, self.dt, self.temperature, self.table())
        )
        mask = None if self.mask is None else self.mask.cpu().numpy().astype(np.int8)
        counts = np.zeros((count, 3), dtype=np.int32) if statistics else None
        return Batch(n, dt, temperature, conditions, np.zeros(count, dtype=np.int8), mask, counts)


class TorchEngine:
    """Serves a solver's learned paths with torch on one device; `ladder` serves the exact path unless `exact` does.

    exact: None where the device has no exact integrator. compact: as of `DeviceCells`; None: on the CPU alone.
    precision: "float32", of the nets as the models were calibrated; "tf32": their products on a GPU's tensor cores;
    "float64". Everything else is in double precision always. No setting of torch is changed beyond a call.
    """

    def __init__(
        self,
        model: ModelFile,
        network: Network,
        device: str,
        native: _native.Solver,
        ladder: Ladder,
        paths: list[str],
        *,
        mode: str,
        repair: str,
        precision: str = "float32",
        exact: Exact | None = None,
        compact: bool | None = None,
    ) -> None:
        self.device = _with_index(device)
        self.mode = mode
        # Looking at a tensor costs nothing on the CPU.
        self._compact = self.device.type == "cpu" if compact is None else compact
        self._repair = repair
        self._native = native
        self._ladder = ladder
        self.precision = precision
        self._exact = exact
        options = {"free_running": not self._compact, "double": precision == "float64"}
        self._learned = [Learned.of(model, str(self.device), native, name, **options) for name in paths]
        self._constants = Constants.of(network.tables(), str(self.device))
        self._unmerged: list[Call] = []  # audits of calls that the device may not have finished
        self._lock = Lock()

    # --- calls --------------------------------------------------------------------------------------------------

    def advance(self, batch: Batch) -> Figures:
        """Advance cells of the host in place, status included, and return the figures of a report."""
        device = str(self.device)
        n = host_tensor(batch.n, device)
        columns = (batch.dt, batch.temperature, *batch.conditions.T)
        dt, temperature, *conditions = (from_host(column, device) for column in columns)
        mask = None if batch.mask is None else from_host(batch.mask != 0, device)
        error_dex = None if batch.error_dex is None else from_host(batch.error_dex, device)
        call = self._step(Given(n, dt, temperature, tuple(conditions), mask, error_dex), batch.counts)
        batch.status[...] = call.status.cpu().numpy()
        if not shares_memory(n, batch.n):
            batch.n[...] = n.cpu().numpy()
        if batch.error_dex is not None and error_dex is not None:
            batch.error_dex[...] = error_dex.cpu().numpy()
        return call.figures()

    def step(self, given: Given, statistics: bool = False, array: Any = None) -> Report:
        """Advance cells of the device in place; array: whose memory given.n is, if another library's."""
        counts = np.zeros((len(given.n), 3), dtype=np.int32) if statistics else None
        call = self._step(given, counts)
        if array is not None:
            with self.on_device():
                hand_back(array)
        return call.report()

    def _step(self, given: Given, counts: NDArray[np.int32] | None) -> Call:
        exact = self.exact_path(counts)
        with torch.no_grad(), self.on_device():
            self.merge_audits()
            call = Call(self, Clock(self.device), counts)
            course = self.course(given, self.thresholds())
            with matmuls_in(self.precision, self.device.type):
                by_learned_paths(course)
            call.clock.mark()
            if exact is not None:
                call.by_exact = added(exact(course.cells, course.state), audit(course, exact))
            call.clock.mark()
            write(course)
            call.end(course, course.cells.status)
        return call

    def follow(self, batch: Batch, times: FloatArray, mode: str, conserve: bool) -> tuple[Pairs, Figures]:
        """What the learned path makes of cells of the host at the times; see `step.trajectory`."""
        columns = (batch.n, np.ones(1), batch.temperature, *batch.conditions.T)
        n, dt, temperature, *conditions = (from_host(column, str(self.device)) for column in columns)
        pairs, call = self._pairs(Given(n, dt, temperature, tuple(conditions)), times, mode, conserve)
        return pairs, call.figures()

    def trajectory(self, given: Given, times: FloatArray, conserve: bool) -> tuple[Tensor, Report]:
        """The learned path alone, on the device: states (cells, times, species), the given one where not served."""
        pairs, call = self._pairs(given, times, "surrogate", conserve)
        served = pairs.status == Status.SURROGATE
        return torch.where(served[:, :, None], pairs.n, given.n[:, None]), call.report()

    def _pairs(self, given: Given, times: FloatArray, mode: str, conserve: bool) -> tuple[Pairs, Call]:
        with torch.no_grad(), self.on_device():
            call = Call(self, Clock(self.device), None)
            course = self.course(given, self.thresholds(mode), mode)
            with matmuls_in(self.precision, self.device.type):
                pairs = trajectory(course, times, conserve=conserve)
            call.clock.mark()
            course.figures.update(pairs.figures)
            call.end(course, pairs.status)
        return pairs, call

    # --- its parts ----------------------------------------------------------------------------------------------

    def course(self, given: Given, thresholds: list[Tensor | None], mode: str | None = None) -> Course:
        """A call's course, before its first verb."""
        columns = (given.n, given.dt, given.temperature, given.table())
        cells = DeviceCells.of(*columns, self._constants, given.error_dex, self._compact)
        options = self.options()
        return Course(cells, self._learned, thresholds, mode or self.mode, self._repair, options, given.mask)

    def options(self) -> dict[str, float]:
        """The numbers among the options, as they are now."""
        return self._native.options()

    def thresholds(self, mode: str | None = None) -> list[Tensor | None]:
        """The thresholds of the paths' gates as the audit has left them, on the device."""
        wanted = (mode or self.mode) == "auto"
        values = [path.thresholds() if wanted and path.calibrated else [] for path in self._learned]
        return [_uploaded(torch.tensor(each, dtype=torch.float64), self.device) if each else None for each in values]

    def on_device(self) -> AbstractContextManager[Any]:
        """Where kernels are launched."""
        return torch.cuda.device(self.device) if self.device.type == "cuda" else nullcontext()

    def aside(self, work: Callable[[], Any]) -> None:
        """Do work on a stream of its own, behind and before what the current one has to do."""
        if self.device.type != "cuda":
            work()
            return
        current, side = torch.cuda.current_stream(), torch.cuda.Stream()
        side.wait_stream(current)
        with torch.cuda.stream(side):
            work()
        current.wait_stream(side)

    def recorded(self, work: Callable[[], Any]) -> tuple[Any, Callable[[], None]]:
        """What work returns, recorded but not done, and what does it on the current stream, any number of times."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            result = work()
        return result, graph.replay

    def merge_audits(self, wait: bool = False) -> None:
        """Let the audit know what former calls have counted; wait: also those that the device is still at."""
        with self._lock:
            calls = [call for call in self._unmerged if wait or call.is_done()]
            self._unmerged = [call for call in self._unmerged if call not in calls]
        for call in calls:
            call.audit()

    def exact_path(self, counts: NDArray[np.int32] | None) -> Exact | None:
        """None where no cell can wait for it."""
        if self.mode == "surrogate" and self._learned:
            return None
        if self._exact is None or counts is not None:  # the device does not count for each cell
            return PackedLadder(self._ladder, counts)
        return self._exact

    def merge(self, k: int, compared: list[int], violations: list[int], gross: list[int]) -> tuple[int, int]:
        """Tell the audit of the path k how many cells of each bin were compared, violated the target, and how far."""
        sums = [each for each in zip(range(len(compared)), compared, violations, gross, strict=True) if each[1]]
        return self._native.merge_audit(sums, self._learned[k].index) if sums else (0, 0)

    def later(self, call: Call) -> None:
        """Remember a call whose audit is to be merged once the device is done with it."""
        with self._lock:
            self._unmerged.append(call)


@dataclass
class Clock:
    """Seconds between marks: of the host for the CPU, of the device's own clock for a GPU."""

    device: torch.device
    marks: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.mark()

    def mark(self) -> None:
        """The time when the work so far is done."""
        if self.device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self.marks.append(event)
        else:
            self.marks.append(perf_counter())

    def seconds(self, first: int, last: int) -> float:
        """Between two marks that lie behind."""
        a, b = self.marks[first], self.marks[last]
        if self.device.type != "cuda":
            return float(b - a)
        return 1e-3 * float(a.elapsed_time(b))

    def wait(self) -> None:
        """Until the last mark lies behind."""
        if self.device.type == "cuda":
            self.marks[-1].synchronize()

    def passed(self) -> bool:
        """Whether the last mark lies behind."""
        return self.device.type != "cuda" or bool(self.marks[-1].query())


@dataclass
class Call:
    """What a call tells, on its way to the host. On a GPU: copied to pinned memory behind the call's work."""

    engine: TorchEngine
    clock: Clock
    counts: NDArray[np.int32] | None
    by_exact: Callable[[], Figures] = dict
    status: Tensor = field(init=False)
    _fetch: Callable[[], dict[str, list[float]]] = field(init=False)
    _paths: list[str] = field(init=False)
    _counted: dict[str, list[float]] | None = field(init=False, default=None)
    _bins: tuple[int, int] = field(init=False, default=(0, 0))  # that the audit tightened and closed
    _told: Figures | None = field(init=False, default=None)
    _lock: Lock = field(init=False, default_factory=Lock)

    def end(self, course: Course, status: Tensor) -> None:
        """The last verb has been enqueued."""
        self.status = status
        self._paths = list(course.figures["by_path"])
        flat = {key: value for key, value in course.figures.items() if key != "by_path"}
        flat |= {f"by_path/{name}": value for name, value in course.figures["by_path"].items()}
        flat |= {f"audit/{k}": tally for k, tally in course.tallies.items()}
        self._fetch = _downloading(flat)
        self.clock.mark()
        if course.tallies and self.clock.device.type == "cuda":
            self.engine.later(self)

    def is_done(self) -> bool:
        """Whether the device has come so far."""
        return self.clock.passed()

    def audit(self) -> None:
        """Tell the core, once, what the audit has counted; the host waits for it."""
        with self._lock:
            self._arrived()

    def figures(self) -> Figures:
        """The figures of a report, for which the host waits."""
        with self._lock:
            if self._told is None:
                self._told = self._made(self._arrived())
            return self._told

    def report(self) -> Report:
        """On the CPU at once, of a GPU later."""
        if self.engine.device.type == "cpu":
            return self._report()
        return Report.later(self._report, self.status)

    def _report(self) -> Report:
        figures = self.figures()
        return Report.of(self.status.cpu().numpy(), figures, self.counts)

    def _arrived(self) -> dict[str, list[float]]:
        if self._counted is None:
            self.clock.wait()
            self._counted = self._fetch()
            for key, numbers in self._counted.items():
                if key.startswith("audit/"):
                    bins = len(numbers) // 3
                    parts = ([int(x) for x in numbers[first : first + bins]] for first in (0, bins, 2 * bins))
                    moved = self.engine.merge(int(key.removeprefix("audit/")), *parts)
                    self._bins = self._bins[0] + moved[0], self._bins[1] + moved[1]
        return self._counted

    def _made(self, counted: Mapping[str, list[float]]) -> Figures:
        clock, last = self.clock, len(self.clock.marks) - 1
        figures: Figures = dict.fromkeys(_COUNTS, 0) | {"bins_tightened": self._bins[0], "bins_closed": self._bins[1]}
        figures |= {key: int(number) for key, (number, *_) in counted.items() if key in _COUNTS}
        figures["by_path"] = {name: int(counted[f"by_path/{name}"][0]) for name in self._paths}
        figures["seconds"] = clock.seconds(0, last)
        figures["seconds_surrogate"] = clock.seconds(0, 1) if self._paths else 0.0
        figures["seconds_exact"] = clock.seconds(1, 2) if clock.device.type == "cuda" and last == 3 else 0.0
        by_exact = self.by_exact()
        figures["defect_max"] = max(counted["defect_max"][0], by_exact.pop("defect_max", 0.0))
        return figures | by_exact


def added(first: Callable[[], Figures], second: Callable[[], Figures]) -> Callable[[], Figures]:
    """What two calls of the exact path tell together."""

    def told() -> Figures:
        one, two = first(), second()
        together = {key: one[key] + two.get(key, 0) for key in one}
        if "defect_max" in one:
            together["defect_max"] = max(one["defect_max"], two.get("defect_max", 0.0))
        return together

    return told


def _with_index(device: str) -> torch.device:
    """The device, not one that changes its meaning with torch's current one."""
    there = torch.device(device)
    if there.type == "cuda" and there.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return there


def _uploaded(host: Tensor, device: torch.device) -> Tensor:
    """A copy on the device, behind what its current stream has to do; the host does not wait."""
    return host.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else host


def _downloading(numbers: Mapping[str, Tensor]) -> Callable[[], dict[str, list[float]]]:
    """Numbers on their way to the host in one piece; what is returned reads them, once the stream has come here."""
    row = torch.cat([number.reshape(-1).double() for number in numbers.values()])  # counts are far below 2^53
    if row.device.type == "cuda":
        there, row = row, torch.empty(row.shape, dtype=row.dtype, pin_memory=True)
        row.copy_(there, non_blocking=True)
    sizes = [number.numel() for number in numbers.values()]

    def read() -> dict[str, list[float]]:
        return {key: part.tolist() for key, part in zip(numbers, row.split(sizes), strict=True)}

    return read
