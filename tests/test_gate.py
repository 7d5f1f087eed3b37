"""The gate: the box is the image of the supported range, and the threshold keeps its promise on fresh cells."""

from __future__ import annotations

import numpy as np
import pytest

from pychemsurrogate.gate import Box, Gate, calibrate, coverage
from pychemsurrogate.gate.box import box_of_ranges
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
    gate = Gate(make_box(), -1.0, 0.1, 0.01)
    inside = np.array([True, True, True, False])
    status = gate.verdict(inside, np.array([-1.5, -0.5, np.nan, -2.0]))
    assert status.tolist() == [Status.SURROGATE, Status.EXACT_ERROR, Status.EXACT_ERROR, Status.EXACT_BOX]
    again = Gate.from_arrays(gate.to_arrays(), TABLES)
    assert again.box.names == gate.box.names
    np.testing.assert_array_equal(again.box.high, gate.box.high)
    assert (again.threshold, again.tolerance, again.alpha) == (-1.0, 0.1, 0.01)


def noisy_errors(rng: np.random.Generator, count: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Errors of 1e-3 to 1 dex, and predictions of their logarithm with the given noise in dex."""
    error = 10.0 ** rng.uniform(-3.0, 0.0, count)
    return np.log10(error) + rng.normal(0.0, noise, count), error


def test_the_calibrated_risk_holds_on_fresh_cells() -> None:
    rng = np.random.default_rng(5)
    risks = []
    for _ in range(40):
        threshold = calibrate([noisy_errors(rng, 2000, 0.3)], tolerance=0.1, alpha=0.05)
        predicted, error = noisy_errors(rng, 5000, 0.3)
        risks.append(coverage(predicted, error, threshold, 0.1).violations)
    assert 0.02 < np.mean(risks) <= 0.05


def test_the_worst_population_sets_the_threshold() -> None:
    rng = np.random.default_rng(6)
    good, bad = noisy_errors(rng, 4000, 0.1), noisy_errors(rng, 4000, 0.6)
    assert calibrate([good, bad], 0.1, 0.02) == calibrate([bad], 0.1, 0.02) < calibrate([good], 0.1, 0.02)


def test_no_threshold_and_every_threshold() -> None:
    predicted = np.linspace(-3.0, 0.0, 500)
    assert calibrate([(predicted, np.ones(500))], 0.1, 0.01) == -np.inf
    threshold = calibrate([(predicted, np.zeros(500))], 0.1, 0.01)
    assert coverage(predicted, np.zeros(500), threshold, 0.1).accepted == 1.0
