"""The learned step: native against torch, verb by verb, and what the whole step promises."""

import itertools

import numpy as np
import pytest

from pychemsurrogate import _native
from pychemsurrogate.integrators import NativeRosenbrock, conservation_defect
from pychemsurrogate.model_file import ModelFile, shipped_model_path
from pychemsurrogate.solver import Solver
from pychemsurrogate.status import Status

YEAR_S = 3.15576e7
COUNT = 300  # several tiles of any instruction set, the last one partial


def shipped():
    return ModelFile.read("osu_09_2008-multiclock")


def scrambled():
    """A model whose weights were never trained, so that nothing is small by chance."""
    model = shipped()
    rng = np.random.default_rng(3)
    for name, array in model.arrays.items():
        if name.startswith("surrogate/") and array.dtype == np.float32 and "feature" not in name:
            spread = 0.5 / np.sqrt(array.shape[-1]) if array.ndim == 2 else 0.1
            model.arrays[name] = rng.normal(0, spread, array.shape).astype(np.float32)
    return model


@pytest.fixture(scope="module", params=[shipped, scrambled], ids=["shipped", "scrambled"])
def model(request, tmp_path_factory):
    model = request.param()
    model.write(tmp_path_factory.mktemp("model") / "m.pcs")
    return model


def check_dex(one, other):
    """The same to 1e-5 but for a few abundances, of which the nets amplify the rounding of single precision."""
    apart = np.abs(np.log10(one / other))
    assert np.quantile(apart, 0.99) <= 1e-5
    assert apart.max() <= 1e-4


def test_native_and_torch_agree_after_every_verb(model, cells):
    torch = pytest.importorskip("torch")
    from pychemsurrogate.solver.step import Learned

    n, dt, temperature, zeta = cells
    handle = _native.Solver.open(str(model.path))
    trace = handle.trace(n, dt, temperature, zeta)
    learned = Learned.of(model, "cpu", handle)
    surrogate = learned.surrogate
    density = n @ model.network().tables().scale_weights
    x, theta = torch.tensor(n / density[:, None]), torch.tensor(density * dt)
    conditions = torch.tensor(zeta / density[:, None])
    with torch.no_grad():
        scaled = surrogate.scale(x, torch.tensor(temperature), conditions, theta)
        latent = surrogate.encode(scaled.features)
        z = surrogate.advance(latent, theta)
        decoded = surrogate.decode(z, scaled)
        moved, multiplier = surrogate.conserve(decoded.guess, x)
        score = surrogate.predict_error(z, decoded, multiplier, None)

    def close(name, expected, tolerance):
        assert np.abs(trace[name] - expected.numpy().reshape(trace[name].shape)).max() <= tolerance, name

    close("features", scaled.features, 1e-5)
    size = float(latent.z0.abs().max())
    close("latent0", latent.z0, 1e-5 * size)
    close("latent", z, 1e-5 * float(z.abs().max()))
    in_dex = {"guess": decoded.guess, "conserved": moved}
    for name, expected in in_dex.items():
        both = np.maximum(trace[name], 1e-16), np.maximum(expected.numpy(), 1e-16)
        check_dex(*both)
    assert np.abs(trace["lambda"] - multiplier.numpy()).max() <= 1e-5 * max(1.0, float(multiplier.abs().max()))
    close("score", score, 1e-5 * max(1.0, float(score.abs().max())))


@pytest.mark.parametrize("mode", ["auto", "surrogate"])
def test_engines_give_the_same_step(cells, mode):
    pytest.importorskip("torch")
    n, dt, temperature, zeta = cells
    native, report = Solver.load("osu_09_2008-multiclock", mode=mode).step(n, dt, temperature, zeta=zeta[:, 0])
    torch_n, torch_report = Solver.load("osu_09_2008-multiclock", mode=mode, engine="torch").step(
        n, dt, temperature, zeta=zeta[:, 0]
    )
    same = report.status == torch_report.status
    assert same.mean() >= 0.99  # a cell may sit on the threshold
    seen = same[:, None] & (native > 1e-14 * n.sum(1, keepdims=True))
    check_dex(native[seen], torch_n[seen])
    assert abs(report.refused_box - torch_report.refused_box) <= COUNT // 100
    assert abs(report.refused_error - torch_report.refused_error) <= COUNT // 100
    assert torch_report.cells == COUNT


