"""The finish of the learned step: a few steps of the real chemistry after the map, native and torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pychemsurrogate import _native
from pychemsurrogate.integrators import NativeRosenbrock, conservation_defect
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.network import Network
from pychemsurrogate.solver import Solver
from pychemsurrogate.status import Status

torch = pytest.importorskip("torch")

from pychemsurrogate.surrogates.finish import Finish  # noqa: E402
from pychemsurrogate.surrogates.rates import Rates  # noqa: E402
from pychemsurrogate.surrogates.surrogate import from_arrays  # noqa: E402

FINISHES = {"one": (0.3, 1), "two": (0.5, 2)}


def finished_model(fraction: float, steps: int) -> ModelFile:
    """The shipped model with a finish; its head reads the report of it with small random weights."""
    model = ModelFile.read("osu_09_2008-multiclock")
    first = model.arrays["surrogate/head_w0"]
    seen = np.random.default_rng(1).normal(0.0, 0.02, (len(first), len(model.text_list("network/species")) + 1))
    model.arrays["surrogate/head_w0"] = np.hstack([first, seen.astype(np.float32)])
    model.arrays["surrogate/finish_fraction"] = np.float64(fraction).reshape(())
    model.arrays["surrogate/finish_steps"] = np.int32(steps).reshape(())
    return model


@pytest.fixture(scope="module", params=FINISHES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    model = finished_model(*FINISHES[request.param])
    model.write(tmp_path_factory.mktemp("finish") / "m.pcs")
    return model


def in_dex(a: Any, b: Any) -> Any:
    return np.abs(np.log10(np.maximum(np.asarray(a), 1e-16) / np.maximum(np.asarray(b), 1e-16)))


# --- the steps themselves ---------------------------------------------------------------------------------------------


def decay(network: Network, fraction: float, steps: int, theta: float) -> tuple[Any, Any]:
    """A -> B -> C from A = 1 by the finish alone, and Bateman's solution at fraction theta."""
    rates = Rates(network.tables())
    k = rates.coefficients(torch.full((1,), 50.0, dtype=torch.float64), torch.zeros(1, 0, dtype=torch.float64))
    before = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)
    made = Finish(rates, fraction, steps)(before, k, torch.tensor([theta], dtype=torch.float64))
    (k1, k2), time = k[0].tolist(), fraction * theta
    a, b = np.exp(-k1 * time), k1 / (k2 - k1) * (np.exp(-k1 * time) - np.exp(-k2 * time))
    return made, np.array([a, b, 1 - a - b])


def test_the_steps_are_of_third_order(decay_chain: Network) -> None:
    errors = []
    for steps in (1, 2, 4):
        made, exact = decay(decay_chain, 0.5, steps, 1e8)  # five decay times of B
        errors.append(np.abs(made.x[0].numpy() - exact).max())
    assert errors[0] < 1e-1
    assert errors[2] < errors[0] / 6**2  # second order: 4**2


def test_the_steps_are_l_stable(decay_chain: Network) -> None:
    made, _ = decay(decay_chain, 0.9, 1, 1e15)  # a quarter of a million decay times of A
    np.testing.assert_allclose(made.x[0].numpy(), [0.0, 0.0, 1.0], atol=0.01)


def test_the_jacobian_is_the_derivative(osu: Network) -> None:
    rates = Rates(osu.tables())
    rng = np.random.default_rng(0)
    x = torch.as_tensor(10 ** rng.uniform(-12, 0, (3, osu.n_species)))
    k = rates.coefficients(torch.tensor([10.0, 50.0, 200.0]).double(), torch.full((3, 1), 1e-19).double())
    made = rates.jacobian(x, k)
    for cell in range(3):
        rate = k[cell : cell + 1]
        expected = torch.autograd.functional.jacobian(lambda y, rate=rate: rates.change(y[None], rate)[0], x[cell])
        torch.testing.assert_close(made[cell], expected, rtol=1e-10, atol=1e-25)


def test_what_fails_keeps_its_value(osu: Network) -> None:
    rates = Rates(osu.tables())
    x = torch.full((2, osu.n_species), 1e-5, dtype=torch.float64)
    k = rates.coefficients(torch.full((2,), 50.0).double(), torch.full((2, 1), 1e-19).double())
    k[1, 0] = torch.inf
    made = Finish(rates, 0.5, 2)(x, k, torch.tensor([0.0, 1e14], dtype=torch.float64))
    assert torch.equal(made.x, x)
    assert (made.report[:, :-1] == 0).all()
    assert (made.report[:, -1] == 3.0).all()


@pytest.mark.parametrize(("fraction", "steps"), [(0.0, 1), (1.0, 1), (0.5, 0)])
def test_a_finish_out_of_range_is_refused(osu: Network, fraction: float, steps: int) -> None:
    with pytest.raises(ValueError, match="a fraction between 0 and 1"):
        Finish(Rates(osu.tables()), fraction, steps)


