"""The verdict: box and distance first, on the input alone, then the predicted error against its bin's threshold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pychemsurrogate.gate.bins import Bins
from pychemsurrogate.gate.box import Box, FloatArray
from pychemsurrogate.gate.distance import Distance
from pychemsurrogate.network import NetworkTables
from pychemsurrogate.status import Status


@dataclass(frozen=True)
class Calibration:
    """Thresholds on log10 of the predicted cell error in dex, for several target errors.

    targets (T) ascending [dex]; thresholds (T, bins), -inf: closed; alpha: P(error > target | accepted) <= alpha, where
    a cell's error is the largest of weights (S) times |dlog10 x| over species with x > x_min.
    """

    bins: Bins
    targets: FloatArray
    thresholds: FloatArray
    alpha: float
    weights: FloatArray
    x_min: float

    @classmethod
    def open(cls, bins: Bins, targets: FloatArray, alpha: float, weights: FloatArray, x_min: float) -> Calibration:
        """Thresholds that refuse nothing yet."""
        return cls(bins, targets, np.full((len(targets), bins.count), np.inf), alpha, weights, x_min)

    def serving(self, target: float) -> FloatArray | None:
        """The thresholds (bins) of the largest target that is no larger; None if there is none."""
        row = int(np.searchsorted(self.targets, target * (1.0 + 1e-12), side="right")) - 1
        return None if row < 0 else np.asarray(self.thresholds[row])


@dataclass(frozen=True)
class Gate:
    """A box; for a surrogate that predicts its error, what that was calibrated for; the distance, where one counts."""

    box: Box
    calibration: Calibration | None = None
    distance: Distance | None = None

    def verdict(
        self,
        inside: NDArray[np.bool_],
        predicted: NDArray[np.floating[Any]] | None = None,
        threshold: FloatArray | None = None,
        far: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.int8]:
        """Status (B) of every cell: SURROGATE, EXACT_BOX, EXACT_DISTANCE or EXACT_ERROR.

        inside (B): Box.contains; far (B): of the distance, None without one; predicted (B): log10 of the error in dex,
        for a calibrated gate, and the threshold (B) of every cell's bin. NaN is refused.
        """
        status = np.full(len(inside), Status.SURROGATE, dtype=np.int8)
        if self.calibration is not None:
            if predicted is None or threshold is None:
                raise ValueError("this gate is calibrated: give it the predicted errors and the thresholds")
            status[~(predicted < threshold)] = Status.EXACT_ERROR
        if far is not None:
            status[far] = Status.EXACT_DISTANCE
        status[~inside] = Status.EXACT_BOX
        return status

    def far(
        self, x: FloatArray, density: FloatArray, dt: FloatArray, temperature: FloatArray, conditions: FloatArray
    ) -> NDArray[np.bool_]:
        """Which of the cells (B) are too far from the training states; arguments as of `box.quantities`."""
        if self.distance is None:
            return np.zeros(len(dt), dtype=np.bool_)
        return ~(self.distance.square(x, density, dt, temperature, conditions) <= self.distance.most)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The gate under its names in the model file."""
        arrays: dict[str, NDArray[Any]] = {
            "gate/box_names": np.frombuffer("\n".join(self.box.names).encode(), dtype=np.uint8),
            "gate/box_min": self.box.low,
            "gate/box_max": self.box.high,
        }
        if self.calibration is not None:
            c = self.calibration
            arrays |= c.bins.to_arrays()
            for name in ("targets", "thresholds", "alpha", "weights", "x_min"):
                arrays[f"gate/{name}"] = np.asarray(getattr(c, name), dtype=np.float64)
        return arrays | ({} if self.distance is None else self.distance.to_arrays())

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], tables: NetworkTables) -> Gate:
        """The gate that `to_arrays` stored; KeyError names an array that is missing."""
        names = tuple(arrays["gate/box_names"].tobytes().decode().split("\n"))
        box = Box(names, arrays["gate/box_min"], arrays["gate/box_max"], tables)
        distance = Distance.from_arrays(arrays)
        if "gate/thresholds" not in arrays:
            return cls(box, None, distance)
        calibration = Calibration(
            Bins.from_arrays(arrays, tables),
            arrays["gate/targets"],
            arrays["gate/thresholds"],
            float(arrays["gate/alpha"]),
            arrays["gate/weights"],
            float(arrays["gate/x_min"]),
        )
        return cls(box, calibration, distance)
