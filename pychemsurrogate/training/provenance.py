"""What made a file: command, date, versions."""

from __future__ import annotations

import platform
import sys
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any


def made_now(*packages: str) -> dict[str, Any]:
    """The command that runs, the date, and the versions of Python, numpy, this package and `packages`."""
    return {
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "pychemsurrogate", *packages)},
        },
    }
