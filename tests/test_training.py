"""Samplers, truth, data sets through any executor, and fits that continue where they stopped."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from pychemsurrogate.cli import main
from pychemsurrogate.integrators import ScipyBDF, conservation_defect
from pychemsurrogate.network import load_network
from pychemsurrogate.training import dataset
from pychemsurrogate.training.dataset import DatasetError, generate, load, read_provenance
from pychemsurrogate.training.sampling import FAMILY, KINDS, Ranges, SamplingError, disturb, history, initial_abundances
from pychemsurrogate.training.truth import UNITS_PER_CYCLE, Recipe, compute_unit, unit_kind, unit_split

NETWORK = load_network("osu_09_2008")
TABLES = NETWORK.tables()
SMALL = Recipe(units=3, runs_per_unit=8, seed=4)


class Inline(Executor):
    """Computes at once, in this process; can break down after some units."""

    def __init__(self, units: int = 10**9) -> None:
        self.left = units
        self.computed: list[int] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        self.computed.append(args[1])
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


# --- samplers ---------------------------------------------------------------------------------------------------------


def test_initial_states_are_neutral_normalised_and_in_range() -> None:
    ranges = Ranges()
    x = initial_abundances(TABLES, ranges, 1000, np.random.default_rng(1))
    assert x.shape == (1000, 29)
    assert (x >= 0).all()
    np.testing.assert_allclose(x @ TABLES.scale_weights, 1.0, rtol=1e-12)
    totals = dict(zip(TABLES.conserved, (x @ TABLES.composition.T).T, strict=True))
    np.testing.assert_allclose(totals["charge"], 0.0, atol=1e-15)
    assert 0.98 * ranges.carbon[0] < totals["C"].min() < 2e-6
    assert 1e-4 < totals["C"].max() < 1.02 * ranges.carbon[1]
    ratio = totals["O"] / totals["C"]
    assert 0.98 * 0.7 < ratio.min() < ratio.max() < 1.02 * 5.0
    np.testing.assert_array_equal(x[::FAMILY], x[1::FAMILY])


def test_a_network_without_the_needed_species_is_refused() -> None:
    tables = replace(TABLES, species=tuple("X" + name for name in TABLES.species))
    with pytest.raises(SamplingError, match="H, H2, C, C\\+, O, e-"):
        initial_abundances(tables, Ranges(), 4, np.random.default_rng(1))


@pytest.mark.parametrize("kind", KINDS)
def test_histories_stay_in_range(kind: str) -> None:
    ranges = Ranges()
    past = history(kind, ranges, 64, np.random.default_rng(2))
    for values, bounds in (
        (past.temperature, ranges.temperature),
        (past.density, ranges.density),
        (past.conditions["zeta"], ranges.conditions["zeta"]),
        (past.dt / 3.15576e7, ranges.dt_years),
    ):
        assert bounds[0] * (1 - 1e-9) <= values.min() <= values.max() <= bounds[1] * (1 + 1e-9)
    assert (np.diff(past.dt, axis=-1) >= 0).all()
    assert past.recorded.any()


def test_hydro_steps_are_as_defined() -> None:
    past = history("hydro", Ranges(), 4000, np.random.default_rng(2))
    for values, spread in ((past.temperature, 0.02), (past.density, 0.04)):
        assert np.std(np.diff(np.log10(values), axis=0)) == pytest.approx(spread, rel=0.1)
    years = past.dt / 3.15576e7
    assert years.min() >= 1e3
    assert years.max() <= 1e4


def test_disturbed_states_keep_elements_and_charge_neutrality() -> None:
    rng = np.random.default_rng(3)
    x = initial_abundances(TABLES, Ranges(), 2000, rng)
    for kind in KINDS:
        new, start = disturb(x, kind, TABLES, rng)
        assert (new >= 0).all()
        np.testing.assert_array_equal(new[start == 0], x[start == 0])
        np.testing.assert_allclose(new @ TABLES.scale_weights, 1.0, rtol=1e-12)
        charge = np.abs(new @ TABLES.composition[-1]) / (new @ np.abs(TABLES.composition[-1]))
        assert charge.max() < 1e-11
        perturbed = start == 3
        assert conservation_defect(new[perturbed], x[perturbed], TABLES.composition).max(initial=0.0) < 1e-12
        assert set(start.tolist()) == {"tracks": {0, 1, 2, 3}, "hydro": {0}, "flow": {0, 2, 3}}[kind]


# --- truth ------------------------------------------------------------------------------------------------------------


def test_pairs_agree_with_scipy() -> None:
    pairs, dropped = compute_unit(Recipe(units=1, runs_per_unit=8, seed=11), 0)
    assert dropped == 0
    assert len(pairs) == 8 * 10 * 4
    some = pairs.where(np.random.default_rng(0).permutation(len(pairs))[:6])
    n, status = ScipyBDF(NETWORK, rtol=1e-7).advance(
        some.start * some.density[:, None], some.dt, some.temperature, {"zeta": some.conditions[:, 0]}
    )
    assert (status > 0).all()
    x = n / some.density[:, None]
    error = np.abs(np.log10(x) - np.log10(some.end))[x > 1e-12]
    assert error.max() < 1e-3


def test_units_hold_whole_runs_of_every_kind_and_split() -> None:
    cycle = [(unit_kind(unit), unit_split(unit)) for unit in range(UNITS_PER_CYCLE)]
    assert len(set(cycle)) == 9
    shares = {split: sum(s == split for _, s in cycle) / len(cycle) for split in ("train", "calibration", "test")}
    assert shares == {"train": 0.8, "calibration": 0.1, "test": 0.1}


# --- data sets --------------------------------------------------------------------------------------------------------


def same(first: Path, second: Path) -> bool:
    a, b = load(first), load(second)
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in vars(a))


def test_a_data_set_tells_how_it_was_made(tmp_path: Path) -> None:
    path = generate(SMALL, tmp_path / "d.h5", executor=Inline(), progress=False)
    origin = read_provenance(path)
    assert origin["recipe"]["seed"] == 4
    assert origin["network_hash"] == NETWORK.hash
    assert set(origin) == {"command", "date", "versions", "network_hash", "recipe"}
    with h5py.File(path) as file:
        assert file["dt"].attrs["units"] == "s"
        assert list(file.attrs["species"]) == list(NETWORK.species_names)
    pairs = load(path)
    assert len(np.unique(pairs.run)) == 24
    assert np.isfinite(pairs.end).all()


def test_an_interrupted_data_set_is_continued(tmp_path: Path) -> None:
    whole = generate(SMALL, tmp_path / "whole.h5", executor=Inline(), progress=False)
    with pytest.raises(KeyboardInterrupt):
        dataset._compute(SMALL, _begun(tmp_path / "cut.h5"), [0, 1, 2], Inline(units=2), progress=False)
    first = Inline()
    dataset._compute(SMALL, tmp_path / "cut.h5.parts", [0, 1], first, progress=False)
    rest = Inline()
    cut = generate(SMALL, tmp_path / "cut.h5", executor=rest, progress=False)
    assert rest.computed == [2]
    assert same(whole, cut)
    assert not (tmp_path / "cut.h5.parts").exists()
    again = Inline()
    generate(SMALL, cut, executor=again, progress=False)
    assert again.computed == []


def _begun(path: Path) -> Path:
    """The folder of parts that generate() makes before it computes."""
    import json

    parts = path.with_name(path.name + ".parts")
    parts.mkdir()
    (parts / "recipe.json").write_text(json.dumps(SMALL.as_dict(), sort_keys=True))
    return parts


def test_another_recipe_is_refused(tmp_path: Path) -> None:
    path = generate(SMALL, tmp_path / "d.h5", executor=Inline(), progress=False)
    with pytest.raises(DatasetError, match="another recipe"):
        generate(replace(SMALL, seed=5), path, executor=Inline(), progress=False)
    with pytest.raises(DatasetError, match="pychemsurrogate data"):
        load(tmp_path / "none.h5")
    with h5py.File(tmp_path / "foreign.h5", "w"):
        pass
    with pytest.raises(DatasetError, match="not a data set"):
        load(tmp_path / "foreign.h5")


def test_a_process_pool_gives_the_same_data(tmp_path: Path) -> None:
    inline = generate(SMALL, tmp_path / "inline.h5", executor=Inline(), progress=False)
    pool = generate(SMALL, tmp_path / "pool.h5", workers=1, progress=False)
    assert same(inline, pool)


def test_dask_gives_the_same_data(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    inline = generate(SMALL, tmp_path / "inline.h5", executor=Inline(), progress=False)
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        through = generate(SMALL, tmp_path / "dask.h5", executor=client.get_executor(), progress=False)
    assert same(inline, through)


# --- fits -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set with every kind and split."""
    recipe = Recipe(units=UNITS_PER_CYCLE, runs_per_unit=4, seed=7, rtol=1e-2, atol=1e-15)
    return generate(recipe, tmp_path_factory.mktemp("data") / "tiny.h5", executor=Inline(), progress=False)


