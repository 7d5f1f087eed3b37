"""How fast a surrogate's errors are forgotten over many steps: what the error budget of a model file knows."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pychemsurrogate import _native
from pychemsurrogate.gate import Gate
from pychemsurrogate.gate.calibration import correlation_within_runs, design_effect, violation_bound
from pychemsurrogate.training.populations import cell_error
from pychemsurrogate.training.served import trace
from pychemsurrogate.training.truth import Parcels, Recipe, Truth

FloatArray = NDArray[np.float64]

KAPPAS: Final = (1.0, 0.995, 0.99, 0.98, 0.95, 0.9, 0.8, 0.5)
_KINDS: Final = ("hydro", "flow")
_RUNS, _SEGMENTS = 256, 100


def budget_arrays(native: _native.Solver, gate: Gate, target: float, recipe: Recipe, seed: int) -> dict[str, Any]:
    """The arrays `budget/...`: kappa, the share of an error that counts as left after a step.

    Errors of fast species are forgotten, others differ in sign; what slow species keep adds up for hundreds of steps.
    So runs (hydro and flow) are followed with the learned step under the budget `target` [dex], and beside them in
    truth; kappa is the smallest of KAPPAS with which P(error > target) over all cells and steps stays below alpha, by
    its upper confidence bound (gate/calibration.py; cells of a run count as they are correlated). 1 where none does.
    The counted share alone would not do: kappa = 0.99 by that measure left 0.3 dex (p99) after 10,000 steps.
    native: the model's learned step; gate: calibrated; recipe: of the runs.
    """
    assert gate.calibration is not None
    smallest = KAPPAS[0]
    for kappa in KAPPAS[1:]:
        wrong, run = [], []
        for number, kind in enumerate(_KINDS):
            errors = _followed(native, gate, target, kappa, Truth.of(recipe), recipe, kind, [seed, number])
            wrong.append((errors > target).ravel())
            run.append(np.tile(np.arange(errors.shape[1]) + number * _RUNS, len(errors)))
        violated, of_run = np.concatenate(wrong), np.concatenate(run)
        effect = design_effect(of_run, correlation_within_runs(violated, of_run))
        if violation_bound(np.count_nonzero(violated), len(violated), effect) > gate.calibration.alpha:
            break
        smallest = kappa
    return {"budget/theta_edges": np.empty(0), "budget/kappa": np.array([smallest])}


def _followed(
    native: _native.Solver,
    gate: Gate,
    target: float,
    kappa: float,
    truth: Truth,
    recipe: Recipe,
    kind: str,
    seed: list[int],
) -> FloatArray:
    """Cell errors [dex] (steps, runs) of runs that the learned step advances where gate and budget allow it."""
    calibration = gate.calibration
    assert calibration is not None
    thresholds = calibration.serving(target)
    assert thresholds is not None
    network = truth.network
    composition = network.tables().composition
    parcels = Parcels.new(truth, recipe.ranges, _RUNS, kind, np.random.default_rng(seed), _SEGMENTS)
    past = parcels.past

    def given(segment: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        at = np.stack([past.conditions[name][segment] for name in network.conditions], axis=1)
        return past.temperature[segment], past.density[segment], at

    true, _ = truth.advance(parcels.x, *given(0), past.relax)
    x, carried, errors = true, np.zeros(_RUNS), []
    for segment in range(len(past.dt)):
        temperature, density, conditions = given(segment)
        dt = past.dt[segment, :, -1]
        true, _ = truth.advance(true, temperature, density, conditions, dt)
        moved, score = trace(native, composition, x, temperature, density, conditions, dt)
        cells = (x, density, dt, temperature, conditions)
        after = kappa * carried + 10.0**score
        trusted = (
            gate.box.contains(*cells)
            & ~gate.far(*cells)
            & (score < thresholds[calibration.bins.place(*cells)])
            & (after <= target)
        )
        exact, _ = truth.advance(x, temperature, density, conditions, dt)
        x = np.where(trusted[:, None], moved, exact)
        carried = np.where(trusted, after, kappa * carried)
        errors.append(cell_error(x, true, calibration.weights))
    return np.stack(errors)
