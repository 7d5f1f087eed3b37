"""The shipped models: what they are, and what they promise, on cells that no fit saw."""

from __future__ import annotations

import numpy as np
import pytest
from joined import NAMES, joined_model

from pychemsurrogate import Solver
from pychemsurrogate.gate import Gate
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.network import Network
from pychemsurrogate.status import Status
from pychemsurrogate.training.populations import cell_error
from pychemsurrogate.training.truth import Pairs, Recipe, compute_unit, unit_kind, unit_split

LEARNED_FIRST = (1e6, 1e6, 0.0, 1.0, 1.0)  # the integrator dear, the learned step cheap: all cells meet the gate
MOST_KFLOP = {"fast": 30.0, "accurate": 250.0}


def advance(solver: Solver, pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """x after the pairs' steps and the statuses."""
    n = pairs.start * pairs.density[:, None]
    moved, report = solver.step(n, pairs.dt, pairs.temperature, zeta=pairs.conditions[:, 0])
    return moved / pairs.density[:, None], report.status


@pytest.fixture(scope="module")
def fresh() -> Pairs:
    """Test units of another seed, one of every kind of run."""
    kinds = ("tracks", "hydro", "flow", "steps", "brief")
    units = [next(u for u in range(90, 100) if unit_kind(u) == kind) for kind in kinds]
    assert {unit_split(unit) for unit in units} == {"test"}
    recipe = Recipe(runs_per_unit=48, seed=20_261_126)
    return Pairs.concatenate([compute_unit(recipe, unit)[0] for unit in units])


@pytest.mark.parametrize("name", NAMES)
def test_nets_are_as_small_as_told(name: str) -> None:
    arrays = ModelFile.read(f"osu_09_2008-{name}").arrays
    weights = [array for key, array in arrays.items() if key.startswith("surrogate/expert_w")]
    assert sum(2.0 * weight[0].size for weight in weights) / 1e3 <= MOST_KFLOP[name]


def test_the_network_alone_is_what_its_name_opens(fresh: Pairs) -> None:
    """No learned path serves unless it is asked for by its model's name."""
    assert ModelFile.read("osu_09_2008").paths == []
    some = fresh.where(np.arange(200))
    x, status = advance(Solver.load("osu_09_2008"), some)
    assert (status == Status.EXACT_REQUESTED).all()
    np.testing.assert_array_equal(x, advance(Solver.load("osu_09_2008", mode="exact"), some)[0])


def test_the_router_has_both() -> None:
    joined = ModelFile.read(joined_model())
    assert joined.paths == list(NAMES)
    for name in NAMES:
        part, alone = joined.of_path(name).arrays, ModelFile.read(f"osu_09_2008-{name}").arrays
        assert part.keys() == alone.keys()
        for key, array in alone.items():
            np.testing.assert_array_equal(part[key], array)
        assert {"router/steps", "router/costs", "budget/kappa", "gate/thresholds", "gate/distance_w0"} <= part.keys()


@pytest.mark.parametrize("path", ["", *NAMES])
@pytest.mark.parametrize("target", [0.1, 0.3])
def test_accepted_cells_keep_the_target(fresh: Pairs, path: str, target: float) -> None:
    solver = Solver.load(
        joined_model(), path=path, target_error_dex=target, costs=LEARNED_FIRST, audit=0.0, exact_every=0
    )
    x, status = advance(solver, fresh)
    accepted = status == Status.SURROGATE
    wrong = cell_error(x[accepted], fresh.end[accepted].astype(np.float64)) > target
    assert accepted.mean() > 0.5
    # alpha is 1 %; few runs, which resemble themselves, are here.
    assert wrong.mean() <= 0.02


def test_whatever_the_path_the_answer_keeps_the_target(fresh: Pairs) -> None:
    x, status = advance(Solver.load(joined_model()), fresh)
    assert (status > 0).any()
    assert np.percentile(cell_error(x, fresh.end.astype(np.float64)), 99) <= 0.1


@pytest.mark.parametrize("name", NAMES)
def test_nothing_outside_is_accepted(name: str, osu: Network) -> None:
    recipe = Recipe(units=9, runs_per_unit=16, seed=3, splits=("outside",))
    pairs = Pairs.concatenate([compute_unit(recipe, unit)[0] for unit in recipe.unit_numbers()])
    gate = Gate.from_arrays(ModelFile.read(f"osu_09_2008-{name}").arrays, osu.tables())
    inside = gate.box.contains(pairs.start, pairs.density, pairs.dt, pairs.temperature, pairs.conditions)
    assert not inside.any()


@pytest.mark.parametrize("name", NAMES)
def test_short_steps_err_by_less_than_they_change(name: str, fresh: Pairs) -> None:
    x, _ = advance(Solver.load(joined_model(), path=name, mode="surrogate"), fresh)
    end = fresh.end.astype(np.float64)
    changed = cell_error(fresh.start, end)
    short = (fresh.dt < 3.2e7) & (changed > 1e-4)
    assert short.sum() > 100
    assert np.percentile(cell_error(x, end)[short] / changed[short], 90) <= 0.2


@pytest.mark.parametrize("name", NAMES)
def test_torch_agrees_with_the_native_core(name: str, fresh: Pairs) -> None:
    """Cells that a gate would never take may differ: there single precision decides which way they are wrong."""
    pytest.importorskip("torch")
    some = fresh.where(np.random.default_rng(2).permutation(len(fresh))[:600])
    options = {"path": name, "audit": 0.0, "exact_every": 0, "costs": LEARNED_FIRST}
    native, status = advance(Solver.load(joined_model(), **options), some)
    torch_x, torch_status = advance(Solver.load(joined_model(), engine="torch", **options), some)
    assert (status != torch_status).mean() <= 0.002  # ties at a threshold
    both = (status == Status.SURROGATE) & (torch_status == Status.SURROGATE)
    assert both.mean() > 0.5
    assert cell_error(native[both], torch_x[both]).max() <= 1e-5
