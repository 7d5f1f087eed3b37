"""The map `jump`: its verbs, its guarantees, and its fit."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inline import Inline

from pychemsurrogate.network import load_network
from pychemsurrogate.training.dataset import load, read_provenance, recipe_of
from pychemsurrogate.training.truth import Pairs, Recipe, compute_unit, unit_kind

torch = pytest.importorskip("torch")

from pychemsurrogate.model_file import ModelFile  # noqa: E402
from pychemsurrogate.surrogates.experts import Experts  # noqa: E402
from pychemsurrogate.surrogates.jump import Jump  # noqa: E402
from pychemsurrogate.surrogates.surrogate import from_arrays  # noqa: E402
from pychemsurrogate.training import fit_jump as fitting  # noqa: E402
from pychemsurrogate.training import minimise  # noqa: E402
from pychemsurrogate.training import stream as streaming  # noqa: E402
from pychemsurrogate.training.fit import evaluate  # noqa: E402
from pychemsurrogate.training.fit_jump import costly, fit_jump, new_jump  # noqa: E402
from pychemsurrogate.training.muon import Muon, orthogonal  # noqa: E402
from pychemsurrogate.training.prepare import Step, step_of  # noqa: E402
from pychemsurrogate.training.recipe import JumpRecipe  # noqa: E402
from pychemsurrogate.training.train import train  # noqa: E402

NETWORK = load_network("osu_09_2008")
COMPOSITION = NETWORK.tables().composition
SMALL = JumpRecipe(
    experts=3,
    widths=(16, 16),
    shares=(0.3, 0.7),
    head=(12,),
    samples=96 * 200,
    batch=96,
    tours=1,
    visited_units=1,
    head_pairs=300,
    head_samples=96 * 40,
    targets=(1.0,),
    alpha=0.4,
    bins=(),
    seed=2,
)


@pytest.fixture(scope="module")
def sample() -> Pairs:
    units = [next(unit for unit in range(50) if unit_kind(unit) == kind) for kind in ("tracks", "hydro", "brief")]
    pairs = Pairs.concatenate([compute_unit(Recipe(runs_per_unit=16, seed=5), unit)[0] for unit in units])
    return pairs.where(np.random.default_rng(1).permutation(len(pairs))[:600])


def wild(finish: tuple[float, int] | None = (0.6, 2)) -> Jump:
    """A map with random nets that say something, and centres far apart."""
    surrogate = new_jump(NETWORK, replace(SMALL, finish_fraction=finish[0] if finish else 0.0))
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in surrogate.experts.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=random))
        surrogate.centres.copy_(torch.tensor([[-4.0], [0.0], [4.0]]).expand(3, 29))
    return surrogate


def run(surrogate: Jump, step: Step) -> tuple[Any, ...]:
    with torch.no_grad():
        made: tuple[Any, ...] = surrogate(step.x, step.temperature, step.conditions, step.theta)
    return made


# --- the verbs --------------------------------------------------------------------------------------------------------


def test_one_implicit_step_solves_its_equation(sample: Pairs) -> None:
    """(x1 - x0) / h = f(x0) + J (x1 - x0); with two-body rates J d = (f(x0 + d) - f(x0 - d)) / 2 exactly."""
    surrogate, step = wild(), step_of(sample, NETWORK)
    surrogate.shares = (1.0,)
    scaled = surrogate.scale(step.x, step.temperature, step.conditions, step.theta)
    prepared = surrogate.prepare(scaled).x.numpy()
    x, h = step.x.numpy(), step.theta.numpy()
    checked = 0
    for i in range(100):
        k = NETWORK.rate_coefficients(float(step.temperature[i]), {"zeta": float(step.conditions[i, 0])})
        d = prepared[i] - x[i]
        slope = NETWORK.rhs(x[i], k) + 0.5 * (NETWORK.rhs(x[i] + d, k) - NETWORK.rhs(x[i] - d, k))
        rate = scaled.production[i].numpy() + scaled.loss[i].numpy() * (x[i] + prepared[i])
        if np.all(np.abs(d - h[i] * slope) <= 1e-9 * (np.abs(x[i]).max() + h[i] * rate.max())):
            checked += 1
    assert checked > 80  # the others had a species that the step would have made negative


def test_a_species_that_the_step_would_make_negative_gets_the_frozen_one(sample: Pairs) -> None:
    surrogate, step = wild(), step_of(sample, NETWORK)
    surrogate.shares = (1.0,)
    scaled = surrogate.scale(step.x, step.temperature, step.conditions, step.theta)
    h = step.theta[:, None]
    matrix = torch.eye(29) / h[:, :, None] - surrogate.rates.jacobian(step.x, scaled.coefficients)
    plain = step.x + torch.linalg.solve(matrix, surrogate.rates.change(step.x, scaled.coefficients))
    prepared = surrogate.prepare(scaled).x
    frozen = (step.x + h * scaled.production) / (1.0 + h * scaled.loss)
    out = (plain < -1e-8) | (plain > 10.1)
    assert out.any()
    torch.testing.assert_close(prepared[out], frozen.clamp(max=10.0)[out])
    assert ((prepared >= 0.0) & (prepared <= 10.0)).all()


def test_dt_zero_is_the_identity(sample: Pairs) -> None:
    step = step_of(replace(sample, dt=np.zeros_like(sample.dt)), NETWORK)
    moved, _, _, decoded, multiplier, _ = run(wild(), step)
    assert (decoded.change == 0).all()
    torch.testing.assert_close(moved, step.x, rtol=1e-14, atol=0.0)
    assert (multiplier == 0).all()


def test_the_error_is_proportional_to_a_small_change(sample: Pairs) -> None:
    surrogate = wild(finish=None)
    step = step_of(sample, NETWORK)
    changes = []
    for theta in (1e-3, 1e-4):
        decoded = run(surrogate, replace(step, theta=torch.full_like(step.theta, theta)))[3]
        changes.append(decoded.change.abs().amax())
    assert changes[1] < 0.2 * changes[0] < 1e-3


def test_elements_and_charge_are_conserved(sample: Pairs) -> None:
    surrogate, step = wild(), step_of(sample, NETWORK)
    moved = run(surrogate, step)[0]
    conserved = surrogate.is_conserved(moved, step.x)
    assert conserved.double().mean() > 0.95
    new, old = moved.numpy()[conserved], step.x.numpy()[conserved]
    defect = np.abs((new - old) @ COMPOSITION.T) / (np.maximum(new, old) @ np.abs(COMPOSITION).T)
    assert defect.max() <= 1e-12
    assert (new >= 0).all()


def test_every_expert_serves_the_cells_nearest_to_its_centre(sample: Pairs) -> None:
    surrogate, step = wild(), step_of(sample, NETWORK)
    z = run(surrogate, step)[2]
    depth = surrogate.depth(z)
    expert = surrogate.route(depth)
    distance = torch.cdist(depth.double(), surrogate.centres.double())
    chosen = distance.gather(1, expert[:, None])[:, 0]
    torch.testing.assert_close(chosen, distance.amin(dim=1), rtol=1e-5, atol=1e-5)
    assert len(expert.unique()) == 3
    torch.testing.assert_close(surrogate.route(torch.zeros(1, 29)), torch.tensor([1]))


def test_each_row_by_its_expert_is_what_the_expert_alone_makes() -> None:
    torch.manual_seed(1)
    nets = Experts(4, [7, 5, 3])
    inputs, expert = torch.randn(50, 7), torch.randint(0, 4, (50,))
    all_of_them = nets(inputs.expand(4, 50, 7))
    torch.testing.assert_close(nets.each(inputs, expert), all_of_them[expert, torch.arange(50)])
    again = Experts.from_arrays(nets.arrays("e"), "e")
    assert torch.equal(again(inputs.expand(4, 50, 7)), all_of_them)


def test_the_map_has_the_symmetry_of_the_network(sample: Pairs) -> None:
    other = replace(sample, density=sample.density * 3.0, conditions=sample.conditions * 3.0, dt=sample.dt / 3.0)
    a, b = run(wild(), step_of(sample, NETWORK))[0], run(wild(), step_of(other, NETWORK))[0]
    error = (torch.log10(a) - torch.log10(b)).abs()
    assert error[a > 1e-10].quantile(0.99) < 1e-4  # single precision, amplified where the nets are wild


def test_the_model_file_keeps_it(sample: Pairs) -> None:
    surrogate, step = wild(), step_of(sample, NETWORK)
    arrays = surrogate.to_arrays()
    again = from_arrays(arrays, NETWORK.tables())
    assert isinstance(again, Jump)
    assert torch.equal(run(again, step)[0], run(surrogate, step)[0])
    assert {name: value.shape for name, value in again.to_arrays().items()} == {
        name: value.shape for name, value in arrays.items()
    }
    del arrays["surrogate/centres"]
    with pytest.raises(KeyError, match="centres"):
        from_arrays(arrays, NETWORK.tables())


# --- the optimiser ----------------------------------------------------------------------------------------------------


def test_muon_is_torchs_on_every_matrix_of_a_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    """In single precision: in bfloat16 both differ by as much as their kernels do."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.float)
    torch.manual_seed(1)
    start = torch.randn(3, 12, 7)
    stack = torch.nn.Parameter(start.clone())
    single = [torch.nn.Parameter(matrix.clone()) for matrix in start]
    ours, theirs = Muon([stack], lr=0.1), torch.optim.Muon(single, lr=0.1, weight_decay=0.0)
    for _ in range(3):
        stack.grad = torch.randn(3, 12, 7)
        for parameter, gradient in zip(single, stack.grad, strict=True):
            parameter.grad = gradient.clone()
        ours.step()
        theirs.step()
    torch.testing.assert_close(stack.detach(), torch.stack([p.detach() for p in single]), rtol=0.0, atol=1e-4)
    assert (stack - start).abs().mean() > 0.05


