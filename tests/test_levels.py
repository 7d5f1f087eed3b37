"""Imports look strictly downward; the table of docs/architecture.md is what the sources do."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "pychemsurrogate"
ROW = re.compile(r"^\| (\d+) \| ([^|]+) \|")


def declared_levels() -> dict[str, int]:
    """Room -> level, from the table in docs/architecture.md."""
    levels = {}
    for line in (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").splitlines():
        if match := ROW.match(line):
            levels.update(dict.fromkeys(re.findall(r"`(\w+)`", match[2]), int(match[1])))
    return levels | {"__main__": max(levels.values()) + 1}


def imported_rooms(source: Path) -> set[str]:
    """The rooms that a file imports, at its top or inside a function."""
    rooms = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "pychemsurrogate" else []
            names = names or [node.module or ""]
        rooms |= {name.split(".")[1] for name in names if name.startswith("pychemsurrogate.")}
    return rooms


def imports_of_rooms() -> dict[str, set[str]]:
    """Room -> the other rooms that it imports; the package root, which imports lazily, is no room."""
    imports: dict[str, set[str]] = {}
    for source in PACKAGE.rglob("*.py"):
        room = source.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room != "__init__":
            imports.setdefault(room, set()).update(imported_rooms(source) - {room, "__version__"})
    return imports


def test_imports_look_down() -> None:
    levels, imports = declared_levels(), imports_of_rooms()
    assert set(imports) <= set(levels), "every room has a level in docs/architecture.md"
    for room in sorted(imports, key=lambda r: (levels[r], r)):
        print(f"{levels[room]}  {room:<12} -> {', '.join(sorted(imports[room])) or '-'}")
    wrong = [
        f"{room} (level {levels[room]}) imports {other} (level {levels[other]})"
        for room, others in imports.items()
        for other in others
        if levels[other] >= levels[room]
    ]
    assert not wrong, "; ".join(wrong)


def test_the_network_room_needs_neither_torch_nor_the_compiled_core() -> None:
    heavy = {"torch", "matplotlib", "h5py", "_native"}
    for source in (PACKAGE / "network").rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert not heavy & {alias.name.split(".")[0] for alias in node.names}, source
            elif isinstance(node, ast.ImportFrom):
                assert not heavy & set((node.module or "").split(".")), source
