"""A model learns on from the log of a host's runs."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from inline import Inline
from joined import joined_model

from pychemsurrogate.cli import main
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.network import Network
from pychemsurrogate.solver import Solver
from pychemsurrogate.state_log import LogError, open_log
from pychemsurrogate.training.dataset import DatasetError, generate, load, read_provenance, recipe_of, save
from pychemsurrogate.training.logged import logged_pairs, told
from pychemsurrogate.training.truth import KINDS, SPLITS, Pairs, Recipe, compute_unit

torch = pytest.importorskip("torch")

from pychemsurrogate.surrogates.surrogate import from_arrays  # noqa: E402
from pychemsurrogate.training import fit_jump, learn_on, minimise  # noqa: E402
from pychemsurrogate.training import stream as streaming  # noqa: E402
from pychemsurrogate.training.fit import evaluate, mixed  # noqa: E402
from pychemsurrogate.training.fit_multiclock import continue_multi_clock, new_multi_clock  # noqa: E402
from pychemsurrogate.training.minimise import CheckpointError  # noqa: E402
from pychemsurrogate.training.prepare import prepare  # noqa: E402
from pychemsurrogate.training.recipe import ContinueRecipe, JumpRecipe, MultiClockRecipe  # noqa: E402
from pychemsurrogate.training.train import train, trained_box  # noqa: E402

RECIPE = JumpRecipe(
    experts=2,
    widths=(16,),
    shares=(1.0,),
    head=(8,),
    samples=96 * 150,
    batch=96,
    tours=0,
    head_pairs=300,
    head_samples=96 * 40,
    finish_fraction=0.0,
    targets=(1.0,),
    alpha=0.4,
    bins=(),
)
AGAIN = ContinueRecipe(samples=96 * 300, share=0.5, rate=1.0, block_rows=25)
CLOCKS = MultiClockRecipe(encoder=(16,), decoder=(16,), head=(8,), latent=4, clocks=2, samples=6400, batch=64)


@pytest.fixture(scope="module")
def parent(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model that asks its gate about every cell."""
    path = tmp_path_factory.mktemp("parent") / "parent.pcs"
    model = train(tiny_data, path, RECIPE, progress=False)
    model.arrays = {name: array for name, array in model.arrays.items() if not name.startswith("router/")}
    model.write(path)
    return path


@pytest.fixture(scope="module")
def shocked() -> Pairs:
    """Cells behind shocks, inside the box of the model."""
    pairs, _ = compute_unit(Recipe(units=2, runs_per_unit=16, splits=("shifted",), rtol=1e-2, atol=1e-15, seed=3), 1)
    return pairs.where(np.arange(900))


