"""The surrogate: its verbs, its guarantees, agreement with the native core, and the shipped model's accuracy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pychemsurrogate import _native
from pychemsurrogate.gate import Gate
from pychemsurrogate.integrators.native import open_network
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.network import Network, load_network, parse_network
from pychemsurrogate.training.sampling import Ranges
from pychemsurrogate.training.truth import Pairs, Recipe, compute_unit, unit_kind

torch = pytest.importorskip("torch")

from pychemsurrogate.surrogates.multiclock import MultiClock  # noqa: E402
from pychemsurrogate.surrogates.rates import Rates  # noqa: E402
from pychemsurrogate.training.fit import evaluate  # noqa: E402
from pychemsurrogate.training.populations import POPULATIONS  # noqa: E402
from pychemsurrogate.training.prepare import Step, step_of  # noqa: E402

NETWORK = load_network("osu_09_2008")
COMPOSITION = NETWORK.tables().composition


@pytest.fixture(scope="module")
def shipped() -> ModelFile:
    return ModelFile.read("osu_09_2008-multiclock")


@pytest.fixture(scope="module")
def surrogate(shipped: ModelFile) -> MultiClock:
    return MultiClock.from_arrays(shipped.arrays, NETWORK.tables())


@pytest.fixture(scope="module")
def fresh() -> Pairs:
    """Runs that no training saw: another seed, one unit of every kind."""
    units = [next(unit for unit in range(50) if unit_kind(unit) == kind) for kind in ("tracks", "hydro", "flow")]
    # n_H = 1e2..1e6 at every zeta: within the box of the shipped model.
    ranges = Ranges(
        temperature=(10.0, 300.0),
        density_per_zeta=(1e19, 1e21),
        dt_years=(1.0, 1e5),
        ratios={"C/H": (5e-7, 5e-4), "O/C": (0.7, 5.0)},
    )
    recipe = Recipe(runs_per_unit=96, seed=20_260_101, ranges=ranges)
    pairs = Pairs.concatenate([compute_unit(recipe, unit)[0] for unit in units])
    # The shipped model never saw gas with more H+, and its box does not bound it.
    return pairs.where(pairs.start[:, NETWORK.species_index("H+")] < 3e-4)


@pytest.fixture(scope="module")
def sample(fresh: Pairs) -> Pairs:
    return fresh.where(np.random.default_rng(1).permutation(len(fresh))[:1500])


def run(surrogate: MultiClock, step: Step) -> tuple[torch.Tensor, ...]:
    with torch.no_grad():
        moved, scaled, z, decoded, multiplier, _ = surrogate(step.x, step.temperature, step.conditions, step.theta)
    return moved, scaled, z, decoded, multiplier


def test_production_and_loss_are_the_right_hand_side(sample: Pairs) -> None:
    rates, step = Rates(NETWORK.tables()), step_of(sample, NETWORK)
    k = rates.coefficients(step.temperature, step.conditions)
    production, loss = rates.production_loss(step.x, k)
    for i in range(20):
        expected_k = NETWORK.rate_coefficients(float(step.temperature[i]), {"zeta": float(step.conditions[i, 0])})
        np.testing.assert_allclose(k[i].numpy(), expected_k, rtol=1e-12)
        expected = NETWORK.rhs(step.x[i].numpy(), expected_k)
        size = (production[i] + loss[i] * step.x[i]).numpy()
        assert np.all(np.abs((production - loss * step.x)[i].numpy() - expected) <= 1e-12 * size)
    assert (production >= 0).all()
    assert (loss >= 0).all()


def test_dt_zero_is_the_identity(surrogate: MultiClock, sample: Pairs) -> None:
    step = step_of(replace(sample, dt=np.zeros_like(sample.dt)), NETWORK)
    moved, _, _, decoded, multiplier = run(surrogate, step)
    assert (decoded.change == 0).all()
    torch.testing.assert_close(moved, step.x, rtol=1e-14, atol=0.0)
    assert (multiplier == 0).all()


def test_small_steps_change_little(surrogate: MultiClock, sample: Pairs) -> None:
    one_second = step_of(replace(sample, dt=np.ones_like(sample.dt)), NETWORK)
    moved = run(surrogate, one_second)[0]
    change = (torch.log10(moved) - torch.log10(one_second.x)).abs()
    assert change[one_second.x > 1e-10].max() < 1e-2


def test_elements_and_charge_are_conserved(surrogate: MultiClock, sample: Pairs) -> None:
    step = step_of(sample, NETWORK)
    moved = run(surrogate, step)[0]
    conserved = surrogate.is_conserved(moved, step.x)
    assert conserved.double().mean() > 0.999
    new, old = moved.numpy()[conserved], step.x.numpy()[conserved]
    defect = np.abs((new - old) @ COMPOSITION.T) / (np.maximum(new, old) @ np.abs(COMPOSITION).T)
    assert defect.max() <= 1e-12
    assert (new >= 0).all()


def test_conserve_mends_a_wild_guess(surrogate: MultiClock, sample: Pairs) -> None:
    like = step_of(sample, NETWORK).x
    generator = torch.Generator().manual_seed(2)
    guess = like * 10.0 ** (0.3 * torch.randn(like.shape, generator=generator, dtype=torch.float64))
    moved, multiplier = surrogate.conserve(guess, like)
    assert surrogate.defect(moved, like).max() <= 1e-12
    torch.testing.assert_close(moved, guess * torch.exp(multiplier @ surrogate.composition), rtol=1e-10, atol=0.0)


def test_conserve_leaves_absent_elements_absent(surrogate: MultiClock) -> None:
    x = torch.zeros(1, 29, dtype=torch.float64)
    x[0, NETWORK.species_index("H2")] = 0.4
    x[0, NETWORK.species_index("H")] = 0.2
    guess = 1.3 * x
    moved, _ = surrogate.conserve(guess, x)
    assert surrogate.is_conserved(moved, x).all()
    assert (moved[x == 0] == 0).all()


def test_one_encoding_serves_many_steps(surrogate: MultiClock, sample: Pairs) -> None:
    step = step_of(sample, NETWORK)
    with torch.no_grad():
        scaled = surrogate.scale(step.x, step.temperature, step.conditions, step.theta)
        latent = surrogate.encode(scaled.features)
        for factor in (1e-3, 1.0, 10.0):
            again = run(surrogate, replace(step, theta=step.theta * factor))
            z = surrogate.advance(latent, step.theta * factor)
            torch.testing.assert_close(z, again[2])


def test_the_map_has_the_symmetry_of_the_network(surrogate: MultiClock, sample: Pairs) -> None:
    scaled = replace(sample, density=sample.density * 3.0, conditions=sample.conditions * 3.0, dt=sample.dt / 3.0)
    a, b = run(surrogate, step_of(sample, NETWORK))[0], run(surrogate, step_of(scaled, NETWORK))[0]
    torch.testing.assert_close(a, b, rtol=1e-4, atol=0.0)


def test_model_file_round_trip(shipped: ModelFile, surrogate: MultiClock, sample: Pairs, tmp_path: Path) -> None:
    model = ModelFile.from_network(NETWORK)
    model.arrays |= surrogate.to_arrays()
    model.write(tmp_path / "again.pcs")
    again = MultiClock.from_arrays(ModelFile.read(tmp_path / "again.pcs").arrays, NETWORK.tables())
    step = step_of(sample, NETWORK)
    assert torch.equal(run(surrogate, step)[0], run(again, step)[0])
    for name, array in surrogate.to_arrays().items():
        assert array.dtype == shipped.arrays[name].dtype


def test_native_agrees_after_every_verb(shipped: ModelFile, surrogate: MultiClock, sample: Pairs) -> None:
    step = step_of(sample, NETWORK)
    # The host hands in densities, so that n_H must be what the densities add up to.
    x = step.x / (step.x @ torch.as_tensor(NETWORK.tables().scale_weights.copy()))[:, None]
    moved, scaled, z, decoded, multiplier = run(surrogate, replace(step, x=x))
    with torch.no_grad():
        score = surrogate.predict_error(z, decoded, multiplier, None)
    native = _native.Solver.open(str(shipped.path)).trace(
        x.numpy() * sample.density[:, None], sample.dt, sample.temperature, sample.conditions
    )

    def distance(verb: str, torch_result: torch.Tensor) -> float:
        return float(np.abs(native[verb].reshape(torch_result.shape) - torch_result.double().numpy()).max())

    assert distance("features", scaled.features) < 2e-5
    assert distance("latent", z) < 2e-4
    assert distance("score", score) < 2e-3
    assert distance("lambda", multiplier) < 2e-3
    for verb, state in (("guess", decoded.guess), ("conserved", moved)):
        error = np.abs(np.log10(native[verb] + 1e-16) - np.log10(state.numpy() + 1e-16))
        assert error.max() < 1e-3
        assert np.percentile(error, 99.9) < 2e-5


def test_the_shipped_model_keeps_its_promises(shipped: ModelFile, surrogate: MultiClock, fresh: Pairs) -> None:
    outcome = evaluate(surrogate, fresh, NETWORK)
    gate = Gate.from_arrays(shipped.arrays, NETWORK.tables())
    inside = gate.box.contains(
        fresh.start.astype(np.float64), fresh.density, fresh.dt, fresh.temperature, fresh.conditions
    )
    assert inside.all()
    assert gate.calibration is not None
    thresholds = gate.calibration.serving(0.1)
    assert thresholds is not None
    accepted = outcome.predicted < thresholds[0]
    arbitrary, hydro, flow = (POPULATIONS[name](fresh) for name in ("arbitrary", "hydro-like", "flow"))
    assert np.median(outcome.error[arbitrary]) <= 0.10
    assert accepted[hydro].mean() >= 0.80
    for rows in (arbitrary, hydro, flow):
        assert np.percentile(outcome.error[rows & accepted], 99) <= 0.1


def test_the_shipped_model_tells_its_accuracy(shipped: ModelFile) -> None:
    accuracy = shipped.meta["accuracy"]
    assert accuracy["arbitrary"]["median"] <= 0.10
    assert accuracy["hydro-like"]["accepted"] >= 0.80
    assert accuracy["hydro-like"]["accepted_p99"] <= 0.1
    assert shipped.meta["provenance"]["data"]["network_hash"] == NETWORK.hash


def test_a_catalyst_is_neither_made_nor_taken(robertson: Network) -> None:
    rates = Rates(robertson.tables())
    x = torch.tensor([[0.5, 1e-3, 0.4], [1.0, 0.0, 0.0]], dtype=torch.float64)
    k = rates.coefficients(torch.full((2,), 50.0, dtype=torch.float64), torch.zeros(2, 0, dtype=torch.float64))
    production, loss = rates.production_loss(x, k)
    # A -> B (0.04); B + B -> C + B (3e7) takes one B; B + C -> A + C (1e4) leaves C as it is.
    b, c = x[:, 1], x[:, 2]
    expected = torch.stack([torch.full_like(b, 0.04), 3e7 * b + 1e4 * c, torch.zeros_like(b)], dim=1)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0.0)
    made = torch.stack([1e4 * b * c, 0.04 * x[:, 0], 3e7 * b * b], dim=1)
    torch.testing.assert_close(production, made, rtol=1e-12, atol=0.0)


EVERY_LAW_BUT_PHOTO = """pychemsurrogate network 1
name: every law but photo
conditions: zeta
species: H H2 H+ H2+ H3+ C C+ CH CH+ CO O e-
reactions:
H2+ + H2 -> H3+ + H | arrhenius | 2e-9 0 0
H2 + H2 -> H2 + H + H | arrhenius | 1e-12 0.5 30
H2 -> H2+ + e- | cosmic_ray | 0.93
H3+ + e- -> H + H + H | arrhenius_range | 4e-8 -0.5 1 10 300 0 1e10
H3+ + e- -> H2 + H | arrhenius_range | 2e-8 -0.5 1 10 300 400 1e10
H+ + CH -> CH+ + H | ionpol1 | 1 1.9e-9 2.1 10 800 0 1e10
H+ + CH -> C+ + H2 | ionpol2 | 0.5 1.9e-9 2.1 60 800 0 1e10
CO -> C + O | cosmic_ray_range | 20 1.2 10 10 300 0 1e10
H + H -> H2 | grain | 5e-17 0.5
"""


@pytest.mark.parametrize("temperature", [8.0, 50.0, 700.0])
def test_every_law_has_the_rates_of_the_native_integrator(temperature: float) -> None:
    network = parse_network(EVERY_LAW_BUT_PHOTO)
    tables, zeta = network.tables(), 3e-17
    n = 10.0 ** np.random.default_rng(4).uniform(-3, 4, network.n_species)
    n_H = float(n @ tables.scale_weights)
    native = np.asarray(open_network(network).rhs(n, temperature, np.array([zeta])))
    rates = Rates(tables)
    k = rates.coefficients(
        torch.tensor([temperature], dtype=torch.float64), torch.tensor([[zeta / n_H]], dtype=torch.float64)
    )
    x = torch.as_tensor(n / n_H)[None]
    production, loss = rates.production_loss(x, k)
    size = (production[0] * n_H * n_H).numpy() + np.abs(native)
    for change in (production - loss * x, rates.change(x, k)):
        assert np.abs(change[0].numpy() * n_H * n_H - native).max() <= 1e-13 * size.max()
        np.testing.assert_array_less(np.abs(change[0].numpy() * n_H * n_H - native), 1e-12 * size + 1e-300)
    jacobian = torch.autograd.functional.jacobian(lambda y: rates.change(y, k)[0], x)[:, 0]
    torch.testing.assert_close(rates.jacobian(x, k)[0], jacobian)
