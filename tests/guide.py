"""The integration guide (docs/hosts): one page a route, each with one complete program of at most 40 lines."""

from __future__ import annotations

import re
from pathlib import Path

PAGES = Path(__file__).resolve().parent.parent / "docs" / "hosts"
MOST_LINES = 40


def block(page: str, language: str) -> str:
    """The only fenced block of a language in docs/hosts/<page>.md; a program, so no longer than promised."""
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    lines = found.count("\n")
    assert lines <= MOST_LINES, f"docs/hosts/{page}.md: the {language} program has {lines} lines"
    return found


def named_block(page: str, language: str, name: str) -> str:
    """The block of docs/hosts/<page>.md that opens with ```language name."""
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    (found,) = re.findall(rf"^```{language} {re.escape(name)}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return str(found)
