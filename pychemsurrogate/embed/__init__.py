"""What libpcs_embed calls: pcs.h served by Python, through C functions that cffi makes (docs/hosts/embed.md)."""

from __future__ import annotations

from pychemsurrogate.embed.bridge import serve
from pychemsurrogate.embed.errors import HostError
from pychemsurrogate.embed.python_model import HostModel

__all__ = ["HostError", "HostModel", "serve"]
