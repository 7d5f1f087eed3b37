"""The byte layout of a model file (docs/architecture.md): named arrays in one flat little-endian file.

Nothing here knows what the arrays mean; `file.py` does.
"""

from __future__ import annotations

import os
import stat
import struct
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAGIC = b"PCSMODEL"
FORMAT_VERSION = 1
_HEADER = struct.Struct("<8sIIQII")  # magic, version, number of arrays, file length, CRC-32, reserved
_ENTRY = struct.Struct("<64sII4QQQ8s")  # name, type, rank, shape, offset, bytes, reserved
_ALIGNMENT = 64
_MAX_RANK = 4
_TYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("u1"),
    2: np.dtype("<i4"),
    3: np.dtype("<f4"),
    4: np.dtype("<f8"),
}
_TYPE_NUMBERS = {dtype: number for number, dtype in _TYPES.items()}

Array = NDArray[Any]


class ModelFileError(ValueError):
    """A model file that is missing, damaged or foreign; the message says which, and what to do."""


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT


def _little_endian(name: str, array: Array) -> Array:
    dtype = array.dtype.newbyteorder("<")
    if dtype not in _TYPE_NUMBERS:
        raise ModelFileError(
            f"array '{name}' has type {array.dtype}; a model file holds uint8, int32, float32, float64"
        )
    if array.ndim > _MAX_RANK:
        raise ModelFileError(f"array '{name}' has rank {array.ndim}; a model file holds rank {_MAX_RANK} at most")
    contiguous = np.empty(array.shape, dtype=dtype)
    contiguous[...] = array
    return contiguous


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write named arrays to `path`, whole or not at all (a temporary file is renamed into place).

    Raises ModelFileError for a type, rank or name that the format does not hold; OSError if the disk refuses.
    """
    directory, payload = b"", b""
    offset = _aligned(_HEADER.size + _ENTRY.size * len(arrays))
    start = offset
    for name, given in arrays.items():
        key = name.encode()
        if not key or len(key) > 63:
            raise ModelFileError(f"array name '{name}' must have 1 to 63 bytes")
        array = _little_endian(name, np.asarray(given))
        shape = array.shape + (1,) * (_MAX_RANK - array.ndim)
        directory += _ENTRY.pack(key, _TYPE_NUMBERS[array.dtype], array.ndim, *shape, offset, array.nbytes, b"\0" * 8)
        following = _aligned(offset + array.nbytes)
        payload += array.tobytes() + b"\0" * (following - offset - array.nbytes)
        offset = following
    body = directory.ljust(start - _HEADER.size, b"\0") + payload
    header = _HEADER.pack(MAGIC, FORMAT_VERSION, len(arrays), _HEADER.size + len(body), zlib.crc32(body), 0)

    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(header + body)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise


def read_arrays(path: Path) -> dict[str, Array]:
    """Read every array of the file; the arrays are read-only views of one buffer.

    Raises ModelFileError, with the reason and the remedy, for anything but a whole file of this format.
    """

    def refuse(reason: str) -> ModelFileError:
        return ModelFileError(f"{path}: {reason}")

    damaged = "the file is damaged; copy or download it again"
    try:
        if path.is_dir():
            raise refuse("is a folder; name the .pcs file itself")
        # Another kind of file may never end, and a large one is looked at before it is read.
        if not stat.S_ISREG(path.stat().st_mode):
            raise refuse("is no regular file; give a .pcs file")
        with path.open("rb") as file:
            header = file.read(_HEADER.size)
            size = os.fstat(file.fileno()).st_size
            known = header[: len(MAGIC)] == MAGIC and len(header) == _HEADER.size
            data = header + file.read() if known and _HEADER.unpack(header)[3] == size else header
    except FileNotFoundError:
        raise refuse("no such file; check the path, or give the name of a shipped model") from None
    except (OSError, ValueError) as error:
        if isinstance(error, ModelFileError):
            raise
        reason = error.strerror if isinstance(error, OSError) else error
        raise refuse(f"cannot be read ({reason}); check the path and its permissions") from None
    if not data:
        raise refuse("is empty; copy or download it again")
    if data[: len(MAGIC)] != MAGIC[: len(data)]:
        raise refuse("is not a model file (it does not begin with PCSMODEL); give a .pcs file")
    if len(data) < _HEADER.size:
        raise refuse(f"ends inside its header; {damaged}")
    _, version, count, length, checksum, reserved = _HEADER.unpack_from(data)
    if version > FORMAT_VERSION or version < 1:
        raise refuse(
            f"has format version {version}, and this version of pychemsurrogate reads {FORMAT_VERSION}; "
            "upgrade pychemsurrogate, or write the model again"
        )
    if length != len(data):
        raise refuse(f"holds {size} bytes where its header says {length}; {damaged}")
    if zlib.crc32(memoryview(data)[_HEADER.size :]) != checksum or reserved != 0:
        raise refuse(f"fails its checksum; {damaged}")
    directory_end = _HEADER.size + count * _ENTRY.size
    if directory_end > length:
        raise refuse(f"its directory runs past the end of the file; {damaged}")

    arrays: dict[str, Array] = {}
    for index in range(count):
        key, number, rank, *rest = _ENTRY.unpack_from(data, _HEADER.size + index * _ENTRY.size)
        shape, (offset, size) = rest[:_MAX_RANK], rest[_MAX_RANK : _MAX_RANK + 2]
        try:
            name = key.rstrip(b"\0").decode()
        except UnicodeDecodeError:
            raise refuse(f"entry {index} of its directory has no readable name; {damaged}") from None
        if not name or name in arrays or number not in _TYPES or rank > _MAX_RANK or any(n != 1 for n in shape[rank:]):
            raise refuse(f"entry {index} ('{name}') of its directory makes no sense; {damaged}")
        dtype = _TYPES[number]
        items = 1
        for extent in shape[:rank]:
            items *= extent
        if items * dtype.itemsize != size or offset % _ALIGNMENT or offset < directory_end or offset + size > length:
            raise refuse(f"array '{name}' lies outside the file or has the wrong size; {damaged}")
        arrays[name] = np.frombuffer(data, dtype=dtype, count=items, offset=offset).reshape(shape[:rank])
    return arrays
