"""What a benchmark's table must say about where it was made."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

import pychemsurrogate


def processor_name() -> str:
    """The processor's name as /proc/cpuinfo has it, with family and model where the name alone says little."""
    found: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    return "{model name} (family {cpu family}, model {model})".format(**found)


def describe_machine() -> list[str]:
    """Lines for a table's head: processor, cores, compiler, versions, date, load."""
    compiler = subprocess.run(["g++", "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    return [
        f"processor: {processor_name()}, {os.cpu_count()} cores; load average {os.getloadavg()[0]:.2f} at the start",
        f"compiler: {compiler}; {platform.system()} {platform.release()}",
        f"pychemsurrogate {pychemsurrogate.__version__}, Python {platform.python_version()}, numpy {np.__version__}; "
        f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
    ]
