"""The seed paper's models behind the step: native against torch verb by verb, the box, trajectories, bad files."""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from conftest import Published
from numpy.typing import NDArray
from seed_models import KINDS, N_REF, TEMPERATURE, TIME_LAST, ZETA, seed_model, text

from pychemsurrogate import _native
from pychemsurrogate.integrators import NativeRosenbrock, conservation_defect
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.network import Network
from pychemsurrogate.solver import Solver
from pychemsurrogate.status import Status

COUNT = 300  # several tiles of any instruction set, the last one partial
TIMES = 10.0 ** np.linspace(2.0, 15.0, 11)  # s, at n_H = N_REF


@dataclass(frozen=True)
class Cells:
    """Initial states of the paper at many densities: n (COUNT, S), dt and zeta (COUNT)."""

    n: NDArray[np.float64]
    dt: NDArray[np.float64]
    zeta: NDArray[np.float64]

    def __getitem__(self, rows: object) -> Cells:
        return Cells(self.n[rows], self.dt[rows], self.zeta[rows])


@pytest.fixture(scope="module")
def typical(published: Published) -> NDArray[np.float64]:
    return 10.0 ** published.log10_n[0, 50]


@pytest.fixture(scope="module")
def cells(osu: Network) -> Cells:
    rng = np.random.default_rng(4)
    carbon, ion = 10.0 ** rng.uniform(-2, 0, (2, COUNT))
    n = np.full((COUNT, osu.n_species), 1e-16)
    for name, value in {"H2": 1e4, "C": carbon, "C+": ion, "O": 4.0 * (carbon + ion), "e-": ion}.items():
        n[:, osu.species_index(name)] = value
    density = 10.0 ** rng.uniform(-1, 1, COUNT)  # over N_REF
    dt = 10.0 ** rng.uniform(1.5, 15.4, COUNT) / density
    return Cells(n * density[:, None], dt, ZETA * density)


