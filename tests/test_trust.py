"""The gate under attack: benchmarks/trust.py at a small size, and the verdicts of its parts."""

from __future__ import annotations

import numpy as np
import pytest
from trust import ALPHA, COVERED, GROSS, TARGET, Attack, Attacker, kinds
from trust_kinds import Cells, Gas

from pychemsurrogate import Solver
from pychemsurrogate.gate import Gate
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.network import Network
from pychemsurrogate.status import Status
from pychemsurrogate.training.sampling import UNUSUAL, Ranges, initial_abundances
from pychemsurrogate.training.unusual import unusual

MODEL = "osu_09_2008-accurate"
PLAIN = ("cloud H2 CO O, dt 1e4 yr", "README's start", "start H2 O CO", "start H2 O C", "start H2 O C+", "start H O C+")
PLAIN += ("start H2 CO H2O", "start H2 CH4 O2", "start H+ C+ O+", "one molecule each", "random states")
ODD = ("scaled 0.01..100", "H+ added 1e-6..0.1", "one species zeroed", "1000 K to 10 K", "mixed, two gases", "shock")


def attacked(attacker: Attacker, name: str, accepted: int, most: int, seed: int = 7) -> Attack:
    return attacker.attack(kinds(attacker.network, seed)[name], accepted, most)[0]


@pytest.fixture(scope="module")
def attacker() -> Attacker:
    return Attacker(MODEL)


@pytest.mark.parametrize("name", PLAIN)
def test_plain_starts_are_far(attacker: Attacker, name: str) -> None:
    """What hydro codes begin with, at any floor of traces: no run of training passes there."""
    found = attacked(attacker, name, 1000, 1000)
    assert len(found.error) == 0
    assert found.statuses["EXACT_DISTANCE"] + found.statuses["EXACT_BOX"] >= 990


@pytest.mark.parametrize("name", ODD)
def test_odd_gas_is_refused_where_it_is_wrong(attacker: Attacker, name: str) -> None:
    found = attacked(attacker, name, 1000, 20_000)
    assert len(found.error) > 100
    assert found.above(TARGET) <= ALPHA + 3.0 * np.sqrt(ALPHA / len(found.error))
    assert found.above(1.0) <= 0.005


def test_common_gas_is_served(attacker: Attacker) -> None:
    for name, wanted in COVERED.items():
        assert attacked(attacker, name, 3000, 5000).share >= wanted - 0.02, name


@pytest.mark.long
def test_the_campaign(attacker: Attacker) -> None:
    for name in kinds(attacker.network, 11):
        found = attacked(attacker, name, 5000, 50_000, seed=11)
        count = max(1, len(found.error))
        assert found.above(TARGET) <= ALPHA + 3.0 * np.sqrt(ALPHA / count), name
        assert found.above(1.0) <= GROSS + 3.0 * np.sqrt(GROSS / count), name
        assert found.share >= COVERED.get(name, 0.0) - 0.01, name


@pytest.fixture(scope="module")
def some(osu: Network) -> Cells:
    gas = Gas(osu, np.random.default_rng(3))
    near, far = gas.relaxed(300), gas.relaxed(300)
    far.x = gas.neutral(far.x * gas.log(1e-3, 1e3, far.x.size).reshape(far.x.shape))
    return Cells(**{name: np.concatenate([getattr(near, name), getattr(far, name)]) for name in vars(near)})


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_the_distance_is_what_the_model_file_says(osu: Network, some: Cells, engine: str) -> None:
    if engine == "torch":
        pytest.importorskip("torch")
    gate = Gate.from_arrays(ModelFile.read(MODEL).arrays, osu.tables())
    given = (some.x, some.density, some.dt, some.temperature, some.zeta[:, None])
    assert gate.distance is not None
    square, inside = gate.distance.square(*given), gate.box.contains(*given)
    options = {"costs": (1e6, 1e6, 0.0, 1.0), "audit": 0.0, "exact_every": 0, "engine": engine}
    n = some.x * some.density[:, None]
    _, report = Solver.load(MODEL, **options).step(n, some.dt, some.temperature, zeta=some.zeta)
    far = report.status == Status.EXACT_DISTANCE
    clear = inside & (np.abs(square / gate.distance.most - 1.0) > 1e-3)  # single precision decides the others
    np.testing.assert_array_equal(far[clear], square[clear] > gate.distance.most)
    assert 40 < far.sum() == report.refused_distance
    times = np.array([1e9, 1e12])
    status = (
        Solver.load(MODEL, **options).trajectory(n[:50], times, some.temperature[:50], zeta=some.zeta[:50])[1].status
    )
    for k, time in enumerate(times):
        at = gate.distance.square(*(each[:50] if each is not some.dt else np.full(50, time) for each in given))
        decided = np.isin(status[:, k], [Status.SURROGATE, Status.EXACT_DISTANCE, Status.EXACT_ERROR])
        np.testing.assert_array_equal(
            (status[:, k] == Status.EXACT_DISTANCE)[decided], (at > gate.distance.most)[decided]
        )


def test_unusual_gas_is_neutral_and_per_hydrogen_nucleus(osu: Network) -> None:
    tables, rng = osu.tables(), np.random.default_rng(5)
    relaxed = initial_abundances(tables, Ranges(), 2000, rng)
    x, kind = unusual(relaxed, tables, rng)
    assert set(kind) == set(range(len(UNUSUAL)))
    assert (x >= 0.0).all()
    np.testing.assert_allclose(x @ tables.composition[tables.conserved.index("H")], 1.0, rtol=1e-12)
    charge = x @ tables.composition[-1]
    assert (np.abs(charge) <= 1e-12 * (x @ np.abs(tables.composition[-1])) + 1e-29).all()
    molecules = x[kind == UNUSUAL.index("molecules")]
    carbon = molecules * tables.composition[tables.conserved.index("C")]
    assert np.quantile(carbon.max(axis=1) / carbon.sum(axis=1), 0.25) > 0.9
