"""The map `jump` in the native library: against torch after every verb, its guarantees, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pychemsurrogate import _native
from pychemsurrogate.integrators import conservation_defect
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.network import Network
from pychemsurrogate.solver import Solver
from pychemsurrogate.status import Status

torch = pytest.importorskip("torch")

from pychemsurrogate.solver.step import Learned  # noqa: E402
from pychemsurrogate.training.dataset import generate  # noqa: E402
from pychemsurrogate.training.fit_jump import new_jump  # noqa: E402
from pychemsurrogate.training.recipe import JumpRecipe  # noqa: E402
from pychemsurrogate.training.train import train  # noqa: E402
from pychemsurrogate.training.truth import UNITS_PER_CYCLE, Recipe  # noqa: E402

EXPERTS, SHARES = 5, (0.08, 0.23, 0.69)
Cells = tuple[Any, ...]


class Inline(Executor):
    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def untrained(cells: Cells, finish_fraction: float = 0.6, widths: tuple[int, ...] = (37, 20)) -> ModelFile:
    """A jump with random nets that say something, on features of the cells' size; box and threshold as shipped."""
    model = ModelFile.read("osu_09_2008-multiclock")
    network = model.network()
    recipe = JumpRecipe(
        experts=EXPERTS, widths=widths, shares=SHARES, head=(12,), finish_fraction=finish_fraction, finish_steps=2
    )
    torch.manual_seed(4)
    surrogate = new_jump(network, recipe)
    n, dt, temperature, zeta = cells
    density = n @ network.tables().scale_weights
    state = torch.tensor(n / density[:, None]), torch.tensor(temperature), torch.tensor(zeta / density[:, None])
    theta = torch.tensor(density * dt)
    with torch.no_grad():
        for parameter in [*surrogate.experts.parameters(), *surrogate.head.parameters()]:
            parameter.add_(0.1 * torch.randn(parameter.shape))
        scaled = surrogate.scale(*state, theta)
        z = surrogate.advance(surrogate.encode(scaled.features), theta)
        depth = surrogate.depth(z)
        surrogate.centres.copy_(depth[torch.linspace(0, len(depth) - 1, EXPERTS).long()])
        seen = torch.cat([z, surrogate.prepare(scaled).features], dim=1)
        surrogate.feature_mean.copy_(seen.mean(dim=0))
        surrogate.feature_std.copy_(seen.std(dim=0) + 0.1)
    for name in [name for name in model.arrays if name.startswith("surrogate/")]:
        del model.arrays[name]
    model.arrays |= surrogate.to_arrays()
    return model


def trained(folder: Path) -> ModelFile:
    """A jump after a minute's fit in miniature, on states of the widest ranges."""
    recipe = Recipe(units=UNITS_PER_CYCLE, runs_per_unit=4, seed=7, rtol=1e-2, atol=1e-15)
    data = generate(recipe, folder / "tiny.h5", executor=Inline(), progress=False)
    small = JumpRecipe(
        experts=3,
        widths=(16, 16),
        shares=(0.3, 0.7),
        head=(12,),
        samples=96 * 200,
        batch=96,
        tours=0,
        head_pairs=300,
        head_samples=96 * 40,
        targets=(1.0,),
        alpha=0.3,
        seed=2,
    )
    train(data, folder / "m.pcs", small, progress=False, held_out=data)
    return ModelFile.read(folder / "m.pcs")


