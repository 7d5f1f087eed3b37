"""The native step on arrays of a GPU: the core gets pointers, strides and a stream, and the host never waits."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pychemsurrogate import _native
from pychemsurrogate.network import CONDITION_UNITS, Network
from pychemsurrogate.solver.arrays import cell_values
from pychemsurrogate.solver.device_arrays import (
    DeviceArray,
    copied,
    copy,
    device_array,
    empty,
    on_device,
    stream_address,
    to_host,
)
from pychemsurrogate.solver.report import Report

FloatArray = NDArray[np.float64]
FLOAT = np.dtype(np.float64)
FLAGS = (np.dtype(np.int8), np.dtype(np.bool_), np.dtype(np.uint8))
HOST, MANAGED = -1, -2  # what _native.device_of says of memory that is not one GPU's


def device_index(device: str) -> int:
    """The number of "cuda" or "cuda:k". Raises ValueError for another name."""
    kind, colon, number = device.partition(":")
    if kind != "cuda" or (colon and not number.isdecimal()):
        raise ValueError(f"device is {device!r}: GPUs are called cuda, cuda:0, cuda:1, ...")
    return int(number or 0)


def problem(device: str) -> str:
    """What keeps the native engine from serving a GPU, "" if nothing does."""
    index = device_index(device)
    try:
        count = _native.device_count()
    except (RuntimeError, ValueError) as error:  # the answer, and not an accident
        return str(error)
    return "" if index < count else f"libpcs_cuda sees {count} GPUs"


@dataclass(frozen=True)
class Column:
    """One value a cell or one for all: where it begins, its cell stride (0: one for all), and what keeps its memory."""

    pointer: int
    stride: int
    owner: Any


class OnDevice:
    """Calls of a native solver on arrays of its GPU. Raises as `Solver.step` does, before any array is changed."""

    def __init__(self, core: _native.Solver, network: Network, device: str) -> None:
        self._core = core
        self._network = network
        self._device = device
        self._index = device_index(device)

    def step(
        self,
        abundances: Any,
        dt: Any,
        temperature: Any,
        conditions: dict[str, Any],
        *,
        out: Any,
        mask: Any,
        error_dex: Any,
        stream: Any,
    ) -> tuple[Any, Report]:
        """As `Solver.step`: enqueued on the stream when it returns."""
        call = _Call(self, abundances, stream)
        cells = call.cells
        moments, warmth = call.column(dt, "dt", "s"), call.column(temperature, "temperature", "K", positive=True)
        table = call.table(conditions)
        flags = 0 if mask is None else call.array(mask, "mask", (cells,), *FLAGS, dense=True).pointer
        carried = Column(0, 0, None) if error_dex is None else call.carried(error_dex)
        result, target = call.target(out)
        status = call.empty((cells,), "int8")
        ticket = self._core.step_on_device(
            _rows(target),
            cells,
            (moments.pointer, moments.stride),
            (warmth.pointer, warmth.stride),
            table[:3],
            device_array(status, "status").pointer,
            flags,
            (carried.pointer, carried.stride),
            call.stream,
        )
        return result, self._report(ticket, status)

    def trajectory(
        self,
        abundances: Any,
        times: FloatArray,
        temperature: Any,
        conditions: dict[str, Any],
        *,
        mode: str,
        conserve: bool,
        out: Any,
        stream: Any,
    ) -> tuple[Any, Report]:
        """As `Solver.trajectory`: enqueued on the stream when it returns."""
        call = _Call(self, abundances, stream)
        column, table = call.column(temperature, "temperature", "K", positive=True), call.table(conditions)
        shape = (call.cells, len(times), self._network.n_species)
        result = call.empty(shape, "float64") if out is None else out
        into = call.array(result, "out", shape, FLOAT, dense=True, writable=True)
        if into.pointer and _overlap(into, call.given):
            raise ValueError("out overlaps the abundances: pass another array")
        status = call.empty(shape[:2], "int8")
        ticket = self._core.trajectory_on_device(
            _rows(call.given),
            call.cells,
            (column.pointer, column.stride),
            table[:3],
            times,
            into.pointer,
            device_array(status, "status").pointer,
            mode,
            conserve,
            call.stream,
        )
        return result, self._report(ticket, status)

    def _report(self, ticket: int, status: Any) -> Report:
        def fetch() -> Report:
            figures = self._core.fetch(ticket)  # waits for the step, so that its statuses are there
            return Report.of(to_host(status, self._index), figures)

        return Report.later(fetch, status)

    @property
    def device(self) -> str:
        """Its name."""
        return self._device

    @property
    def index(self) -> int:
        """Its number."""
        return self._index

    @property
    def network(self) -> Network:
        """Of the solver."""
        return self._network


class _Call:
    """The arrays of one call, checked, and the stream that it works on.

    That is the caller's, if he names one, else the abundances' own: the current one of their library, or the one that
    their interface names, or the default stream. It waits, on the device, for the streams that other arrays name.
    """

    def __init__(self, solver: OnDevice, abundances: Any, stream: Any) -> None:
        self._solver = solver
        self._named = stream is not None
        self.stream = stream_address(stream) if self._named else 0
        self._known: dict[int, None] = {}
        self._given = abundances
        described = device_array(abundances, "abundances", self.stream if self._named else None)
        if described.stream is not None and not self._named:
            self.stream = stream_address(described.stream)
        self.given = self._checked(described, "abundances", None, (FLOAT,))
        species = solver.network.n_species
        if len(self.given.shape) != 2 or self.given.shape[1] != species:
            raise ValueError(f"abundances have shape {self.given.shape}, not (cells, {species})")
        self.cells = self.given.shape[0]

    def array(
        self,
        array: Any,
        name: str,
        shape: tuple[int, ...],
        *dtypes: np.dtype[Any],
        dense: bool = False,
        writable: bool = False,
    ) -> DeviceArray:
        """One more array of the call, of that shape and one of those types."""
        if not on_device(array):
            where = "a numpy array" if isinstance(array, np.ndarray) else f"{type(array).__name__} in host memory"
            raise TypeError(f"{name} is {where}, but the abundances lie on {self._solver.device}: copy it there")
        found = self._checked(device_array(array, name, self.stream), name, shape, dtypes)
        if dense and not found.contiguous:
            raise ValueError(f"{name} must be contiguous: pass a copy")
        if writable and found.read_only:
            raise ValueError(f"{name} is read-only: pass a writable array")
        return found

    def _checked(
        self, found: DeviceArray, name: str, shape: tuple[int, ...] | None, dtypes: tuple[np.dtype[Any], ...]
    ) -> DeviceArray:
        if found.dtype not in dtypes:
            raise TypeError(f"{name} has dtype {found.dtype}: pass {dtypes[0]}")
        if shape is not None and found.shape != shape:
            raise ValueError(f"{name} has shape {found.shape}, not {shape}")
        if prod(found.shape):
            lies = found.device if found.library else _native.device_of(found.pointer)
            if lies == HOST:
                raise ValueError(
                    f"{name} is memory of the host, not of {self._solver.device}: its array says otherwise"
                )
            if lies not in (self._solver.index, MANAGED):
                raise ValueError(f"{name} lives on cuda:{lies}, the solver on {self._solver.device}: copy it there")
        self._wait_for(found)
        return found

    def _wait_for(self, found: DeviceArray) -> None:
        if found.stream is None:
            return
        other = stream_address(found.stream)
        if other != self.stream and other not in self._known:
            _native.device_order(self._solver.index, self.stream, other)
            self._known[other] = None

    def column(self, value: Any, name: str, unit: str, *, positive: bool = False) -> Column:
        """A number, or one value a cell on the device."""
        if on_device(value):
            found = device_array(value, name, self.stream)
            one_for_all = found.shape in ((), (1,))
            found = self._checked(found, name, None if one_for_all else (self.cells,), (FLOAT,))
            return Column(found.pointer, 0 if one_for_all else found.strides[0], value)
        number = cell_values(value, name, 1, unit, positive=positive) if _is_number(value) else None
        if number is None:
            raise TypeError(f"{name} lies in host memory, but the abundances on {self._solver.device}: pass a number, "
                            "or copy it there")  # fmt: skip
        return Column(number.ctypes.data, 0, number)

    def carried(self, errors: Any) -> Column:
        """error_dex, which the step writes."""
        found = self.array(errors, "error_dex", (self.cells,), FLOAT, writable=True)
        if self.cells > 1 and found.strides[0] == 0:
            raise ValueError("elements of error_dex overlap: pass a copy")
        return Column(found.pointer, found.strides[0], errors)

    def table(self, given: dict[str, Any]) -> tuple[int, int, int, Any]:
        """The conditions: where they begin, cell stride, stride from one to the next, and what keeps the memory."""
        names = self._solver.network.conditions
        if set(given) != set(names):
            missing = ", ".join(name for name in names if name not in given) or "none"
            unknown = ", ".join(name for name in given if name not in names) or "none"
            raise TypeError(
                f"{self._solver.network.name} reads the conditions {names}: missing {missing}, unknown {unknown}"
            )
        columns = [self.column(given[name], name, CONDITION_UNITS.get(name, "its unit")) for name in names]
        if not columns:
            return 0, 0, 0, None
        if len(columns) == 1:
            return columns[0].pointer, columns[0].stride, 0, columns
        if all(column.stride == 0 and isinstance(column.owner, np.ndarray) for column in columns):
            row = np.concatenate([column.owner for column in columns])
            return row.ctypes.data, 0, 1, row
        packed = self.empty((len(columns), self.cells), "float64")
        begin = device_array(packed, "conditions").pointer
        for k, column in enumerate(columns):
            to = begin + 8 * k * self.cells
            _native.device_spread(self._solver.index, to, column.pointer, column.stride, self.cells, self.stream)
        return begin, 1, self.cells, packed

    def target(self, out: Any) -> tuple[Any, DeviceArray]:
        """What the caller gets back, and its description: it holds the abundances and is stepped in place."""
        where = (self._solver.index, self.stream)
        if out is None:
            fresh = copied(self.given, *where)
            return fresh, device_array(fresh, "out")
        if out is self._given:
            target = self.given
            if target.read_only:
                raise ValueError("abundances are read-only: pass out=None, or another array as out")
        else:
            target = self.array(out, "out", self.given.shape, FLOAT, writable=True)
        reach = sum(abs(stride) * (extent - 1) for stride, extent in zip(target.strides, target.shape, strict=True))
        if prod(target.shape) and reach + 1 < prod(target.shape):
            raise ValueError("elements of the output array overlap (a broadcast array?): pass out=None")
        if target is not self.given:
            copy(out, target, self.given, *where)
        return out, target

    def empty(self, shape: tuple[int, ...], dtype: str) -> Any:
        """An array of the abundances' kind."""
        return empty(self.given, shape, dtype, self._solver.index, self.stream)


def _rows(array: DeviceArray) -> tuple[int, int, int]:
    """Address, cell stride and species stride of states (cells, species)."""
    return array.pointer, array.strides[0], array.strides[1]


def _is_number(value: Any) -> bool:
    """Whether a value of the host is one for all cells."""
    return int(np.size(value)) == 1


def _overlap(one: DeviceArray, other: DeviceArray) -> bool:
    """Whether two arrays may share memory."""

    def span(array: DeviceArray) -> tuple[int, int]:
        steps = [stride * (extent - 1) for stride, extent in zip(array.strides, array.shape, strict=True)]
        size = array.dtype.itemsize
        low, high = sum(min(step, 0) for step in steps), sum(max(step, 0) for step in steps) + 1
        return array.pointer + size * low, array.pointer + size * high

    (a, b), (c, d) = span(one), span(other)
    return a < d and c < b
