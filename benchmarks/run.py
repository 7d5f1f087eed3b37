#!/usr/bin/env python3
"""Run every benchmark in turn (`make bench`). Each one prints its table and keeps it in benchmarks/results/."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARKS = ("exact_integrator.py", "krome_setting.py", "scaling.py")


def main() -> None:
    """Run them; the first failure ends it."""
    for name in BENCHMARKS:
        print(f"--- {name}", flush=True)
        subprocess.run([sys.executable, Path(__file__).resolve().parent / name], check=True)


if __name__ == "__main__":
    main()
