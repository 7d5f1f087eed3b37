"""The facade: what a Python host meets, above all when its input is bad."""

import sys

import numpy as np
import pytest

import pychemsurrogate
from pychemsurrogate.integrators import NativeRosenbrock, ScipyBDF, conservation_defect
from pychemsurrogate.model_file import ModelFile, ModelFileError
from pychemsurrogate.solver import Report, Solver
from pychemsurrogate.status import Status

YEAR_S = 3.15576e7
ZETA = 1e-16


@pytest.fixture(scope="module")
def exact():
    return Solver.load("osu_09_2008", mode="exact", threads=1)


@pytest.fixture(scope="module")
def cells(osu):
    """A few relaxed cells: n (12, S), T (12), zeta (12)."""
    rng = np.random.default_rng(11)
    count = 12
    density = 10 ** rng.uniform(2, 6, count)
    n = np.full((count, osu.n_species), 1e-20) * density[:, None]
    carbon = 10 ** rng.uniform(-6, -4, (2, count)) * density
    for name, value in {
        "H2": density / 2,
        "C": carbon[0],
        "C+": carbon[1],
        "e-": carbon[1],
        "O": 2 * carbon.sum(0),
    }.items():
        n[:, osu.species_index(name)] = value
    temperature, zeta = 10 ** rng.uniform(1, 2.4, count), 10 ** rng.uniform(-17, -15, count)
    n, status = NativeRosenbrock(osu, rtol=1e-4).advance(n, 1e5 * YEAR_S, temperature, {"zeta": zeta})
    assert (status > 0).all()
    return n, temperature, zeta


def test_public_names():
    assert pychemsurrogate.Solver is Solver
    assert Solver.load("osu_09_2008", mode="exact").species[:2] == ("C", "C+")
    assert Solver.load("osu_09_2008", mode="exact").conditions == ("zeta",)


def test_exact_mode_is_the_native_integrator(exact, cells, osu):
    n, temperature, zeta = cells
    result, report = exact.step(n, 1e3 * YEAR_S, temperature=temperature, zeta=zeta)
    expected, _ = NativeRosenbrock(osu, threads=1).advance(n, 1e3 * YEAR_S, temperature, {"zeta": zeta})
    assert np.array_equal(result, expected)
    assert (report.status == Status.EXACT_REQUESTED).all()
    assert (report.cells, report.exact, report.failed, report.ok) == (12, 12, 0, True)
    assert report.steps >= 12
    assert report.seconds > 0
    assert report.advice() == ""
    assert "12 exact" in str(report)


def test_scipy_integrator(cells, osu):
    n, temperature, zeta = cells
    solver = Solver.load("osu_09_2008", mode="exact", integrator="scipy")
    result, report = solver.step(n[:2], 1e3 * YEAR_S, temperature[:2], zeta=zeta[:2])
    expected, _ = ScipyBDF(osu).advance(n[:2], 1e3 * YEAR_S, temperature[:2], {"zeta": zeta[:2]})
    assert np.array_equal(result, expected)
    assert (report.status == Status.EXACT_SCIPY).all()
    assert (report.scipy, report.exact) == (2, 2)


def test_scipy_is_the_last_rung(cells):
    n, temperature, zeta = cells
    solver = Solver.load("osu_09_2008", mode="exact", max_steps=1, rtol=1e-10)
    result, report = solver.step(n[:2], 1e5 * YEAR_S, 1.5 * temperature[:2], zeta=zeta[:2])
    assert (report.status == Status.EXACT_SCIPY).all()
    truth, _ = ScipyBDF(solver.network).advance(n[:2], 1e5 * YEAR_S, 1.5 * temperature[:2], {"zeta": zeta[:2]})
    assert np.array_equal(result, truth)


@pytest.mark.parametrize(
    "layout", ["contiguous", "species first", "every second", "reversed", "a block of more fields"]
)
@pytest.mark.parametrize("target", ["new", "in place", "other"])
def test_layouts_and_targets_give_the_same_bits(exact, cells, layout, target):
    n, temperature, zeta = cells
    expected, _ = exact.step(n, 1e3 * YEAR_S, temperature, zeta=zeta)
    count, species = n.shape
    views = {
        "contiguous": np.empty((count, species)),
        "species first": np.empty((species, count)).T,
        "every second": np.empty((2 * count, 2 * species))[::2, ::2],
        "reversed": np.empty((count, species))[::-1, ::-1],
        "a block of more fields": np.empty((count, species + 7))[:, 3 : species + 3],
    }
    view = views[layout]
    view[...] = n
    out = {"new": None, "in place": view, "other": np.full((species, count), 7.0).T}[target]
    result, _ = exact.step(view, 1e3 * YEAR_S, temperature, zeta=zeta, out=out)
    assert np.array_equal(result, expected)
    assert out is None or result is out
    if target != "in place":
        assert np.array_equal(view, n)


