"""A model card as one HTML page that needs nothing else: figures inside, no scripts, no network."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from pychemsurrogate.evaluation.card.figures import draw_model, draw_path
from pychemsurrogate.evaluation.card.measured import Card


def write_page(card: Card, path: str | Path) -> Path:
    """Write the page of a card and return its path. Raises OSError if it cannot be written."""
    path = Path(path)
    path.write_text(page(card), encoding="utf-8")
    return path


def page(card: Card) -> str:
    """The page's HTML. It holds the card's numbers as JSON, in the element with the id "figures"."""
    environment = Environment(
        loader=PackageLoader("pychemsurrogate.evaluation.card", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"dex": _dex, "percent": _percent, "number": _number}
    # "</" would end the element that holds the numbers.
    numbers = json.dumps(card.plain(), allow_nan=False, separators=(",", ":")).replace("</", "<\\/")
    html: str = environment.get_template("card.html.j2").render(
        card=card,
        numbers=numbers,
        figures={name: _uri(figure) for name, figure in draw_model(card).items()},
        path_figures=[{name: _uri(figure) for name, figure in draw_path(own).items()} for own in card.paths],
    )
    return html


def _uri(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def _dex(value: float | None) -> str:
    """An error [dex] with three digits, a dash for none."""
    return "–" if value is None else f"{value:.3g}"


def _percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100.0 * value:.{digits}f} %"


def _number(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
