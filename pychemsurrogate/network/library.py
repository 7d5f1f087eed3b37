"""Networks by name or by path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from pychemsurrogate.network.formats import kida, krome, native_text, umist
from pychemsurrogate.network.formats.database import numbered_lines
from pychemsurrogate.network.network import FORMAT_LINE, Network
from pychemsurrogate.network.species import NetworkError

SHIPPED: Final = Path(__file__).resolve().parent.parent / "data" / "networks"
SUFFIX: Final = ".network"

READERS: Final = {"native": native_text.read, "umist": umist.read, "kida": kida.read, "krome": krome.read}


def shipped_networks() -> tuple[str, ...]:
    """Names of the networks that come with the package."""
    return tuple(sorted(path.stem for path in SHIPPED.glob(f"*{SUFFIX}")))


def load_network(name_or_path: str | Path, format: str | None = None, **options: Any) -> Network:  # noqa: A002
    """Load a shipped network by name ("osu_09_2008"), or any network from a file.

    format: "native" (the project's text format), "umist", "kida" or "krome"; None: told by the file's content.
    `options` go to the format's reader (formats/umist.py, formats/kida.py, formats/krome.py).
    Raises NetworkError if there is no such name or file, or if the file is not a valid network.
    """
    shipped = SHIPPED / f"{name_or_path}{SUFFIX}"
    path = shipped if str(name_or_path) in shipped_networks() else Path(name_or_path)
    try:
        there = path.is_file()
    except OSError as error:  # a name that no file can have
        raise NetworkError(f"network {str(name_or_path)[:80]!r}: {error.strerror}") from None
    if not there:
        raise NetworkError(
            f'no network "{name_or_path}": neither a file nor a shipped network ({", ".join(shipped_networks())})'
        )
    chosen = format or detect_format(path)
    if chosen not in READERS:
        raise NetworkError(f'unknown network format "{chosen}"; the formats are {", ".join(READERS)}')
    if chosen == "native" and options:
        raise NetworkError(f"{path}: the project's own format does not take the options {', '.join(options)}")
    reader: Callable[..., Network] = READERS[chosen]
    return reader(path, **options)


def detect_format(path: Path) -> str:
    """Tell the format by the first line that is no comment; "native" if it looks like none of them."""
    lines = (line for _, line in numbered_lines(path, errors="replace") if not line.startswith(("!", "#")))
    first = next(lines, "")
    if first.strip() == FORMAT_LINE:
        return "native"
    if first.startswith(("@", "//", "/*")) or first.count(",") >= 10:  # KROME's marks, comments, default format
        return "krome"
    if first.count(":") >= 14:  # up to the first range's T_max
        return "umist"
    columns = first[89:].split()
    return "kida" if len(columns) >= 11 and columns[6].isdigit() and columns[9].isdigit() else "native"