def test_conditions_as_scalars_or_per_cell(exact, cells):
    n, _, _ = cells
    one, _ = exact.step(n, 1e10, 50.0, zeta=ZETA)
    ones = np.ones(len(n))
    many, _ = exact.step(n, 1e10 * ones, 50 * ones, zeta=ZETA * ones)
    strided, _ = exact.step(n, np.repeat(1e10 * ones, 3)[::3], [50.0] * len(n), zeta=np.array([ZETA]))
    assert np.array_equal(one, many)
    assert np.array_equal(one, strided)


def test_dt_zero_returns_the_input_bit_for_bit(exact, cells):
    n, temperature, zeta = cells
    result, report = exact.step(n, 0.0, temperature, zeta=zeta)
    assert np.array_equal(result, n)
    assert (report.status == Status.UNCHANGED).all()
    assert report.unchanged == len(n)
    bad = n.copy()
    bad[0, 0] = np.nan
    result, report = exact.step(bad, 0.0, temperature, zeta=zeta)
    assert report.status[0] == Status.BAD_INPUT
    assert np.array_equal(result, bad, equal_nan=True)


def test_a_call_for_one_cell_is_light(exact, cells):
    """Hosts that go cell by cell pay for every call that Python makes; these are counted, not timed."""
    n, temperature, zeta = cells[0][:1], float(cells[1][0]), float(cells[2][0])
    exact.step(n, 1e3 * YEAR_S, temperature, zeta=zeta)
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        exact.step(n, 1e3 * YEAR_S, temperature, zeta=zeta)
    finally:
        sys.setprofile(None)
    assert calls <= 75  # 56 when this was written, at 18 us


def test_the_report_counts_statuses():
    figures = dict.fromkeys(Report.__dataclass_fields__, 0)
    counted = {Status.SURROGATE: 1, Status.UNCHANGED: 2, Status.MASKED: 3, Status.EXACT_REQUESTED: 4}
    counted |= {Status.EXACT_SCIPY: 5, Status.BAD_INPUT: 6, Status.UNSUPPORTED: 7}
    report = Report.of(np.repeat(np.array([*counted], np.int8), [*counted.values()]), figures)
    told = (report.surrogate, report.unchanged, report.masked, report.exact, report.scipy, report.failed)
    assert told == (1, 2, 3, 4 + 5, 5, 6 + 7)
    assert report.cells == sum(counted.values())


def test_empty_batch(exact, osu):
    result, report = exact.step(np.empty((0, osu.n_species)), 1e10, 50.0, zeta=ZETA)
    assert result.shape == (0, osu.n_species)
    assert report.cells == 0


def test_mask(exact, cells):
    n, temperature, zeta = cells
    chosen = np.arange(len(n)) % 3 == 0
    result, report = exact.step(n, 1e10, temperature, zeta=zeta, mask=chosen)
    assert np.array_equal(result[~chosen], n[~chosen])
    assert (report.status[~chosen] == Status.MASKED).all()
    assert report.masked == (~chosen).sum()
    everything, _ = exact.step(n, 1e10, temperature, zeta=zeta)
    assert np.array_equal(result[chosen], everything[chosen])


# --- bad cells: a status each, the input unchanged, the neighbours served --------------------------


