"""What a model card says, in numbers: plain values all the way down, so that the page can carry them as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Any

import numpy as np

Row = dict[str, Any]
"""A row of a table, by column."""


class CardError(ValueError):
    """What cannot be reported, and why."""


@dataclass
class PathCard:
    """One learned path of a model: one map with its box and its gate, on held-out pairs.

    name: of the path, "" for the only one; described: what the map is (kind, sizes, targets) in words, by label;
    box: rows quantity, low, high, unit. Errors in dex; shares are fractions.

    populations: rows of errors without the gate, the last one "all"; species: rows by species; by_dt, by_change: rows
    by bin of log10 dt [yr] and of log10 of the cell's true change [dex]; plane: edges of log10 T and of log10 n_H/zeta
    (n_H for a network without zeta), and p90, p99, accepted share and cells by (T, other), None where too few.
    gate: rows by target and population; bins: rows by target and bin; curves: by population, accepted share against
    p99 of the accepted and share of violations of `told`, the target that stands for the model; small_steps: rows by
    dt; identity: largest change of any species [dex] at dt = 0, of the map and in the modes; outside: rows by side of
    the box; shifted: rows by target and kind. Without a calibrated gate, what needs one is empty, and not_reported says
    so.
    """

    name: str
    described: dict[str, str]
    box: list[Row]
    targets: list[float]
    told: float | None
    alpha: float | None
    populations: list[Row] = field(default_factory=list)
    species: list[Row] = field(default_factory=list)
    by_dt: list[Row] = field(default_factory=list)
    by_change: list[Row] = field(default_factory=list)
    plane: Row = field(default_factory=dict)
    gate: list[Row] = field(default_factory=list)
    bins: list[Row] = field(default_factory=list)
    curves: dict[str, Row] = field(default_factory=dict)
    small_steps: list[Row] = field(default_factory=list)
    identity: dict[str, float] = field(default_factory=dict)
    outside: list[Row] = field(default_factory=list)
    shifted: list[Row] = field(default_factory=list)
    not_reported: list[str] = field(default_factory=list)


@dataclass
class Card:
    """Everything that the page says.

    model: name; provenance: values by label; training: the model's own record of how it was made; data: what it was
    measured on, by role; paths: one a learned path; rollouts: by kind of run, curves by series; conservation: rows by
    kind of run and series; served: rows by set, shares of the statuses in mode auto; costs: rows by set and way;
    verdicts: what follows of them, in words; seconds: how long this took.
    """

    model: str
    provenance: dict[str, str]
    training: dict[str, Any]
    data: dict[str, str]
    paths: list[PathCard]
    rollouts: dict[str, Row] = field(default_factory=dict)
    conservation: list[Row] = field(default_factory=list)
    served: list[Row] = field(default_factory=list)
    costs: list[Row] = field(default_factory=list)
    verdicts: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def plain(self) -> dict[str, Any]:
        """All of it as values that JSON knows; what is not finite becomes None."""
        result: dict[str, Any] = _plain(asdict(self))
        return result


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence):
        return [_plain(item) for item in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        # Six digits are more than any of it is known to, and keep the page small.
        return float(f"{value:.6g}") if np.isfinite(value) else None
    return value
