"""Samplers, truth, data sets through any executor, and fits that continue where they stopped."""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from inline import Inline

from pychemsurrogate.cli import main
from pychemsurrogate.gate.box import Box, box_of_ranges, quantities
from pychemsurrogate.integrators import NativeRosenbrock, ScipyBDF, conservation_defect
from pychemsurrogate.network import Network, load_network, parse_network
from pychemsurrogate.solver import Solver
from pychemsurrogate.training import dataset
from pychemsurrogate.training.dataset import DatasetError, generate, load, read_provenance
from pychemsurrogate.training.histories import free_fall_years, history, larson_temperature
from pychemsurrogate.training.sampling import (
    FAMILY,
    YEAR_S,
    FloatArray,
    Ranges,
    SamplingError,
    disturb,
    initial_abundances,
)
from pychemsurrogate.training.stream import stream
from pychemsurrogate.training.truth import (
    KINDS,
    SPLITS,
    UNITS_PER_BLOCK,
    UNITS_PER_CYCLE,
    Pairs,
    Recipe,
    compute_unit,
    unit_kind,
    unit_split,
    visit,
)

NETWORK = load_network("osu_09_2008")
TABLES = NETWORK.tables()
SMALL = Recipe(units=3, runs_per_unit=8, seed=4)


# --- samplers ---------------------------------------------------------------------------------------------------------

SAMPLED = ("tracks", "hydro", "flow", "steps", "brief", "collapse", "shock")


def totals_of(x: FloatArray, network: Network = NETWORK) -> dict[str, FloatArray]:
    tables = network.tables()
    return dict(zip(tables.conserved, (x @ tables.composition.T).T, strict=True))


def test_initial_states_are_neutral_normalised_and_in_range() -> None:
    ranges = Ranges()
    x = initial_abundances(TABLES, ranges, 1000, np.random.default_rng(1))
    assert x.shape == (1000, 29)
    assert (x >= 0).all()
    np.testing.assert_allclose(x @ TABLES.scale_weights, 1.0, rtol=1e-12)
    totals = totals_of(x)
    np.testing.assert_allclose(totals["charge"], 0.0, atol=1e-15)
    for name, values in (("C/H", totals["C"]), ("O/C", totals["O"] / totals["C"])):
        low, high = ranges.ratios[name]
        assert low * (1 - 1e-12) <= values.min() < 1.5 * low
        assert 0.7 * high < values.max() <= high * (1 + 1e-12)
    np.testing.assert_array_equal(x[::FAMILY], x[1::FAMILY])
    fraction = x[:, NETWORK.species_index("H")]
    electrons = x[:, NETWORK.species_index("e-")]
    assert fraction.min() < 1e-4  # from molecular to atomic, from neutral to ionised
    assert fraction.max() > 0.9
    assert electrons.min() < 1e-8
    assert electrons.max() > 1e-2


NITROGEN = """pychemsurrogate network 1
name: nitrogen
source: made up
conditions: zeta
species: H H2 H+ He He+ N N2 S S+ e-
reactions:
H2 -> H + H | cosmic_ray | 1.0
H -> H+ + e- | cosmic_ray | 0.5
H+ + e- -> H | arrhenius | 1e-12 0 0
H + H -> H2 | arrhenius | 1e-17 0 0
He -> He+ + e- | cosmic_ray | 0.5
He+ + e- -> He | arrhenius | 1e-12 0 0
N + N -> N2 | arrhenius | 1e-12 0 0
N2 -> N + N | cosmic_ray | 1.0
S -> S+ + e- | cosmic_ray | 1.0
S+ + e- -> S | arrhenius | 1e-12 0 0
"""


def test_networks_with_other_elements_are_sampled() -> None:
    network = parse_network(NITROGEN)
    ranges = Ranges(ratios={"He/H": (0.1, 0.1), "N/H": (1e-6, 1e-4), "S/N": (1e-3, 1e-1), "C/H": (1e-4, 1e-4)})
    x = initial_abundances(network.tables(), ranges, 400, np.random.default_rng(1))
    totals = totals_of(x, network)
    np.testing.assert_allclose(totals["He"], 0.1, rtol=1e-10)
    assert 1e-6 < totals["N"].min() < 2e-6
    assert 0.5e-4 < totals["N"].max() < 1e-4
    ratio = totals["S"] / totals["N"]
    assert 1e-3 < ratio.min() < 2e-3
    assert x[:, network.species_index("N2")].max() > 0.1 * totals["N"].max()
    assert (x[:, network.species_index("S+")] / totals["S"]).max() > 0.99
    with pytest.raises(SamplingError, match='no abundance of N, S: add "N/H"'):
        initial_abundances(network.tables(), replace(ranges, ratios={"He/H": (0.1, 0.1)}), 4, np.random.default_rng(1))
    turned = {"He/H": (0.1, 0.1), "S/N": (1e-3, 1e-1), "N/H": (1e-6, 1e-4)}
    with pytest.raises(SamplingError, match="change the order"):
        initial_abundances(network.tables(), replace(ranges, ratios=turned), 4, np.random.default_rng(1))


