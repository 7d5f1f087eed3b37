"""The reference integrator against closed forms, published numbers, and what it promises for bad input."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import Published

from pychemsurrogate.integrators import ScipyBDF, conservation_defect, conserve
from pychemsurrogate.network import Network
from pychemsurrogate.status import Status

YEAR = 3.15576e7  # Julian year, s


def test_decay_chain_closed_form(decay_chain: Network) -> None:
    k1, k2 = decay_chain.rate_coefficients(50.0, {})
    n0 = np.array([7.0, 0.0, 0.0])
    times = np.geomspace(1e6, 1e10, 20)
    solution = ScipyBDF(decay_chain, rtol=1e-10, atol=1e-20).trajectory(n0, times, 50.0, {})
    a = n0[0] * np.exp(-k1 * times)
    b = n0[0] * k1 / (k2 - k1) * (np.exp(-k1 * times) - np.exp(-k2 * times))
    np.testing.assert_allclose(solution, np.stack([a, b, n0[0] - a - b], axis=1), rtol=2e-8)


# LSODE's published example output (Hindmarsh 1983, in Scientific Computing, ed. R. Stepleman, p. 55), rtol 1e-4 there.
ROBERTSON_TABLE = {
    4e-1: (9.851712e-01, 3.386380e-05, 1.479493e-02),
    4e0: (9.055333e-01, 2.240655e-05, 9.444430e-02),
    4e1: (7.158403e-01, 9.186334e-06, 2.841505e-01),
    4e2: (4.505250e-01, 3.222964e-06, 5.494717e-01),
    4e3: (1.831976e-01, 8.941773e-07, 8.168015e-01),
    4e4: (3.898729e-02, 1.621940e-07, 9.610125e-01),
    4e5: (4.936362e-03, 1.984221e-08, 9.950636e-01),
}


def test_robertson(robertson: Network) -> None:
    times = np.array([*ROBERTSON_TABLE, 1e11, 4e11])
    solution = ScipyBDF(robertson, rtol=1e-9, atol=1e-20).trajectory([1.0, 0.0, 0.0], times, 300.0, {})
    np.testing.assert_allclose(solution[:-2], list(ROBERTSON_TABLE.values()), rtol=1e-3)
    # Mazzia & Magherini 2008, Test Set for IVP Solvers, release 2.4, problem ROBER, t = 1e11.
    np.testing.assert_allclose(
        solution[-2], [2.083340149701255e-8, 8.333360770334713e-14, 0.9999999791665050], rtol=1e-5
    )
    # For y_C -> 1: y_B = k1 y_A / k3 and dy_A/dt = -k2 y_B^2, so y_A -> 1 / (4.8e-4 t).
    np.testing.assert_allclose(solution[-1, 0], 1.0 / (4.8e-4 * 4e11), rtol=1e-4)
    assert (
        conservation_defect(solution, np.array([[1.0, 0, 0]] * len(times)), robertson.tables().composition).max()
        < 1e-12
    )


def test_scaling_symmetry(osu: Network, published: Published) -> None:
    n0, scale = published.n0[:3], 37.0
    bdf = ScipyBDF(osu)
    first, _ = bdf.advance(n0, 1e4 * YEAR, 30.0, {"zeta": 1e-16})
    second, _ = bdf.advance(scale * n0, 1e4 * YEAR / scale, 30.0, {"zeta": scale * 1e-16})
    seen = first > 1e-14 * first.sum(axis=1, keepdims=True)
    np.testing.assert_allclose((second / scale)[seen], first[seen], rtol=1e-6)


def test_advance_is_the_trajectory_and_conserves(osu: Network, published: Published) -> None:
    dt = np.array([1e2, 1e4]) * YEAR
    temperature, zeta = np.array([12.0, 200.0]), np.array([1e-17, 1e-15])
    n0 = published.n0[:2]
    before = n0.copy()
    bdf = ScipyBDF(osu)
    n, status = bdf.advance(n0, dt, temperature, {"zeta": zeta})
    assert list(status) == [Status.EXACT_SCIPY] * 2
    np.testing.assert_array_equal(n0, before)
    assert conservation_defect(n, n0, osu.tables().composition).max() < 1e-12
    for i in range(2):
        alone = bdf.trajectory(n0[i], [dt[i]], temperature[i], {"zeta": zeta[i]})
        np.testing.assert_array_equal(alone[0], n[i])


def test_failed_cells_keep_their_input(osu: Network, published: Published) -> None:
    n0 = np.repeat(published.n0[:1], 9, axis=0)
    dt, temperature, zeta = np.full(9, YEAR), np.full(9, 50.0), np.full(9, 1e-16)
    n0[0, 3] = np.nan
    n0[1, 3] = -1e-9
    n0[2, 3] = np.inf
    temperature[3] = 0.0
    dt[4] = -1.0
    zeta[5] = np.nan
    dt[6] = 0.0
    n0[7] = 0.0
    n, status = ScipyBDF(osu).advance(n0, dt, temperature, {"zeta": zeta})
    expected = [Status.BAD_INPUT] * 6 + [Status.UNCHANGED, Status.UNSUPPORTED, Status.EXACT_SCIPY]
    assert list(status) == expected
    np.testing.assert_array_equal(n[:8], n0[:8])
    assert np.any(n[8] != n0[8])


def test_hopeless_cells_fail_with_a_status(osu: Network, published: Published) -> None:
    overflow = np.full((1, osu.n_species), 1e200)
    for n0, bdf, expected in (
        (overflow, ScipyBDF(osu), Status.NON_FINITE),
        (published.n0[:1], ScipyBDF(osu, max_steps=10), Status.STEP_LIMIT),
    ):
        n, status = bdf.advance(n0, 1e13, 50.0, {"zeta": 1e-16})
        assert status[0] == expected
        np.testing.assert_array_equal(n, n0)
        with pytest.raises(RuntimeError, match="input unchanged"):
            bdf.trajectory(n0[0], [1e13], 50.0, {"zeta": 1e-16})


def test_empty_batch(osu: Network) -> None:
    n, status = ScipyBDF(osu).advance(np.zeros((0, 29)), 1.0, 50.0, {"zeta": 1e-16})
    assert n.shape == (0, 29)
    assert status.shape == (0,)


def test_wrong_calls(osu: Network, published: Published) -> None:
    bdf = ScipyBDF(osu)
    n0, at = published.n0[:2], {"zeta": 1e-16}
    with pytest.raises(ValueError, match=r"needs \(cells, 29\)"):
        bdf.advance(n0[0], 1.0, 50.0, at)
    with pytest.raises(ValueError, match="dt has shape"):
        bdf.advance(n0, np.ones(3), 50.0, at)
    with pytest.raises(KeyError, match="zeta"):
        bdf.advance(n0, 1.0, 50.0, {})
    with pytest.raises(KeyError, match="A_V"):
        bdf.advance(n0, 1.0, 50.0, {"zeta": 1e-16, "A_V": 1.0})
    with pytest.raises(ValueError, match="ascending"):
        bdf.trajectory(n0[0], [2.0, 1.0], 50.0, at)
    with pytest.raises(ValueError, match="negative"):
        bdf.trajectory(-n0[0], [1.0], 50.0, at)


def test_conserve_restores_elements_and_charge(osu: Network, published: Published) -> None:
    composition = osu.tables().composition
    like = 10.0 ** published.log10_n[:8, ::7].reshape(-1, osu.n_species)
    guess = like * 10.0 ** np.random.default_rng(1).normal(0.0, 0.2, like.shape)
    assert conservation_defect(guess, like, composition).max() > 1e-2
    result = conserve(guess, like, composition)
    assert conservation_defect(result, like, composition).max() < 1e-13
    assert np.all(result > 0)
    np.testing.assert_array_equal(conserve(like, like, composition), like)


def test_conserve_skips_what_is_absent_or_follows(osu: Network) -> None:
    like = np.zeros((2, osu.n_species))
    like[0, osu.species_index("CO")] = 3.0  # C and O are one quantity here; no H, no charge
    like[1, osu.species_index("H2")] = 5.0
    result = conserve(1.1 * like, like, osu.tables().composition)
    np.testing.assert_allclose(result, like, rtol=1e-13)
