"""The seed paper's measures against numbers worked out by hand; interpolation against what it must reproduce."""

from __future__ import annotations

import csv
from functools import partial
from io import StringIO
from types import SimpleNamespace

import numpy as np
import pytest

from pychemsurrogate.evaluation import seed_timing
from pychemsurrogate.evaluation.seed_baselines import PUBLISHED, NearestNeighbour, RadialBasis
from pychemsurrogate.evaluation.seed_metrics import (
    DEX_PER_UNIT,
    PUBLISHED_MAX,
    PUBLISHED_MIN,
    log10_error_of_species,
    measure,
    normalised,
    relative_error_log,
    relative_error_normalised,
    relative_error_physical,
)
from pychemsurrogate.evaluation.seed_table import Row, csv_table, markdown_table, quoted_row, row_of, text_table
from pychemsurrogate.evaluation.seed_timing import plain_solve_ivp
from pychemsurrogate.integrators import NativeRosenbrock, ScipyBDF
from pychemsurrogate.network import Network

TRUTH = np.array([[[2.0, -8.0], [4.0, -4.0]]])  # one trajectory, two times, two species
PREDICTION = np.array([[[2.1, -8.0], [3.8, -4.4]]])


def test_normalisation_is_the_published_one() -> None:
    assert normalised(np.array([PUBLISHED_MIN, PUBLISHED_MAX])).tolist() == [-1.0, 1.0]
    # The paper's RMSE of 9e-3 is 0.096 dex.
    np.testing.assert_allclose([DEX_PER_UNIT, 9e-3 * DEX_PER_UNIT], [10.7202, 0.0965], rtol=1e-3)


def test_errors_by_hand() -> None:
    result = measure(TRUTH, PREDICTION)
    # Squares of the differences in dex: 0.01, 0, 0.04, 0.16; their mean 0.0525.
    assert result.rmse_dex == pytest.approx(0.0525**0.5)
    assert result.rmse == pytest.approx(0.0525**0.5 / 10.7202)
    # |d log n| / |log n|: 0.1/2, 0, 0.2/4, 0.4/4.
    np.testing.assert_allclose(relative_error_log(TRUTH, PREDICTION), [[[0.05, 0.0], [0.05, 0.1]]])
    assert result.relative_log.median == pytest.approx(0.05)
    assert (result.relative_log.smallest, result.relative_log.largest) == (0.0, pytest.approx(0.1))
    # Densities: 10^0.1 - 1, 0, 1 - 10^-0.2, 1 - 10^-0.4.
    np.testing.assert_allclose(
        relative_error_physical(TRUTH, PREDICTION), [[[0.2589254118, 0.0], [0.3690426555, 0.6018928294]]]
    )
    # x = (log n + 17.4404) / 10.7202 - 1 = (log n + 6.7202) / 10.7202: |dx|/|x| = |d log n| / |log n + 6.7202|.
    by_hand = [[[0.1 / 8.7202, 0.0], [0.2 / 10.7202, 0.4 / 2.7202]]]
    np.testing.assert_allclose(relative_error_normalised(TRUTH, PREDICTION), by_hand, rtol=1e-12)


def test_log10_error_is_a_mean_of_logarithms() -> None:
    first = (np.log10(0.1 / 8.7202) + np.log10(0.2 / 10.7202)) / 2
    second = (-16.0 + np.log10(0.4 / 2.7202)) / 2  # an exact hit counts as 1e-16
    errors = log10_error_of_species(TRUTH, PREDICTION)
    np.testing.assert_allclose(errors, [first, second])
    assert measure(TRUTH, PREDICTION).mean_log10_error == pytest.approx((first + second) / 2)


def test_where_the_definitions_have_no_meaning() -> None:
    truth, prediction = np.array([[[0.0, 0.0]]]), np.array([[[0.0, 1.0]]])
    assert relative_error_log(truth, prediction).tolist() == [[[0.0, np.inf]]]
    assert relative_error_physical(truth, prediction)[0, 0, 1] == pytest.approx(9.0)


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        measure(TRUTH, PREDICTION[:, :1])
    with pytest.raises(ValueError, match="finite"):
        measure(TRUTH, np.full_like(TRUTH, np.nan))