def test_a_network_without_the_needed_species_is_refused() -> None:
    tables = replace(TABLES, species=tuple("X" + name for name in TABLES.species))
    with pytest.raises(SamplingError, match="C, H, O, H2, e-"):
        initial_abundances(tables, Ranges(), 4, np.random.default_rng(1))


def test_ranges_of_other_conditions_are_refused() -> None:
    with pytest.raises(SamplingError, match=r"zeta, G0.*reads \(zeta\)"):
        initial_abundances(TABLES, Ranges(conditions={"zeta": (1, 1), "G0": (1, 1)}), 4, np.random.default_rng(1))


@pytest.mark.parametrize("kind", SAMPLED)
def test_histories_stay_in_range(kind: str) -> None:
    ranges = Ranges()
    past = history(kind, ranges, 64, np.random.default_rng(2))
    for values, bounds in (
        (past.temperature, ranges.temperature),
        (past.density / past.conditions["zeta"], ranges.density_per_zeta),
        (past.conditions["zeta"], ranges.conditions["zeta"]),
        (past.dt / YEAR_S, ranges.dt_years),
    ):
        assert bounds[0] * (1 - 1e-9) <= values.min() <= values.max() <= bounds[1] * (1 + 1e-9)
    assert (np.diff(past.dt, axis=-1) >= 0).all()
    assert past.recorded.any()


def test_tracks_fill_the_range() -> None:
    ranges = Ranges()
    past = history("tracks", ranges, 2000, np.random.default_rng(2))
    for values, bounds in (
        (past.temperature, ranges.temperature),
        (past.density / past.conditions["zeta"], ranges.density_per_zeta),
        (past.dt, (YEAR_S, 1e6 * YEAR_S)),
    ):
        edges = np.geomspace(*bounds, 5)
        shares = [np.mean((values >= low) & (values <= high)) for low, high in pairwise(edges)]
        assert min(shares) > 0.15
    years = history("brief", ranges, 500, np.random.default_rng(2))
    brief = years.dt[years.recorded]
    assert brief.min() < 10.0
    assert brief.max() <= YEAR_S
    steps = history("steps", ranges, 500, np.random.default_rng(2)).dt / YEAR_S
    assert 1e2 <= steps.min() < steps.max() <= 1e4


def test_hydro_steps_are_as_defined() -> None:
    past = history("hydro", Ranges(), 4000, np.random.default_rng(2))
    for values, spread in ((past.temperature, 0.02), (past.density, 0.04)):
        assert np.std(np.diff(np.log10(values), axis=0)) == pytest.approx(spread, rel=0.1)
    years = past.dt / YEAR_S
    assert years.min() >= 1e3
    assert years.max() <= 1e4
    assert len(history("hydro", Ranges(), 8, np.random.default_rng(2), segments=100).dt) == 100


def test_collapse_is_free_fall() -> None:
    # Omukai et al. 2005 give t_ff = 5.2e7 yr / sqrt(n_H) for their gas; Larson 2005 a minimum of 4.4 K at 1e-18 g/cm^3.
    assert free_fall_years(np.array([1.0, 1e4])) == pytest.approx([4.4e7, 4.4e5], rel=0.03)
    density = np.geomspace(1e2, 1e8, 61)
    temperature = larson_temperature(density)
    assert temperature.min() == pytest.approx(4.4, rel=0.02)
    assert density[np.argmin(temperature)] == pytest.approx(4.3e5, rel=0.2)
    past = history("collapse", Ranges(), 200, np.random.default_rng(4))
    growth = np.diff(np.log(past.density), axis=0)
    rate = growth / (past.dt[:-1, :, 0] / YEAR_S / free_fall_years(past.density[:-1]))
    inside = growth > 0.0  # until the range ends
    assert inside[0].all()
    longest = past.dt[:-1, :, 0] < 0.99e6 * YEAR_S
    full = inside & longest & (past.density[1:] / past.conditions["zeta"][1:] < 0.99e23)
    assert 0.3 < rate[full].min() < rate[full].max() < 1.4  # 1 / r, and more by the end of a step
    assert past.density.max() > 1e6


