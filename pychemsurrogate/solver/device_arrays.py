"""Arrays in a GPU's memory, of whatever library the caller has; nothing is copied and no library is imported.

torch tensors, CuPy's and numba's arrays, and any object with `__cuda_array_interface__` or `__dlpack__`.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pychemsurrogate import _native
from pychemsurrogate.solver.arrays import is_tensor

# As CUDA spells them, for interfaces in which 0 is no stream.
LEGACY_STREAM: Final = 1
_DLPACK_CUDA: Final = (2, 13)  # kDLCUDA, kDLCUDAManaged
_DLPACK_KINDS: Final = {0: "i", 1: "u", 2: "f", 5: "c", 6: "b"}  # the others are no types of numpy's


@dataclass(frozen=True)
class DeviceArray:
    """What an array says of itself: strides in elements, dtype in numpy's words, device None if it does not say.

    stream: where the array's library works now, None if it does not say; library: "torch", "cupy" or ""; owner: what
    keeps the memory.
    """

    pointer: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]
    device: int | None
    stream: int | None
    library: str
    read_only: bool
    owner: Any

    @property
    def contiguous(self) -> bool:
        """Whether the elements lie in C order without gaps."""
        return not prod(self.shape) or all(
            extent == 1 or stride == step
            for extent, stride, step in zip(self.shape, self.strides, c_strides(self.shape), strict=True)
        )


def c_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides in elements of an array in C order."""
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


def on_device(array: Any) -> bool:
    """Whether an array lies in a GPU's memory, as far as it says itself."""
    if is_tensor(array):
        return bool(array.device.type == "cuda")
    if isinstance(array, np.ndarray | float | int):
        return False
    return hasattr(array, "__cuda_array_interface__") or _dlpack_device(array) is not None


def device_array(array: Any, name: str, stream: int | None = None) -> DeviceArray:
    """An array of the device as it lies there. stream: where the caller is going to use it, if that is known.

    Raises TypeError for what is no such array, ValueError for one whose strides are no whole elements.
    """
    if is_tensor(array):
        return _of_tensor(array, name)
    if hasattr(array, "__cuda_array_interface__"):
        return _of_interface(array, name)
    if _dlpack_device(array) is not None:
        return _of_dlpack(array, name, stream)
    raise TypeError(f"{name} must be an array on the GPU, not {type(array).__name__}: torch, CuPy, numba or any with "
                    "__cuda_array_interface__ or __dlpack__")  # fmt: skip


def _of_tensor(tensor: Any, name: str) -> DeviceArray:
    if tensor.device.type != "cuda":
        raise ValueError(f"{name} lives on {tensor.device}, the abundances on a GPU: pass {name}.cuda(), or a number")
    torch = sys.modules["torch"]
    return DeviceArray(
        pointer=tensor.data_ptr(),
        shape=tuple(tensor.shape),
        strides=tuple(tensor.stride()),
        dtype=_tensor_dtype(tensor.dtype),
        device=int(tensor.device.index),
        stream=int(torch.cuda.current_stream(tensor.device).cuda_stream),
        library="torch",
        read_only=False,
        owner=tensor,
    )


@cache
def _tensor_dtype(dtype: Any) -> np.dtype[Any]:
    try:
        return np.dtype(str(dtype).removeprefix("torch."))
    except TypeError:  # bfloat16 and smaller ones: no type of numpy's
        return np.dtype("V2")


def _of_interface(array: Any, name: str) -> DeviceArray:
    said = array.__cuda_array_interface__
    if said.get("mask") is not None:
        raise ValueError(f"{name} is a masked array of the GPU: pass its data, and the cells' mask as mask=")
    dtype, shape = np.dtype(said["typestr"]), tuple(int(extent) for extent in said["shape"])
    strides = said.get("strides")
    stream = said.get("stream")
    if stream == 0:
        raise ValueError(f"{name}: stream 0 in __cuda_array_interface__ means nothing; 1 is the default stream")
    library = "cupy" if type(array).__module__.split(".")[0] == "cupy" else ""
    return DeviceArray(
        pointer=int(said["data"][0] or 0),
        shape=shape,
        strides=c_strides(shape) if strides is None else _elements(strides, dtype.itemsize, name),
        dtype=dtype,
        device=int(array.device.id) if library else None,
        stream=None if stream is None else int(stream),
        library=library,
        read_only=bool(said["data"][1]),
        owner=array,
    )