@pytest.fixture(scope="module")
def paths(osu: Network, typical: NDArray[np.float64], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model file of each kind, one with the other activation and output, and two in double precision."""
    folder = tmp_path_factory.mktemp("models")
    made = {kind: seed_model(osu, typical, kind) for kind in KINDS}
    made["silu"] = seed_model(osu, typical, "encoded", "silu", "linear")
    made |= {"silu double": copy.deepcopy(made["silu"]), "neural_ode double": copy.deepcopy(made["neural_ode"])}
    for name in DOUBLE:
        made[name].arrays["surrogate/precision"] = text("double")
    for name, model in made.items():
        model.write(folder / f"{name}.pcs")
    return {name: folder / f"{name}.pcs" for name in made}


DOUBLE = ("silu double", "neural_ode double")
NAMES = (*KINDS, "silu", *DOUBLE)


@pytest.mark.parametrize("name", NAMES)
def test_native_and_torch_agree_after_every_verb(name: str, paths: dict[str, Path], cells: Cells) -> None:
    torch = pytest.importorskip("torch")
    from pychemsurrogate.surrogates import surrogate as surrogates

    model = ModelFile.read(paths[name])
    temperature = np.full(COUNT, TEMPERATURE)
    trace = _native.Solver.open(str(paths[name])).trace(cells.n, cells.dt, temperature, cells.zeta[:, None])
    surrogate = surrogates.from_arrays(model.arrays, model.network().tables())
    density = cells.n @ model.network().tables().scale_weights
    x, theta = torch.tensor(cells.n / density[:, None]), torch.tensor(density * cells.dt)
    conditions = torch.tensor(cells.zeta[:, None] / density[:, None])
    with torch.no_grad():
        scaled = surrogate.scale(x, torch.tensor(temperature), conditions, theta)
        encoded = surrogate.encode(scaled.features)
        z = surrogate.advance(encoded, theta)
        decoded = surrogate.decode(z, scaled)
        moved, multiplier = surrogate.conserve(decoded.guess, x)
        assert surrogate.predict_error(z, decoded, multiplier, None) is None
    assert "score" not in trace
    latent, precision = z.shape[1], 1e-8 if name in DOUBLE else 1.0
    for verb, expected in {"features": scaled.features, "latent0": encoded[:, :latent], "latent": z}.items():
        assert np.abs(trace[verb] - expected.numpy()).max() <= precision * 3e-6 * float(expected.abs().max()), verb
    for verb, expected in {"guess": decoded.guess, "conserved": moved}.items():
        assert np.abs(np.log10(trace[verb] / expected.numpy())).max() <= max(precision * 1e-5, 1e-11), verb
    difference = np.abs(trace["lambda"] - multiplier.numpy()).max()
    assert difference <= precision * 1e-5 * max(1.0, float(multiplier.abs().max()))
    assert np.ptp(z.numpy(), axis=0).min() > 0.01  # it was no test of constants


@pytest.mark.parametrize("mode", ["auto", "surrogate"])
@pytest.mark.parametrize("name", ["linear", "neural_ode"])
def test_engines_give_the_same_step_and_trajectory(name: str, mode: str, paths: dict[str, Path], cells: Cells) -> None:
    pytest.importorskip("torch")
    rows = slice(0, 40)
    n, zeta = cells.n[rows].copy(), cells.zeta[rows]
    n[3] *= 1.0 + 1e-3  # zeta/n_H leaves the box
    native, torch = (Solver.load(paths[name], mode=mode, engine=engine) for engine in ("native", "torch"))
    assert np.isin(native.step(n, cells.dt[rows], TEMPERATURE, zeta=zeta)[1].status[3], [0, Status.EXACT_BOX])
    times = np.array([0.0, 1e3, 1e9, 2e14])
    for call in (
        lambda solver: solver.step(n, cells.dt[rows], TEMPERATURE, zeta=zeta),
        lambda solver: solver.trajectory(n, times, TEMPERATURE, zeta=zeta),
    ):
        (ours, report), (theirs, torch_report) = call(native), call(torch)
        assert np.array_equal(report.status, torch_report.status)
        seen = ours > 1e-16 * ours.sum(-1, keepdims=True)
        assert np.abs(np.log10(ours[seen] / theirs[seen])).max() <= 1e-5
        assert report.refused_box == torch_report.refused_box
        assert report.cells == torch_report.cells == report.status.size


@pytest.mark.parametrize(
    ("kind", "single_dex"),
    # A widened layer (best_five) that few rows have decided has large weights.
    [("linear", 2e-4), ("polynomial", 2e-4), ("neural_ode", 2e-4), ("best_five", 1e-2)],
)
def test_trained_models_are_the_same_in_both_languages(kind: str, single_dex: float, seeds_folder: Path) -> None:
    """Training makes the nets steep, which magnifies round-off; in double precision none is left."""
    torch = pytest.importorskip("torch")
    from pychemsurrogate.training.seed import data as seed_data
    from pychemsurrogate.training.seed.fit import fit
    from pychemsurrogate.training.seed.kind import SeedRecipe
    from pychemsurrogate.training.seed.pack import pack

    data = seed_data.make("published", seeds_folder / "data.h5", trajectories=40)
    recipe = SeedRecipe(kind, budget=150 / SeedRecipe(kind).resolved.epochs)
    fitted = fit(recipe, data, seeds_folder)
    single, double = pack(recipe, fitted, data), seeds_folder / f"{kind}-double.pcs"
    single.write(seeds_folder / f"{kind}.pcs")
    single.arrays["surrogate/precision"] = text("double")
    single.write(double)
    n, times = 10.0 ** data.held_out[:, 0], seed_data.TIMES[1:] - seed_data.TIMES[0]

    def served(path: Path, engine: str) -> NDArray[np.float64]:
        solver = Solver.load(path, mode="surrogate", engine=engine)
        answers = [solver.trajectory(n, times, TEMPERATURE, conserve=c, zeta=ZETA)[0] for c in (True, False)]
        answers.append(solver.step(n, times[60], TEMPERATURE, zeta=ZETA)[0])
        return np.concatenate([np.log10(answer).reshape(-1) for answer in answers])

    reference = served(double, "torch")
    truth = np.tile(data.held_out[:, 1:].reshape(-1), 2)
    assert np.sqrt(np.mean((reference[: truth.size] - truth) ** 2)) < 1.0  # it has learned something
    assert np.abs(served(double, "native") - reference).max() <= 1e-10
    for engine in ("native", "torch"):
        assert 1e-8 < np.abs(served(seeds_folder / f"{kind}.pcs", engine) - reference).max() <= single_dex
    assert next(fitted.model.parameters()).dtype == torch.float32


@pytest.fixture(scope="module")
def seeds_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("seeds")


@pytest.mark.parametrize("name", NAMES)
def test_a_cell_depends_on_itself_alone(name: str, paths: dict[str, Path], cells: Cells) -> None:
    solver = Solver.load(paths[name], mode="surrogate", threads=1)

    def step(chosen: Cells, using: Solver = solver) -> NDArray[np.float64]:
        n, report = using.step(chosen.n, chosen.dt, TEMPERATURE, zeta=chosen.zeta)
        assert (report.status == Status.SURROGATE).all()
        assert isinstance(n, np.ndarray)
        return n

    def follow(chosen: Cells, using: Solver = solver) -> NDArray[np.float64]:
        n, report = using.trajectory(chosen.n, TIMES, TEMPERATURE, zeta=chosen.zeta)
        assert (report.status == Status.SURROGATE).all()
        assert isinstance(n, np.ndarray)
        return n

    order = np.random.default_rng(0).permutation(COUNT)
    for call in (step, follow):
        together = call(cells)
        assert np.array_equal(call(cells[order]), together[order])
        for a, b in itertools.pairwise([0, 1, 2, 5, 22, 70, 199, 300]):
            assert np.array_equal(call(cells[a:b]), together[a:b])
        for threads in (2, 3, 8):
            assert np.array_equal(call(cells, Solver.load(paths[name], mode="surrogate", threads=threads)), together)
    together = follow(cells)
    for k in (0, 4, 10):  # a trajectory is many steps from one state, bit for bit
        alone = Cells(cells.n, np.full(COUNT, TIMES[k]), cells.zeta)
        assert np.array_equal(step(alone), together[:, k])


def test_multi_clock_trajectory_is_many_steps_from_one_state(cells: Cells) -> None:
    n, zeta = cells.n, np.clip(cells.zeta, 1e-17, 1e-15)
    times = 10.0 ** np.linspace(8, 12, 5)
    for mode in ("auto", "surrogate"):
        solver = Solver.load("osu_09_2008-multiclock", mode=mode)
        together, report = solver.trajectory(n, times, 40.0, zeta=zeta)
        for k, time in enumerate(times):
            alone, one = solver.step(n, time, 40.0, zeta=zeta)
            kept = report.status[:, k] == Status.SURROGATE
            assert np.array_equal(kept, one.status == Status.SURROGATE)
            assert np.array_equal(together[kept, k], alone[kept])


def test_what_is_served_conserves_and_the_raw_answer_does_not(
    paths: dict[str, Path], cells: Cells, osu: Network
) -> None:
    solver = Solver.load(paths["linear"], mode="surrogate")
    projected, report = solver.trajectory(cells.n, TIMES, TEMPERATURE, zeta=cells.zeta)
    raw, raw_report = solver.trajectory(cells.n, TIMES, TEMPERATURE, zeta=cells.zeta, conserve=False)
    assert (report.status == Status.SURROGATE).all()
    assert (raw_report.status == Status.SURROGATE).all()
    composition, like = osu.tables().composition, np.repeat(cells.n, len(TIMES), axis=0)
    assert conservation_defect(projected.reshape(like.shape), like, composition).max() <= 1e-12
    assert np.median(conservation_defect(raw.reshape(like.shape), like, composition)) > 1e-3
    assert report.defect_max > 1e-3
    assert (raw > 0).all()
    with pytest.raises(ValueError, match="mode surrogate alone"):
        Solver.load(paths["linear"]).trajectory(cells.n, TIMES, TEMPERATURE, zeta=cells.zeta, conserve=False)


def test_the_box_refuses_all_but_the_first_moment(paths: dict[str, Path], cells: Cells, osu: Network) -> None:
    solver = Solver.load(paths["linear"])
    result, report = solver.step(cells.n, cells.dt, TEMPERATURE, zeta=cells.zeta)
    assert (report.status == Status.SURROGATE).all()
    _, report = solver.step(result, cells.dt, TEMPERATURE, zeta=cells.zeta)  # CO is there now
    assert report.refused_box == COUNT
    changes = {
        "temperature": (cells.n, cells.dt, 51.0, cells.zeta),
        "zeta/n_H": (cells.n, cells.dt, TEMPERATURE, 1.01 * cells.zeta),
        "theta": (cells.n, 2.0 * TIME_LAST * ZETA / cells.zeta, TEMPERATURE, cells.zeta),
    }
    for n, dt, temperature, zeta in changes.values():
        _, report = solver.step(n[:9], dt[:9], temperature, zeta=zeta[:9])
        assert (report.status == Status.EXACT_BOX).all()


def test_trajectories_of_the_exact_integrator(paths: dict[str, Path], cells: Cells, osu: Network) -> None:
    few, integrator = cells[:5], NativeRosenbrock(osu, rtol=1e-4)
    times = np.array([0.0, 1e6, 1e9, 1e12])
    exact = Solver.load(paths["linear"], mode="exact", rtol=1e-4)
    result, report = exact.trajectory(few.n, times, TEMPERATURE, zeta=few.zeta)
    assert report.status.tolist() == [[Status.UNCHANGED, *3 * [Status.EXACT_REQUESTED]]] * 5
    assert np.array_equal(result[:, 0], few.n)
    n = few.n
    for k in (1, 2, 3):
        n, _ = integrator.advance(n, times[k] - times[k - 1], TEMPERATURE, {"zeta": few.zeta})
        assert np.array_equal(result[:, k], n)
    # What the gate refuses is the integrator's, which passes over what was accepted.
    times = np.array([1e9, 1e12, 1e17, 2e17])
    mixed, report = Solver.load(paths["linear"], rtol=1e-4).trajectory(few.n, times, TEMPERATURE, zeta=few.zeta)
    assert report.status.tolist() == [2 * [Status.SURROGATE] + 2 * [Status.EXACT_BOX]] * 5
    assert (report.surrogate, report.exact, report.refused_box, report.cells) == (10, 10, 10, 20)
    n, _ = integrator.advance(few.n, times[2], TEMPERATURE, {"zeta": few.zeta})
    assert np.array_equal(mixed[:, 2], n)
    alone, _ = exact.trajectory(few.n, times, TEMPERATURE, zeta=few.zeta)
    assert np.abs(np.log10(mixed[:, 3] / alone[:, 3]))[mixed[:, 3] > 1e-12 * few.n.max(1, keepdims=True)].max() < 1e-3
    # By scipy, and by call.
    by_scipy = Solver.load(paths["linear"], integrator="scipy")
    short = np.array([1e6, 1e9])
    reference, report = by_scipy.trajectory(few.n[:2], short, TEMPERATURE, zeta=few.zeta[:2], mode="exact")
    assert (report.status == Status.EXACT_SCIPY).all()
    native, _ = exact.trajectory(few.n[:2], short, TEMPERATURE, zeta=few.zeta[:2])
    seen = native > 1e-12 * few.n[:2].max(1)[:, None, None]
    assert np.abs(np.log10(native[seen] / reference[seen])).max() < 1e-3


def test_bad_cells_and_calls(paths: dict[str, Path], cells: Cells) -> None:
    n, zeta = cells.n[:4].copy(), cells.zeta[:4].copy()
    n[0, 3], n[1, 2], zeta[2] = np.nan, -1.0, np.inf
    for engine in ("native", "torch"):
        if engine == "torch":
            pytest.importorskip("torch")
        solver = Solver.load(paths["neural_ode"], engine=engine)
        result, report = solver.trajectory(n, [0.0, 1e3, 1e6], TEMPERATURE, zeta=zeta)
        assert (report.status[:3] == Status.BAD_INPUT).all()
        assert report.status[3].tolist() == [Status.UNCHANGED, Status.SURROGATE, Status.SURROGATE]
        np.testing.assert_array_equal(result[:3], np.repeat(n[:3, None], 3, axis=1))
        assert np.array_equal(result[3, 0], n[3])
        for count, times in ((0, [1.0]), (4, []), (0, [])):
            result, report = solver.trajectory(n[:count], times, TEMPERATURE, zeta=zeta[:count])
            assert result.shape == (count, len(times), n.shape[1])
            assert report.cells == 0
        for times in ([1.0, 1.0], [2.0, 1.0], [-1.0], [np.nan], [np.inf], [1e21]):
            with pytest.raises(ValueError, match="times are elapsed seconds"):
                solver.trajectory(n, times, TEMPERATURE, zeta=zeta)
        with pytest.raises(ValueError, match="not \\(times,\\)"):
            solver.trajectory(n, 1.0, TEMPERATURE, zeta=zeta)
        with pytest.raises(ValueError, match="mode is 'quick'"):
            solver.trajectory(n, [1.0], TEMPERATURE, zeta=zeta, mode="quick")
        for out in (np.empty((4, 2, 29)), np.empty((4, 1, 58))[:, :, ::2], np.broadcast_to(1.0, (4, 1, 29))):
            with pytest.raises(ValueError, match="out must be"):
                solver.trajectory(n, [1.0], TEMPERATURE, zeta=zeta, out=out)
        out = np.empty((4, 1, 29))
        with pytest.raises(ValueError, match="overlaps"):
            solver.trajectory(out[:, 0], [1.0], TEMPERATURE, zeta=zeta, out=out)
        returned, _ = solver.trajectory(n, [1e3], TEMPERATURE, zeta=zeta, out=out)
        assert returned is out
    frozen = cells.n[:4].copy()
    frozen.flags.writeable = False
    Solver.load(paths["linear"]).trajectory(frozen, [1e3], TEMPERATURE, zeta=cells.zeta[:4])


def test_beyond_the_times_of_the_training_the_state_stays(paths: dict[str, Path], cells: Cells) -> None:
    for name in KINDS:
        solver = Solver.load(paths[name], mode="surrogate")
        result, _ = solver.trajectory(cells.n[:3], [1e18, 1e20], TEMPERATURE, zeta=cells.zeta[:3])
        assert np.isfinite(result).all()
        assert np.array_equal(result[:, 0], result[:, 1])


def test_tanh(typical: NDArray[np.float64], osu: Network, tmp_path: Path) -> None:
    """To 2e-7 everywhere, by an encoder of one layer that hands a single feature through."""
    model = seed_model(osu, typical, "linear")
    for layer in range(1, 5):
        del model.arrays[f"surrogate/encode_w{layer}"], model.arrays[f"surrogate/encode_b{layer}"]
    weights = np.zeros((5, osu.n_species), np.float32)
    weights[:, osu.species_index("CO")] = 1.0
    model.arrays |= {"surrogate/encode_w0": weights, "surrogate/encode_b0": np.zeros(5, np.float32)}
    model.write(tmp_path / "one_layer.pcs")
    count, rng = 20_000, np.random.default_rng(8)
    n = np.full((count, osu.n_species), 1e-16)
    n[:, osu.species_index("H2")] = 1e4
    middle = np.log10(typical[osu.species_index("CO")])
    n[:, osu.species_index("CO")] = 10.0 ** (middle + 0.5 * np.r_[0.0, rng.uniform(-12, 12, count - 1)])
    trace = _native.Solver.open(str(tmp_path / "one_layer.pcs")).trace(n, np.ones(count), *np.ones((2, count)))
    argument, value = trace["features"][:, osu.species_index("CO")], trace["latent0"][:, 0]
    assert argument.min() < -10
    assert argument.max() > 3
    assert np.abs(value - np.tanh(argument)).max() <= 2e-7
    assert (np.abs(value) <= 1.0).all()


SPOILS = {
    "kind": lambda a: text("latente"),
    "activation": lambda a: text("relu"),
    "output": lambda a: text("tanh\ntanh"),
    "dynamics": lambda a: text("fourier"),
    "latent": lambda a: np.int32(6),
    "degree": lambda a: np.int32(0),
    "directions": lambda a: a[:, :-1],
    "encode_w0": lambda a: a[:, :-1],
    "encode_b4": lambda a: np.full_like(a, np.inf),
    "decode_w4": lambda a: a[:-1],
    "abundance_mean": lambda a: a[:-1],
    "abundance_scale": lambda a: 0.0 * a,
    "n_floor": lambda a: np.float64(0.0),
    "n_ref": lambda a: np.float64(np.nan),
    "time_first": lambda a: np.float64(-1.0),
    "time_last": lambda a: np.float64(1.0),
    "ode_scale": lambda a: np.float64(0.0),
    "ode_steps": lambda a: np.int32(100_000),
    "ode_w5": lambda a: a[:-1],
    "ode_b0": lambda a: np.full_like(a, np.nan),
}


@pytest.mark.parametrize("name", SPOILS)
@pytest.mark.parametrize("gone", [False, True])
def test_a_model_that_contradicts_itself_is_refused(
    name: str, gone: bool, paths: dict[str, Path], tmp_path: Path
) -> None:
    model = ModelFile.read(paths["neural_ode" if name.startswith("ode") else "polynomial"])
    key = f"surrogate/{name}"
    spoilt = np.ascontiguousarray(SPOILS[name](model.arrays.pop(key)))
    if not gone:
        model.arrays[key] = spoilt
    model.write(tmp_path / "spoilt.pcs")
    with pytest.raises(ValueError, match="model file"):
        _native.Solver.open(str(tmp_path / "spoilt.pcs"))


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"surrogate/precision": text("half")}, "must be single or double"),
        ({"gate/thresholds": np.full((1, 1), -1.0)}, "no error head"),
        ({"surrogate/head_w0": np.zeros((1, 3), np.float32)}, "no error head"),
        ({"gate/box_names": text("T\ntheta")}, "differ in length"),
        ({"gate/box_names": text("abundance/XYZ"), "gate/box_min": np.zeros(1), "gate/box_max": np.ones(1)}, "XYZ"),
        ({"gate/box_names": text("T"), "gate/box_min": np.ones(1), "gate/box_max": np.zeros(1)}, "no interval"),
        ({"gate/box_names": text("T"), "gate/box_min": np.full(1, np.nan), "gate/box_max": np.ones(1)}, "no interval"),
    ],
)
def test_a_gate_that_does_not_fit_is_refused(
    arrays: dict[str, NDArray[np.generic]], reason: str, paths: dict[str, Path], tmp_path: Path
) -> None:
    model = ModelFile.read(paths["linear"])
    model.arrays |= {name: np.asarray(array) for name, array in arrays.items()}
    model.write(tmp_path / "spoilt.pcs")
    with pytest.raises(ValueError, match=reason):
        _native.Solver.open(str(tmp_path / "spoilt.pcs"))


def test_a_seed_model_is_small(paths: dict[str, Path]) -> None:
    assert all(path.stat().st_size < 3e5 for path in paths.values())
    assert N_REF == 2e4