def test_shocks_compress_and_heat() -> None:
    past = history("shock", Ranges(), 300, np.random.default_rng(4))
    onset = np.argmax(np.diff(np.log(past.temperature), axis=0) > 0.5, axis=0)
    run = np.arange(300)
    before, after = (values[onset + shift, run] for values in (past.density,) for shift in (0, 1))
    free = after / past.conditions["zeta"][0] < 0.99e23
    assert 3.9 < (after / before)[free].min() < (after / before)[free].max() < 16.1
    hot = past.temperature[onset + 1, run]
    assert 300.0 <= hot.min() < hot.max() <= 1000.0
    assert (past.temperature[-1] <= hot).all()
    assert (past.density[-1] >= after * (1 - 1e-9)).all()


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match='"explosion"'):
        history("explosion", Ranges(), 4, np.random.default_rng(1))


def test_disturbed_states_keep_elements_and_charge_neutrality() -> None:
    rng = np.random.default_rng(3)
    x = initial_abundances(TABLES, Ranges(), 2000, rng)
    for kind in SAMPLED:
        new, start = disturb(x, kind, TABLES, rng)
        assert (new >= 0).all()
        np.testing.assert_array_equal(new[start == 0], x[start == 0])
        np.testing.assert_allclose(new @ TABLES.scale_weights, 1.0, rtol=1e-12)
        charge = np.abs(new @ TABLES.composition[-1]) / (new @ np.abs(TABLES.composition[-1]))
        assert charge.max() < 1e-11
        perturbed = start == 3
        assert conservation_defect(new[perturbed], x[perturbed], TABLES.composition).max(initial=0.0) < 1e-12
        mixed = {"tracks": {0, 1, 2, 3}, "steps": {0, 1, 2, 3}, "brief": {0, 1, 2, 3}, "flow": {0, 2, 3}}
        assert set(start.tolist()) == mixed.get(kind, {0})


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


def test_steps_are_those_of_a_loose_integration() -> None:
    pairs, _ = compute_unit(Recipe(units=1, runs_per_unit=16, seed=11), 0)
    loose, counts = NativeRosenbrock(NETWORK, rtol=3e-2), np.zeros((len(pairs), 3), dtype=np.int32)
    loose.advance(
        pairs.start * pairs.density[:, None], pairs.dt, pairs.temperature, {"zeta": pairs.conditions[:, 0]}, counts
    )
    np.testing.assert_array_equal(counts[:, 0] + counts[:, 1], pairs.steps)
    assert pairs.steps.min() >= 1
    assert pairs.steps.max() > 10
    assert np.mean(pairs.steps[pairs.dt > 1e5 * YEAR_S]) > np.mean(pairs.steps[pairs.dt < 10 * YEAR_S])


def test_units_hold_whole_runs_of_every_kind_and_split() -> None:
    cycle = [(unit_kind(unit), unit_split(unit)) for unit in range(UNITS_PER_CYCLE)]
    assert len(set(cycle)) == 5 * 3
    shares = {split: sum(s == split for _, s in cycle) / len(cycle) for split in ("train", "calibration", "test")}
    assert shares == {"train": 0.8, "calibration": 0.1, "test": 0.1}
    recipe = Recipe(units=UNITS_PER_CYCLE, splits=("calibration", "test"))
    assert recipe.unit_numbers() == list(range(80, 100))
    for splits in ((), ("train", "shifted"), ("holdout",)):
        with pytest.raises(ValueError, match="splits"):
            Recipe(splits=splits)


def contains(box: Box, pairs: Pairs) -> Any:
    return box.contains(pairs.start, pairs.density, pairs.dt, pairs.temperature, pairs.conditions)


def full_box(net_charge: float = 1e-6) -> Box:
    ranges = Ranges()
    return box_of_ranges(
        TABLES,
        ranges.temperature,
        ranges.density,
        [YEAR_S * years for years in ranges.dt_years],
        ranges.conditions,
        ranges.ratios_of(TABLES),
        net_charge,
        ranges.density_per_zeta,
    )


@pytest.mark.parametrize("unit", [0, 1, 3, 5, 6])
def test_every_sampled_pair_lies_in_the_box(unit: int) -> None:
    pairs, dropped = compute_unit(Recipe(runs_per_unit=16, rtol=1e-2, atol=1e-15), unit)
    assert dropped == 0
    assert contains(full_box(), pairs).all()
    assert (pairs.kind == KINDS.index(unit_kind(unit))).all()


