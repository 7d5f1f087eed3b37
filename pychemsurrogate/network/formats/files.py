"""Text of network files: regular files alone, of a size that a network can have, in UTF-8."""

from __future__ import annotations

import gzip
import stat
import zlib
from pathlib import Path
from typing import Final

from pychemsurrogate.network.species import NetworkError

MOST_BYTES: Final = 64 << 20
"""A file, also one that is decompressed; RATE22 has 0.9 MB."""
MOST_LINES: Final = 200_000


def read_text(path: str | Path, errors: str = "strict") -> str:
    """The text of a file, gzip-compressed if its name ends with .gz; errors: as of bytes.decode.

    Raises NetworkError for what is no regular file (a pipe would wait for ever), more than MOST_BYTES or MOST_LINES,
    damaged compression and text that is not UTF-8; OSError for a file that is missing or cannot be read.
    """
    path = Path(path)
    if not stat.S_ISREG(path.stat().st_mode):
        raise NetworkError(f"{path}: is no regular file; give the network file itself")
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise NetworkError(f"{path}: is no gzip file, or a damaged one ({error}); copy or download it again") from None
    if len(content) > MOST_BYTES:
        raise NetworkError(
            f"{path}: has more than {MOST_BYTES >> 20} MB; no network has so much: is it the right file?"
        )
    if content.count(b"\n") > MOST_LINES:
        raise NetworkError(f"{path}: has more than {MOST_LINES} lines; no network has so many: is it the right file?")
    try:
        return content.decode("utf-8", errors)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise NetworkError(f"{path}:{line}: is not UTF-8 text; save it in that encoding") from None
