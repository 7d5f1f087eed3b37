"""The time from an empty directory to the first step: environment, pip, and the README's C and Fortran programs.

    .venv/bin/python benchmarks/first_step.py [--wheel FILE.whl]

From a source archive (packed first, not counted), and with --wheel (`make wheel`) from that wheel too. pip's and the
compilers' caches are left out; fetching the requirements from the registry is counted, installing compilers is not.
Seconds of the wall and of processors: on a busy machine the latter tell what it would be on an idle one.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from machine import Table, describe_machine

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "first_step.txt"
CACHES = ("CMAKE_C_COMPILER_LAUNCHER", "CMAKE_CXX_COMPILER_LAUNCHER")


def program(language: str) -> str:
    """The README's program in a language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    return str(found)


def processor_seconds() -> float:
    """What all commands so far took of the processors."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def first_step(package: Path, say: Callable[..., None]) -> None:
    """Install a package in an empty directory and build and run both programs."""
    environment = {name: value for name, value in os.environ.items() if name not in CACHES}
    begin, begin_processor = time.perf_counter(), processor_seconds()
    with tempfile.TemporaryDirectory() as empty:
        folder = Path(empty)

        def shell(what: str, command: str) -> None:
            start, used = time.perf_counter(), processor_seconds()
            result = subprocess.run(
                ["sh", "-ec", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
            )
            seconds = time.perf_counter() - start
            if result.returncode:
                raise SystemExit(f"{command}\n{result.stdout}{result.stderr}")
            answer = result.stdout.strip().splitlines()
            used = processor_seconds() - used
            say(f"  {seconds:7.1f} {used:7.1f} s  {what}{': ' + answer[0] if answer else ''}")

        shell("virtual environment", f"{sys.executable} -m venv venv")
        shell(
            "pip install, with what it requires",
            f"venv/bin/python -m pip install -q --disable-pip-version-check --no-cache-dir '{package}'",
        )
        (folder / "host.c").write_text(program("c"), encoding="utf-8")
        (folder / "host.f90").write_text(program("fortran"), encoding="utf-8")
        ask = "venv/bin/python -m pychemsurrogate"
        shell("C: compile", f"gcc host.c -o host_c $({ask} --cflags --libs)")
        shell("C: a step", "./host_c")
        shell("Fortran: compile", f"gfortran $({ask} --fortran-source) host.f90 -o host_fortran $({ask} --libs)")
        shell("Fortran: 20 steps of 1000 cells", "./host_fortran")
        wall, used = time.perf_counter() - begin, processor_seconds() - begin_processor
        say(f"  {wall:7.1f} {used:7.1f} s  in all")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path, help="measure this wheel too")
    chosen = parser.parse_args()
    table = Table()
    table("from an empty directory to the first step (compilers are installed; no caches): wall time, processors' time")
    table(*describe_machine())
    if chosen.wheel:
        table(f"from the wheel {chosen.wheel.name}")
        first_step(chosen.wheel.resolve(), table)
    with tempfile.TemporaryDirectory() as folder:
        pack = [sys.executable, "-m", "build", "--sdist", "--outdir", folder, str(ROOT)]
        subprocess.run(pack, check=True, capture_output=True)
        (archive,) = Path(folder).glob("*.tar.gz")
        table(f"from the source archive {archive.name}")
        first_step(archive, table)
    table.write(RESULT)


if __name__ == "__main__":
    main()
