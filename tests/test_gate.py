"""The gate: the box is the image of the supported range, and the threshold keeps its promise on fresh cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pychemsurrogate.gate import Bins, Box, Calibration, Gate, Population, calibrate, coverage
from pychemsurrogate.gate.box import box_of_ranges
from pychemsurrogate.gate.calibration import correlation_within_runs, design_effect, violation_bound
from pychemsurrogate.network import load_network
from pychemsurrogate.status import Status
from pychemsurrogate.training.sampling import YEAR_S, Ranges, initial_abundances, log_uniform

TABLES = load_network("osu_09_2008").tables()


RANGES = Ranges(
    temperature=(10.0, 300.0), dt_years=(1.0, 1e5), ratios={"C/H": (5e-7, 5e-4), "O/C": (0.7, 5.0)}, density=(1e2, 1e6)
)


def make_box(density_per_zeta: tuple[float, float] | None = None) -> Box:
    return box_of_ranges(
        TABLES,
        RANGES.temperature,
        RANGES.density,
        [YEAR_S * years for years in RANGES.dt_years],
        RANGES.conditions,
        RANGES.ratios,
        1e-6,
        density_per_zeta,
    )


def cells(count: int) -> dict[str, np.ndarray]:
    """Cells inside the range."""
    rng, ranges = np.random.default_rng(3), RANGES
    return {
        "x": initial_abundances(TABLES, ranges, count, rng),
        "density": log_uniform(rng, ranges.density, count),
        "dt": YEAR_S * log_uniform(rng, ranges.dt_years, count),
        "temperature": log_uniform(rng, ranges.temperature, count),
        "conditions": log_uniform(rng, ranges.conditions["zeta"], count)[:, None],
    }


def test_cells_of_the_range_lie_inside() -> None:
    assert make_box().contains(**cells(2000)).all()


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 9.0},
        {"temperature": 301.0},
        {"temperature": np.nan},
        {"density": 1e2, "conditions": 2e-15},  # zeta/n_H
        {"density": 1e6, "conditions": 9e-18},
        {"conditions": 1e-15, "dt": 1.1e5 * YEAR_S},  # zeta dt
        {"density": 1e6, "dt": 2e5 * YEAR_S},  # theta
        {"density": 1e2, "dt": 0.5 * YEAR_S},
    ],
)
def test_cells_beyond_the_range_lie_outside(change: dict[str, float]) -> None:
    given = cells(8)
    for name, value in change.items():
        given[name] = np.full_like(given[name], value)
    assert not make_box().contains(**given).any()


def test_a_range_of_density_per_zeta_is_a_rectangle() -> None:
    box, given = make_box((1e17, 1e23)), cells(200)
    assert box.contains(**given).all()
    bounds = dict(zip(box.names, zip(box.low, box.high, strict=True), strict=True))
    assert bounds["zeta/n_H"] == pytest.approx((1e-23, 1e-17), rel=1e-5)
    assert bounds["zeta*dt"] == pytest.approx((1e-17 * YEAR_S, 1e-15 * 1e5 * YEAR_S), rel=1e-5)
    # Every corner of the rectangle in (n_H/zeta, zeta dt), at any zeta, and just beyond it.
    for ratio in (1e17, 1e23):
        for clock in (1e-17 * YEAR_S, 1e-10 * YEAR_S):
            corner = {"density": ratio * 3e-16, "conditions": 3e-16, "dt": clock / 3e-16}
            at = {name: np.full_like(given[name], value) for name, value in corner.items()}
            assert box.contains(**{**given, **at}).all()
            at["dt"] = at["dt"] * (1.01 if clock > 1e-5 else 0.99)
            assert not box.contains(**{**given, **at}).any()
    assert not box.contains(**{**given, "density": given["conditions"][:, 0] * 1.01e23}).any()
    assert not box.contains(**{**given, "density": given["conditions"][:, 0] * 0.99e17}).any()


def test_element_ratios_and_net_charge() -> None:
    box, given = make_box(), cells(8)
    index = TABLES.species.index
    oxygen_rich = given["x"].copy()
    oxygen_rich[:, index("O")] += 0.01
    assert not box.contains(**{**given, "x": oxygen_rich}).any()
    charged = given["x"].copy()
    charged[:, index("e-")] *= 1.0 + 1e-5
    assert not box.contains(**{**given, "x": charged}).any()
    empty = np.zeros_like(charged)
    assert not box.contains(**{**given, "x": empty}).any()


def test_the_box_has_the_symmetry_of_the_network() -> None:
    given, box = cells(200), make_box()
    given["density"] *= 3.0
    before = box.contains(**given)
    given |= {"density": given["density"] / 7.0, "dt": given["dt"] * 7.0, "conditions": given["conditions"] / 7.0}
    np.testing.assert_array_equal(box.contains(**given), before)
    assert 0 < before.sum() < 200


def test_unknown_quantity() -> None:
    with pytest.raises(ValueError, match="G0/n_H"):
        Box(("G0/n_H",), np.zeros(1), np.ones(1), TABLES)


def test_verdict_and_round_trip() -> None:
    bins = Bins(("T",), (np.array([100.0]),), TABLES)
    thresholds = np.array([[-2.0, -1.5], [-1.0, -np.inf]])
    calibration = Calibration(bins, np.array([0.03, 0.1]), thresholds, 0.01, np.ones(len(TABLES.species)), 1e-10)
    gate = Gate(make_box(), calibration)
    inside = np.array([True, True, True, False, True])
    serving = calibration.serving(0.1)
    assert serving is not None
    threshold = serving[[0, 0, 0, 0, 1]]
    status = gate.verdict(inside, np.array([-1.5, -0.5, np.nan, -2.0, -9.0]), threshold)
    assert status.tolist() == [
        Status.SURROGATE,
        Status.EXACT_ERROR,
        Status.EXACT_ERROR,
        Status.EXACT_BOX,
        Status.EXACT_ERROR,
    ]
    again = Gate.from_arrays(gate.to_arrays(), TABLES)
    assert again.box.names == gate.box.names
    np.testing.assert_array_equal(again.box.high, gate.box.high)
    assert again.calibration is not None
    assert (again.calibration.bins.names, again.calibration.alpha) == (("T",), 0.01)
    np.testing.assert_array_equal(again.calibration.thresholds, thresholds)


def test_the_next_smaller_target_serves() -> None:
    one = Bins((), (), TABLES)
    calibration = Calibration(one, np.array([0.03, 0.1]), np.array([[-2.0], [-1.0]]), 0.01, np.ones(1), 1e-10)
    assert [calibration.serving(target) for target in (0.03, 0.09, 0.1, 5.0)] == [-2.0, -2.0, -1.0, -1.0]
    assert calibration.serving(0.02) is None


def test_bins_are_a_product_grid() -> None:
    bins = Bins(("T", "theta"), (np.array([30.0, 100.0]), np.array([1e14])), TABLES)
    given = cells(6)
    given["temperature"] = np.array([10.0, 30.0, 99.9, 100.0, 300.0, np.nan])
    given["density"], given["dt"] = np.full(6, 1e4), np.array([1e9, 1e10, 1e11, 1e9, 1e10, 1e11])
    np.testing.assert_array_equal(bins.place(**given), [0, 3, 3, 4, 5, 1])
    assert bins.count == len(bins.labels()) == 6
    assert bins.labels()[0] == "T < 30, theta < 1e+14"
    assert bins.labels()[3] == "30 <= T < 100, theta >= 1e+14"
    with pytest.raises(ValueError, match="ascending"):
        Bins(("T",), (np.array([2.0, 1.0]),), TABLES)
    with pytest.raises(ValueError, match="G0/n_H"):
        Bins(("G0/n_H",), (np.array([1.0]),), TABLES)


def noisy_errors(
    rng: np.random.Generator, count: int, noise: float, runs: int | None = None, shared: float = 0.0
) -> Population:
    """Errors of 1e-3 to 1 dex, and predictions of their logarithm with the given noise in dex.

    runs: how many, each with an error of its prediction that all its cells share, of `shared` dex.
    """
    run = np.arange(count) if runs is None else rng.integers(0, runs, count)
    error = 10.0 ** rng.uniform(-3.0, 0.0, count)
    miss = rng.normal(0.0, noise, count) + shared * rng.normal(0.0, 1.0, run.max() + 1)[run]
    return Population(np.log10(error) + miss, error, run, np.zeros(count, dtype=np.intp))


def risk(population: Population, threshold: float) -> float:
    """The share of violations among the accepted cells."""
    return coverage(population.predicted, population.error, threshold, 0.1).violations


def test_the_calibrated_risk_holds_on_fresh_cells() -> None:
    rng = np.random.default_rng(5)
    risks = []
    for _ in range(40):
        threshold = calibrate([noisy_errors(rng, 2000, 0.3)], 1, target=0.1, alpha=0.05)[0]
        risks.append(risk(noisy_errors(rng, 5000, 0.3), threshold))
    assert 0.02 < np.mean(risks) <= 0.05


def test_cells_of_one_run_count_for_less() -> None:
    rng = np.random.default_rng(8)
    risks, as_if_independent = [], []
    for _ in range(60):
        held_out = noisy_errors(rng, 4000, 0.05, runs=60, shared=0.3)
        fresh = noisy_errors(rng, 20_000, 0.05, runs=4000, shared=0.3)
        risks.append(risk(fresh, calibrate([held_out], 1, 0.1, 0.05)[0]))
        alone = replace(held_out, run=np.arange(4000))
        as_if_independent.append(risk(fresh, calibrate([alone], 1, 0.1, 0.05)[0]))
    # The bound fails in one of twenty at a given rank, a little more often at the last one that passes, and by little.
    assert np.mean(np.array(risks) > 0.05) <= 0.15
    assert max(risks) <= 0.065
    assert np.mean(np.array(as_if_independent) > 0.05) >= 0.3
    assert np.mean(risks) > 0.025


def test_the_bound_of_clustered_counts_covers() -> None:
    """Runs of 20 cells with beta-distributed violation rates: mean 0.05, correlation 1 / (1 + a + b) = 0.2."""
    rng = np.random.default_rng(9)
    covered, naive, correlations = [], [], []
    run = np.repeat(np.arange(100), 20)
    for _ in range(400):
        violated = rng.random(2000) < rng.beta(0.2, 3.8, 100)[run]
        rho = correlation_within_runs(violated, run)
        correlations.append(rho)
        counts = np.count_nonzero(violated), 2000
        covered.append(violation_bound(*counts, design_effect(run, rho)) >= 0.05)
        naive.append(violation_bound(*counts, 1.0) >= 0.05)
    assert np.mean(correlations) == pytest.approx(0.2, abs=0.03)
    assert np.mean(covered) >= 0.93
    assert np.mean(naive) < 0.9


def test_every_bin_and_every_population_keeps_the_risk() -> None:
    rng = np.random.default_rng(10)

    def split(noise: tuple[float, float], count: int) -> Population:
        two = [noisy_errors(rng, count, sigma) for sigma in noise]
        return Population(
            np.r_[two[0].predicted, two[1].predicted],
            np.r_[two[0].error, two[1].error],
            np.arange(2 * count),
            np.repeat([0, 1], count),
        )

    few = replace(split((1.0, 1.0), 60), bin=np.full(120, 2))
    thresholds = calibrate([split((0.1, 0.1), 3000), split((0.1, 0.5), 3000), few], 4, 0.1, 0.02)
    assert thresholds[0] > thresholds[1] + 0.3
    assert thresholds[3] == -np.inf  # no cells
    assert thresholds[2] == -np.inf  # too few to tell
    fresh = split((0.1, 0.5), 20_000)
    for b in range(2):
        rows = fresh.bin == b
        assert coverage(fresh.predicted[rows], fresh.error[rows], thresholds[b], 0.1).violations <= 0.022


def test_the_worst_population_sets_the_threshold() -> None:
    rng = np.random.default_rng(6)
    good, bad = noisy_errors(rng, 4000, 0.1), noisy_errors(rng, 4000, 0.6)
    both, worst = calibrate([good, bad], 1, 0.1, 0.02), calibrate([bad], 1, 0.1, 0.02)
    assert worst - 0.02 < both <= worst < calibrate([good], 1, 0.1, 0.02)  # found in steps of 0.02 dex


def test_a_population_without_violations_sets_no_threshold() -> None:
    rng = np.random.default_rng(6)
    some = noisy_errors(rng, 4000, 0.3)
    calm = Population(np.full(4000, -3.0), np.full(4000, 1e-3), np.arange(4000), np.zeros(4000, dtype=np.intp))
    assert calibrate([some, calm], 1, 0.1, 0.02) > calibrate([some], 1, 0.1, 0.02) - 0.02 > -2.0


def test_no_threshold_and_every_threshold() -> None:
    predicted, one = np.linspace(-3.0, 0.0, 500), np.zeros(500, dtype=np.intp)
    assert calibrate([Population(predicted, np.ones(500), np.arange(500), one)], 1, 0.1, 0.01) == -np.inf
    threshold = calibrate([Population(predicted, np.zeros(500), np.arange(500), one)], 1, 0.1, 0.01)[0]
    assert coverage(predicted, np.zeros(500), threshold, 0.1).accepted == 1.0


def test_cells_that_are_never_accepted_set_no_threshold() -> None:
    """What could not be conserved is predicted to err infinitely: the others' threshold is a number all the same."""
    rng = np.random.default_rng(12)
    good, bad = noisy_errors(rng, 1000, 0.1), noisy_errors(rng, 1000, 0.6)
    for population in (good, bad):
        population.predicted[::100] = np.inf
    right = replace(good, error=np.full(1000, 1e-3))
    threshold = calibrate([right], 1, 0.1, 0.02)[0]
    assert np.isfinite(threshold)
    assert coverage(right.predicted, right.error, threshold, 0.1).accepted == 0.99
    assert risk(bad, calibrate([right, bad], 1, 0.1, 0.02)[0]) <= 0.02
    nowhere = replace(right, predicted=np.full(1000, np.inf))
    assert calibrate([nowhere], 1, 0.1, 0.02) == -np.inf
    assert calibrate([right, nowhere], 1, 0.1, 0.02) == threshold