def tiny_recipe() -> Any:
    from pychemsurrogate.training.fit import FitRecipe

    return FitRecipe(
        encoder=(24,),
        decoder=(24,),
        head=(12,),
        latent=6,
        clocks=3,
        samples=64 * 120,
        batch=64,
        head_samples=64 * 60,
        tolerance=3.0,
        alpha=0.3,
        seed=2,
    )


def test_training_makes_a_model_file(tiny_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from pychemsurrogate.model_file import ModelFile
    from pychemsurrogate.training.train import accuracy_table, train

    train(tiny_data, tmp_path / "tiny.pcs", tiny_recipe(), progress=False)
    model = ModelFile.read(tmp_path / "tiny.pcs")
    assert model.has_surrogate
    assert model.meta["provenance"]["recipe"]["seed"] == 2
    assert model.meta["provenance"]["data"]["recipe"] == {**read_provenance(tiny_data)["recipe"]}
    table = accuracy_table(model.meta["accuracy"])
    assert "hydro-like" in table
    assert all(figures["inside_box"] == 1.0 for figures in model.meta["accuracy"].values())


def test_a_head_for_a_finish_keeps_the_map(tiny_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from pychemsurrogate.training import fit
    from pychemsurrogate.training.train import train

    plain, finished = tiny_recipe(), replace(tiny_recipe(), finish_fraction=0.3, finish_steps=2)
    first = train(tiny_data, tmp_path / "first.pcs", plain, tmp_path / "kept", progress=False)
    with pytest.raises(fit.CheckpointError, match="another recipe"):  # the head's; the map's was taken
        train(tiny_data, tmp_path / "second.pcs", finished, tmp_path / "kept", progress=False)
    (tmp_path / "kept" / "head.pt").unlink()
    second = train(tiny_data, tmp_path / "second.pcs", finished, tmp_path / "kept", progress=False)
    assert second.arrays["surrogate/finish_steps"] == 2
    assert second.arrays["surrogate/head_w0"].shape[1] == first.arrays["surrogate/head_w0"].shape[1] + 30
    for name, array in first.arrays.items():
        if name.startswith(("surrogate/encode", "surrogate/decode")):
            assert np.array_equal(second.arrays[name], array)
    errors = [model.meta["accuracy"]["hydro-like"]["median"] for model in (first, second)]
    assert errors[1] < errors[0]


def test_an_interrupted_fit_ends_in_the_same_weights(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    from pychemsurrogate.training import fit

    recipe, pairs = tiny_recipe(), load(tiny_data, "train")
    whole = fit.new_surrogate(NETWORK, recipe)
    fit.fit_map(whole, pairs, NETWORK, recipe, progress=False)

    monkeypatch.setattr(fit, "_SAVE_EVERY", 50)
    calls = 0
    loss = fit.sharp_loss

    def failing(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 80:
            raise KeyboardInterrupt
        return loss(*given)

    monkeypatch.setattr(fit, "sharp_loss", failing)
    cut = fit.new_surrogate(NETWORK, recipe)
    with pytest.raises(KeyboardInterrupt):
        fit.fit_map(cut, pairs, NETWORK, recipe, tmp_path / "map.pt", progress=False)
    cut = fit.new_surrogate(NETWORK, recipe)
    fit.fit_map(cut, pairs, NETWORK, recipe, tmp_path / "map.pt", progress=False)
    assert calls == 80 + 70  # the steps after the checkpoint at 50 are done again, no others
    for a, b in zip(whole.parameters(), cut.parameters(), strict=True):
        assert torch.equal(a, b)

    with pytest.raises(fit.CheckpointError, match="another recipe"):
        fit.fit_map(cut, pairs, NETWORK, replace(recipe, seed=9), tmp_path / "map.pt", progress=False)


def test_the_fit_learns(tiny_data: Path) -> None:
    pytest.importorskip("torch")
    from pychemsurrogate.training import fit

    recipe = replace(tiny_recipe(), samples=64 * 500)
    pairs = load(tiny_data, "train")
    few = pairs.where(np.random.default_rng(3).permutation(len(pairs))[:500])
    surrogate = fit.new_surrogate(NETWORK, recipe)
    before = np.mean(fit.evaluate(surrogate, few, NETWORK).error)
    fit.fit_map(surrogate, pairs, NETWORK, recipe, progress=False)
    after = np.mean(fit.evaluate(surrogate, few, NETWORK).error)
    assert after < 0.75 * before


def test_recipes_are_plain_values() -> None:
    import json

    assert json.loads(json.dumps(SMALL.as_dict()))["ranges"]["temperature"] == [10.0, 300.0]
    assert asdict(SMALL) == SMALL.as_dict()


def test_the_data_command(tmp_path: Path) -> None:
    target = str(tmp_path / "d.h5")
    options = ["--units", "1", "--runs-per-unit", "4", "--workers", "1"]
    made = CliRunner().invoke(main, ["data", "-o", target, *options])
    assert made.exit_code == 0, made.output
    assert len(load(target)) == 4 * 40
    refused = CliRunner().invoke(main, ["data", "-o", target, "--seed", "2", *options])
    assert refused.exit_code == 1
    assert "another recipe" in refused.output


def test_the_train_command_refuses_a_missing_data_set(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    refused = CliRunner().invoke(main, ["train", str(tmp_path / "none.h5"), "-o", str(tmp_path / "m.pcs")])
    assert refused.exit_code == 1
    assert "pychemsurrogate data" in refused.output