def trajectories(network: Network, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Initial (n_C, n_C+) and log10 n at 20 of the published times, by the native integrator."""
    rng = np.random.default_rng(seed)
    initial = 1e4 * 10 ** rng.uniform(-6, -4, (count, 2))
    n = np.full((count, network.n_species), 1e-16)
    for name, values in {
        "H2": 1e4,
        "C": initial[:, 0],
        "C+": initial[:, 1],
        "e-": initial[:, 1],
        "O": 4 * initial.sum(axis=1),
    }.items():
        n[:, network.species_index(name)] = values
    times = 3.1536e7 * 10 ** np.linspace(-6, 8, 20)
    integrator = NativeRosenbrock(network, rtol=1e-6, atol=1e-22, threads=1)
    states = []
    for dt in np.diff(times, prepend=0.0):
        n, status = integrator.advance(n, dt, 50.0, {"zeta": 1e-16})
        assert (status > 0).all()
        states.append(n)
    return initial, np.log10(np.stack(states, axis=1))


@pytest.fixture(scope="module")
def plane(osu: Network) -> tuple[np.ndarray, np.ndarray]:
    return trajectories(osu, 500, seed=7)


def test_interpolation(plane: tuple[np.ndarray, np.ndarray]) -> None:
    initial, log10_n = plane
    train, held_out = slice(0, 450), slice(450, 500)
    rbf = RadialBasis(initial[train], log10_n[train])
    np.testing.assert_allclose(rbf(initial[train]), log10_n[train], atol=1e-7)  # exact at its nodes
    assert measure(log10_n[held_out], rbf(initial[held_out])).rmse < 2e-4
    assert rbf.parameters == 453 * 20 * 29

    nearest = NearestNeighbour(initial[train], log10_n[train])
    np.testing.assert_array_equal(nearest(initial[train]), log10_n[train])
    distance = np.linalg.norm(np.log10(initial[450]) - np.log10(initial[train]), axis=1)
    np.testing.assert_array_equal(nearest(initial[450:451])[0], log10_n[distance.argmin()])
    # The paper's neural ODE errs by 9e-3: more than copying the neighbour.
    assert measure(log10_n[held_out], nearest(initial[held_out])).rmse < 9e-3


def test_plain_solve_ivp_is_right(osu: Network, plane: tuple[np.ndarray, np.ndarray]) -> None:
    n0 = np.full(osu.n_species, 1e-16)
    for name, value in {"H2": 1e4, "C": 0.1, "C+": 0.2, "e-": 0.2, "O": 1.2}.items():
        n0[osu.species_index(name)] = value
    times = 3.1536e7 * 10.0 ** np.array([-2, 2, 6])
    plain = plain_solve_ivp(osu, n0, times, 50.0, 1e-16)
    reference = ScipyBDF(osu).trajectory(n0, times, 50.0, {"zeta": 1e-16})
    assert np.abs(np.log10(plain / reference)).max() < 1e-2


def test_timing_divides_by_the_trajectories(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that only work moves."""
    now = 0.0

    def work(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(seed_timing, "time", SimpleNamespace(process_time=lambda: now))
    for seconds, calls in ((0.01, 1 + 7 * 5), (2.0, 1 + 3), (20.0, 1)):
        before = now
        assert seed_timing.seconds_per_trajectory(partial(work, seconds), 10) == pytest.approx(seconds / 10)
        assert now - before == pytest.approx(calls * seconds)


def some_rows() -> list[Row]:
    metrics = [measure(TRUTH, PREDICTION), measure(TRUTH, PREDICTION + 0.1)]
    made = row_of("learned", "a model", metrics, parameters=12345)
    return [*map(quoted_row, PUBLISHED), made]


def test_a_row_over_seeds() -> None:
    row = some_rows()[-1]
    # With 0.1 added: 0.04, 0.01, 0.01, 0.09; mean 0.0375.
    second = 0.0375**0.5 / 10.7202
    assert row.rmse == pytest.approx((0.0525**0.5 / 10.7202 + second) / 2)
    assert row.rmse_range == (pytest.approx(second), pytest.approx(0.0525**0.5 / 10.7202))
    assert row.relative_log is not None
    assert row.relative_log.median == pytest.approx((0.05 + np.median([0.1, 0.0125, 0.025, 0.075])) / 2)
    assert row.relative_log.largest == pytest.approx(0.1)


def test_text_table() -> None:
    lines = text_table(some_rows()).splitlines()
    assert "RMSE (seeds)" in lines[0]
    assert lines[2] == "quoted"
    assert next(line for line in lines if line.startswith("  linear latent")).split()[-4:] == ["0.45", "-", "-", "-"]
    body = lines[3 : lines.index("")]
    assert "12,345" in body[-1]
    assert "{" not in "".join(lines)
    assert len({len(line) for line in body if line.startswith("  ")}) == 1, "the columns are not aligned"


def test_markdown_table() -> None:
    lines = markdown_table(some_rows()).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1
    assert any("0.2..0.6" in line or "(0..0.6)" in line for line in table)


def test_csv_table() -> None:
    rows = list(csv.DictReader(StringIO(csv_table(some_rows()))))
    assert [row["name"] for row in rows][-1] == "a model"
    assert float(rows[-1]["relative_physical_largest"]) == pytest.approx(0.6018928294)
    assert rows[0]["rmse"] == "0.009"
    assert rows[0]["native_s_batch_1"] == rows[0]["relative_normalised_largest"] == ""
    assert float(rows[1]["python_s_batch_1"]) == pytest.approx(4.5e-4)
