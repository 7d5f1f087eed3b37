"""Bins of conditions: a product grid of a few quantities, each bin with its own threshold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pychemsurrogate.gate.box import FloatArray, quantities, require_quantities
from pychemsurrogate.network import NetworkTables


@dataclass(frozen=True)
class Bins:
    """A grid over the quantities `names` (as of the box); the last one runs fastest.

    edges: for every name, ascending inner edges: n of them make n + 1 bins, and a value on an edge belongs to the upper
    one. Without names there is one bin. Raises ValueError for an unknown quantity or edges that do not ascend.
    """

    names: tuple[str, ...]
    edges: tuple[FloatArray, ...]
    tables: NetworkTables

    def __post_init__(self) -> None:
        require_quantities(self.names, self.tables)
        if len(self.edges) != len(self.names) or any((np.diff(edges) <= 0.0).any() for edges in self.edges):
            raise ValueError("bins need ascending edges for every quantity")

    @property
    def count(self) -> int:
        """How many bins there are."""
        return int(np.prod([len(edges) + 1 for edges in self.edges], dtype=np.int64))

    def place(
        self, x: FloatArray, density: FloatArray, dt: FloatArray, temperature: FloatArray, conditions: FloatArray
    ) -> NDArray[np.intp]:
        """The bin (B) of every cell; arguments as for `box.quantities`. NaN counts as below all edges."""
        bins = np.zeros(len(dt), dtype=np.intp)
        if not self.names:
            return bins
        with np.errstate(divide="ignore", invalid="ignore"):
            values = quantities(self.names, self.tables, x, density, dt, temperature, conditions)
        for column, edges in zip(values.T, self.edges, strict=True):
            place = np.where(np.isnan(column), 0, np.searchsorted(edges, column, side="right"))
            bins = bins * (len(edges) + 1) + place
        return bins

    def labels(self) -> list[str]:
        """What every bin holds, in words, such as "30 <= T < 100, theta < 1e+14"."""
        labels = [""]
        for name, edges in zip(self.names, self.edges, strict=True):
            inner = [f"{edge:g}" for edge in edges]
            parts = [
                (f"{low} <= {name} < {high}" if low else f"{name} < {high}") if high else f"{name} >= {low}"
                for low, high in zip(["", *inner], [*inner, ""], strict=True)
            ]
            labels = [f"{label}, {part}" if label else part for label in labels for part in parts]
        return labels

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The bins under their names in the model file; none for one bin."""
        if not self.names:
            return {}
        stored: dict[str, NDArray[Any]] = {
            f"gate/bin_edges{k}": np.asarray(edges, dtype=np.float64) for k, edges in enumerate(self.edges)
        }
        return {"gate/bin_names": np.frombuffer("\n".join(self.names).encode(), dtype=np.uint8), **stored}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], tables: NetworkTables) -> Bins:
        """The bins that `to_arrays` stored; KeyError names an array that is missing."""
        if "gate/bin_names" not in arrays:
            return cls((), (), tables)
        names = tuple(arrays["gate/bin_names"].tobytes().decode().split("\n"))
        return cls(names, tuple(arrays[f"gate/bin_edges{k}"] for k in range(len(names))), tables)
