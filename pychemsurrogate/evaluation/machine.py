"""What a table of measurements must say about where it was made."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

import pychemsurrogate

_CPUINFO = Path("/proc/cpuinfo")


def processor_name() -> str:
    """The processor as Linux names it, with family and model as the name alone says little; else what Python knows."""
    if not _CPUINFO.is_file():
        return platform.processor() or platform.machine()
    found: dict[str, str] = {}
    for line in _CPUINFO.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    if not {"model name", "cpu family", "model"} <= found.keys():
        return platform.processor() or platform.machine()
    return "{model name} (family {cpu family}, model {model})".format(**found)


def processor_line() -> str:
    """Processor, number of cores, and how busy they are now."""
    return f"processor: {processor_name()}, {os.cpu_count()} cores; load average {os.getloadavg()[0]:.2f}"


def version_line() -> str:
    """Versions of what computes, and the date."""
    return (
        f"pychemsurrogate {pychemsurrogate.__version__}, Python {platform.python_version()}, numpy {np.__version__}; "
        f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC"
    )