def test_an_orthogonal_update_has_singular_values_near_one() -> None:
    torch.manual_seed(2)
    values = torch.linalg.svdvals(orthogonal(torch.randn(2, 20, 12)))
    assert values.min() > 0.5
    assert values.max() < 1.3


# --- the fit ----------------------------------------------------------------------------------------------------------


def fitted(data: Path, folder: Path, recipe: JumpRecipe = SMALL) -> Jump:
    folder.mkdir(exist_ok=True)
    surrogate = new_jump(NETWORK, recipe)
    fit_jump(surrogate, load(data, "train"), NETWORK, recipe, recipe_of(read_provenance(data)), folder, progress=False)
    return surrogate


def test_costly_pairs_are_kept_and_a_share_of_the_others(sample: Pairs) -> None:
    kept = costly(sample, SMALL)
    assert (kept.steps >= 3).sum() == (sample.steps >= 3).sum()
    assert 0 < (kept.steps < 3).sum() < 0.3 * (sample.steps < 3).sum()


def test_the_fit_learns(tiny_data: Path, tmp_path: Path) -> None:
    recipe = replace(SMALL, samples=96 * 600, tours=0, shares=(1.0,), finish_fraction=0.0)
    pairs = load(tiny_data, "train")
    hard = pairs.where(pairs.steps >= 8)
    before = np.median(evaluate(new_jump(NETWORK, recipe), hard, NETWORK).error)
    after = np.median(evaluate(fitted(tiny_data, tmp_path, recipe), hard, NETWORK).error)
    assert after < 0.85 * before


