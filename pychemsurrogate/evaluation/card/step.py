"""A model card's figures of one step: errors by population, species, dt, change, conditions; gate; small steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pychemsurrogate.evaluation.card.data import CardRecipe, HeldOut
from pychemsurrogate.evaluation.card.measured import PathCard, Row
from pychemsurrogate.evaluation.card.path import (
    FloatArray,
    LearnedPath,
    Made,
    error_row,
    make,
    percentiles,
    species_errors,
    trace,
)
from pychemsurrogate.gate import Population, accepted_bound
from pychemsurrogate.integrators import NativeRosenbrock
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.solver import Solver
from pychemsurrogate.training.populations import cell_error, populations_of
from pychemsurrogate.training.sampling import YEAR_S
from pychemsurrogate.training.served import X_ZERO
from pychemsurrogate.training.truth import KINDS, Pairs

EVERYTHING: Final = "all"
_FEWEST: Final = 30  # cells of a bin that percentiles are told of
_DT_EDGES: Final = np.arange(-8.0, 8.5, 0.5)  # log10 dt [yr]
_CHANGE_EDGES: Final = np.arange(-6.0, 2.5, 0.5)  # log10 of the true change [dex]
_PLANE: Final = (10, 12)  # bins in T and in n_H/zeta
_CURVE: Final = 60  # points of a curve over the accepted share
_FEWEST_ACCEPTED: Final = 20  # where a curve begins
_GROSS: Final = 10.0  # times the target: errors that no calibration means
_AT_REST: Final = 1e-13  # true change [dex] below which the truth itself is round-off
_SMALL_DT_S: Final = 10.0 ** np.arange(0.0, 7.75, 0.5)  # 1 s to 1 yr


def measure_step(card: PathCard, path: LearnedPath, sets: HeldOut, recipe: CardRecipe, model: ModelFile) -> None:
    """Fill in what one step tells of a learned path. model: the file that the modes are asked of."""
    pairs = sets.test
    made = make(path, pairs)
    groups = {**populations_of(pairs), EVERYTHING: np.ones(len(pairs), dtype=bool)}
    card.populations = [{"population": name, **_errors(made, rows)} for name, rows in groups.items()]
    card.species = _by_species(made, pairs, path.network.species_names)
    with np.errstate(divide="ignore"):
        card.by_dt = _binned(made, np.log10(pairs.dt / YEAR_S), _DT_EDGES)
        card.by_change = _binned(made, np.log10(np.maximum(made.change, 1e-300)), _CHANGE_EDGES)
    card.plane = _plane(made, pairs, path)
    card.small_steps, card.identity = _small_steps(path, pairs, recipe, model)
    if path.gate.calibration is None:
        card.not_reported.append(
            "gate, risk and coverage: this map has no error head, its box alone decides which cells are accepted"
        )
    else:
        _gate(card, path, made, pairs, groups)
    _beyond(card, path, sets)


def _errors(made: Made, rows: NDArray[np.bool_]) -> Row:
    persistence, _ = percentiles(made.change[rows], 50, 99)
    traces = percentiles(made.traces[rows], 50, 99)
    return {
        "cells": int(rows.sum()),
        "inside": float(made.inside[rows].mean()),
        "persistence_median": persistence,
        **error_row(made.error[rows]),
        "traces_median": traces[0],
        "traces_p99": traces[1],
        "skill": 1.0 - float(made.error[rows].mean() / max(float(made.change[rows].mean()), 1e-300)),
    }


def _by_species(made: Made, pairs: Pairs, names: tuple[str, ...]) -> list[Row]:
    truth = pairs.end.astype(np.float64)
    errors = species_errors(made.x, truth)
    unchanged = species_errors(pairs.start, truth)
    rows = [
        {
            "species": name,
            "share": float(np.isfinite(errors[:, k]).mean()),
            "persistence_median": percentiles(unchanged[:, k], 50)[0],
            **error_row(errors[:, k]),
        }
        for k, name in enumerate(names)
    ]
    return sorted((row for row in rows if row["p99"] is not None), key=lambda row: -float(row["p99"]))


def _bins(values: FloatArray, edges: FloatArray) -> Iterator[tuple[float, float, NDArray[np.bool_]]]:
    place = np.searchsorted(edges, values, side="right") - 1
    for k, (low, high) in enumerate(pairwise(edges)):
        rows = place == k
        if rows.sum() >= _FEWEST:
            yield float(low), float(high), rows


def _binned(made: Made, values: FloatArray, edges: FloatArray) -> list[Row]:
    return [
        {
            "low": low,
            "high": high,
            "cells": int(rows.sum()),
            "persistence_median": percentiles(made.change[rows], 50)[0],
            **error_row(made.error[rows]),
        }
        for low, high, rows in _bins(values, edges)
    ]


def _plane(made: Made, pairs: Pairs, path: LearnedPath) -> Row:
    """Errors and accepted share over T and n_H/zeta."""
    names = path.network.conditions
    scaled = "zeta" in names
    other = pairs.density / pairs.conditions[:, names.index("zeta")] if scaled else pairs.density
    x, y = np.log10(pairs.temperature), np.log10(other)
    edges = [np.linspace(v.min(), v.max() + 1e-9, n + 1) for v, n in zip((x, y), _PLANE, strict=True)]
    i, j = (np.clip(np.searchsorted(e, v, side="right") - 1, 0, len(e) - 2) for e, v in zip(edges, (x, y), strict=True))
    accepted = _told_accepted(path, made)
    maps: dict[str, list[list[float | None]]] = {"p90": [], "p99": [], "accepted": []}
    cells = []
    for a in range(_PLANE[0]):
        kept = [(i == a) & (j == b) for b in range(_PLANE[1])]
        cells.append([int(rows.sum()) for rows in kept])
        known = [rows if rows.sum() >= _FEWEST else None for rows in kept]
        maps["p90"].append([None if rows is None else percentiles(made.error[rows], 90)[0] for rows in known])
        maps["p99"].append([None if rows is None else percentiles(made.error[rows], 99)[0] for rows in known])
        maps["accepted"].append([None if rows is None else float(accepted[rows].mean()) for rows in known])
    return {
        "log10_T": edges[0].tolist(),
        "log10_other": edges[1].tolist(),
        "other": "n_H/zeta" if scaled else "n_H",
        "cells": cells,
        **maps,
    }


def _told_accepted(path: LearnedPath, made: Made) -> NDArray[np.bool_]:
    """What is accepted at the target that stands for the path; without a gate, what is inside the box."""
    calibration = path.gate.calibration
    if calibration is None or path.told is None:
        return made.inside
    thresholds = calibration.serving(path.told)
    assert thresholds is not None
    return made.accepted(thresholds)


# --- the gate ---------------------------------------------------------------------------------------------------


def _gate(card: PathCard, path: LearnedPath, made: Made, pairs: Pairs, groups: dict[str, NDArray[np.bool_]]) -> None:
    calibration = path.gate.calibration
    assert calibration is not None
    labels = calibration.bins.labels()
    for target, thresholds in zip(calibration.targets.tolist(), calibration.thresholds, strict=True):
        for name, rows in groups.items():
            card.gate.append(
                {"target": target, "population": name, **_accepted(path, made, pairs, rows, thresholds, target)}
            )
        for b, label in enumerate(labels):
            rows = made.bin == b
            row = _accepted(path, made, pairs, rows, thresholds, target)
            card.bins.append({"target": target, "bin": label or "all conditions", "threshold": thresholds[b], **row})
    assert path.told is not None
    for name, rows in groups.items():
        if rows.sum() >= _FEWEST:
            card.curves[name] = _curve(made, rows, path.told)


def _accepted(
    path: LearnedPath,
    made: Made,
    pairs: Pairs,
    rows: NDArray[np.bool_],
    thresholds: FloatArray,
    target: float,
) -> Row:
    """How a gate does on some of the pairs."""
    calibration = path.gate.calibration
    assert calibration is not None
    if not rows.any():
        nothing: Row = dict.fromkeys(("accepted", "rate", "p99", "max", "steps_saved"))
        return {"cells": 0, "violations": 0, "bound": 1.0, "gross": 0, **nothing}
    cells = Population(made.predicted[rows], made.error[rows], pairs.run[rows], made.bin[rows])
    count, violations, bound = accepted_bound(cells, thresholds, target, calibration.alpha)
    kept = made.accepted(thresholds)[rows]
    p99, worst = percentiles(made.error[rows][kept], 99, 100)
    steps = pairs.steps[rows]
    return {
        "cells": int(rows.sum()),
        "accepted": count / int(rows.sum()),
        "violations": violations,
        "rate": violations / count if count else None,
        "bound": bound,
        "p99": p99,
        "max": worst,
        "gross": int(np.count_nonzero(made.error[rows][kept] > _GROSS * target)),
        "steps_saved": float(steps[kept].sum() / max(1, int(steps.sum()))),
    }


def _curve(made: Made, rows: NDArray[np.bool_], target: float) -> Row:
    """Accepted share against p99 of the accepted and the share of violations, as one threshold rises."""
    predicted, error = made.predicted[rows], made.error[rows]
    order = np.argsort(predicted, kind="stable")
    reachable = int(np.isfinite(predicted).sum())
    if reachable < _FEWEST_ACCEPTED:
        return {"share": [], "p99": [], "violations": []}
    counts = np.unique(np.geomspace(_FEWEST_ACCEPTED, reachable, _CURVE).astype(int))
    if reachable > 4 * _CURVE:  # even steps where the shares are large
        counts = np.unique(np.r_[counts, np.linspace(reachable / _CURVE, reachable, _CURVE).astype(int)])
    ranked = error[order]
    violated = np.cumsum(ranked > target)
    return {
        "share": (counts / len(error)).tolist(),
        "p99": [percentiles(ranked[:count], 99)[0] for count in counts],
        "violations": (violated[counts - 1] / counts).tolist(),
    }


# --- beyond the box, and small steps ----------------------------------------------------------------------------


def _beyond(card: PathCard, path: LearnedPath, sets: HeldOut) -> None:
    """The sets that must be refused, and those that no training saw."""
    outside = make(path, sets.outside)
    accepted = np.isfinite(outside.predicted)  # at the largest threshold that there can be
    sides = {side: np.isin(sets.outside.run, runs) for side, runs in sets.sides.items()}
    for side, rows in {**sides, EVERYTHING: np.ones(len(sets.outside), dtype=bool)}.items():
        if rows.any():
            card.outside.append(
                {
                    "side": side,
                    "cells": int(rows.sum()),
                    "inside_box": int(accepted[rows].sum()),
                    "share": float(accepted[rows].mean()),
                    "p99_if_accepted": percentiles(outside.error[rows], 99)[0],
                }
            )
    shifted = make(path, sets.shifted)
    calibration = path.gate.calibration
    kinds = {KINDS[kind]: sets.shifted.kind == kind for kind in np.unique(sets.shifted.kind)}
    for name, rows in kinds.items():
        errors = {"kind": name, **_errors(shifted, rows)}
        if calibration is None:
            card.shifted.append({"target": None, **errors})
            continue
        for target, thresholds in zip(calibration.targets.tolist(), calibration.thresholds, strict=True):
            gated = _accepted(path, shifted, sets.shifted, rows, thresholds, target)
            gated = {f"accepted_{key}" if key in ("p99", "max") else key: value for key, value in gated.items()}
            card.shifted.append({"target": target, **errors, **gated})


def _small_steps(
    path: LearnedPath, pairs: Pairs, recipe: CardRecipe, model: ModelFile
) -> tuple[list[Row], dict[str, float]]:
    """The error of short steps against what truly changes, and what changes in no time at all."""
    network = path.network
    chosen = np.random.default_rng(recipe.seed).permutation(len(pairs))[: recipe.small_cells]
    some = pairs.where(np.sort(chosen))
    n = some.start * some.density[:, None]
    at = dict(zip(network.conditions, some.conditions.T, strict=True))
    # Tight, so that its own error stays far below changes of 1e-9 dex.
    exact = NativeRosenbrock(network, rtol=1e-8, atol=1e-22)
    rows = []
    for dt in _SMALL_DT_S.tolist():
        timed = replace(some, dt=np.full(len(some), dt))
        moved, status = exact.advance(n, timed.dt, timed.temperature, at)
        truth = moved / some.density[:, None]
        x, score = trace(path, timed)
        good = status >= 0
        error = cell_error(np.fmax(x, X_ZERO), truth)[good]
        change = cell_error(np.fmax(some.start, X_ZERO), truth)[good]
        inside = path.gate.box.contains(some.start, some.density, timed.dt, some.temperature, some.conditions)
        accepted = inside & np.isfinite(score)
        if path.gate.calibration is not None and path.told is not None:
            thresholds = path.gate.calibration.serving(path.told)
            assert thresholds is not None
            cells = (some.start, some.density, timed.dt, some.temperature, some.conditions)
            accepted &= score < thresholds[path.gate.calibration.bins.place(*cells)]
        rows.append(
            {
                "dt_s": dt,
                "change_median": percentiles(change, 50)[0],
                "change_p99": percentiles(change, 99)[0],
                "error_median": percentiles(error, 50)[0],
                "error_p99": percentiles(error, 99)[0],
                # A cell at rest has a true change of round-off alone; the ratio is that of the others.
                "ratio_median": percentiles((error / np.maximum(change, 1e-300))[change > _AT_REST], 50)[0],
                "inside": float(inside.mean()),
                "accepted": float(accepted.mean()),
            }
        )
    still = replace(some, dt=np.zeros(len(some)))
    identity = {"map": _largest(trace(path, still)[0], some.start)}
    for mode in ("auto", "surrogate"):
        moved, _ = Solver(model, mode).step(n, 0.0, some.temperature, **at)
        identity[f"mode {mode}"] = _largest(moved, n)
    return rows, identity


def _largest(moved: FloatArray, given: FloatArray) -> float:
    """Largest |dlog10| of any species, traces included [dex]; exactly 0 where nothing changed by a bit."""
    if np.array_equal(moved, given):
        return 0.0
    return float(np.abs(np.log10(np.fmax(moved, 1e-300)) - np.log10(np.fmax(given, 1e-300))).max())
