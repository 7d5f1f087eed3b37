"""The gate on a torch device: what Box, Bins and Gate say, of tensors that stay where they are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pychemsurrogate.gate.box import columns
from pychemsurrogate.gate.gate import Gate
from pychemsurrogate.network import NetworkTables
from pychemsurrogate.status import Status


@dataclass(frozen=True)
class GateOnDevice:
    """A gate; edges: those of its bins; composition (E + 1, S) and weights (S) of the calibration's error there too.

    whiten: weights and bias of its distance, None without one.

    The arguments of `contains` and `place` are those of `box.quantities`, as tensors on the device. No verb makes the
    host wait.
    """

    gate: Gate
    tables: NetworkTables
    composition: Tensor
    edges: list[Tensor]
    weights: Tensor | None
    whiten: tuple[Tensor, Tensor] | None

    @classmethod
    def of(cls, gate: Gate, tables: NetworkTables, device: str) -> GateOnDevice:
        """The gate with what it needs on the device."""
        calibration = gate.calibration
        edges = [] if calibration is None else [torch.tensor(e, device=device) for e in calibration.bins.edges]
        weights = None if calibration is None else torch.tensor(calibration.weights, device=device)
        distance, composition = gate.distance, torch.tensor(tables.composition, device=device)
        whiten = None
        if distance is not None:
            whiten = torch.tensor(distance.weights, device=device), torch.tensor(distance.bias, device=device)
        return cls(gate, tables, composition, edges, weights, whiten)

    def contains(self, x: Tensor, density: Tensor, dt: Tensor, temperature: Tensor, conditions: Tensor) -> Tensor:
        """Which of the cells (B) lie in the box. NaN lies outside."""
        box = self.gate.box
        inside = torch.ones_like(density, dtype=torch.bool)
        values = self._columns(box.names, x, density, dt, temperature, conditions)
        for value, low, high in zip(values, box.low.tolist(), box.high.tolist(), strict=True):
            inside = inside & (value >= low) & (value <= high)
        return inside

    def place(self, x: Tensor, density: Tensor, dt: Tensor, temperature: Tensor, conditions: Tensor) -> Tensor:
        """The bin (B) of every cell; without a calibration there is one. NaN counts as below all edges."""
        bins = torch.zeros_like(density, dtype=torch.int64)
        if self.gate.calibration is not None and self.edges:
            values = self._columns(self.gate.calibration.bins.names, x, density, dt, temperature, conditions)
            for value, edges in zip(values, self.edges, strict=True):
                place = torch.bucketize(value.contiguous(), edges, right=True).masked_fill(value.isnan(), 0)
                bins = bins * (len(edges) + 1) + place
        return bins

    def far(self, x: Tensor, density: Tensor, dt: Tensor, temperature: Tensor, conditions: Tensor) -> Tensor | None:
        """Which of the cells (B) are too far from the training states; None where no distance counts."""
        if self.gate.distance is None or self.whiten is None:
            return None
        columns = [temperature[:, None], conditions / density[:, None], (density * dt)[:, None]]
        given = [x.clamp(min=self.gate.distance.x_floor), torch.cat(columns, dim=1).clamp(min=1e-300)]
        weights, bias = self.whiten
        moved = torch.cat(given, dim=1).log10().float() @ weights.T + bias
        return ~(moved.square().sum(1) <= self.gate.distance.most)

    def verdict(
        self,
        inside: Tensor,
        predicted: Tensor | None = None,
        threshold: Tensor | None = None,
        far: Tensor | None = None,
    ) -> Tensor:
        """Status (B) of every cell, as `Gate.verdict`."""
        status = torch.full_like(inside, Status.SURROGATE, dtype=torch.int8)
        if self.gate.calibration is not None:
            if predicted is None or threshold is None:
                raise ValueError("this gate is calibrated: give it the predicted errors and the thresholds")
            status = status.masked_fill(~(predicted < threshold), Status.EXACT_ERROR)
        if far is not None:
            status = status.masked_fill(far, Status.EXACT_DISTANCE)
        return status.masked_fill(~inside, Status.EXACT_BOX)

    def errors(self, x: Tensor, truth: Tensor) -> Tensor:
        """The error [dex] (B) of abundances x (B, S) against the truth, as the calibration counts it."""
        if self.gate.calibration is None or self.weights is None:
            raise ValueError("a gate without a calibration counts no errors")
        error = self.weights * (x / truth).log10().abs()
        return error.masked_fill(~(truth > self.gate.calibration.x_min), 0.0).amax(1)

    def _columns(
        self, names: tuple[str, ...], x: Tensor, density: Tensor, dt: Tensor, temperature: Tensor, conditions: Tensor
    ) -> list[Tensor]:
        conserved = x @ self.composition.T
        return columns(names, self.tables, conserved, x, density, dt, temperature, conditions)