def test_the_shifted_split_holds_collapse_and_shock_inside_the_box() -> None:
    recipe = Recipe(units=2, runs_per_unit=16, splits=("shifted",), rtol=1e-2, atol=1e-15)
    assert recipe.unit_numbers() == [0, 1]
    for unit, kind in enumerate(("collapse", "shock")):
        pairs, dropped = compute_unit(recipe, unit)
        assert dropped == 0
        assert contains(full_box(), pairs).all()
        assert (pairs.kind == KINDS.index(kind)).all()
        assert (pairs.split == SPLITS.index("shifted")).all()


def test_the_outside_split_lies_beyond_every_bound() -> None:
    recipe = Recipe(units=9, runs_per_unit=8, splits=("outside",), rtol=1e-2, atol=1e-15)
    # Calibrated boxes may bound the net charge anywhere up to 1 % of the electrons.
    box, beyond = full_box(net_charge=1e-2), set()
    for unit in recipe.unit_numbers():
        pairs, _ = compute_unit(recipe, unit)
        assert len(pairs) > 0.9 * 8 * 40
        assert not contains(box, pairs).any()
        values = quantities(
            box.names, TABLES, pairs.start, pairs.density, pairs.dt, pairs.temperature, pairs.conditions
        )
        low, high = (values < box.low).all(axis=0), (values > box.high).all(axis=0)
        names = np.array(box.names)
        beyond |= {(name, "below") for name in names[low]} | {(name, "above") for name in names[high]}
    sides = {(name, side) for name in ("T", "zeta/n_H", "C/H", "O/C") for side in ("below", "above")}
    assert beyond >= sides | {("net_charge/n_e", "above")}


# --- visited states ---------------------------------------------------------------------------------------------------

TOUR = Recipe(units=100, runs_per_unit=12, seed=5, rtol=1e-3, atol=1e-16)


def exact_step(x: FloatArray, T: FloatArray, n_H: FloatArray, conditions: FloatArray, dt: FloatArray) -> FloatArray:
    n, _ = NativeRosenbrock(NETWORK, rtol=1e-3, atol=1e-16).advance(x * n_H[:, None], dt, T, {"zeta": conditions[:, 0]})
    return n / n_H[:, None]


def test_an_exact_map_visits_what_the_truth_does() -> None:
    pairs, dropped = visit(TOUR, exact_step, unit=0, tour=1, segments=5)
    assert dropped == 0
    assert len(pairs) == 12 * 5
    assert (pairs.kind == KINDS.index("visited")).all()
    np.testing.assert_allclose(pairs.start[12:], pairs.end[:-12], rtol=1e-4)
    again, _ = visit(TOUR, exact_step, unit=0, tour=1, segments=5)
    np.testing.assert_array_equal(pairs.start, again.start)
    other, _ = visit(TOUR, exact_step, unit=0, tour=2, segments=5)
    assert not np.isin(other.run, pairs.run).any()
    assert (other.temperature != pairs.temperature).all()


def test_a_wrong_map_visits_its_own_states_with_true_ends() -> None:
    def wrong(x: FloatArray, *at: FloatArray) -> FloatArray:
        """Half of CO is torn apart, which keeps the elements; one run breaks down."""
        moved = exact_step(x, *at)
        carbon, oxygen, monoxide = (NETWORK.species_index(name) for name in ("C", "O", "CO"))
        torn = 0.5 * moved[:, monoxide]
        moved[:, monoxide] -= torn
        moved[:, carbon] += torn
        moved[:, oxygen] += torn
        moved[0] = np.nan
        return moved

    pairs, dropped = visit(TOUR, wrong, unit=0, tour=1, segments=5)
    assert dropped == 0
    monoxide = NETWORK.species_index("CO")
    before, after = pairs.end.reshape(5, 12, -1)[:-1], pairs.start.reshape(5, 12, -1)[1:]
    np.testing.assert_allclose(after[:, 1:, monoxide], 0.5 * before[:, 1:, monoxide], rtol=1e-4)
    np.testing.assert_allclose(after[:, 0], before[:, 0], rtol=1e-6)  # the run that broke down follows the truth
    assert np.isfinite(pairs.start).all()
    n, _ = NativeRosenbrock(NETWORK, rtol=1e-6, atol=1e-20).advance(
        pairs.start * pairs.density[:, None], pairs.dt, pairs.temperature, {"zeta": pairs.conditions[:, 0]}
    )
    x = n / pairs.density[:, None]
    assert np.abs(np.log10(x) - np.log10(pairs.end))[x > 1e-10].max() < 1e-2
    defect = conservation_defect(pairs.end.astype(float), pairs.start, TABLES.composition)
    assert defect.max() < 1e-6  # stored in single precision


