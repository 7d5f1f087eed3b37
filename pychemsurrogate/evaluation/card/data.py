"""What a model card is measured on: held-out, shifted and out-of-range pairs, made here or read from files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from pychemsurrogate.evaluation.card.measured import CardError
from pychemsurrogate.gate import Box
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.network import Network, NetworkError, load_network
from pychemsurrogate.training.dataset import load, read_provenance
from pychemsurrogate.training.sampling import YEAR_S, Range, Ranges
from pychemsurrogate.training.truth import (
    UNITS_PER_BLOCK,
    UNITS_PER_CYCLE,
    Pairs,
    Recipe,
    compute_unit,
    outside_sides,
    unit_kind,
)

_SHIFTED_UNITS: Final = 2  # collapse and shock
_BRIEF_YEARS: Final = 0.5
_FEWEST: Final = 100  # pairs of a set that percentiles are told of


@dataclass(frozen=True)
class CardRecipe:
    """How much is measured.

    blocks: of UNITS_PER_BLOCK held-out units; runs: of every unit, and of the rollouts; steps: of the rollouts;
    shifted_blocks: of a unit of each shifted kind; outside_runs: of every side; cost_cells: that are timed, least time
    of `repeats`; small_cells: of the small steps; seed: of everything that is drawn. Defaults: minutes on one core.
    """

    blocks: int = 3
    runs: int = 256
    steps: int = 1000
    shifted_blocks: int = 2
    outside_runs: int = 64
    cost_cells: int = 8192
    repeats: int = 5
    small_cells: int = 2000
    seed: int = 20231206

    def __post_init__(self) -> None:
        if self.runs < 2:
            raise ValueError("a unit of data needs at least two runs")

    @classmethod
    def quick(cls, **changes: int) -> CardRecipe:
        """A look at everything in seconds; its percentiles are rough."""
        small: dict[str, int] = {
            "blocks": 1,
            "runs": 32,
            "steps": 20,
            "shifted_blocks": 1,
            "outside_runs": 8,
            "cost_cells": 1024,
            "repeats": 3,
            "small_cells": 300,
        }
        return cls(**{**small, **changes})


@dataclass(frozen=True)
class HeldOut:
    """The sets of pairs, and how each came about (by role, in words).

    ranges: of the model's own data, which new pairs and rollouts span; network: what `load_network` knows it by; sides:
    the runs of `outside` by side of the box, in words; empty for a file.
    """

    test: Pairs
    shifted: Pairs
    outside: Pairs
    ranges: Ranges
    network: str
    told: dict[str, str]
    sides: dict[str, range] = field(default_factory=dict)


def gather(
    model: ModelFile,
    box: Box,
    recipe: CardRecipe,
    folder: Path,
    data: str | Path | None = None,
    shifted: str | Path | None = None,
    outside: str | Path | None = None,
    stage: Callable[[str], None] = lambda _: None,
) -> HeldOut:
    """The pairs of the files that are given, and new ones for the others.

    box: the model's; it bounds the new pairs where the model does not tell the ranges of its data. folder: for the
    network of the model, if it is not a shipped one. Raises DatasetError for a file that is none, CardError for one
    that does not fit, SamplingError for a network that cannot be sampled.
    """
    network = model.network()
    name = _network_name(model, network, folder)
    ranges, source = _ranges(model, box)
    told: dict[str, str] = {}
    sides: dict[str, range] = {}

    def made(role: str, truth: Recipe) -> Pairs:
        parts = []
        for unit in truth.unit_numbers():
            # Steps below a year are a kind of their own, of which ranges of longer steps hold nothing.
            if role == "test" and unit_kind(unit) == "brief" and ranges.dt_years[0] >= _BRIEF_YEARS:
                continue
            stage(f"{role} pairs")
            parts.append(compute_unit(truth, unit)[0])
        pairs = Pairs.concatenate(parts)
        _require(pairs, f"{role} pairs made here")
        told[role] = (
            f"{len(pairs)} pairs of {len(parts)} units of {truth.runs_per_unit} runs made here: "
            f"split {truth.splits[0]}, seed {truth.seed}, ranges of {source}; "
            f"truth by Rodas4 at rtol {truth.rtol:g}, atol {truth.atol:g}"
        )
        return pairs

    if data is not None:
        test = _read(data, network, "test", told)
    else:
        # Units 90..99 of every hundred are the test split, whatever the seed: no training run is among them.
        truth = Recipe(name, recipe.blocks * UNITS_PER_CYCLE, recipe.runs, recipe.seed, ("test",), ranges=ranges)
        assert len(truth.unit_numbers()) == recipe.blocks * UNITS_PER_BLOCK
        test = made("test", truth)
    if shifted is not None:
        moved = _read(shifted, network, "shifted", told)
    else:
        truth = Recipe(
            name, recipe.shifted_blocks * _SHIFTED_UNITS, recipe.runs, recipe.seed, ("shifted",), ranges=ranges
        )
        moved = made("shifted", truth)
    if outside is not None:
        beyond = _read(outside, network, "outside", told)
    else:
        names = [side for side, _ in outside_sides(ranges, network)]
        count = recipe.outside_runs
        truth = Recipe(name, len(names), count, recipe.seed, ("outside",), ranges=ranges)
        beyond = made("outside", truth)
        sides = {side: range(unit * count, (unit + 1) * count) for unit, side in enumerate(names)}
    return HeldOut(test, moved, beyond, ranges, name, told, sides)


def _require(pairs: Pairs, what: str) -> None:
    if len(pairs) < _FEWEST:
        raise CardError(f"{what}: {len(pairs)} pairs are too few to report on; give {_FEWEST} at least")


def _read(path: str | Path, network: Network, role: str, told: dict[str, str]) -> Pairs:
    """The pairs of a file: of its split `role`, as held-out pairs must be none of the training's."""
    pairs = load(path, role)
    if read_provenance(path)["network_hash"] != network.hash:
        raise CardError(f"{path}: holds pairs of another network than the model's {network.name}")
    if not len(pairs):
        raise CardError(f'{path}: holds no pairs of the split "{role}"; make them with `pychemsurrogate data --split`')
    _require(pairs, str(path))
    told[role] = f"{len(pairs)} pairs of the split {role} of {Path(path).name}"
    return pairs


