"""The seed paper's data, losses and fits (Sulzer & Buck 2023, arXiv:2312.06015)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import Published

from pychemsurrogate.network import Network
from pychemsurrogate.status import Status
from pychemsurrogate.training.dataset import DatasetError
from pychemsurrogate.training.seed.data import (
    CONVENTIONS,
    ELAPSED,
    N_REF,
    N_TOTAL,
    TEMPERATURE,
    TIMES,
    ZETA,
    SeedData,
    initial_states,
    make,
    read,
    states_of,
    trajectories_of,
)

torch = pytest.importorskip("torch")

from pychemsurrogate.solver import Solver  # noqa: E402
from pychemsurrogate.surrogates.dynamics.neural_ode import NeuralODE  # noqa: E402
from pychemsurrogate.surrogates.latent import LatentModel  # noqa: E402
from pychemsurrogate.surrogates.mlp import mlp  # noqa: E402
from pychemsurrogate.training.minimise import CheckpointError  # noqa: E402
from pychemsurrogate.training.seed import fit as seed_fit  # noqa: E402
from pychemsurrogate.training.seed import losses  # noqa: E402
from pychemsurrogate.training.seed.fit import LOSS_NAMES, SeedFit, enough_steps, fit, new_model, rmse, widen  # noqa: E402
from pychemsurrogate.training.seed.kind import SeedRecipe  # noqa: E402
from pychemsurrogate.training.seed.kinds import KINDS  # noqa: E402
from pychemsurrogate.training.seed.pack import pack  # noqa: E402

# --- data -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> SeedData:
    return make("published", tmp_path_factory.mktemp("seed") / "data.h5", trajectories=200)


def test_agreement_with_the_published_trajectories(osu: Network, published: Published) -> None:
    carbon, ions = (published.n0[:, osu.species_index(name)] for name in ("C", "C+"))
    initial = states_of(osu, carbon, ions, CONVENTIONS["published"].oxygen)
    np.testing.assert_allclose(initial, published.n0, rtol=1e-6)
    np.testing.assert_allclose(ELAPSED, published.times, rtol=1e-12)
    assert (published.temperature, published.zeta) == (TEMPERATURE, ZETA)
    error = np.abs(trajectories_of(osu, initial) - published.log10_n)
    seen = published.log10_n - np.log10(N_REF) > -13.0
    assert seen.mean() > 0.6
    assert error[seen].max() < 2e-5


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_initial_states(osu: Network, convention: str) -> None:
    rule = CONVENTIONS[convention]
    n = initial_states(osu, convention, 2000, seed=3)
    at = {name: n[:, osu.species_index(name)] for name in osu.species_names}
    for name in ("C", "C+"):
        log = np.log10(at[name] / N_TOTAL)
        assert rule.carbon[0] <= log.min() < rule.carbon[0] + 0.01
        assert rule.carbon[1] - 0.01 < log.max() <= rule.carbon[1]
        assert np.mean(log) == pytest.approx(np.mean(rule.carbon), abs=0.05)
    np.testing.assert_allclose(at["O"], rule.oxygen * (at["C"] + at["C+"]))
    np.testing.assert_array_equal(at["H2"], N_TOTAL)
    charge = n @ osu.tables().composition[-1]
    assert np.abs(charge).max() < 1e-14
    np.testing.assert_array_equal(n, initial_states(osu, convention, 2000, seed=3))


def test_trajectories_of_the_text_keep_their_elements(osu: Network) -> None:
    initial = initial_states(osu, "text", 20, seed=1)
    n = 10.0 ** trajectories_of(osu, initial)
    before, after = (state @ osu.tables().composition[:-1].T for state in (initial, n[:, -1]))
    np.testing.assert_allclose(after, before, rtol=1e-10)


def test_data_are_read_back_and_others_refused(data: SeedData, tmp_path: Path) -> None:
    path = tmp_path / "d.h5"
    made = make("published", path, trajectories=10, seed=2)
    again = read(path)
    np.testing.assert_array_equal(made.log10_n, again.log10_n)
    np.testing.assert_array_equal(made.initial, again.initial)
    assert made.identity == again.identity
    assert len(made.train) == 9
    assert len(made.held_out) == 1
    with pytest.raises(DatasetError, match="holds"):
        make("published", path, trajectories=10, seed=3)
    path.write_bytes(b"no HDF5")
    with pytest.raises(DatasetError, match="is not a data set of the seed paper"):
        read(path)


# --- losses -----------------------------------------------------------------------------------------------------------


def test_losses_by_hand() -> None:
    x = torch.tensor([[[0.0, 0.0], [1.0, 2.0], [4.0, 4.0], [9.0, 6.0]]])
    still = torch.zeros_like(x)
    # L0, L1: mean of the squares 0, 1, 16, 81 and 0, 4, 16, 36.
    assert losses.trajectory(x, still).item() == pytest.approx(154.0 / 8.0)
    assert losses.identity(x, still).item() == pytest.approx(154.0 / 8.0)
    # L2: m.x is 0, 5, 12, 21 for m = (1, 2).
    masses = torch.tensor([1.0, 2.0])
    assert losses.mass(x, still, masses).item() == pytest.approx((25.0 + 144.0 + 441.0) / 4.0)
    assert losses.mass_of_logarithms(x, still, masses).item() == pytest.approx(5.0 + 12.0 + 21.0)
    # Differences of the columns: 1, 2, 4, 5 and 2, 2, 2, 2; of those: 1, 1.5, 1.5, 1 and 0.
    first = (1.0 + 4.0 + 16.0 + 25.0 + 4 * 4.0) / 8.0
    second = (1.0 + 2.25 + 2.25 + 1.0) / 8.0
    for spacing in (1.0, 0.5):
        assert losses.derivative(x, still, spacing).item() == pytest.approx(first / spacing**2)
        assert losses.second_derivative(x, still, spacing).item() == pytest.approx(second / spacing**4)
    for loss in (losses.trajectory(x, x), losses.mass(x, x, masses), losses.derivative(x, x, 1.0)):
        assert loss.item() == 0.0


def test_derivatives_approach_the_true_ones() -> None:
    tau = torch.linspace(0.0, 1.0, 400, dtype=torch.float64)
    x, still = torch.sin(5.0 * tau)[None, :, None], torch.zeros(1, 400, 1, dtype=torch.float64)
    spacing = float(tau[1])
    wanted = (5.0 * torch.cos(5.0 * tau)).square().mean().item()
    assert losses.derivative(x, still, spacing).item() == pytest.approx(wanted, rel=1e-3)
    wanted = (25.0 * torch.sin(5.0 * tau)).square().mean().item()
    assert losses.second_derivative(x, still, spacing).item() == pytest.approx(wanted, rel=2e-2)


# --- models -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_round_trip(kind: str, data: SeedData) -> None:
    model = new_model(KINDS[kind], data, seed=1)
    again = LatentModel.from_arrays(model.arrays())
    y = model.normalise(10.0 ** torch.as_tensor(data.held_out[:, 0]))
    tau = model.clock(torch.as_tensor(TIMES - TIMES[0]))
    torch.testing.assert_close(tau, torch.linspace(0.0, 1.0, 100), rtol=0.0, atol=1e-6)
    with torch.no_grad():
        assert torch.equal(model(y, tau), again(y, tau))
        assert torch.equal(model.log10_density(y), again.log10_density(y))
    assert again.arrays().keys() == model.arrays().keys()


def test_the_linear_model_is_the_paper_s() -> None:
    kind = KINDS["linear"]
    assert (kind.widths, kind.latent, kind.activation, kind.output) == ((64, 32, 16, 8), 5, "tanh", "tanh")
    assert (kind.degree, kind.encoded, kind.per_species) == (1, False, False)


def test_the_adjoint_s_gradients_are_those_of_backpropagation() -> None:
    torch.manual_seed(2)
    dynamics = NeuralODE(mlp([3, 16, 16, 3], "tanh"), 1.3, solver="dopri5", rtol=1e-9, atol=1e-9).double()
    z0 = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    tau = torch.linspace(0.0, 1.0, 7, dtype=torch.float64)
    target = torch.randn(4, 7, 3, dtype=torch.float64)
    gradients = []
    for adjoint in (False, True):
        dynamics.adjoint = adjoint
        loss = (dynamics.advance(z0, tau) - target).square().sum()
        gradients.append(torch.autograd.grad(loss, [z0, *dynamics.parameters()]))
    for direct, by_adjoint in zip(*gradients, strict=True):
        assert direct.abs().max() > 1e-3
        torch.testing.assert_close(by_adjoint, direct, rtol=1e-6, atol=1e-7)


def test_fixed_steps_agree_with_dopri5(data: SeedData) -> None:
    model = new_model(KINDS["neural_ode"], data, seed=1)
    assert isinstance(model.dynamics, NeuralODE)
    model.dynamics.steps = enough_steps(model, data)
    y = model.normalise(10.0 ** torch.as_tensor(data.held_out[:, 0]))
    tau = model.clock(torch.as_tensor(TIMES - TIMES[0]))
    with torch.no_grad():
        fixed = model.log10_density(model(y, tau))
        model.dynamics.solver, model.dynamics.rtol, model.dynamics.atol = "dopri5", 1e-6, 1e-7
        assert (model.log10_density(model(y, tau)) - fixed).abs().max() < 5e-5
        with pytest.raises(ValueError, match="one row of times"):
            model(y, tau.expand(len(y), -1))


# --- fits -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def linear(data: SeedData, tmp_path_factory: pytest.TempPathFactory) -> SeedFit:
    """Ten seconds of one core."""
    return fit(SeedRecipe("linear", budget=0.25), data, tmp_path_factory.mktemp("fits"))


def test_a_short_fit_is_accurate(linear: SeedFit, data: SeedData) -> None:
    assert rmse(linear.model, data.held_out) < 1.2e-2
    assert linear.history["validation"][-1] == rmse(linear.model, data.held_out)
    assert linear.history["L0"][-1] < 1e-3 * linear.history["L0"][0]
    assert linear.seconds > 0.0


def test_a_model_file_serves_the_first_rows(linear: SeedFit, data: SeedData, tmp_path: Path) -> None:
    pack(SeedRecipe("linear", budget=0.25), linear, data).write(tmp_path / "linear.pcs")
    assert (tmp_path / "linear.pcs").stat().st_size < 300_000
    solver = Solver.load(tmp_path / "linear.pcs")
    n, report = solver.step(10.0 ** data.train[:, 0], TIMES[-1] - TIMES[0], TEMPERATURE, zeta=ZETA)
    assert (report.status == Status.SURROGATE).all()
    assert np.median(np.abs(np.log10(n) - data.train[:, -1])) < 0.2
    # A later state is none of those that the model was made for.
    _, report = solver.step(n, 1e10, TEMPERATURE, zeta=ZETA)
    assert (report.status == Status.EXACT_BOX).all()


def test_widening_lowers_the_error_and_needs_no_new_training(
    data: SeedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = replace(KINDS["best_five"], epochs=20, widening=0)
    monkeypatch.setitem(KINDS, "best_five", kind)
    plain = fit(SeedRecipe("best_five"), data, tmp_path)
    monkeypatch.setitem(KINDS, "best_five", replace(kind, widening=100))
    wide = fit(SeedRecipe("best_five"), data, tmp_path)
    assert len(wide.history["total"]) == 20
    assert [layer.out_features for layer in wide.model.decoder[::2]] == [64, 64, 164, 29]
    for split in (data.train, data.held_out):
        assert rmse(wide.model, split) < 0.5 * rmse(plain.model, split)
    again = fit(SeedRecipe("best_five"), data, tmp_path)
    assert torch.equal(again.model.decoder[-1].weight, wide.model.decoder[-1].weight)
    with pytest.raises(ValueError, match="linear output"):
        widen(new_model(KINDS["linear"], data, seed=1), data, 8, seed=1)


@pytest.mark.parametrize("kind", ["linear", "linear_paper", "neural_ode"])
def test_an_interrupted_fit_ends_in_the_same_weights(
    kind: str, data: SeedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "linear", replace(KINDS["linear"], epochs=12))
    monkeypatch.setitem(KINDS, kind, replace(KINDS[kind], epochs=12))
    recipe = SeedRecipe(kind)
    whole = fit(recipe, data, tmp_path / "whole")
    monkeypatch.setattr(seed_fit, "_SAVE_EVERY", 0.0)
    epochs = 0

    def interrupt(_share: float, _rmse: float) -> None:
        nonlocal epochs
        epochs += 1
        if epochs == 11:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(recipe, data, tmp_path / "cut", interrupt)
    cut = fit(recipe, data, tmp_path / "cut", interrupt)
    assert epochs == 12
    for a, b in zip(whole.model.parameters(), cut.model.parameters(), strict=True):
        assert torch.equal(a, b)
    for name in ("total", *LOSS_NAMES, "validation"):
        np.testing.assert_array_equal(whole.history[name], cut.history[name])
    assert len(cut.history["total"]) == 12
    read_back = fit(recipe, data, tmp_path / "cut", interrupt)
    assert epochs == 12
    assert read_back.seconds == cut.seconds
    monkeypatch.setitem(KINDS, kind, replace(KINDS[kind], epochs=12, batch=64))
    with pytest.raises(CheckpointError, match="another recipe"):
        fit(recipe, data, tmp_path / "cut")


def test_the_paper_s_losses_are_unity_after_the_burn_in(
    data: SeedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "linear_paper", replace(KINDS["linear_paper"], epochs=12, rates=(1e-12, 1e-12)))
    history = fit(SeedRecipe("linear_paper"), data, tmp_path).history
    assert (history["L4"] > 0).all()
    # Nothing moves at these rates: 100 + 4 once every loss is divided by itself.
    np.testing.assert_allclose(history["total"][10:], 104.0, rtol=0.02)


@pytest.mark.long
def test_the_linear_model_reaches_its_target(tmp_path: Path) -> None:
    data = make("published", tmp_path / "data.h5")
    assert rmse(fit(SeedRecipe("linear"), data, tmp_path).model, data.held_out) < 2e-3
