"""Astrochemical reaction networks advanced by a surrogate that knows when to hand a cell to the exact integrator.

The rooms are described in docs/architecture.md. Names are imported at first use, so that a network can be
read without the compiled core, torch or matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pychemsurrogate.status import STATUS_MESSAGES, Status

if TYPE_CHECKING:
    from pychemsurrogate.network import Network, load_network
    from pychemsurrogate.solver import Solver

__version__ = "0.1.0"

__all__ = ["STATUS_MESSAGES", "Network", "Solver", "Status", "__version__", "load_network"]

_HOMES = {
    "Network": "pychemsurrogate.network",
    "load_network": "pychemsurrogate.network",
    "Solver": "pychemsurrogate.solver",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its room when it is first asked for."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'pychemsurrogate' has no attribute {name!r}")
    return getattr(import_module(home), name)