def test_auto_mode_serves_every_cell_and_says_how(cells, osu):
    n, dt, temperature, zeta = cells
    result, report = Solver.load("osu_09_2008-multiclock").step(n, dt, temperature, zeta=zeta[:, 0])
    status = report.status
    taken = {Status.EXACT_REFRESH, Status.EXACT_AUDIT, Status.EXACT_SECOND_TRY}
    assert (
        set(np.unique(status))
        <= {Status.SURROGATE, Status.EXACT_BOX, Status.EXACT_DISTANCE, Status.EXACT_ERROR} | taken
    )
    assert report.surrogate + report.exact == COUNT
    assert report.surrogate == np.count_nonzero(status == Status.SURROGATE) > COUNT // 10
    assert conservation_defect(result, n, osu.tables().composition).max() <= 1e-12
    assert (result >= 0).all()
    # Refused cells have exactly what the exact integrator gives.
    integrator = Solver.load("osu_09_2008", mode="exact", target_error_dex=0.1)  # the default of mode auto
    exact, _ = integrator.step(n, dt, temperature, zeta=zeta[:, 0])
    refused = status != Status.SURROGATE
    assert np.array_equal(result[refused], exact[refused])
    # Accepted ones are close to the truth: the promise is 0.1 dex for 99 % above 1e-10 n_H.
    truth, _ = NativeRosenbrock(osu, rtol=1e-6).advance(n, dt, temperature, {"zeta": zeta[:, 0]})
    counted = truth > 1e-10 * (n @ osu.tables().scale_weights)[:, None]
    error = np.where(counted, np.abs(np.log10(np.maximum(result, 1e-99) / np.maximum(truth, 1e-99))), 0).max(1)
    assert np.quantile(error[~refused], 0.98) <= 0.1


def test_surrogate_mode_conserves(cells, osu):
    n, dt, temperature, zeta = cells
    result, report = Solver.load("osu_09_2008-multiclock", mode="surrogate").step(n, dt, temperature, zeta=zeta[:, 0])
    served = report.status == Status.SURROGATE
    assert served.mean() > 0.99
    assert conservation_defect(result, n, osu.tables().composition).max() <= 1e-12
    assert np.array_equal(result[~served], n[~served])


def test_identity_as_dt_vanishes(cells):
    n, _, temperature, zeta = cells
    solver = Solver.load("osu_09_2008-multiclock", mode="surrogate")
    still, report = solver.step(n, 0.0, temperature, zeta=zeta[:, 0])
    assert np.array_equal(still, n)
    assert (report.status == Status.UNCHANGED).all()
    seen = n > 1e-10 * n.sum(1, keepdims=True)
    moved = [
        np.abs(np.log10(solver.step(n, dt, temperature, zeta=zeta[:, 0])[0][seen] / n[seen])).max()
        for dt in (1e4, 1e2, 1.0)
    ]
    assert moved[0] > 3 * moved[1] > 9 * moved[2]


def test_a_cell_depends_on_itself_alone(cells):
    n, dt, temperature, zeta = cells
    solver = Solver.load("osu_09_2008-multiclock", threads=1)
    together, report = solver.step(n, dt, temperature, zeta=zeta[:, 0])
    order = np.random.default_rng(0).permutation(COUNT)
    permuted, permuted_report = solver.step(n[order], dt[order], temperature[order], zeta=zeta[order, 0])
    assert np.array_equal(permuted, together[order])
    assert np.array_equal(permuted_report.status, report.status[order])
    for edges in ([0, 1, 2, 5, 70, COUNT], [0, 128, 129, COUNT]):
        for a, b in itertools.pairwise(edges):
            part, _ = solver.step(n[a:b], dt[a:b], temperature[a:b], zeta=zeta[a:b, 0])
            assert np.array_equal(part, together[a:b])
    for threads in (2, 3, 8):
        result, _ = Solver.load("osu_09_2008-multiclock", threads=threads).step(n, dt, temperature, zeta=zeta[:, 0])
        assert np.array_equal(result, together)


def test_outside_the_box_is_refused(cells):
    n, dt, temperature, zeta = (array[:8].copy() for array in cells)
    temperature[0] = 1000.0
    dt[1] = 1e9 * YEAR_S
    zeta[2] = 1e-12
    n[3] *= 1e5
    n[4, 0] *= 300.0
    _, report = Solver.load("osu_09_2008-multiclock").step(n, dt, temperature, zeta=zeta[:, 0])
    assert (report.status[:5] == Status.EXACT_BOX).all()
    assert report.refused_box >= 5


def test_a_model_that_does_not_fit_is_refused(tmp_path):
    for name, spoil in {
        "surrogate/encode_w1": lambda a: a[:, :-1],
        "surrogate/decode_b0": lambda a: np.full_like(a, np.nan),
        "surrogate/feature_std": lambda a: 0 * a,
        "gate/box_min": lambda a: a[:-1],
    }.items():
        model = shipped()
        model.arrays[name] = np.ascontiguousarray(spoil(model.arrays[name]))
        model.write(tmp_path / "spoilt.pcs")
        with pytest.raises(ValueError, match="model file"):
            Solver.load(tmp_path / "spoilt.pcs")


def test_shipped_model_is_found_by_name():
    assert shipped_model_path("osu_09_2008-multiclock").stat().st_size < 3e6