def _network_name(model: ModelFile, network: Network, folder: Path) -> str:
    """What `load_network` knows the model's network by."""
    try:
        if load_network(network.name).hash == network.hash:
            return network.name
    except (NetworkError, OSError):
        pass
    path = folder / "model.network"
    path.write_text(model.text("network/text"), encoding="utf-8")
    return str(path)


def _ranges(model: ModelFile, box: Box) -> tuple[Ranges, str]:
    """The ranges of the model's own data if it tells them in today's form, else those that its box bounds."""
    stored = model.meta.get("provenance", {}).get("data", {}).get("recipe", {}).get("ranges", {})
    known = {item.name for item in fields(Ranges)}
    if stored and set(stored) <= known:
        given: dict[str, Any] = {
            name: {key: tuple(pair) for key, pair in value.items()} if isinstance(value, dict) else tuple(value)
            for name, value in stored.items()
        }
        return Ranges(**given), "the model's training data"
    return _ranges_of_box(box), "the trained box"


def _ranges_of_box(box: Box) -> Ranges:
    bounds: dict[str, Range] = {
        name: (float(low), float(high)) for name, low, high in zip(box.names, box.low, box.high, strict=True)
    }
    usual = Ranges()
    # The box is a little wider than the ranges that it was made of (round-off); what lies between is none of theirs.
    bounds = {name: (low * (1.0 + 2e-6), high * (1.0 - 2e-6)) for name, (low, high) in bounds.items()}
    ratios = {name: bounds.get(name, pair) for name, pair in usual.ratios.items()}
    changes: dict[str, Any] = {"ratios": ratios}
    if "T" in bounds:
        changes["temperature"] = bounds["T"]
    if "zeta" in usual.conditions and "zeta/n_H" in bounds:
        low, high = bounds["zeta/n_H"]
        changes["density_per_zeta"] = (1.0 / high, 1.0 / low)
    if "zeta*dt" in bounds:
        zeta, (low, high) = usual.conditions["zeta"], bounds["zeta*dt"]
        changes["dt_years"] = (low / zeta[0] / YEAR_S, high / zeta[1] / YEAR_S)
    return Ranges(**changes)
