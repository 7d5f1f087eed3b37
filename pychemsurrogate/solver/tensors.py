"""A caller's arrays on a GPU as torch tensors: torch's own, CuPy's, or any that `device_arrays` knows; no copies."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pychemsurrogate.solver.arrays import cell_values
from pychemsurrogate.solver.device_arrays import as_tensor, device_array, on_device, stream_address


def target(abundances: Any, out: Any, device: torch.device) -> tuple[Any, Tensor]:
    """What the caller gets back, and a tensor of it that holds the abundances and can be stepped in place.

    out: None allocates a tensor, the abundances themselves work in place, another array is filled. Raises TypeError or
    ValueError before anything is changed.
    """
    source = _floats(abundances, "abundances", device)
    if out is None:
        fresh = source.clone(memory_format=torch.contiguous_format)
        return fresh, fresh
    tensor = source if out is abundances else _floats(out, "out", device)
    if tensor.shape != source.shape:
        raise ValueError(f"out has shape {tuple(tensor.shape)}, abundances have {tuple(source.shape)}")
    reach = sum(stride * (extent - 1) for stride, extent in zip(tensor.stride(), tensor.shape, strict=True))
    if tensor.numel() and reach + 1 < tensor.numel():
        raise ValueError("elements of the output array overlap (an expanded tensor?): pass out=None")
    if tensor is not source:
        tensor.copy_(source)
    return out, tensor


def states(abundances: Any, device: torch.device) -> Tensor:
    """Abundances that are only read. Raises as `target`."""
    return _floats(abundances, "abundances", device)


def values(value: Any, name: str, cells: int, unit: str, device: torch.device, *, positive: bool) -> Tensor:
    """A condition as (1) or (cells) float64 on the device.

    A number is checked here; what a tensor holds is not looked at, so that a bad value there is the cells' own. Values
    in the host's memory are copied, for which the host waits.
    """
    there = as_tensor(value, name) if on_device(value) else value
    if not isinstance(there, Tensor) or there.device.type == "cpu":
        array = cell_values(there, name, cells, unit, positive=positive)
        if array.size == 1:
            return torch.full((1,), float(array[0]), dtype=torch.float64, device=device)
        return torch.tensor(array, device=device)
    _check_device(there, name, device)
    if tuple(there.shape) not in ((), (1,), (cells,)):
        raise ValueError(
            f"{name} has shape {tuple(there.shape)}: pass a scalar or one value for each of the {cells} cells"
        )
    return there.detach().reshape(-1).to(torch.float64)


def flags(mask: Any, cells: int, device: torch.device) -> Tensor:
    """A mask (cells) as bool on the device."""
    there = torch.as_tensor(as_tensor(mask, "mask") if on_device(mask) else mask)
    if tuple(there.shape) != (cells,):
        raise ValueError(f"mask has shape {tuple(there.shape)}, not ({cells},)")
    return (there if there.dtype == torch.bool else there != 0).to(device)


def errors(error_dex: Any, cells: int, device: torch.device) -> Tensor:
    """The errors (cells) that the step carries on in place."""
    tensor = _floats(error_dex, "error_dex", device)
    if tuple(tensor.shape) != (cells,):
        raise ValueError(f"error_dex has shape {tuple(tensor.shape)}, not ({cells},)")
    return tensor


def hand_back(array: Any) -> None:
    """Let the stream that an array of another library names wait for torch's current one there, where the step is."""
    if isinstance(array, Tensor) or (stream := device_array(array, "out").stream) is None:
        return
    current = torch.cuda.current_stream()
    if stream_address(stream) != stream_address(current):
        torch.cuda.ExternalStream(stream_address(stream)).wait_stream(current)


def _floats(array: Any, name: str, device: torch.device) -> Tensor:
    """A float64 tensor of the array's memory."""
    tensor = as_tensor(array, name)
    _check_device(tensor, name, device)
    if tensor.dtype != torch.float64:
        raise TypeError(f"{name} has dtype {tensor.dtype}: pass float64, such as {name}.double()")
    return tensor.detach()


def _check_device(tensor: Tensor, name: str, device: torch.device) -> None:
    if tensor.device != device:
        raise ValueError(f"{name} lives on {tensor.device}, the solver on {device}: pass {name}.to({str(device)!r})")
