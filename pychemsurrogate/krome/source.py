"""What the modules are generated from: a network file of any format that is read, a shipped network, or a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pychemsurrogate.model_file import ModelFile, shipped_models
from pychemsurrogate.network import load_network
from pychemsurrogate.network.formats.krome import read_krome
from pychemsurrogate.network.library import detect_format, shipped_networks


@dataclass(frozen=True)
class Source:
    """A model, and KROME's words for it where it came from a KROME file.

    names      KROME's names of the species, in the network's order
    reactions  KROME's text of the reactions
    commons    condition of the network -> the variable's name
    """

    model: ModelFile
    names: tuple[str, ...] | None = None
    reactions: tuple[str, ...] | None = None
    commons: Mapping[str, str] | None = None


def read_source(name_or_path: str) -> Source:
    """Read a model (.pcs, or a shipped one by name), a shipped network, or a network file.

    Raises ModelFileError, NetworkError, and OSError for a file that cannot be read.
    """
    path = Path(name_or_path)
    if path.suffix == ".pcs" or (name_or_path in shipped_models() and not path.exists()):
        return Source(ModelFile.read(name_or_path))
    if name_or_path in shipped_networks() or not path.is_file() or detect_format(path) != "krome":
        return Source(ModelFile.from_network(load_network(name_or_path)))
    krome = read_krome(path)
    commons = {condition: spelt for spelt, condition in krome.commons.items()}
    return Source(ModelFile.from_network(krome.network), krome.species, krome.reactions, commons)
