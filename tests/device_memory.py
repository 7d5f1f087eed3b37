"""Where tests of arrays on a GPU run: on a real one, or on the emulated one; and arrays of no library."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from native_build import build
from numpy.typing import NDArray

from pychemsurrogate import _native

Array = NDArray[Any]


class Plain:
    """Device memory of no library: a view of a copy of a host's buffer, told by `__cuda_array_interface__`."""

    def __init__(
        self, buffer: Array, view: Array | None = None, *, stream: int | None = None, version: int = 3
    ) -> None:
        assert buffer.flags.c_contiguous
        view = buffer if view is None else view
        self.shape, self.dtype = view.shape, view.dtype
        self._strides, self._offset = view.strides, view.ctypes.data - buffer.ctypes.data
        self._buffer = buffer
        self.memory = _native.DeviceMemory(0, max(buffer.nbytes, 1))
        _native.device_copy(self.memory.pointer, buffer.ctypes.data, buffer.nbytes, 0, 0)
        _native.device_synchronise(0, 0)
        self.stream, self.version = stream, version
        self.read_only = False

    @property
    def pointer(self) -> int:
        return self.memory.pointer + self._offset

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        said: dict[str, Any] = {
            "shape": self.shape,
            "strides": self._strides,
            "typestr": self.dtype.str,
            "data": (self.pointer, self.read_only),
            "version": self.version,
        }
        if self.version >= 3:
            said["stream"] = self.stream
        return said

    def numpy(self) -> Array:
        """What is there now, in C order; after all work on the default stream and on the array's."""
        _native.device_synchronise(0, self.stream or 0)
        copied = np.empty_like(self._buffer)
        _native.device_read(copied, self.memory.pointer, 0)
        flat = copied.reshape(-1).view(np.uint8)
        return np.ndarray(self.shape, self.dtype, flat.data, self._offset, self._strides).copy()


class ByDlpack:
    """The same memory, told by DLPack alone."""

    class _Tensor(ctypes.Structure):
        _fields_ = (
            ("data", ctypes.c_void_p),
            ("device", ctypes.c_int32 * 2),
            ("ndim", ctypes.c_int32),
            ("dtype", ctypes.c_uint8 * 2),
            ("lanes", ctypes.c_uint16),
            ("shape", ctypes.POINTER(ctypes.c_int64)),
            ("strides", ctypes.POINTER(ctypes.c_int64)),
            ("byte_offset", ctypes.c_uint64),
            ("manager", ctypes.c_void_p),
            ("deleter", ctypes.c_void_p),
        )

    def __init__(self, array: Plain, *, kind: int = 2) -> None:
        self.array = array
        self.kind = kind
        self.streams: list[int | None] = []
        ndim = len(array.shape)
        item = array.dtype.itemsize
        self._shape = (ctypes.c_int64 * ndim)(*array.shape)
        self._strides = (ctypes.c_int64 * ndim)(*(stride // item for stride in array._strides))
        code = {"i": 0, "u": 1, "f": 2}[array.dtype.kind]
        self._tensor = self._Tensor(
            array.pointer - 8, (kind, 0), ndim, (code, 8 * item), 1, self._shape, self._strides, 8, None, None
        )

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.kind, 0

    def __dlpack__(self, stream: int | None = None) -> object:
        self.streams.append(stream)
        new = ctypes.pythonapi.PyCapsule_New
        new.restype, new.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
        capsule: object = new(ctypes.addressof(self._tensor), b"dltensor", None)
        return capsule

    def numpy(self) -> Array:
        return self.array.numpy()


@dataclass
class Place:
    """A GPU: emulated or real; the libraries whose arrays are tried there."""

    emulated: bool
    libraries: tuple[str, ...]
    runtime: Any = field(default=None, repr=False)  # the emulated CUDA runtime

    def put(self, buffer: Array, view: Array | None = None, library: str = "plain") -> Any:
        """The view of a copy of the buffer there."""
        if library == "plain":
            return Plain(buffer, view)
        assert buffer.flags.c_contiguous
        view = buffer if view is None else view
        begin = (view.ctypes.data - buffer.ctypes.data) // buffer.itemsize
        strides = [stride // buffer.itemsize for stride in view.strides]
        module = sys.modules[library]
        if library == "torch":
            return module.as_tensor(buffer.copy(), device="cuda").as_strided(view.shape, strides, begin)
        there = module.asarray(buffer).reshape(-1)[begin:]
        return module.lib.stride_tricks.as_strided(there, view.shape, view.strides)

    def host(self, array: Any) -> Array:
        """Its contents."""
        if hasattr(array, "copy_to_host"):
            return np.asarray(array.copy_to_host())
        if hasattr(array, "cpu"):
            return np.asarray(array.cpu().numpy())
        return np.asarray(array.get()) if hasattr(array, "get") else np.asarray(array.numpy())

    def stream(self) -> int:
        """A new stream of the emulated runtime, by its address."""
        made = ctypes.c_void_p()
        assert self.runtime.cudaStreamCreate(ctypes.byref(made)) == 0
        return int(made.value or 0)


def emulated() -> tuple[str, Place]:
    """The path of libpcs_cuda on the emulated runtime, built if need be, and the place."""
    libraries = build("pcs_cuda_emulated").libraries
    runtime = ctypes.CDLL(str(libraries / "libcudart_emulated.so"))
    return str(libraries / "libpcs_cuda_emulated.so"), Place(True, ("plain",), runtime)


def real() -> Place | str:
    """The GPU of this machine, or why there is none to test on."""
    try:
        count = _native.device_count()
    except RuntimeError as error:
        return str(error)
    libraries = ["plain"]
    for name in ("torch", "cupy"):
        try:
            module = __import__(name)
            available = module.cuda.is_available()
        except ImportError:
            continue
        if available:
            libraries.append(name)
    return Place(False, tuple(libraries)) if count else "no GPU"
