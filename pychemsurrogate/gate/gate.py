"""The verdict: box first, then the predicted error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pychemsurrogate.gate.box import Box
from pychemsurrogate.network import NetworkTables
from pychemsurrogate.status import Status


@dataclass(frozen=True)
class Gate:
    """A box and, for a surrogate that predicts its error, a threshold on log10 of the predicted cell error in dex.

    threshold: infinite where the box alone decides; tolerance [dex], alpha: what it was calibrated for,
    P(error > tolerance | accepted) <= alpha.
    """

    box: Box
    threshold: float = inf
    tolerance: float = 0.0
    alpha: float = 0.0

    def verdict(
        self, inside: NDArray[np.bool_], predicted: NDArray[np.floating[Any]] | None = None
    ) -> NDArray[np.int8]:
        """Status (B) of every cell: SURROGATE, EXACT_BOX or EXACT_ERROR.

        inside (B): Box.contains; predicted (B): log10 of the error in dex, for a threshold. NaN is refused.
        """
        status = np.full(len(inside), Status.SURROGATE, dtype=np.int8)
        if isfinite(self.threshold):
            if predicted is None:
                raise ValueError("this gate has a threshold: give it the predicted errors")
            status[~(predicted < self.threshold)] = Status.EXACT_ERROR
        status[~inside] = Status.EXACT_BOX
        return status

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The gate under its names in the model file."""
        calibrated = {"threshold": self.threshold, "tolerance": self.tolerance, "alpha": self.alpha}
        return {
            "gate/box_names": np.frombuffer("\n".join(self.box.names).encode(), dtype=np.uint8),
            "gate/box_min": self.box.low,
            "gate/box_max": self.box.high,
            **{f"gate/{name}": np.array(value) for name, value in calibrated.items() if isfinite(self.threshold)},
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], tables: NetworkTables) -> Gate:
        """The gate that `to_arrays` stored; KeyError names an array that is missing."""
        names = tuple(arrays["gate/box_names"].tobytes().decode().split("\n"))
        box = Box(names, arrays["gate/box_min"], arrays["gate/box_max"], tables)
        if "gate/threshold" not in arrays:
            return cls(box)
        return cls(box, *(float(arrays[f"gate/{name}"]) for name in ("threshold", "tolerance", "alpha")))