@pytest.fixture(scope="module", params=["finish", "no finish", "trained"])
def model(request: pytest.FixtureRequest, cells: Cells, tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    folder = tmp_path_factory.mktemp("jump")
    if request.param == "trained":
        return trained(folder)
    model = untrained(cells, 0.6 if request.param == "finish" else 0.0)
    model.write(folder / "m.pcs")
    return model


def in_dex(a: Any, b: Any) -> Any:
    return np.abs(np.log10(np.maximum(np.asarray(a), 1e-16) / np.maximum(np.asarray(b), 1e-16)))


def between(surrogate: Any, depth: Any) -> Any:
    """Cells so close to the border of two experts that rounding decides."""
    nearest = torch.cdist(depth.double(), surrogate.centres.double()).square().sort(dim=1).values
    return (nearest[:, 1] - nearest[:, 0] < 1e-2).numpy()


def test_native_and_torch_agree_after_every_verb(model: ModelFile, cells: Cells) -> None:
    n, dt, temperature, zeta = cells
    handle = _native.Solver.open(str(model.path))
    trace = handle.trace(n, dt, temperature, zeta)
    surrogate: Any = Learned.of(model, "cpu", handle).surrogate
    density = n @ model.network().tables().scale_weights
    x, theta = torch.tensor(n / density[:, None]), torch.tensor(density * dt)
    with torch.no_grad():
        made = surrogate(x, torch.tensor(temperature), torch.tensor(zeta / density[:, None]), theta)
        moved, scaled, z, decoded, multiplier, finished = made
        score = surrogate.predict_error(z, decoded, multiplier, finished)
        depth = surrogate.depth(z)
    clear = ~between(surrogate, depth)
    assert clear.mean() > 0.99
    assert len(surrogate.route(depth).unique()) > 1
    assert np.abs(trace["features"] - scaled.features.numpy()).max() <= 1e-5
    assert np.abs(trace["latent"] - z.numpy()).max() <= 1e-5
    guess, conserved = decoded.guess, surrogate.conserve(decoded.guess, x)[0]
    for name, state in (("guess", guess), ("conserved", conserved)):
        assert in_dex(trace[name], state)[clear].max() <= 1e-5, name
    if finished is not None:  # from the same state: a few random ones are such that steps amplify any difference
        with torch.no_grad():
            alone = surrogate.finish(torch.tensor(trace["conserved"]), scaled.coefficients, theta)
        assert in_dex(trace["finished"], alone.x).max() <= 1e-5
        assert np.abs(trace["finish_report"] - alone.report.numpy()).max() <= 2e-5
    assert np.quantile(in_dex(trace["final_state"], moved)[clear], 0.99) <= 1e-5
    assert np.quantile(np.abs(trace["lambda"] - multiplier.numpy())[clear], 0.99) <= 1e-5
    assert np.quantile(np.abs(trace["score"][:, 0] - score.numpy())[clear], 0.99) <= 1e-4
    assert in_dex(decoded.guess, x).max() > 0.1  # it did something


def test_the_guess_of_a_silent_net_is_the_prepared_state(cells: Cells, tmp_path: Path) -> None:
    n, dt, temperature, zeta = cells
    model = untrained(cells, finish_fraction=0.0)
    for name in ("surrogate/expert_w2", "surrogate/expert_b2"):
        model.arrays[name] = 0 * model.arrays[name]
    model.write(tmp_path / "silent.pcs")
    handle = _native.Solver.open(str(tmp_path / "silent.pcs"))
    guess = handle.trace(n, dt, temperature, zeta)["guess"]
    surrogate: Any = Learned.of(model, "cpu", handle).surrogate
    density = n @ model.network().tables().scale_weights
    x, theta = torch.tensor(n / density[:, None]), torch.tensor(density * dt)
    with torch.no_grad():
        scaled = surrogate.scale(x, torch.tensor(temperature), torch.tensor(zeta / density[:, None]), theta)
        prepared = surrogate.prepare(scaled).x.numpy()
    np.testing.assert_allclose(guess, prepared, rtol=1e-8, atol=1e-18)


def test_dt_zero_is_the_identity(model: ModelFile, cells: Cells) -> None:
    n, _, temperature, zeta = cells
    x = n / (n @ model.network().tables().scale_weights)[:, None]
    trace = _native.Solver.open(str(model.path)).trace(n, np.zeros(len(n)), temperature, zeta)
    for name in ("guess", "final_state"):  # n_H is summed in another order there
        np.testing.assert_allclose(trace[name], x, rtol=1e-14, atol=0)


def test_small_steps_change_little(model: ModelFile, cells: Cells) -> None:
    n, _, temperature, zeta = cells
    solver = Solver.load(model.path, mode="surrogate")
    seen = n > 1e-10 * n.sum(1, keepdims=True)
    moved = [
        np.abs(np.log10(solver.step(n, dt, temperature, zeta=zeta[:, 0])[0][seen] / n[seen])).max()
        for dt in (1e2, 1e0, 1e-2)
    ]
    assert moved[0] > 3 * moved[1] > 9 * moved[2]


@pytest.mark.parametrize("mode", ["auto", "surrogate"])
def test_engines_and_kernels_give_the_same_step(model: ModelFile, cells: Cells, mode: str) -> None:
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
        assert np.quantile(in_dex(first[seen], other[seen]), 0.995) <= 1e-5


def test_elements_and_charge_are_conserved(model: ModelFile, cells: Cells, osu: Network) -> None:
    n, dt, temperature, zeta = cells
    result, report = Solver.load(model.path, mode="surrogate").step(n, dt, temperature, zeta=zeta[:, 0])
    served = report.status == Status.SURROGATE
    assert served.mean() > 0.9
    assert conservation_defect(result, n, osu.tables().composition).max() <= 1e-12
    assert (result >= 0).all()


def test_a_cell_depends_on_itself_alone(model: ModelFile, cells: Cells) -> None:
    n, dt, temperature, zeta = cells
    settings: dict[str, Any] = {"mode": "surrogate"}
    together, report = Solver.load(model.path, threads=1, **settings).step(n, dt, temperature, zeta=zeta[:, 0])
    order = np.random.default_rng(0).permutation(len(n))
    solver = Solver.load(model.path, threads=1, **settings)
    permuted, permuted_report = solver.step(n[order], dt[order], temperature[order], zeta=zeta[order, 0])
    assert np.array_equal(permuted, together[order])
    assert np.array_equal(permuted_report.status, report.status[order])
    for a, b in ((0, 1), (1, 2), (2, 5), (5, 9), (9, 72), (72, len(n))):
        part, _ = solver.step(n[a:b], dt[a:b], temperature[a:b], zeta=zeta[a:b, 0])
        assert np.array_equal(part, together[a:b])
    for threads in (2, 3):
        other = Solver.load(model.path, threads=threads, **settings)
        assert np.array_equal(other.step(n, dt, temperature, zeta=zeta[:, 0])[0], together)


def test_trajectories_have_the_bits_of_steps(model: ModelFile, cells: Cells) -> None:
    n, _, temperature, zeta = (array[:150] for array in cells)
    times = np.array([0.0, 1e9, 1e10, 3e11])
    for mode in ("auto", "surrogate"):
        solver = Solver.load(model.path, mode=mode)
        made, report = solver.trajectory(n, times, temperature, zeta=zeta[:, 0])
        served = 0
        for k, time in enumerate(times):
            step, its_report = solver.step(n, time, temperature, zeta=zeta[:, 0])
            by_map = its_report.status == Status.SURROGATE
            assert np.array_equal(report.status[:, k] == Status.SURROGATE, by_map)
            assert np.array_equal(made[by_map, k], step[by_map])
            served += by_map.sum()
        assert mode == "auto" or served > len(n)


@pytest.mark.parametrize("widths", [(), (1,), (70, 33, 8)])
def test_nets_of_any_shape(cells: Cells, tmp_path: Path, widths: tuple[int, ...]) -> None:
    n, dt, temperature, zeta = cells
    model = untrained(cells, 0.0, widths)
    model.write(tmp_path / "m.pcs")
    made, other = (
        Solver.load(model.path, mode="surrogate", engine=engine).step(n, dt, temperature, zeta=zeta[:, 0])[0]
        for engine in ("native", "torch")
    )
    seen = made > 1e-14 * n.sum(1, keepdims=True)
    assert np.quantile(in_dex(made[seen], other[seen]), 0.995) <= 1e-5


def shorter(array: Any) -> Any:
    return np.ascontiguousarray(array[..., :-1])


def not_finite(array: Any) -> Any:
    return np.full_like(array, np.nan)


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("kind", lambda a: np.frombuffer(b"leap", dtype=np.uint8), "multiclock or latent or jump"),
        ("prepare_shares", lambda a: 0.5 * a, "their sum 1"),
        ("prepare_shares", lambda a: np.array([1.5, -0.5]), "must be positive"),
        ("prepare_shares", not_finite, "must be positive"),
        ("prepare_shares", None, "prepare_shares"),
        ("centres", shorter, "centres must hold"),
        ("centres", lambda a: a[:-1].copy(), "centres must hold"),
        ("centres", not_finite, "centres must hold finite"),
        ("centres", None, "centres"),
        ("expert_w0", shorter, "experts do not fit this network"),
        ("expert_w0", lambda a: a[0], "expert_w0 does not fit"),
        ("expert_w0", None, "no surrogate/expert_w0"),
        ("expert_w1", shorter, "expert_w1 does not fit"),
        ("expert_w1", lambda a: a[:-1].copy(), "expert_w1 does not fit"),
        ("expert_b1", shorter, "expert_w1 does not fit"),
        ("expert_b1", None, "expert_b1"),
        ("expert_w2", not_finite, "expert_w2 is not finite"),
        ("expert_w2", None, "experts do not fit this network"),
        ("head_w0", shorter, "head does not fit"),
        ("head_w0", None, "belong together"),
        ("feature_mean", shorter, "feature_mean and feature_std"),
        ("feature_mean", not_finite, "must be finite"),
        ("feature_std", lambda a: 0 * a, "must be positive"),
        ("clock_theta0", lambda a: -a, "clock_theta0 must be positive"),
        ("x_trace", None, "x_trace"),
        ("finish_steps", None, "belong together"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(
    cells: Cells, tmp_path: Path, name: str, spoil: Callable[[Any], Any] | None, message: str
) -> None:
    model = untrained(cells)
    spoilt = model.arrays.pop(f"surrogate/{name}")
    if spoil is not None:
        model.arrays[f"surrogate/{name}"] = spoil(spoilt)
    model.write(tmp_path / "spoilt.pcs")
    with pytest.raises(ValueError, match=message):
        _native.Solver.open(str(tmp_path / "spoilt.pcs"))
