"""Networks by name or by path."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pychemsurrogate.network.formats import native_text
from pychemsurrogate.network.network import Network
from pychemsurrogate.network.species import NetworkError

SHIPPED: Final = Path(__file__).resolve().parent.parent / "data" / "networks"
SUFFIX: Final = ".network"


def shipped_networks() -> tuple[str, ...]:
    """Names of the networks that come with the package."""
    return tuple(sorted(path.stem for path in SHIPPED.glob(f"*{SUFFIX}")))


def load_network(name_or_path: str | Path) -> Network:
    """Load a shipped network by name ("osu_09_2008"), or any network from a file in the project's text format.

    Raises NetworkError if there is no such name or file, or if the file is not a valid network.
    """
    shipped = SHIPPED / f"{name_or_path}{SUFFIX}"
    path = shipped if str(name_or_path) in shipped_networks() else Path(name_or_path)
    if not path.is_file():
        raise NetworkError(
            f'no network "{name_or_path}": neither a file nor a shipped network ({", ".join(shipped_networks())})'
        )
    return native_text.read(path)