@pytest.mark.parametrize(
    ("spoil", "status"),
    [
        (lambda n, T, z, dt: n.__setitem__((3, 5), np.nan), Status.BAD_INPUT),
        (lambda n, T, z, dt: n.__setitem__((3, 5), np.inf), Status.BAD_INPUT),
        (lambda n, T, z, dt: n.__setitem__((3, 5), -np.inf), Status.BAD_INPUT),
        (lambda n, T, z, dt: n.__setitem__((3, 5), -1e-9), Status.BAD_INPUT),
        (lambda n, T, z, dt: n.__setitem__(3, 0.0), Status.UNSUPPORTED),
        (lambda n, T, z, dt: n.__setitem__(3, 1e40), Status.UNSUPPORTED),
        (lambda n, T, z, dt: T.__setitem__(3, 0.0), Status.BAD_INPUT),
        (lambda n, T, z, dt: T.__setitem__(3, -5.0), Status.BAD_INPUT),
        (lambda n, T, z, dt: T.__setitem__(3, np.nan), Status.BAD_INPUT),
        (lambda n, T, z, dt: T.__setitem__(3, 1e9), Status.UNSUPPORTED),
        (lambda n, T, z, dt: z.__setitem__(3, -1e-17), Status.BAD_INPUT),
        (lambda n, T, z, dt: z.__setitem__(3, np.nan), Status.BAD_INPUT),
        (lambda n, T, z, dt: dt.__setitem__(3, -1.0), Status.BAD_INPUT),
        (lambda n, T, z, dt: dt.__setitem__(3, np.nan), Status.BAD_INPUT),
        (lambda n, T, z, dt: dt.__setitem__(3, 1e30), Status.UNSUPPORTED),
    ],
)
def test_a_bad_cell_keeps_its_input(exact, cells, spoil, status):
    n, temperature, zeta = (array.copy() for array in cells)
    dt = np.full(len(n), 1e10)
    good, _ = exact.step(n, dt, temperature, zeta=zeta)
    spoil(n, temperature, zeta, dt)
    before = n.copy()
    result, report = exact.step(n, dt, temperature, zeta=zeta, out=n)
    others = np.arange(len(n)) != 3
    assert report.status[3] == status
    assert report.failed == 1
    assert not report.ok
    assert "input unchanged" in report.advice()
    assert result[3].tobytes() == before[3].tobytes()
    assert np.array_equal(result[others], good[others])


# --- repairs: named, counted, conservative ---------------------------------------------------------


def test_small_negatives_are_refused_or_mended(cells, osu):
    n, temperature, zeta = (array.copy() for array in cells)
    n[2, osu.species_index("CH4")] = -1e-12 * n[2].sum()
    floor = Solver.load("osu_09_2008", mode="exact", repair="floor")
    result, report = floor.step(n, 1e10, temperature, zeta=zeta)
    assert (report.repaired, report.failed) == (1, 0)
    assert (result >= 0).all()
    floored = np.maximum(n, 0)
    assert conservation_defect(result, floored, osu.tables().composition).max() <= 1e-12
    n[2, osu.species_index("CH4")] = -1e-3 * n[2].sum()  # not small
    _, report = floor.step(n, 1e10, temperature, zeta=zeta)
    assert report.status[2] == Status.BAD_INPUT


def test_net_charge_is_conserved_or_mended(cells, osu):
    n, temperature, zeta = (array.copy() for array in cells)
    charge = osu.tables().composition[-1]
    electron = osu.species_index("e-")
    n[4, electron] *= 1.3
    kept, report = Solver.load("osu_09_2008", mode="exact").step(n, 1e10, temperature, zeta=zeta)
    assert report.repaired == 0
    assert conservation_defect(kept, n, osu.tables().composition).max() <= 1e-12
    mended, report = Solver.load("osu_09_2008", mode="exact", repair="electrons").step(n, 1e10, temperature, zeta=zeta)
    assert report.repaired == 1
    assert abs(mended[4] @ charge) <= 1e-12 * (mended[4] @ np.abs(charge))


@pytest.mark.parametrize("integrator", ["native", "scipy"])
def test_repairs_on_either_integrator(cells, osu, integrator):
    n, temperature, zeta = (array[:2].copy() for array in cells)
    n[0, osu.species_index("CH4")] = -1e-13 * n[0].sum()
    n[1, osu.species_index("e-")] *= 0.7
    solver = Solver.load("osu_09_2008", mode="exact", integrator=integrator, repair="floor,electrons")
    result, report = solver.step(n, 1e9, temperature, zeta=zeta)
    charge = osu.tables().composition[-1]
    assert report.failed == 0
    assert report.repaired == 2
    assert (np.abs(result @ charge) <= 1e-12 * (result @ np.abs(charge))).all()


# --- bad calls: an exception that says what to do, nothing touched ---------------------------------


