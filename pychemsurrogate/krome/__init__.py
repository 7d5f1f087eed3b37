"""KROME-compatible modules over libpcs, generated for one network (docs/hosts/moving_from_krome.md)."""

from __future__ import annotations

from pychemsurrogate.krome.generate import GenerateError, generate
from pychemsurrogate.krome.krome_options import KromeOptionError, translated
from pychemsurrogate.krome.source import Source, read_source

__all__ = ["GenerateError", "KromeOptionError", "Source", "generate", "read_source", "translated"]