@pytest.fixture(scope="module")
def log(parent: Path, shocked: Pairs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a host's run logs: every one of these cells, forty of them again, and thirty that are too hot."""
    path = tmp_path_factory.mktemp("log") / "states.h5"
    solver = Solver.load(parent, log=path, audit=1.0, exact_every=0, target_error_dex=1.0)
    hot = shocked.where(np.arange(30))
    for cells in (shocked, shocked.where(np.arange(40)), replace(hot, temperature=np.full(30, 5e3))):
        n = cells.start * cells.density[:, None]
        solver.step(n, cells.dt, cells.temperature, zeta=cells.conditions[:, 0])
    return path


@pytest.fixture(scope="module")
def pairs(osu: Network, tiny_data: Path, log: Path) -> Pairs:
    truth = recipe_of(read_provenance(tiny_data))
    return logged_pairs([log], osu, truth, trained_box(osu, truth), AGAIN.block_rows, progress=False)[0]


@pytest.fixture(scope="module")
def child(parent: Path, log: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    path = tmp_path_factory.mktemp("child") / "child.pcs"
    return learn_on.learn_on(parent, [log], path, AGAIN, tiny_data, progress=False)


def errors(model: ModelFile, pairs: Pairs, network: Network) -> Any:
    return evaluate(from_arrays(model.arrays, network.tables()), pairs, network).error


def test_logged_states_become_pairs(osu: Network, tiny_data: Path, log: Path, shocked: Pairs) -> None:
    truth = recipe_of(read_provenance(tiny_data))
    pairs, counts = logged_pairs([log], osu, truth, trained_box(osu, truth), 100, progress=False)
    assert counts["states"] == counts["used"] + 40 + 30
    assert counts["repeated"] == 40
    assert counts["outside the box"] == 30
    assert "40 repeated, 30 outside the box, 0 given up" in told(counts)
    assert len(pairs) == counts["used"] == 900
    assert (pairs.kind == KINDS.index("logged")).all()
    np.testing.assert_allclose(pairs.start, shocked.start, rtol=1e-14)
    np.testing.assert_allclose(pairs.end, shocked.end, rtol=1e-5)
    np.testing.assert_array_equal(pairs.steps, shocked.steps)
    # Blocks of neighbours are whole: at least twenty, each in one split.
    assert (np.diff(pairs.run) >= 0).all()
    assert np.unique(pairs.run, return_counts=True)[1].max() == 45
    assert len(np.unique(np.stack([pairs.run, pairs.split]), axis=1).T) == 20
    shares = [np.mean(pairs.split == SPLITS.index(split)) for split in ("train", "calibration", "test")]
    assert shares == [0.6, 0.2, 0.2]


def test_learning_on_lowers_the_error_on_held_out_blocks(
    osu: Network, parent: Path, child: ModelFile, pairs: Pairs
) -> None:
    unseen = pairs.where(pairs.split == SPLITS.index("test"))
    before, after = (errors(model, unseen, osu) for model in (ModelFile.read(parent), child))
    assert np.median(after) < 0.8 * np.median(before)
    old = ModelFile.read(parent).arrays
    for name in ("centres", "feature_mean", "feature_std"):
        np.testing.assert_array_equal(child.arrays[f"surrogate/{name}"], old[f"surrogate/{name}"])


def test_the_gate_keeps_alpha_on_the_log(osu: Network, child: ModelFile, pairs: Pairs) -> None:
    held_out = pairs.where(pairs.split == SPLITS.index("calibration"))
    surrogate = from_arrays(child.arrays, osu.tables())
    outcome = evaluate(surrogate, held_out, osu)
    threshold = child.arrays["gate/thresholds"][0, 0]
    accepted = outcome.predicted < threshold
    assert np.isfinite(threshold)
    assert np.mean(outcome.error[accepted] > 1.0) <= RECIPE.alpha if accepted.any() else True
    assert child.meta["accuracy"]["logged"]["cells"] == np.count_nonzero(pairs.split == SPLITS.index("test"))
    assert {"router/steps", "budget/kappa"} <= set(child.arrays)


def test_the_provenance_tells_parent_and_logs(parent: Path, child: ModelFile, log: Path) -> None:
    origin = child.meta["provenance"]
    assert origin["parent"]["file"] == "parent.pcs"
    assert len(origin["parent"]["sha256"]) == 64
    assert origin["parent"]["provenance"] == ModelFile.read(parent).meta["provenance"]
    assert [given["file"] for given in origin["logs"]] == [log.name]
    assert origin["states"]["used"] == 900
    assert origin["continued"]["samples"] == AGAIN.samples
    assert origin["recipe"]["experts"] == 2


def test_an_interrupted_one_ends_in_the_same_model(
    parent: Path, child: ModelFile, log: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minimise, "_SAVE_EVERY", 50)
    loss, calls = fit_jump.sharp_loss, 0

    def failing(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 120:
            raise KeyboardInterrupt
        return loss(*given)

    monkeypatch.setattr(fit_jump, "sharp_loss", failing)
    output = tmp_path / "cut.pcs"
    with pytest.raises(KeyboardInterrupt):
        learn_on.learn_on(parent, [log], output, AGAIN, tiny_data, progress=False)
    with pytest.raises(CheckpointError, match="another model"):
        learn_on.learn_on(parent, [log], output, replace(AGAIN, seed=2), tiny_data, progress=False)
    cut = learn_on.learn_on(parent, [log], output, AGAIN, tiny_data, progress=False)
    assert calls == 120 + 200
    assert cut.arrays.keys() == child.arrays.keys()
    for name, array in child.arrays.items():
        if name != "router/costs":  # measured
            np.testing.assert_array_equal(cut.arrays[name], array, err_msg=name)


def test_without_a_data_set_pairs_are_made(
    parent: Path, log: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "stream", partial(streaming.stream, executor=Inline()))
    monkeypatch.setattr(learn_on, "generate", partial(generate, executor=Inline()))
    again = replace(AGAIN, samples=96 * 5, fresh_blocks=1)
    model = learn_on.learn_on(parent, [log], tmp_path / "a.pcs", again, progress=False)
    given, fresh = load(tiny_data), load(tmp_path / "a.pcs.checkpoint" / "fresh.h5")
    assert not np.isin(fresh.run, given.run).any()
    held_out = load(tmp_path / "a.pcs.checkpoint" / "held_out.h5")
    np.testing.assert_array_equal(held_out.start, given.where(given.split != 0).start)
    assert learn_on._blocks_used(model.meta["provenance"]) == 1
    monkeypatch.setattr(learn_on, "finish", lambda *_: ModelFile({}))
    learn_on.learn_on(tmp_path / "a.pcs", [log], tmp_path / "b.pcs", again, progress=False)
    assert not np.isin(load(tmp_path / "b.pcs.checkpoint" / "fresh.h5").run, fresh.run).any()


def test_a_multi_clock_map_learns_on(osu: Network, tiny_data: Path, pairs: Pairs, tmp_path: Path) -> None:
    surrogate, given = new_multi_clock(osu, CLOCKS), load(tiny_data, "train").where(np.arange(500))
    with torch.no_grad():
        features = prepare(given, surrogate, osu).features
    surrogate.feature_mean.copy_(features.mean(dim=0))
    surrogate.feature_std.copy_(features.std(dim=0).clamp(min=1e-3))
    before, mean = np.mean(evaluate(surrogate, pairs, osu).error), surrogate.feature_mean.clone()
    again = ContinueRecipe(samples=64 * 400, share=0.5)
    continue_multi_clock(surrogate, given, pairs, osu, CLOCKS, again, tmp_path / "map.pt", progress=False)
    assert np.mean(evaluate(surrogate, pairs, osu).error) < 0.9 * before
    assert torch.equal(surrogate.feature_mean, mean)


def test_logged_pairs_have_their_share_of_each_batch() -> None:
    rows = mixed(np.array([1000, 50]), 90, [1.0 / 3.0])(torch.Generator().manual_seed(1))
    assert len(rows) == 90
    assert int((rows >= 1000).sum()) == 30
    assert int(mixed(np.array([1000, 0]), 90, [0.5])(torch.Generator()).max()) < 1000
    assert ContinueRecipe().share_of(50, 1e6) == pytest.approx(0.05)  # each at most a thousand times
    assert ContinueRecipe().share_of(5000, 1e6) == pytest.approx(1.0 / 3.0)
    with pytest.raises(ValueError, match="share"):
        ContinueRecipe(share=1.0)


def test_each_expert_draws_its_share_of_logged_pairs() -> None:
    def pool(expert: list[int], weight: float) -> fit_jump.Pool:
        column = torch.zeros(len(expert), 1)
        weights = torch.full((len(expert),), weight, dtype=torch.float64)
        return fit_jump.Pool(fit_jump.PreparedJumps(column, column, column, column), weights, torch.tensor(expert))

    given, logged = pool([0] * 300 + [1] * 100 + [2] * 10, 2.0), pool([0, 1, 1], 7.0)
    both = given.mixed(logged, torch.tensor([0.25, 0.5, 0.5]).double())
    assert len(both) == 413
    late = torch.arange(413) >= 410
    for expert, share in ((0, 0.25), (1, 0.5), (2, 0.0)):
        own = both.expert == expert
        assert both.weight[own & late].sum() / both.weight[own].sum() == pytest.approx(share)


# --- what is refused --------------------------------------------------------------------------------------------------


def refused(parent: Path | str, log: Path, data: Path, tmp_path: Path, error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        learn_on.learn_on(parent, [log], tmp_path / "never.pcs", AGAIN, data, progress=False)


def test_logs_that_are_refused(
    osu: Network, decay_chain: Network, parent: Path, log: Path, tiny_data: Path, tmp_path: Path
) -> None:
    open_log(tmp_path / "empty.h5", osu)
    refused(parent, tmp_path / "empty.h5", tiny_data, tmp_path, LogError, "0 of 0 logged states")
    open_log(tmp_path / "other.h5", decay_chain)
    refused(parent, tmp_path / "other.h5", tiny_data, tmp_path, LogError, "no log for the network osu")
    with h5py.File(log) as given, h5py.File(tmp_path / "newer.h5", "w") as newer:
        newer.attrs.update(dict(given.attrs) | {"format": 2})
    refused(parent, tmp_path / "newer.h5", tiny_data, tmp_path, LogError, "format 2.*upgrade")
    refused(parent, tmp_path / "none.h5", tiny_data, tmp_path, LogError, "cannot be read")
    refused(parent, tiny_data, tiny_data, tmp_path, LogError, "no log")


def test_models_that_are_refused(osu: Network, parent: Path, log: Path, tiny_data: Path, tmp_path: Path) -> None:
    error, path = learn_on.MapError, tmp_path / "model.pcs"

    def altered(arrays: dict[str, Any], meta: dict[str, Any] | None = None) -> None:
        model = ModelFile.read(parent)
        ModelFile(model.arrays | arrays, model.meta if meta is None else meta).write(path)

    ModelFile.from_network(osu).write(path)
    refused(path, log, tiny_data, tmp_path, error, "no surrogate")
    refused("seed-linear", log, tiny_data, tmp_path, error, "latent map")
    refused("osu_09_2008-multiclock", log, tiny_data, tmp_path, error, "tolerance.*train it anew")
    altered({}, {})
    refused(path, log, tiny_data, tmp_path, error, "no recipe")
    refused(joined_model(), log, tiny_data, tmp_path, error, "one path's own model")


def test_another_data_set_is_refused(osu: Network, parent: Path, log: Path, tiny_data: Path, tmp_path: Path) -> None:
    truth = recipe_of(read_provenance(tiny_data))
    save(load(tiny_data, "test"), tmp_path / "other.h5", replace(truth, rtol=1e-3))
    refused(parent, log, tmp_path / "other.h5", tmp_path, DatasetError, "another recipe")


def test_the_command(osu: Network, log: Path, tiny_data: Path, tmp_path: Path) -> None:
    path, out = str(tmp_path / "clocks.pcs"), str(tmp_path / "out.pcs")
    recipe = replace(CLOCKS, head_samples=64 * 40.0, head_pairs=300, targets=(1.0,), alpha=0.4, bins=())
    meta = {"provenance": {"recipe": recipe.as_dict(), "data": read_provenance(tiny_data)}}
    model = ModelFile.from_network(osu, meta)
    model.arrays |= new_multi_clock(osu, recipe).to_arrays()
    model.write(path)
    given = ["train", str(tiny_data), "-o", out, "--continue", path, "--from", str(log), "--samples", "1280"]
    made = CliRunner().invoke(main, given)
    assert made.exit_code == 0, made.output
    assert "900 of 970 logged states are used" in made.output
    assert "| logged | 180 |" in made.output
    for arguments, reason in (
        (["train", "-o", out], "DATASET"),
        (["train", "-o", out, "--continue", path], "go together"),
        (["train", str(tiny_data), "-o", out, "--from", str(log)], "go together"),
        ([*given, "--map", "fast"], "own map"),
        (["train", str(tiny_data), "-o", out, "--map", "multiclock", "--stream", "2"], "later rounds"),
        ([*given[:-4], "--from", str(tmp_path / "none.h5")], "cannot be read"),
    ):
        answer = CliRunner().invoke(main, arguments)
        assert answer.exit_code != 0
        assert reason in answer.output
