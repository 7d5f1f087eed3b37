"""What every benchmark does: stay on one core, time calls, print a table that says where it was made, and keep it."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from pychemsurrogate.evaluation.machine import processor_line, version_line

P = ParamSpec("P")
T = TypeVar("T")


def describe_machine() -> list[str]:
    """Lines for a table's head: processor, cores, compiler, versions, date, load."""
    compiler = subprocess.run(["g++", "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    return [
        f"{processor_line()} at the start",
        f"compiler: {compiler}; {platform.system()} {platform.release()}",
        version_line(),
    ]


def use_one_core() -> None:
    """Pin this process to one core."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def timed(action: Callable[P, T], *given: P.args, **named: P.kwargs) -> tuple[T, float]:
    """What a call returns, and the processor's seconds that it took."""
    start = time.process_time()
    result = action(*given, **named)
    return result, time.process_time() - start


def repeated(repeats: int, action: Callable[P, T], *given: P.args, **named: P.kwargs) -> tuple[T, list[float]]:
    """What the last of several equal calls returns, and the processor's seconds of each."""
    runs = [timed(action, *given, **named) for _ in range(repeats)]
    return runs[-1][0], [seconds for _, seconds in runs]


class Table:
    """A benchmark's lines: each is printed as it comes and kept for the file."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def __call__(self, *lines: str) -> None:
        """Say some lines; without any, an empty one."""
        for line in lines or ("",):
            print(line, flush=True)
            self._lines.append(line)

    def keep(self, path: Path) -> None:
        """Write what was said so far."""
        path.write_text("\n".join(self._lines) + "\n", encoding="utf-8")

    def write(self, path: Path) -> None:
        """Say how busy the machine is at the end, and write all that was said."""
        self(f"load average at the end: {os.getloadavg()[0]:.2f}")
        path.parent.mkdir(parents=True, exist_ok=True)
        self.keep(path)
