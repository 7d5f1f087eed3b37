"""ModelFile: the arrays of a .pcs file with their meaning (docs/architecture.md, "The model file")."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from pychemsurrogate.model_file.layout import Array, ModelFileError, read_arrays, write_arrays
from pychemsurrogate.network import CONDITION_UNITS, Network, NetworkError
from pychemsurrogate.network.formats import native_text

SUFFIX = ".pcs"
MOST_PATHS = 8  # that a file may hold


_SHIPPED = Path(__file__).resolve().parent.parent / "data" / "models"


def shipped_models() -> tuple[str, ...]:
    """Names of the models that come with the package."""
    return tuple(sorted(path.stem for path in _SHIPPED.glob(f"*{SUFFIX}")))


def shipped_model_path(name: str) -> Path:
    """Path of the model `name` that comes with the package, e.g. "osu_09_2008".

    Raises ModelFileError, with the names that there are, if no such model is shipped.
    """
    path = _SHIPPED / f"{name}{SUFFIX}"
    if not path.is_file():
        names = ", ".join(shipped_models()) or "none"
        raise ModelFileError(
            f"no shipped model '{name}' (there are: {names}); give one of these, or a path to a .pcs file"
        )
    return path


def _text_array(text: str) -> Array:
    return np.frombuffer(text.encode(), dtype=np.uint8)


@dataclass
class ModelFile:
    """A model: named arrays (network/..., surrogate/..., gate/...) and what people and Python read (`meta`).

    A file may hold several learned paths, whose arrays lie below their names (`paths`). One without any holds a network
    alone and serves the exact integrator.
    """

    arrays: dict[str, Array]
    meta: dict[str, Any] = field(default_factory=dict)
    path: Path | None = None

    @classmethod
    def read(cls, path: str | PathLike[str]) -> ModelFile:
        """Read a .pcs file, or a shipped model by its name. Raises ModelFileError with reason and remedy."""
        given = Path(path)
        try:
            if given.suffix != SUFFIX and given.name == str(path) and not given.exists():
                given = shipped_model_path(str(path))
        except OSError as error:  # a name that no file can have
            raise ModelFileError(f"model {str(path)[:80]!r}: {error.strerror}") from None
        arrays = read_arrays(given)
        model = cls(arrays, path=given)
        model.require("meta/json", "network/text", "network/hash", "network/species")
        try:
            model.meta = json.loads(model.text("meta/json"))
        except json.JSONDecodeError:
            raise ModelFileError(f"{given}: its meta/json is not JSON; write the model again") from None
        del arrays["meta/json"]
        model._check_paths()
        return model

    @classmethod
    def from_network(cls, network: Network, meta: Mapping[str, Any] | None = None) -> ModelFile:
        """A file that holds the network alone (mode "exact"), ready for surrogate and gate arrays to be added."""
        tables = network.tables()
        arrays: dict[str, Array] = {}
        for item in fields(tables):
            value = getattr(tables, item.name)
            if item.name.startswith("expression_") and not value.size:
                continue  # files without formulas are those that older versions write and read
            arrays[f"network/{item.name}"] = value if isinstance(value, np.ndarray) else _text_array("\n".join(value))
        arrays["network/text"] = _text_array(network.text())
        arrays["network/hash"] = _text_array(network.hash)
        units = {"n": "cm^-3", "T": "K", "dt": "s", "x": "n/n_H, n_H counts H nuclei"}
        units |= {name: CONDITION_UNITS[name] for name in network.conditions if name in CONDITION_UNITS}
        return cls(arrays, {"network": network.name, "units": units, **(meta or {})})

    @classmethod
    def join(cls, parts: Iterable[tuple[str, ModelFile]]) -> ModelFile:
        """One model whose learned paths are those of several, each under its new name, the cheapest first.

        What people read of each is in meta["paths"][name]. Raises ModelFileError for models of different networks, one
        that does not hold one path without a name, names that do not do, and routers of different bins.
        """
        named = list(parts)
        joined: ModelFile | None = None
        for name, model in named:
            if model.paths != [""]:
                raise ModelFileError(f"{model.label}: only a model with one unnamed learned path can be joined")
            network = model.network()
            if joined is None:
                joined = cls.from_network(network, {"paths": {}})
            elif network.hash != joined.text("network/hash"):
                raise ModelFileError(f"{model.label}: is for another network than {named[0][1].label}")
            own = {key: array for key, array in model.arrays.items() if not key.startswith("network/")}
            joined.arrays |= {f"{name}/{key}": array for key, array in own.items()}
            joined.meta["paths"][name] = model.meta
        if joined is None:
            raise ModelFileError("there is no model to join")
        joined.arrays["paths"] = _text_array("\n".join(name for name, _ in named))
        joined._check_paths()
        return joined

    def write(self, path: str | PathLike[str]) -> None:
        """Write the file, whole or not at all."""
        text = json.dumps(self.meta, indent=1, sort_keys=True)
        write_arrays(Path(path), {"meta/json": _text_array(text), **self.arrays})
        self.path = Path(path)

    def text(self, name: str) -> str:
        """The u8 array `name` as text. Raises ModelFileError if it is absent or no text."""
        self.require(name)
        try:
            return self.arrays[name].astype(np.uint8, casting="no").tobytes().decode()
        except (TypeError, UnicodeDecodeError):
            raise ModelFileError(f"{self.label}: array '{name}' is not text; write the model again") from None

    def text_list(self, name: str) -> list[str]:
        """The u8 array `name` as a list, one item a line. Raises ModelFileError if it is absent or no text."""
        text = self.text(name)
        return text.split("\n") if text else []

    def network(self) -> Network:
        """The network, parsed from network/text. Raises ModelFileError if text and hash disagree."""
        try:
            network = native_text.parse(self.text("network/text"), f"{self.label}, network/text")
        except NetworkError as error:
            raise ModelFileError(f"{error}; write the model again") from None
        if network.hash != self.text("network/hash"):
            raise ModelFileError(f"{self.label}: the network's text does not match its hash; write the model again")
        return network

    def require(self, *names: str) -> None:
        """Raise ModelFileError unless every named array is there."""
        absent = [name for name in names if name not in self.arrays]
        if absent:
            raise ModelFileError(
                f"{self.label}: lacks {', '.join(absent)}; it is not a whole model, "
                "write it again with `pychemsurrogate train` or `pychemsurrogate model network`"
            )

    def require_species(self, species: Iterable[str]) -> None:
        """Raise ModelFileError unless the model is for exactly these species, in this order."""
        expected, found = list(species), self.text_list("network/species")
        if expected != found:
            raise ModelFileError(
                f"{self.label}: is a model for another species list ({', '.join(found)}); "
                f"give a model for {', '.join(expected)}, or order the abundances as the model does"
            )

    @property
    def paths(self) -> list[str]:
        """Names of the learned paths, cheapest first: "" alone for one without a name, none for a network alone.

        Raises ModelFileError for names that are empty, not different, or hold a slash, and for more than MOST_PATHS.
        """
        if "paths" not in self.arrays:
            return [""] if any(name.startswith("surrogate/") for name in self.arrays) else []
        names = self.text_list("paths")
        if not 1 <= len(names) <= MOST_PATHS:
            raise ModelFileError(f"{self.label}: must name 1 to {MOST_PATHS} paths; write the model again")
        for name in names:
            if not name or "/" in name or names.count(name) > 1:
                raise ModelFileError(
                    f"{self.label}: names a path '{name}': names must differ, and none may be empty or hold a /"
                )
        return names

    def of_path(self, path: str) -> ModelFile:
        """The model as if it held this one of its `paths` alone, without a name."""
        if not path:
            return self
        arrays = {name: array for name, array in self.arrays.items() if name.startswith("network/")}
        prefix = f"{path}/"
        arrays |= {name.removeprefix(prefix): self.arrays[name] for name in self.arrays if name.startswith(prefix)}
        return ModelFile(arrays, self.meta.get("paths", {}).get(path, {}), self.path)

    def _check_paths(self) -> None:
        """Raise ModelFileError unless every named path is there, and the routers of all have the same bins."""
        first: ModelFile | None = None
        for path in self.paths:
            if path:
                self.require(f"{path}/surrogate/kind", f"{path}/gate/box_names")
            part = self.of_path(path)
            if "router/steps" not in part.arrays:
                continue
            first = first or part
            for name in ("router/change_edges", "router/rate_edges"):
                part.require(name)
                if not np.array_equal(part.arrays[name], first.arrays[name]):
                    raise ModelFileError(f"{self.label}, path '{path}': its {name} must be those of the other paths")

    @property
    def has_surrogate(self) -> bool:
        """Whether the file holds a surrogate (else it serves mode "exact" alone)."""
        return bool(self.paths)

    @property
    def label(self) -> str:
        """What messages call this model: its path, or "the model" before it has one."""
        return str(self.path) if self.path is not None else "the model"
