"""What all figures share: their style, and how they are saved."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from matplotlib.figure import Figure

STYLE: Final[dict[Any, Any]] = {
    "font.size": 9,
    "font.family": "serif",
    "mathtext.fontset": "dejavuserif",
    "axes.titlesize": 9,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 150,
    "savefig.bbox": "tight",
}
"""Settings of matplotlib (`rc_context`) under which figures are drawn and saved."""


def save(figures: Mapping[str, Figure], folder: Path) -> list[Path]:
    """Write each figure into the folder as NAME.png and return the paths."""
    paths = []
    for name, figure in figures.items():
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1])
    return paths
