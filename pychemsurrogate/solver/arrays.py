"""The host's arrays: numpy or torch, any strides, checked before anything is touched."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def is_tensor(array: object) -> bool:
    """Whether `array` is a torch tensor, without importing torch."""
    return type(array).__module__.split(".")[0] == "torch"


def refuse_masked(array: Any, name: str) -> None:
    """Raise TypeError for a numpy masked array, whose masked cells would be stepped like all others."""
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(
            f"{name} is a masked array: pass {name}.data, and mask= with false for the cells that are to be left alone"
        )


def check_type(array: Any, name: str) -> None:
    """Raise TypeError unless `array` is a float64 numpy array, or a torch tensor that is not traced for gradients."""
    refuse_masked(array, name)
    if isinstance(array, np.ndarray):
        is_float64 = array.dtype == np.float64
    elif is_tensor(array):
        is_float64 = str(array.dtype) == "torch.float64"
        if array.requires_grad:
            raise TypeError(f"{name} requires a gradient, which no step gives: pass {name}.detach()")
    else:
        told = f": pass {name}.to_numpy()" if hasattr(array, "to_numpy") else ""
        raise TypeError(f"{name} must be a numpy array or a torch tensor, not {type(array).__name__}{told}")
    if not is_float64:
        raise TypeError(f"{name} has dtype {array.dtype}: pass float64, {name}.astype('float64') or {name}.double()")


def host_target(abundances: Any, out: Any) -> tuple[Any, FloatArray]:
    """What the caller gets back, and a numpy view of it that holds the abundances and can be stepped in place.

    out: None allocates, the abundances themselves work in place, another array is filled.
    Raises TypeError or ValueError before anything is changed.
    """
    source = host_view(abundances, "abundances")
    if out is None:
        fresh = np.array(source, order="C")
        if is_tensor(abundances):
            from torch import from_numpy

            return from_numpy(fresh), fresh
        return fresh, fresh
    target = source if out is abundances else host_view(out, "out")
    if target.shape != source.shape:
        raise ValueError(f"out has shape {target.shape}, abundances have {source.shape}")
    if not target.flags.writeable:
        raise ValueError("the output array is read-only: pass out=None, or a writeable array")
    if any(stride % target.itemsize for stride in target.strides) or not target.flags.aligned:
        raise ValueError("the output array's strides are no whole float64 elements: pass out=None")
    reach = sum(abs(stride) * (extent - 1) for stride, extent in zip(target.strides, target.shape, strict=True))
    if target.size and reach + target.itemsize < target.nbytes:
        raise ValueError("elements of the output array overlap (a broadcast array?): pass out=None")
    if target is not source:
        np.copyto(target, source)
    return out, target


def host_view(array: Any, name: str) -> FloatArray:
    """A numpy view of the host's float64 array or CPU tensor; nothing is copied."""
    check_type(array, name)
    if not is_tensor(array):
        return np.asarray(array)
    if array.device.type != "cpu":
        raise ValueError(f"{name} lives on {array.device}: load the solver for that device, or pass {name}.cpu()")
    return np.asarray(array.detach().numpy())


def host_result(out: Any, shape: tuple[int, ...], source: FloatArray) -> FloatArray:
    """`out`, checked, or a fresh array of that shape if it is None; it may not overlap the source."""
    if out is None:
        return np.empty(shape)
    if not isinstance(out, np.ndarray) or out.dtype != np.float64:
        raise TypeError("out must be a float64 numpy array")
    if out.shape != shape or not out.flags.c_contiguous or not out.flags.writeable:
        raise ValueError(f"out must be a writeable array in C order of shape {shape}")
    if np.may_share_memory(out, source):
        raise ValueError("out overlaps the abundances: pass another array")
    return out


def cell_values(value: Any, name: str, cells: int, unit: str, *, positive: bool) -> FloatArray:
    """A condition as (1,) or (cells,) float64. A bad scalar raises ValueError; bad values of single cells do not."""
    if not isinstance(value, float):
        refuse_masked(value, name)
    try:
        if type(value) in (str, bytes):
            raise TypeError
        array = np.asarray(value.detach().cpu() if is_tensor(value) else value, dtype=np.float64)
    except OverflowError:
        raise ValueError(f"{name} is beyond any number of double precision, in {unit}") from None
    except (NotImplementedError, RuntimeError, TypeError, ValueError):  # the first two: a tensor without data
        raise TypeError(f"{name} must be a number or an array of numbers in {unit}") from None
    if array.shape not in ((), (1,), (cells,)):
        raise ValueError(f"{name} has shape {array.shape}: pass a scalar or one value for each of the {cells} cells")
    if array.ndim == 0:
        number = float(array)
        if not isfinite(number) or number < 0 or (positive and number == 0):
            raise ValueError(
                f"{name} is {number} {unit}: it must be finite and {'above 0' if positive else 'at least 0'}"
            )
        array = array.reshape(1)
    return array


def from_host(array: NDArray[Any], device: str) -> Any:
    """A copy of a host array as a tensor on `device`."""
    from torch import tensor

    return tensor(np.ascontiguousarray(array), device=device)


def host_tensor(array: FloatArray, device: str) -> Any:
    """A writeable host array as a tensor on `device`: on the CPU the array's own memory, where torch has such strides.

    torch has no negative strides; of an array with some, or one of odd bytes, a copy.
    """
    if device != "cpu" or any(stride < 0 or stride % array.itemsize for stride in array.strides):
        return from_host(array, device)
    from torch import from_numpy

    return from_numpy(array)


def shares_memory(tensor: Any, array: NDArray[Any]) -> bool:
    """Whether the tensor lies on the CPU in the array's memory."""
    return bool(tensor.device.type == "cpu" and tensor.data_ptr() == array.__array_interface__["data"][0])
