"""The host's arrays: numpy or torch, any strides, checked before anything is touched."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def is_tensor(array: object) -> bool:
    """Whether `array` is a torch tensor, without importing torch."""
    return type(array).__module__.split(".")[0] == "torch"


def host_view(array: Any, name: str) -> FloatArray:
    """A numpy view of the host's float64 array or CPU tensor; nothing is copied.

    Raises TypeError for other types and dtypes, ValueError for a tensor on another device.
    """
    if is_tensor(array):
        if array.device.type != "cpu":
            raise ValueError(f"{name} lives on {array.device}: load the solver for that device, or pass {name}.cpu()")
        array = array.detach().numpy()
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be a numpy array or a torch tensor, not {type(array).__name__}")
    if array.dtype != np.float64:
        raise TypeError(f"{name} has dtype {array.dtype}: pass float64, {name}.astype('float64') or {name}.double()")
    return array


def cell_values(value: Any, name: str, cells: int, unit: str, *, positive: bool) -> FloatArray:
    """A condition as (1,) or (cells,) float64. A bad scalar raises ValueError; bad values of single cells do not."""
    try:
        array = np.asarray(value.detach().cpu() if is_tensor(value) else value, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number or an array of numbers in {unit}") from None
    if array.shape not in ((), (1,), (cells,)):
        raise ValueError(f"{name} has shape {array.shape}: pass a scalar or one value for each of the {cells} cells")
    if array.ndim == 0:
        number = float(array)
        if not np.isfinite(number) or number < 0 or (positive and number == 0):
            raise ValueError(
                f"{name} is {number} {unit}: it must be finite and {'above 0' if positive else 'at least 0'}"
            )
        array = array.reshape(1)
    return array


def check_tensor(tensor: Any, name: str, device: str) -> None:
    """Raise TypeError or ValueError unless `tensor` is a float64 torch tensor on `device`."""
    if not is_tensor(tensor):
        raise TypeError(f"{name} must be a torch tensor on {device}, not {type(tensor).__name__}")
    if str(tensor.dtype) != "torch.float64":
        raise TypeError(f"{name} has dtype {tensor.dtype}: pass {name}.double()")
    if tensor.device.type != device.split(":")[0]:
        raise ValueError(f"{name} lives on {tensor.device}, the solver on {device}: pass {name}.to({device!r})")


def from_host(array: NDArray[Any], device: str) -> Any:
    """A copy of a host array as a tensor on `device`."""
    from torch import tensor

    return tensor(np.ascontiguousarray(array), device=device)