@pytest.mark.parametrize(
    ("change", "error", "advice"),
    [
        (lambda c: c.update(abundances=c["abundances"][0]), ValueError, r"abundances\[None, :\]"),
        (lambda c: c.update(abundances=c["abundances"][:, :5]), ValueError, "not \\(cells, 29\\)"),
        (lambda c: c.update(abundances=c["abundances"].astype(np.float32)), TypeError, "float64"),
        (lambda c: c.update(abundances=[[1.0]]), TypeError, "numpy array or a torch tensor"),
        (lambda c: c.update(dt=-1.0), ValueError, "dt is -1.0 s"),
        (lambda c: c.update(dt=np.nan), ValueError, "finite"),
        (lambda c: c.update(dt=np.ones(5)), ValueError, "scalar or one value for each of the 12 cells"),
        (lambda c: c.update(dt="soon"), TypeError, "number"),
        (lambda c: c.update(temperature=0.0), ValueError, "above 0"),
        (lambda c: c.update(temperature=-3.0), ValueError, "above 0"),
        (lambda c: c.update(zeta=-1e-17), ValueError, "zeta"),
        (lambda c: c.pop("zeta"), TypeError, "missing zeta"),
        (lambda c: c.update(G0=1.0), TypeError, "unknown G0"),
        (lambda c: c.update(mask=np.ones(3)), ValueError, "mask"),
        (lambda c: c.update(out=np.empty((2, 29))), ValueError, "out has shape"),
        (lambda c: c.update(out=np.empty((12, 29), dtype=np.float32)), TypeError, "out has dtype"),
        (lambda c: c.update(out=np.broadcast_to(0.0, (12, 29))), ValueError, "read-only"),
        (
            lambda c: c.update(out=np.lib.stride_tricks.as_strided(np.zeros(29), (12, 29), (0, 8))),
            ValueError,
            "overlap",
        ),
    ],
)
def test_a_bad_call_raises_and_touches_nothing(exact, cells, change, error, advice):
    n, temperature, zeta = cells
    call = {"abundances": n.copy(), "dt": 1e10, "temperature": temperature, "zeta": zeta}
    before = call["abundances"].copy()
    given = call["abundances"]
    change(call)
    with pytest.raises(error, match=advice):
        exact.step(**call)
    assert np.array_equal(given, before)


def test_unknown_species(exact):
    with pytest.raises(KeyError, match="unknown species 'XYZ'"):
        exact.index("XYZ")


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"mode": "fast"}, "auto, surrogate, exact"),
        ({"integrator": "lsode"}, "native, scipy"),
        ({"rtol": 0.0}, "rtol"),
        ({"rtol": "tight"}, "rtol"),
        ({"atol": -1.0}, "atol"),
        ({"max_steps": 0}, "max_steps"),
        ({"threads": -1}, "threads"),
        ({"repair": "everything"}, "floor, electrons"),
    ],
)
def test_bad_options(options, advice):
    with pytest.raises(ValueError, match=advice):
        Solver.load("osu_09_2008", **options)


def test_bad_model_files(tmp_path, osu):
    with pytest.raises(ModelFileError, match="no shipped model 'nothing'"):
        Solver.load("nothing")
    with pytest.raises(ModelFileError):
        Solver.load(tmp_path / "missing.pcs")
    foreign = tmp_path / "foreign.pcs"
    foreign.write_bytes(b"\x89HDF\r\n\x1a\n" * 100)
    with pytest.raises(ModelFileError):
        Solver.load(foreign)
    whole = tmp_path / "whole.pcs"
    ModelFile.from_network(osu).write(whole)
    short = tmp_path / "short.pcs"
    short.write_bytes(whole.read_bytes()[:-100])
    with pytest.raises(ModelFileError):
        Solver.load(short)


def test_a_model_for_other_species_is_refused(osu):
    assert Solver.load("osu_09_2008", species=osu.species_names).species == osu.species_names
    with pytest.raises(ModelFileError, match="another species list"):
        Solver.load("osu_09_2008", species=sorted(osu.species_names))


def test_a_network_alone_serves_the_exact_path(tmp_path, osu, cells):
    n, temperature, zeta = cells
    path = tmp_path / "network.pcs"
    ModelFile.from_network(osu).write(path)
    _, report = Solver.load(path).step(n, 1e10, temperature, zeta=zeta)
    assert (report.status == Status.EXACT_REQUESTED).all()
    with pytest.raises(ValueError, match="use mode exact"):
        Solver.load(path, mode="surrogate")


def test_torch_tensors_in_place(exact, cells):
    torch = pytest.importorskip("torch")
    n, temperature, zeta = cells
    expected, _ = exact.step(n, 1e10, temperature, zeta=zeta)
    tensor = torch.tensor(n)
    result, _ = exact.step(tensor, 1e10, torch.tensor(temperature), zeta=torch.tensor(zeta))
    assert isinstance(result, torch.Tensor)
    assert np.array_equal(result.numpy(), expected)
    assert np.array_equal(tensor.numpy(), n)
    same, _ = exact.step(tensor, 1e10, temperature, zeta=zeta, out=tensor)
    assert same is tensor
    assert np.array_equal(tensor.numpy(), expected)