def test_visited_states_have_the_elements_of_their_runs() -> None:
    def leaking(x: FloatArray, *at: FloatArray) -> FloatArray:
        return exact_step(x, *at) * 10.0 ** np.random.default_rng(1).normal(0.0, 0.2, x.shape)

    pairs, _ = visit(TOUR, leaking, unit=0, tour=1, segments=5)
    starts = pairs.start.reshape(5, 12, -1)
    first = np.broadcast_to(starts[0], starts.shape).reshape(60, -1)
    assert conservation_defect(starts.reshape(60, -1), first, TABLES.composition).max() < 1e-12
    with pytest.raises(ValueError, match="first tour"):
        visit(TOUR, leaking, unit=0, tour=0)


# --- streams ----------------------------------------------------------------------------------------------------------


def test_a_stream_never_repeats_and_is_continued() -> None:
    recipe, first = Recipe(units=10, runs_per_unit=2, rtol=1e-2, atol=1e-15), Inline()
    blocks = dict(zip(range(9), stream(recipe, executor=first), strict=False))
    numbers = [number for number, _ in blocks.values()]
    assert numbers == [0, 1, 2, 3, 4, 5, 6, 7, 10]  # 8 and 9 are for calibration and test
    runs = [set(pairs.run.tolist()) for _, pairs in blocks.values()]
    assert sum(map(len, runs)) == len(set().union(*runs)) == 9 * UNITS_PER_BLOCK * 2
    assert set(first.computed).isdisjoint(range(80, 100))
    for _, pairs in blocks.values():
        assert {KINDS[kind] for kind in pairs.kind} == {"tracks", "hydro", "flow", "steps", "brief"}
        assert (pairs.split == 0).all()
        assert np.any(np.diff(pairs.run) < 0)  # shuffled
    number, again = next(stream(recipe, first=8, executor=Inline()))
    assert number == 10
    np.testing.assert_array_equal(again.start, blocks[8][1].start)


def test_streams_of_other_splits() -> None:
    recipe = Recipe(units=10, runs_per_unit=2, rtol=1e-2, atol=1e-15)
    number, pairs = next(stream(recipe, "test", executor=Inline()))
    assert number == 9
    assert (pairs.split == SPLITS.index("test")).all()
    with pytest.raises(ValueError, match="shifted"):
        next(stream(recipe, "shifted"))


def test_a_stream_runs_in_a_process_of_its_own() -> None:
    recipe = Recipe(units=10, runs_per_unit=2, rtol=1e-2, atol=1e-15)
    blocks = stream(recipe)
    _, pairs = next(blocks)
    blocks.close()
    _, inline = next(stream(recipe, executor=Inline()))
    np.testing.assert_array_equal(pairs.end, inline.end)


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


