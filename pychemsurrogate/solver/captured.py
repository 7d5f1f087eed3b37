"""A step whose kernels are recorded once, in CUDA graphs, and launched again by one call each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pychemsurrogate.solver.device_arrays import as_tensor
from pychemsurrogate.solver.precision import matmuls_in
from pychemsurrogate.solver.report import Report
from pychemsurrogate.solver.step import Course, by_learned_paths, compare, solve_withdrawn, write
from pychemsurrogate.solver.torch_engine import Call, Clock, Given, TorchEngine, added

_WARM_UPS = 2  # torch's libraries allocate at their first calls, which a graph cannot hold


class CapturedStep:
    """Advances the arrays that it was made for, where they lie, whenever it is called; made by `Solver.capture`.

    A step is three graphs with the exact path between them: the learned paths before it, the comparison of audited
    cells, after which it may be asked again, and the writing of results.
    A call reads what the arrays hold then; values that were given as numbers stay as they were. It belongs to one
    stream at a time: two calls may not overlap.
    """

    def __init__(self, engine: TorchEngine, given: Given) -> None:
        self._engine = engine
        self._given = given
        self._layout = _layout(given)
        self._record()

    def __call__(self) -> Report:
        """One step. Raises ValueError if an array was moved or reshaped since the capture."""
        if _layout(self._given) != self._layout:
            raise ValueError("the arrays of a captured step were moved or reshaped: capture it again for those in use")
        engine = self._engine
        with torch.no_grad(), engine.on_device():
            engine.merge_audits()
            if engine.options() != self._course.options:
                self._record()
            for static, now in zip(self._thresholds, engine.thresholds(), strict=True):
                if static is not None:
                    static.copy_(now, non_blocking=True)
            course = self._course
            exact = engine.exact_path(None)
            call = Call(engine, Clock(engine.device), None)
            self._learned_paths()
            call.clock.mark()
            if exact is not None:
                first = exact(course.cells, course.state)
                self._comparing()
                again = solve_withdrawn(course, self._withdrawn, exact) if self._withdrawn is not None else dict
                call.by_exact = added(first, again)
            call.clock.mark()
            self._writing()
            call.end(course, course.cells.status.clone())  # the next call writes over them
        return call.report()

    def _record(self) -> None:
        engine, given = self._engine, self._given
        with torch.no_grad(), engine.on_device():
            self._thresholds = [None if t is None else t.clone() for t in engine.thresholds()]
            errors = None if given.error_dex is None else given.error_dex.clone()
            scratch = replace(given, n=given.n.clone(), error_dex=errors)

            def warm_up() -> None:
                for _ in range(_WARM_UPS):
                    course = self._learn(scratch)
                    compare(course)
                    write(course)

            engine.aside(warm_up)
            self._course, self._learned_paths = engine.recorded(lambda: self._learn(given))
            self._withdrawn, self._comparing = engine.recorded(lambda: compare(self._course))
            _, self._writing = engine.recorded(lambda: write(self._course))

    def _learn(self, given: Given) -> Course:
        course = self._engine.course(given, self._thresholds)
        with matmuls_in(self._engine.precision, self._engine.device.type):
            by_learned_paths(course)
        return course


def check_in_place(given: Given, read: dict[str, Any]) -> None:
    """Raise ValueError for an array among the values that were read, by name in their order, if it had to be copied."""
    tensors = (given.dt, given.temperature, given.mask, *given.conditions)
    for (name, value), tensor in zip(read.items(), tensors, strict=True):
        if value is None or isinstance(value, float | int):
            continue
        if tensor is None or as_tensor(value, name).data_ptr() != tensor.data_ptr():
            kind = "bool" if name == "mask" else "float64"
            raise ValueError(f"a captured step reads {name} where it lies: pass a number, or {kind} on the device")


def _layout(given: Given) -> list[tuple[Any, ...]]:
    """Where the arrays of a call lie and how."""
    columns: list[Tensor | None] = [given.dt, given.temperature, *given.conditions, given.mask, given.error_dex]
    return [() if t is None else (t.data_ptr(), tuple(t.shape), tuple(t.stride())) for t in (given.n, *columns)]
