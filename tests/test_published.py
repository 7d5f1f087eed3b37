"""The published trajectories of Sulzer & Buck (2023) come out of the shipped network and the reference integrator."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import Published

from pychemsurrogate.integrators import ScipyBDF
from pychemsurrogate.network import Network

FLOOR = 1e-13
LIMIT_DEX = 2e-5


def worst_error(osu: Network, published: Published, trajectory: int) -> float:
    solution = ScipyBDF(osu, rtol=1e-8).trajectory(
        published.n0[trajectory], published.times, published.temperature, {"zeta": published.zeta}
    )
    truth = published.log10_n[trajectory]
    n_H = osu.tables().scale_weights @ published.n0[trajectory]
    seen = 10.0**truth / n_H > FLOOR
    assert seen.any(axis=0).sum() >= osu.n_species - 1, "O+ alone stays below the floor"
    return float(np.abs(np.log10(solution) - truth)[seen].max())


@pytest.mark.parametrize("trajectory", [0, 10, 20, 30, 40, 49])
def test_trajectory(osu: Network, published: Published, trajectory: int) -> None:
    assert worst_error(osu, published, trajectory) < LIMIT_DEX


@pytest.mark.long
def test_all_trajectories(osu: Network, published: Published) -> None:
    errors = [worst_error(osu, published, i) for i in range(len(published.n0))]
    assert len(errors) == 50
    assert max(errors) < LIMIT_DEX