def tiny_recipe() -> Any:
    from pychemsurrogate.training.recipe import MultiClockRecipe

    return MultiClockRecipe(
        encoder=(24,),
        decoder=(24,),
        head=(12,),
        latent=6,
        clocks=3,
        samples=64 * 120,
        batch=64,
        head_samples=64 * 60,
        targets=(0.1, 1.0),
        alpha=0.4,
        bins=(("T", (50.0,)),),
        weights=(("CO", 2.0),),
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
    # The router, the budget and the bins are there, make sense, and the solver takes them.
    arrays = model.arrays
    assert arrays["gate/thresholds"].shape == (2, 2)
    assert arrays["gate/weights"][NETWORK.species_index("CO")] == 2.0
    steps, accepted, saved = (arrays[f"router/{name}"] for name in ("steps", "accepted", "saved"))
    assert ((saved > 0.0) <= (accepted > 0.0)).all()
    assert (accepted[1] >= accepted[0]).all()
    known = steps[1] > 0.0
    assert known.sum() >= 5
    assert steps[1][known].min() >= 1.0
    assert np.mean(steps[1][8:][known[8:]]) > 2.0 * np.mean(steps[1][:2][known[:2]])  # larger change, more steps
    assert len(arrays["budget/kappa"]) == len(arrays["budget/theta_edges"]) + 1
    solver = Solver.load(tmp_path / "tiny.pcs", target_error_dex=1.0)
    assert solver.costs["step"] > 0.0
    assert [row.bin for row in solver.audit()] == ["T < 50", "T >= 50"]


def test_a_head_for_a_finish_keeps_the_map(tiny_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from pychemsurrogate.training.minimise import CheckpointError
    from pychemsurrogate.training.train import train

    plain, finished = tiny_recipe(), replace(tiny_recipe(), finish_fraction=0.3, finish_steps=2)
    first = train(tiny_data, tmp_path / "first.pcs", plain, tmp_path / "kept", progress=False)
    with pytest.raises(CheckpointError, match="another recipe"):  # the head's; the map's was taken
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
    from pychemsurrogate.training import fit_multiclock, minimise
    from pychemsurrogate.training.fit_multiclock import fit_multi_clock, new_multi_clock

    recipe, pairs = tiny_recipe(), load(tiny_data, "train")
    whole = new_multi_clock(NETWORK, recipe)
    fit_multi_clock(whole, pairs, NETWORK, recipe, progress=False)

    monkeypatch.setattr(minimise, "_SAVE_EVERY", 50)
    calls = 0
    loss = fit_multiclock.sharp_loss

    def failing(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 80:
            raise KeyboardInterrupt
        return loss(*given)

    monkeypatch.setattr(fit_multiclock, "sharp_loss", failing)
    cut = new_multi_clock(NETWORK, recipe)
    with pytest.raises(KeyboardInterrupt):
        fit_multi_clock(cut, pairs, NETWORK, recipe, tmp_path / "map.pt", progress=False)
    cut = new_multi_clock(NETWORK, recipe)
    fit_multi_clock(cut, pairs, NETWORK, recipe, tmp_path / "map.pt", progress=False)
    assert calls == 80 + 70  # the steps after the checkpoint at 50 are done again, no others
    for a, b in zip(whole.parameters(), cut.parameters(), strict=True):
        assert torch.equal(a, b)

    with pytest.raises(minimise.CheckpointError, match="another recipe"):
        fit_multi_clock(cut, pairs, NETWORK, replace(recipe, seed=9), tmp_path / "map.pt", progress=False)


def test_the_fit_learns(tiny_data: Path) -> None:
    pytest.importorskip("torch")
    from pychemsurrogate.training.fit import evaluate
    from pychemsurrogate.training.fit_multiclock import fit_multi_clock, new_multi_clock

    recipe = replace(tiny_recipe(), samples=64 * 500)
    pairs = load(tiny_data, "train")
    few = pairs.where(np.random.default_rng(3).permutation(len(pairs))[:500])
    surrogate = new_multi_clock(NETWORK, recipe)
    before = np.mean(evaluate(surrogate, few, NETWORK).error)
    fit_multi_clock(surrogate, pairs, NETWORK, recipe, progress=False)
    after = np.mean(evaluate(surrogate, few, NETWORK).error)
    assert after < 0.75 * before


def test_recipes_are_plain_values() -> None:
    import json

    assert json.loads(json.dumps(SMALL.as_dict()))["ranges"]["temperature"] == [5.0, 1000.0]
    assert asdict(SMALL) == SMALL.as_dict()


def test_the_data_command(tmp_path: Path) -> None:
    target = str(tmp_path / "d.h5")
    options = ["--units", "1", "--runs-per-unit", "4", "--workers", "1"]
    made = CliRunner().invoke(main, ["data", "-o", target, *options])
    assert made.exit_code == 0, made.output
    assert len(load(target)) == 4 * 40
    held_out = str(tmp_path / "h.h5")
    made = CliRunner().invoke(main, ["data", "-o", held_out, "--split", "outside", *options])
    assert made.exit_code == 0, made.output
    assert (load(held_out).split == SPLITS.index("outside")).all()
    mixed = CliRunner().invoke(main, ["data", "-o", target, "--split", "outside", "--split", "test", *options])
    assert mixed.exit_code == 1
    assert "outside alone" in mixed.output
    refused = CliRunner().invoke(main, ["data", "-o", target, "--seed", "2", *options])
    assert refused.exit_code == 1
    assert "another recipe" in refused.output


def test_the_train_command_refuses_a_missing_data_set(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    refused = CliRunner().invoke(main, ["train", str(tmp_path / "none.h5"), "-o", str(tmp_path / "m.pcs")])
    assert refused.exit_code == 1
    assert "pychemsurrogate data" in refused.output
