"""The host's memory as numpy arrays: nothing is copied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from cffi import FFI
from numpy.typing import NDArray

from pychemsurrogate.solver.ladder import Batch

_FFI = FFI()
_ONE = (np.zeros(1),)


def wrap(pointer: Any, kind: type, shape: Sequence[int], strides: Sequence[int], *, writeable: bool) -> NDArray[Any]:
    """The host's numbers at a C pointer; strides count elements and may be 0 or negative.

    The array is the host's memory: it must not outlive the call.
    """
    size = np.dtype(kind).itemsize
    if 0 in shape:
        return np.empty(shape, kind)
    reach = [(extent - 1) * stride for extent, stride in zip(shape, strides, strict=True)]
    lowest = sum(step for step in reach if step < 0)
    highest = sum(step for step in reach if step > 0)
    memory = _FFI.buffer(pointer + lowest, (highest - lowest + 1) * size)
    array: NDArray[Any] = np.ndarray(
        tuple(shape), kind, memory, -lowest * size, tuple(stride * size for stride in strides)
    )
    array.flags.writeable = writeable
    return array


def column(pointer: Any, cells: int, stride: int, *, writeable: bool = False) -> NDArray[np.float64]:
    """One double a cell, or (1,) where the stride is 0."""
    return wrap(pointer, np.float64, (cells if stride else min(cells, 1),), (stride,), writeable=writeable)


def batch_of(cells: Any, species: int, conditions: int) -> Batch:
    """A call's cells (pcs_bridge_cells) as the solver has them; a status array of their own if the host has none."""
    count = cells.n_cells
    rows = count if cells.condition_cell_stride else min(count, 1)
    if conditions:
        strides = (cells.condition_cell_stride, cells.condition_stride)
        table = wrap(cells.conditions, np.float64, (rows, conditions), strides, writeable=False)
    else:
        table = np.empty((min(count, 1), 0))
    if cells.n_cm3:
        each = count if cells.cell_stride or count == 1 else 1  # derivatives may share one state
        n = wrap(cells.n_cm3, np.float64, (each, species), (cells.cell_stride, cells.species_stride), writeable=True)
    else:
        n = np.empty((0, species))
    return Batch(
        n=n,
        dt=column(cells.dt_s, count, cells.dt_stride) if cells.dt_s else _ONE[0],
        temperature=column(cells.temperature_K, count, cells.temperature_stride),
        conditions=table,
        status=flags(cells.status, (count,)) if cells.status else np.zeros(count, np.int8),
        mask=flags(cells.mask, (count,)) if cells.mask else None,
        counts=wrap(cells.counts, np.int32, (count, 3), (3, 1), writeable=True) if cells.counts else None,
        error_dex=column(cells.error_dex, count, cells.error_stride, writeable=True) if cells.error_dex else None,
    )


def flags(pointer: Any, shape: tuple[int, ...]) -> NDArray[np.int8]:
    """The host's bytes: status or mask, contiguous."""
    strides = (1,) if len(shape) == 1 else (shape[1], 1)
    return wrap(pointer, np.int8, shape, strides, writeable=True)