def test_an_interrupted_fit_ends_in_the_same_weights(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fitted(tiny_data, tmp_path / "whole")
    monkeypatch.setattr(minimise, "_SAVE_EVERY", 50)
    loss, calls = fitting.sharp_loss, 0

    def failing(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 180:  # in the second round
            raise KeyboardInterrupt
        return loss(*given)

    monkeypatch.setattr(fitting, "sharp_loss", failing)
    with pytest.raises(KeyboardInterrupt):
        fitted(tiny_data, tmp_path / "cut")
    cut = fitted(tiny_data, tmp_path / "cut")
    assert calls == 180 + 200 - 170  # the steps after the checkpoint at 120 + 50 are done again, no others
    for a, b in zip(whole.parameters(), cut.parameters(), strict=True):
        assert torch.equal(a, b)
    with pytest.raises(minimise.CheckpointError, match="another recipe"):
        fitted(tiny_data, tmp_path / "cut", replace(SMALL, seed=9))


def test_later_rounds_learn_from_visited_states(tiny_data: Path, tmp_path: Path) -> None:
    fitted(tiny_data, tmp_path)
    visited = load(tmp_path / "visited_1.h5")
    assert len(visited) > 100
    assert not np.isin(visited.run, load(tiny_data).run).any()
    assert (tmp_path / "map_1.pt").exists()


def test_later_rounds_learn_from_fresh_pairs(tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "stream", partial(streaming.stream, executor=Inline()))
    pools: list[fitting.Pool] = []
    draw = fitting.Pool.draw
    monkeypatch.setattr(fitting.Pool, "draw", lambda pool, *given: pools.append(pool) or draw(pool, *given))
    recipe = replace(SMALL, samples=96 * 30, tours=2, fresh_blocks=1, pool_pairs=700)
    fitted(tiny_data, tmp_path, recipe)
    given, fresh = load(tiny_data), [load(tmp_path / f"fresh_{tour}.h5") for tour in (1, 2)]
    visited = load(tmp_path / "visited_1.h5")
    runs = [set(pairs.run.tolist()) for pairs in (given, visited, *fresh)]
    assert sum(map(len, runs)) == len(set().union(*runs))
    assert not np.isin(np.concatenate([pairs.start[:, 0] for pairs in fresh]), given.start[:, 0]).any()
    assert all(len(pairs) > 100 for pairs in fresh)
    assert len(costly(load(tiny_data, "train"), recipe)) > 700
    assert [len(pool) for pool in pools] == [700, 700, 700]  # the oldest leave
    last = min(700, len(fresh[1]))
    target = torch.as_tensor(np.log10(fresh[1].end[-last:].astype(float) + 1e-16)).float()
    torch.testing.assert_close(pools[2].data.target[-last:], target)


def test_training_makes_a_model_file(tiny_data: Path, tmp_path: Path) -> None:
    """However well the tiny fit does: the implicit steps alone err above 1 dex less often than alpha allows."""
    train(tiny_data, tmp_path / "tiny.pcs", SMALL, progress=False, held_out=tiny_data)
    model = ModelFile.read(tmp_path / "tiny.pcs")
    assert isinstance(from_arrays(model.arrays, NETWORK.tables()), Jump)
    assert model.meta["provenance"]["recipe"]["experts"] == 3
    assert all(figures["inside_box"] == 1.0 for figures in model.meta["accuracy"].values())