# --- the learned step with it -----------------------------------------------------------------------------------------


def test_native_and_torch_agree_after_every_verb(model: ModelFile, cells: tuple[Any, ...]) -> None:
    n, dt, temperature, zeta = cells
    trace = _native.Solver.open(str(model.path)).trace(n, dt, temperature, zeta)
    surrogate: Any = from_arrays(model.arrays, model.network().tables())
    density = n @ model.network().tables().scale_weights
    x, theta = torch.tensor(n / density[:, None]), torch.tensor(density * dt)
    with torch.no_grad():
        made = surrogate(x, torch.tensor(temperature), torch.tensor(zeta / density[:, None]), theta)
        moved, scaled, z, decoded, multiplier, finished = made
        alone = surrogate.finish(torch.tensor(trace["conserved"]), scaled.coefficients, theta)
        score = surrogate.predict_error(z, decoded, multiplier, finished)
    # The verb from the same state, then the whole chain, whose nets are in single precision.
    assert in_dex(trace["finished"], alone.x).max() <= 1e-5
    assert np.abs(trace["finish_report"] - alone.report.numpy()).max() <= 2e-5
    for name, expected in {"guess": decoded.guess, "finished": finished.x, "final_state": moved}.items():
        assert in_dex(trace[name], expected).max() <= 1e-4, name
        assert np.quantile(in_dex(trace[name], expected), 0.99) <= 1e-5, name
    assert np.abs(trace["score"][:, 0] - score.numpy()).max() <= 1e-3
    assert in_dex(trace["finished"], trace["conserved"]).max() > 0.01  # it did something


@pytest.mark.parametrize("mode", ["auto", "surrogate"])
def test_engines_and_kernels_give_the_same_step(model: ModelFile, cells: tuple[Any, ...], mode: str) -> None:
    n, dt, temperature, zeta = cells
    answers = []
    for settings in ({}, {"engine": "torch"}, {"kernels": "tables"}):
        solver = Solver.load(model.path, mode=mode, **settings)
        answers.append(solver.step(n, dt, temperature, zeta=zeta[:, 0]))
    first, report = answers[0]
    for other, its_report in answers[1:]:
        same = report.status == its_report.status
        assert same.mean() >= 0.99  # a cell may sit on the threshold
        seen = same[:, None] & (first > 1e-14 * n.sum(1, keepdims=True))
        assert in_dex(first[seen], other[seen]).max() <= 1e-4
        assert np.quantile(in_dex(first[seen], other[seen]), 0.99) <= 1e-5


def test_it_brings_the_map_closer_to_the_truth(model: ModelFile, cells: tuple[Any, ...], osu: Network) -> None:
    n, dt, temperature, zeta = cells
    truth, _ = NativeRosenbrock(osu, rtol=1e-6).advance(n, dt, temperature, {"zeta": zeta[:, 0]})
    counted = truth > 1e-10 * (n @ osu.tables().scale_weights)[:, None]
    median = []
    for path in ("osu_09_2008-multiclock", model.path):
        made, report = Solver.load(path, mode="surrogate").step(n, dt, temperature, zeta=zeta[:, 0])
        assert (report.status == Status.SURROGATE).mean() > 0.99
        median.append(np.median(np.where(counted, in_dex(made, truth), 0.0).max(1)))
    assert median[1] < median[0] / 2


def test_it_conserves(model: ModelFile, cells: tuple[Any, ...], osu: Network) -> None:
    n, dt, temperature, zeta = cells
    made, report = Solver.load(model.path, mode="surrogate").step(n, dt, temperature, zeta=zeta[:, 0])
    assert conservation_defect(made, n, osu.tables().composition).max() <= 1e-12
    assert report.defect_max > 1e-12


def test_identity_as_dt_vanishes(model: ModelFile, cells: tuple[Any, ...], osu: Network) -> None:
    n, _, temperature, zeta = cells
    still = _native.Solver.open(str(model.path)).trace(n, np.zeros(len(n)), temperature, zeta)
    density = (n @ osu.tables().scale_weights)[:, None]
    np.testing.assert_allclose(still["final_state"], n / density, rtol=1e-13)
    assert np.array_equal(still["finished"], still["conserved"])
    solver = Solver.load(model.path, mode="surrogate")
    seen = n > 1e-10 * n.sum(1, keepdims=True)
    moved = [in_dex(solver.step(n, dt, temperature, zeta=zeta[:, 0])[0][seen], n[seen]).max() for dt in (1e4, 1e2, 1.0)]
    assert moved[0] > 3 * moved[1] > 9 * moved[2]


