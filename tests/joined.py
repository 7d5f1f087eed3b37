"""The shipped learned paths in one model, as `pychemsurrogate model join` makes it."""

from __future__ import annotations

from functools import lru_cache

from native_build import ROOT

from pychemsurrogate.model_file import ModelFile

NAMES = ("fast", "accurate")


@lru_cache(maxsize=1)
def joined_model() -> str:
    """The path of a model with both, for those who route between several."""
    path = ROOT / "build" / "tests" / "joined.pcs"
    ModelFile.join([(name, ModelFile.read(f"osu_09_2008-{name}")) for name in NAMES]).write(path)
    return str(path)