def _elements(strides: Any, itemsize: int, name: str) -> tuple[int, ...]:
    if any(stride % itemsize for stride in strides):
        raise ValueError(f"{name}: its strides are no whole elements; pass a copy")
    return tuple(int(stride) // itemsize for stride in strides)


class _DLTensor(ctypes.Structure):
    """DLPack's, whose layout has not changed since 0.2 (dlpack.h); the managed tensor begins with it."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


def _dlpack_device(array: Any) -> int | None:
    """The GPU on which an object with DLPack's methods lies; None: on none, or no such object."""
    if not hasattr(array, "__dlpack__") or not hasattr(array, "__dlpack_device__"):
        return None
    kind, device = array.__dlpack_device__()
    return int(device) if int(kind) in _DLPACK_CUDA else None


def _of_dlpack(array: Any, name: str, stream: int | None) -> DeviceArray:
    capsule = array.__dlpack__(stream=stream or LEGACY_STREAM)  # the owner makes that stream wait for its own
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    tensor = _DLTensor.from_address(get(capsule, b"dltensor"))
    shape = tuple(tensor.shape[axis] for axis in range(tensor.ndim))
    if tensor.lanes != 1 or tensor.code not in _DLPACK_KINDS:
        raise TypeError(f"{name} is of a type that numpy does not know: pass float64")
    return DeviceArray(
        pointer=(tensor.data or 0) + tensor.byte_offset,
        shape=shape,
        strides=tuple(tensor.strides[axis] for axis in range(tensor.ndim)) if tensor.strides else c_strides(shape),
        dtype=np.dtype(f"{_DLPACK_KINDS[tensor.code]}{tensor.bits // 8}"),
        device=int(tensor.device_id),
        stream=stream,
        library="",
        read_only=False,
        owner=(array, capsule),  # unused, the capsule frees what it holds when it goes
    )


# --- streams --------------------------------------------------------------------------------------------------------


def stream_address(stream: Any) -> int:
    """The cudaStream_t of an address, or of a stream of torch, CuPy, numba or any library with `__cuda_stream__`."""
    if hasattr(stream, "__cuda_stream__"):
        said = stream.__cuda_stream__
        return _address((said() if callable(said) else said)[1])
    for name in ("cuda_stream", "ptr"):  # torch's, CuPy's
        if hasattr(stream, name):
            return _address(getattr(stream, name))
    if hasattr(stream, "handle"):  # numba's
        return _address(getattr(stream.handle, "value", stream.handle) or 0)
    if isinstance(stream, int):
        return _address(stream)
    raise TypeError(f"stream must be a CUDA stream or its address, not {type(stream).__name__}")


def _address(stream: Any) -> int:
    """One spelling of the default stream."""
    return 0 if int(stream) == LEGACY_STREAM else int(stream)


# --- arrays of the caller's kind ------------------------------------------------------------------------------------


@contextmanager
def _working(like: DeviceArray, device: int, stream: int) -> Iterator[Any]:
    """The caller's library, set to work on that device and stream."""
    module: Any = sys.modules[like.library]
    if like.library == "torch":
        current = module.cuda.current_stream(device)
        if _address(current.cuda_stream) != stream:
            current = module.cuda.ExternalStream(stream, device=device)
        with module.cuda.device(device), module.cuda.stream(current):
            yield module
    else:
        current = module.cuda.get_current_stream()
        if _address(current.ptr) != stream:
            current = module.cuda.ExternalStream(stream, device) if stream else module.cuda.Stream.null
        with module.cuda.Device(device), current:
            yield module


def empty(like: DeviceArray, shape: tuple[int, ...], dtype: str, device: int, stream: int) -> Any:
    """An array of the caller's library, else a `DeviceBuffer`, whose memory is used on that stream; not initialised."""
    if not like.library:
        return DeviceBuffer(shape, dtype, device, stream)
    with _working(like, device, stream) as library:
        kind = getattr(library, dtype)
        return library.empty(shape, dtype=kind, device=f"cuda:{device}") if like.library == "torch" else library.empty(
            shape, dtype=kind
        )  # fmt: skip


def copied(source: DeviceArray, device: int, stream: int) -> Any:
    """A copy of an array in C order, of the caller's library, made on that stream."""
    target = empty(source, source.shape, source.dtype.name, device, stream)
    copy(target, device_array(target, "out"), source, device, stream)
    return target


def copy(target: Any, into: DeviceArray, source: DeviceArray, device: int, stream: int) -> None:
    """The source's elements into the target, described by `into`, on that stream. ValueError where nobody can."""
    if into.library and into.library == source.library:
        with _working(into, device, stream) as library:
            if into.library == "torch":
                target.copy_(source.owner.detach(), non_blocking=True)
            else:
                library.copyto(target, source.owner)
    elif into.contiguous and source.contiguous:
        _native.device_copy(into.pointer, source.pointer, prod(source.shape) * source.dtype.itemsize, device, stream)
    else:
        raise ValueError("out=None and another array as out need torch or CuPy arrays, or contiguous ones: pass "
                         "out=abundances")  # fmt: skip


# Memory that is no longer used but by work on its stream, after which the next use of that stream comes: to free it
# would wait for the device. By device, stream and size.
_spare: dict[tuple[int, int, int], list[_native.DeviceMemory]] = {}
_MOST_SPARE: Final = 64


class DeviceBuffer:
    """Memory of a GPU for callers without torch and CuPy: any library takes it by `__cuda_array_interface__`.

    stream: that of the work which fills it.
    """

    def __init__(self, shape: tuple[int, ...], dtype: str, device: int, stream: int) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.device = device
        self.stream = stream
        self._key = (device, stream, prod(shape) * self.dtype.itemsize)
        try:
            self._memory = _spare[self._key].pop()
        except (KeyError, IndexError):
            self._memory = _native.DeviceMemory(device, self._key[2])

    def __del__(self) -> None:
        if hasattr(self, "_memory") and sum(map(len, _spare.values())) < _MOST_SPARE:
            _spare.setdefault(self._key, []).append(self._memory)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        pointer = self._memory.pointer if prod(self.shape) else 0
        stream = self.stream or LEGACY_STREAM
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (pointer, False),
            "version": 3,
            "stream": stream,
        }

    def copy_to_host(self) -> NDArray[Any]:
        """The contents after the work on the stream: waits for it."""
        _native.device_synchronise(self.device, self.stream)
        return to_host(self, self.device)


def to_host(array: Any, device: int) -> NDArray[Any]:
    """The contents of a contiguous array that nobody writes any more."""
    lies = device_array(array, "the array")
    host = np.empty(lies.shape, lies.dtype)
    if host.size:
        _native.device_read(host, lies.pointer, device)
    return host


def as_tensor(array: Any, name: str = "abundances") -> Any:
    """The array as a torch tensor of the same memory, whose current stream there waits for the array's own.

    Raises TypeError for what lies on the host.
    """
    if is_tensor(array):
        return array
    if not on_device(array):
        raise TypeError(f"{name} must be an array on the GPU, not {type(array).__name__} in host memory")
    import torch

    if hasattr(array, "__dlpack__") and hasattr(array, "__dlpack_device__"):
        return torch.from_dlpack(array)  # orders the streams itself
    lies = device_array(array, name)
    tensor = torch.as_tensor(array, device="cuda")
    if lies.stream is not None:
        current = torch.cuda.current_stream(tensor.device)
        if _address(lies.stream) != _address(current.cuda_stream):
            current.wait_stream(torch.cuda.ExternalStream(_address(lies.stream), device=tensor.device))
    return tensor