def test_a_cell_depends_on_itself_alone(model: ModelFile, cells: tuple[Any, ...]) -> None:
    n, dt, temperature, zeta = cells
    solver = Solver.load(model.path, threads=1)
    together, report = solver.step(n, dt, temperature, zeta=zeta[:, 0])
    order = np.random.default_rng(0).permutation(len(n))
    permuted, permuted_report = solver.step(n[order], dt[order], temperature[order], zeta=zeta[order, 0])
    assert np.array_equal(permuted, together[order])
    assert np.array_equal(permuted_report.status, report.status[order])
    for a, b in ((0, 1), (1, 2), (2, 7), (7, 72), (72, len(n))):
        part, _ = solver.step(n[a:b], dt[a:b], temperature[a:b], zeta=zeta[a:b, 0])
        assert np.array_equal(part, together[a:b])
    for threads in (2, 3):
        assert np.array_equal(
            Solver.load(model.path, threads=threads).step(n, dt, temperature, zeta=zeta[:, 0])[0], together
        )


def test_trajectories_have_the_bits_of_steps(model: ModelFile, cells: tuple[Any, ...]) -> None:
    n, _, temperature, zeta = (array[:150] for array in cells)
    times = np.array([0.0, 1e9, 1e10, 3e11])
    for mode in ("auto", "surrogate"):
        solver = Solver.load(model.path, mode=mode, exact_every=0, audit=0.0)  # of which a trajectory knows nothing
        made, report = solver.trajectory(n, times, temperature, zeta=zeta[:, 0])
        served = 0
        for k, time in enumerate(times):
            step, its_report = solver.step(n, time, temperature, zeta=zeta[:, 0])
            by_map = its_report.status == Status.SURROGATE
            assert np.array_equal(report.status[:, k] == Status.SURROGATE, by_map)
            assert np.array_equal(made[by_map, k], step[by_map])
            served += by_map.sum()
        assert served > len(n)
        other, _ = Solver.load(model.path, mode=mode, engine="torch").trajectory(n, times, temperature, zeta=zeta[:, 0])
        assert np.quantile(in_dex(made / made.sum(2, keepdims=True), other / other.sum(2, keepdims=True)), 0.98) <= 1e-5


def test_trajectories_without_conservation(model: ModelFile, cells: tuple[Any, ...]) -> None:
    n, _, temperature, zeta = (array[:40] for array in cells)
    free, kept = (
        Solver.load(model.path, mode="surrogate").trajectory(
            n, np.array([1e10]), temperature, zeta=zeta[:, 0], conserve=conserve
        )[0]
        for conserve in (False, True)
    )
    assert not np.array_equal(free, kept)
    seen = kept > 1e-8 * kept.sum(2, keepdims=True)
    assert in_dex(free[seen], kept[seen]).max() < 0.5


# --- the model file and training --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda a: a.pop("surrogate/finish_steps"), "belong together"),
        (lambda a: a.update({"surrogate/finish_fraction": np.float64(1.0).reshape(())}), "below 1"),
        (lambda a: a.update({"surrogate/finish_fraction": np.float64(0.0).reshape(())}), "positive"),
        (lambda a: a.update({"surrogate/finish_steps": np.int32(0).reshape(())}), "between 1 and"),
        (lambda a: a.update({"surrogate/head_w0": a["surrogate/head_w0"][:, :-1].copy()}), "head does not fit"),
    ],
)
def test_a_finish_that_does_not_fit_is_refused(
    tmp_path: Path, spoil: Callable[[dict[str, Any]], Any], message: str
) -> None:
    model = finished_model(0.3, 1)
    spoil(model.arrays)
    model.write(tmp_path / "spoilt.pcs")
    with pytest.raises(ValueError, match=message):
        Solver.load(tmp_path / "spoilt.pcs")


def test_the_model_file_keeps_it(model: ModelFile, osu: Network) -> None:
    from pychemsurrogate.surrogates.multiclock import MultiClock

    arrays = MultiClock.from_arrays(ModelFile.read(model.path).arrays, osu.tables()).to_arrays()
    for name in ("surrogate/finish_fraction", "surrogate/finish_steps", "surrogate/head_w0"):
        assert np.array_equal(arrays[name], model.arrays[name])
        assert arrays[name].dtype == model.arrays[name].dtype


def test_a_recipe_tells_its_stages_apart() -> None:
    from pychemsurrogate.training.recipe import MultiClockRecipe

    recipe = MultiClockRecipe()
    with_finish = replace(recipe, finish_fraction=0.3, head=(8,))
    judged = replace(recipe, targets=(0.3,), alpha=0.1, bins=())
    assert with_finish.of_map() == recipe.of_map()
    assert with_finish.of_head() != recipe.of_head()
    assert judged.of_head() == recipe.of_head()
    weighted = replace(recipe, weights=(("CO", 2.0),))
    assert weighted.of_map() == recipe.of_map()
    assert weighted.of_head() != recipe.of_head()
    assert replace(recipe, samples=1.0).of_head() != recipe.of_head()
    assert replace(recipe, samples=1.0).of_map() != recipe.of_map()
