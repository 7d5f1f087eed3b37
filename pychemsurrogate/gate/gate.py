"""The verdict: box first, then the predicted error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pychemsurrogate.gate.box import Box
from pychemsurrogate.network import NetworkTables
from pychemsurrogate.status import Status


@dataclass(frozen=True)
class Gate:
    """A box and a threshold on log10 of the predicted cell error in dex.

    tolerance [dex], alpha: what the threshold was calibrated for, P(error > tolerance | accepted) <= alpha.
    """

    box: Box
    threshold: float
    tolerance: float
    alpha: float

    def verdict(self, inside: NDArray[np.bool_], predicted: NDArray[np.floating[Any]]) -> NDArray[np.int8]:
        """Status (B) of every cell: SURROGATE, EXACT_BOX or EXACT_ERROR.

        inside (B): Box.contains; predicted (B): log10 of the error in dex. NaN is refused.
        """
        status = np.full(len(inside), Status.EXACT_ERROR, dtype=np.int8)
        status[predicted < self.threshold] = Status.SURROGATE
        status[~inside] = Status.EXACT_BOX
        return status

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The gate under its names in the model file."""
        return {
            "gate/box_names": np.frombuffer("\n".join(self.box.names).encode(), dtype=np.uint8),
            "gate/box_min": self.box.low,
            "gate/box_max": self.box.high,
            "gate/threshold": np.array(self.threshold, dtype=np.float64),
            "gate/tolerance": np.array(self.tolerance, dtype=np.float64),
            "gate/alpha": np.array(self.alpha, dtype=np.float64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], tables: NetworkTables) -> Gate:
        """The gate that `to_arrays` stored; KeyError names an array that is missing."""
        names = tuple(arrays["gate/box_names"].tobytes().decode().split("\n"))
        box = Box(names, arrays["gate/box_min"], arrays["gate/box_max"], tables)
        return cls(box, float(arrays["gate/threshold"]), float(arrays["gate/tolerance"]), float(arrays["gate/alpha"]))
