"""What a benchmark's table must say about where it was made."""

from __future__ import annotations

import platform
import subprocess

from pychemsurrogate.evaluation.machine import processor_line, version_line


def describe_machine() -> list[str]:
    """Lines for a table's head: processor, cores, compiler, versions, date, load."""
    compiler = subprocess.run(["g++", "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    return [
        f"{processor_line()} at the start",
        f"compiler: {compiler}; {platform.system()} {platform.release()}",
        version_line(),
    ]
