"""The numbers of both libraries' rates, derivatives and units against the Python network, through ctypes."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from native_build import NativeBuild
from numpy.typing import NDArray

from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.network import Network, parse_network
from pychemsurrogate.status import CallError, Status

Floats = NDArray[np.float64]

# Every law, one to three bodies, a catalyst, two equal reactants, and species whose mass is their own.
EVERY_LAW = """pychemsurrogate network 1
name: every_law
source: made for the tests, no chemistry
conditions: zeta A_V G0
species: CO H e- H2 H+ C O X C+
define: X H=1 charge=0 mass_g=7.5e-24
reactions:
H + H -> H2 | grain | 3e-17 0.5
H + H + H -> H2 + H | arrhenius | 1e-28 -0.6 10
H -> H+ + e- | cosmic_ray | 0.46
H2 -> H + H | cosmic_ray_range | 0.1 0.3 12 10 300 0 1e10
H+ + e- -> H | arrhenius_range | 3.5e-12 -0.7 0 20 200 0 1e10
H+ + e- -> H | arrhenius_range | 2e-12 -0.5 0 200 1e4 60 1e10
CO -> C + O | photo | 2e-10 3.5
C -> C+ + e- | photo | 3e-10 3
C+ + e- -> C | ionpol1 | 0.3 2e-9 1.5 10 1e4 0 1e10
C + O -> CO | ionpol2 | 0.5 1e-10 2 10 1e4 0 1e10
H + X -> H2 | arrhenius | 1e-12 0.2 40
X + H2 -> H + H2 | arrhenius | 4e-13 0 0
H2 + H -> X + H2 | arrhenius | 2e-13 1 900
"""


def pointer(array: NDArray[Any] | None) -> int | None:
    return None if array is None else array.ctypes.data


class Library:
    """pcs.h by ctypes; arrays go in with the strides that they have."""

    def __init__(self, path: Path) -> None:
        self.c = ctypes.CDLL(str(path))
        for name in ("pcs_last_error", "pcs_condition_name", "pcs_reaction_equation"):
            getattr(self.c, name).restype = ctypes.c_char_p

    def open(self, model: str | Path, **options: str) -> Handle:
        handle = ctypes.c_void_p()
        assert self.c.pcs_open(str(model).encode(), ctypes.byref(handle)) == 0, self.c.pcs_last_error(None)
        solver = Handle(self.c, handle)
        for key, value in options.items():
            assert solver("set_option", key.encode(), value.encode()) == 0, solver.error
        return solver


class Handle:
    """An open model: solver("n_species") is pcs_n_species of it."""

    def __init__(self, c: ctypes.CDLL, handle: ctypes.c_void_p) -> None:
        self.c, self.handle = c, handle

    def __call__(self, name: str, *arguments: Any) -> Any:
        converted = [ctypes.c_int64(a) if isinstance(a, np.int64) else a for a in arguments]
        return getattr(self.c, f"pcs_{name}")(self.handle, *converted)

    @property
    def error(self) -> str:
        return str(self.c.pcs_last_error(self.handle).decode())

    @staticmethod
    def inputs(n: Floats | None, temperature: Floats, conditions: Floats) -> list[Any]:
        def strides(a: NDArray[Any]) -> list[np.int64]:
            return [np.int64(s // a.itemsize) for s in a.strides]

        n_part = [None, np.int64(0), np.int64(0)] if n is None else [ctypes.c_void_p(pointer(n)), *strides(n)]
        return [
            *n_part,
            *(ctypes.c_void_p(pointer(temperature)), *strides(temperature)),
            *(ctypes.c_void_p(pointer(conditions)), *strides(conditions)),
        ]

    def derive(
        self, what: str, out: Floats, n: Floats | None, temperature: Floats, conditions: Floats
    ) -> NDArray[np.int8]:
        cells = len(temperature)
        status = np.full(cells, 99, np.int8)
        strides = [np.int64(s // 8) for s in out.strides]
        code = self(
            what,
            np.int64(cells),
            *self.inputs(n, temperature, conditions),
            ctypes.c_void_p(pointer(out)),
            *strides,
            ctypes.c_void_p(pointer(status)),
        )
        assert code == 0, self.error
        return status

    def step(
        self, n: Floats, dt: Floats, temperature: Floats, conditions: Floats, mask: NDArray[np.int8] | None = None
    ) -> NDArray[np.int8]:
        status = np.full(len(n), 99, np.int8)
        code = self(
            "step",
            np.int64(len(n)),
            ctypes.c_void_p(pointer(dt)),
            np.int64(1),
            *self.inputs(n, temperature, conditions),
            ctypes.c_void_p(pointer(mask)),
            ctypes.c_void_p(pointer(status)),
        )
        assert code == 0, self.error
        return status


@pytest.fixture(scope="module")
def library(host_library: NativeBuild) -> Library:
    return Library(host_library.library)


@pytest.fixture(scope="module")
def every_law() -> Network:
    return parse_network(EVERY_LAW)


@pytest.fixture(scope="module")
def every_law_file(every_law: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "every_law.pcs"
    ModelFile.from_network(every_law).write(path)
    return path


@pytest.fixture(params=["osu", "every_law"])
def served(
    request: pytest.FixtureRequest, library: Library, osu: Network, every_law: Network, every_law_file: Path
) -> tuple[Handle, Network]:
    own = request.param == "every_law"
    return library.open(every_law_file if own else "osu_09_2008"), every_law if own else osu


def random_cells(network: Network, cells: int = 37) -> tuple[Floats, Floats, Floats]:
    rng = np.random.default_rng(12)
    n = 10 ** rng.uniform(-8, 5, (cells, network.n_species))
    temperature = 10 ** rng.uniform(1, 3.5, cells)
    scale = {"zeta": 1e-16, "A_V": 2.0, "G0": 1.7}
    conditions = np.array([scale[name] for name in network.conditions]) * 10 ** rng.uniform(
        -1, 1, (cells, len(network.conditions))
    )
    return n, temperature, conditions


def coefficients(network: Network, temperature: Floats, conditions: Floats) -> Floats:
    return network.rate_coefficients(temperature, dict(zip(network.conditions, conditions.T, strict=True)))


def test_rate_coefficients_are_the_networks(served: tuple[Handle, Network]) -> None:
    solver, network = served
    _, temperature, conditions = random_cells(network)
    assert solver("n_reactions") == network.n_reactions
    k = np.full((len(temperature), network.n_reactions), -7.0)
    status = solver.derive("rate_coefficients", k, None, temperature, conditions)
    assert (status == Status.UNCHANGED).all()
    # exp(-g) has the round-off of g, and the native one ends at exp(-708).
    np.testing.assert_allclose(k, coefficients(network, temperature, conditions), rtol=2e-13, atol=1e-300)


def test_derivative_and_jacobian_are_the_networks(served: tuple[Handle, Network]) -> None:
    solver, network = served
    n, temperature, conditions = random_cells(network)
    cells, S = n.shape
    n[3] *= -1e-9  # an integrator's trial state, with ...
    n[3, network.species_index("H2")] = 1e3  # ... some hydrogen
    k = coefficients(network, temperature, conditions)
    rhs, jacobian = np.full((cells, S), -7.0), np.full((cells, S, S), -7.0)
    assert (solver.derive("rhs", rhs, n, temperature, conditions) == Status.UNCHANGED).all()
    assert (solver.derive("jacobian", jacobian, n, temperature, conditions) == Status.UNCHANGED).all()
    for cell in range(cells):
        # Terms cancel: round-off is that of the largest term of a species.
        size = np.abs(network._stoichiometry) @ np.abs(k[cell] * network._factors(n[cell]).prod(axis=1))
        np.testing.assert_array_less(np.abs(rhs[cell] - network.rhs(n[cell], k[cell])), 1e-13 * size + 1e-300)
        there = network.jacobian(n[cell], k[cell])
        scale = np.abs(there).max(axis=1, keepdims=True)
        np.testing.assert_allclose(jacobian[cell] / scale, there / scale, rtol=1e-12, atol=1e-13)


def test_jacobian_is_the_derivative(library: Library, osu: Network) -> None:
    """Mass action is quadratic here, so central differences are exact but for round-off."""
    solver = library.open("osu_09_2008")
    n, temperature, conditions = (part[:1] for part in random_cells(osu))
    n[...] = 10 ** np.random.default_rng(3).uniform(0, 2, n.shape)
    jacobian = np.empty((1, osu.n_species, osu.n_species))
    solver.derive("jacobian", jacobian, n, temperature, conditions)
    for j in range(osu.n_species):
        ends = []
        for sign in (1, -1):
            moved, rhs = n.copy(), np.empty_like(n)
            moved[0, j] += sign * 0.5 * n[0, j]
            solver.derive("rhs", rhs, moved, temperature, conditions)
            ends.append(rhs[0])
        slope = (ends[0] - ends[1]) / n[0, j]
        size = max(np.abs(ends[0]).max(), 1e-300) / n[0, j]
        np.testing.assert_array_less(np.abs(jacobian[0, :, j] - slope), 1e-12 * size)


def test_layouts_of_derivatives(library: Library, osu: Network) -> None:
    """Column-major, with gaps, backwards: the same bits, and what lies between stays."""
    solver = library.open("osu_09_2008", threads="2")
    n, temperature, conditions = random_cells(osu, 101)
    cells, S = n.shape
    plain = {"rhs": np.empty((cells, S)), "jacobian": np.empty((cells, S, S))}
    for what, out in plain.items():
        solver.derive(what, out, n, temperature, conditions)
    backwards = np.ascontiguousarray(n.T[::-1])  # (species from last to first, cells)
    other = np.full((S + 2, cells), -7.0)
    solver.derive("rhs", other[:S][::-1].T, backwards[::-1].T, temperature, conditions)
    np.testing.assert_array_equal(other[:S][::-1].T, plain["rhs"])
    assert (other[S:] == -7).all()
    cube = np.full((S, S, 2 * cells), -7.0)
    solver.derive("jacobian", cube.transpose(2, 1, 0)[1::2][::-1], n[::-1], temperature[::-1], conditions[::-1])
    np.testing.assert_array_equal(cube.transpose(2, 1, 0)[1::2], plain["jacobian"])
    assert (cube[:, :, ::2] == -7).all()
    one = np.empty((cells, S))
    solver.derive("rhs", one, np.broadcast_to(n[4], n.shape), temperature[[4] * cells], conditions[[4] * cells])
    np.testing.assert_array_equal(one, np.broadcast_to(plain["rhs"][4], one.shape))


@pytest.mark.parametrize("what", ["rate_coefficients", "rhs", "jacobian"])
def test_bad_cells_among_good_ones(library: Library, osu: Network, what: str) -> None:
    solver = library.open("osu_09_2008")
    n, temperature, conditions = random_cells(osu, 30)
    shape = {"rate_coefficients": (30, osu.n_reactions), "rhs": n.shape, "jacobian": (30, 29, 29)}[what]
    good, mixed = np.empty(shape), np.empty(shape)
    solver.derive(what, good, n, temperature, conditions)
    n[2, 5], temperature[7], conditions[11, 0] = np.nan, -3.0, np.inf
    temperature[13], n[17] = 2e6, 0.0
    given = [array.copy() for array in (n, temperature, conditions)]
    status = solver.derive(what, mixed, n, temperature, conditions)
    bad = {2: Status.BAD_INPUT, 7: Status.BAD_INPUT, 11: Status.BAD_INPUT, 13: Status.UNSUPPORTED}
    bad[17] = Status.UNSUPPORTED
    assert {i: int(s) for i, s in enumerate(status) if s < 0} == bad
    assert np.isnan(mixed[list(bad)]).all()
    np.testing.assert_array_equal(np.delete(mixed, list(bad), axis=0), np.delete(good, list(bad), axis=0))
    for array, before in zip((n, temperature, conditions), given, strict=True):
        np.testing.assert_array_equal(array, before)


def test_equations_and_masses(served: tuple[Handle, Network]) -> None:
    solver, network = served
    equations = [solver("reaction_equation", i).decode() for i in range(network.n_reactions)]
    assert equations == [reaction.equation for reaction in network.reactions]
    assert solver("reaction_equation", network.n_reactions) is None
    assert solver("reaction_equation", -1) is None
    mass = ctypes.c_double()
    for i, species in enumerate(network.species):
        assert solver("species_mass_g", i, ctypes.byref(mass)) == 0
        assert mass.value == pytest.approx(species.mass_g, rel=1e-15)
    assert solver("species_mass_g", network.n_species, ctypes.byref(mass)) == CallError.ARGUMENT


def test_a_file_without_masses(library: Library, tmp_path: Path) -> None:
    """Older files have none: those of the elements serve, and a particle of no element has none."""
    network = parse_network(EVERY_LAW.replace("define: X H=1", "define: X Q=1").split("H + X")[0])
    model = ModelFile.from_network(network)
    del model.arrays["network/mass_g"]
    model.write(tmp_path / "old.pcs")
    solver = library.open(tmp_path / "old.pcs")
    mass = ctypes.c_double(-7)
    for i, species in enumerate(network.species):
        known = species.name != "X"
        assert solver("species_mass_g", i, ctypes.byref(mass)) == (0 if known else CallError.FILE)
        assert not known or mass.value == pytest.approx(species.mass_g, rel=1e-15)
    assert "does not say what the species X weighs" in solver.error
    assert solver("set_option", b"units", b"mass_fraction") == CallError.OPTION
    assert solver("set_option", b"units", b"hydrogen_fraction") == 0


# --- units ------------------------------------------------------------------------------------------------------

UNITS = {"hydrogen_fraction": "n_H", "mass_fraction": "rho"}


@pytest.fixture(params=UNITS)
def units(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def host_cells(
    osu: Network, units: str, cells: tuple[Floats, ...]
) -> tuple[Floats, Floats, Floats, Floats, Floats, Floats]:
    """As number densities, and as the units have them with the condition that they need."""
    n, dt, temperature, zeta = (array[:60].copy() for array in cells)
    weight = np.array([s.mass_g for s in osu.species]) if units == "mass_fraction" else np.ones(osu.n_species)
    density = n @ (weight if units == "mass_fraction" else osu.tables().scale_weights)
    return n, n * weight / density[:, None], dt, temperature, zeta, np.column_stack([zeta, density])


def to_densities(osu: Network, units: str, x: Floats, conditions: Floats) -> Floats:
    weight = np.array([s.mass_g for s in osu.species]) if units == "mass_fraction" else np.ones(osu.n_species)
    densities: Floats = x / weight * conditions[:, -1:]
    return densities


@pytest.mark.parametrize("mode", ["exact", "auto"])
def test_step_in_units(library: Library, osu: Network, units: str, mode: str, cells: tuple[Floats, ...]) -> None:
    n, x, dt, temperature, zeta, conditions = host_cells(osu, units, cells)
    x[4, 2], conditions[9, 1], conditions[10, 1], conditions[11, 1] = np.nan, 0.0, -conditions[10, 1], np.inf
    dt[14] = 0
    mask = np.ones(len(n), np.int8)
    mask[17] = 0
    before = x.copy()
    plain = library.open("osu_09_2008-multiclock", mode=mode, audit="0", exact_every="0")
    solver = library.open("osu_09_2008-multiclock", mode=mode, audit="0", exact_every="0", units=units)
    assert solver("n_conditions") == 2
    assert solver("condition_name", 1) == UNITS[units].encode()
    assert solver("condition_index", UNITS[units].encode()) == 1
    status = solver.step(x, dt, temperature, conditions, mask)
    there = plain.step(n, dt, temperature, zeta, mask)
    failed = [4, 9, 10, 11]
    kept = [*failed, 14, 17]
    assert (status[failed] == [Status.BAD_INPUT] * 4).all() or status[9] == Status.UNSUPPORTED
    assert x[kept].tobytes() == before[kept].tobytes()
    assert status[14] == Status.UNCHANGED
    assert status[17] == Status.MASKED
    good = np.setdiff1d(np.arange(len(n)), kept)
    assert (status[good] == there[good]).all()
    if mode == "auto":
        assert (status[good] == Status.SURROGATE).any()
    np.testing.assert_allclose(to_densities(osu, units, x, conditions)[good], n[good], rtol=1e-6, atol=1e-14)
    assert (x[good] != before[good]).any(axis=1).all()


def test_step_in_units_of_cells_left_to_the_host(
    library: Library, osu: Network, units: str, cells: tuple[Floats, ...]
) -> None:
    _, x, dt, temperature, _, conditions = host_cells(osu, units, cells)
    before = x.copy()
    solver = library.open("osu_09_2008", mode="exact", integrator="host", units=units)
    assert (solver.step(x, dt, temperature, conditions) == Status.EXACT_REQUESTED).all()
    assert x.tobytes() == before.tobytes()


def test_layouts_in_units(library: Library, osu: Network, units: str, cells: tuple[Floats, ...]) -> None:
    _, x, dt, temperature, _, conditions = host_cells(osu, units, cells)
    solver = library.open("osu_09_2008", mode="exact", units=units, threads="2")
    transposed, columns = np.asfortranarray(x[::-1].copy()), np.asfortranarray(conditions[::-1])
    solver.step(x, dt, temperature, conditions)
    solver.step(transposed[::-1], dt, temperature, columns[::-1])
    assert transposed[::-1].tobytes() == x.tobytes()


def test_equilibrium_in_units(library: Library, osu: Network, units: str, cells: tuple[Floats, ...]) -> None:
    n, x, _, temperature, zeta, conditions = (array[:8].copy() for array in host_cells(osu, units, cells))
    x[2, 3] = np.nan
    before = x.copy()
    arguments = (np.int64(8), ctypes.c_double(1e-4), ctypes.c_double(1e17))
    status = np.empty(8, np.int8)
    solver = library.open("osu_09_2008", mode="exact", units=units)
    plain = library.open("osu_09_2008", mode="exact")
    out = ctypes.c_void_p(pointer(status))
    assert solver("equilibrium", *arguments, *solver.inputs(x, temperature, conditions), None, out) == 0
    assert status[2] == Status.BAD_INPUT
    assert (np.delete(status, 2) >= Status.EXACT_REQUESTED).all()
    assert x[2].tobytes() == before[2].tobytes()
    assert plain("equilibrium", *arguments, *plain.inputs(n, temperature, zeta), None, out) == 0
    good = np.arange(8) != 2
    np.testing.assert_allclose(to_densities(osu, units, x, conditions)[good], n[good], rtol=1e-4, atol=1e-12)


def test_trajectory_in_units(library: Library, osu: Network, units: str, cells: tuple[Floats, ...]) -> None:
    n, x, _, temperature, zeta, conditions = (array[:6].copy() for array in host_cells(osu, units, cells))
    x[2, 3] = np.nan
    before = x.copy()
    times = np.array([0.0, 1e10, 1e12])
    status, out, there = np.empty((6, 3), np.int8), np.empty((6, 3, 29)), np.empty((6, 3, 29))
    for model_units, given, handed, to in (
        (units, x, conditions, out),
        ("number_density", n, zeta, there),
    ):
        solver = library.open("osu_09_2008", mode="exact", units=model_units)
        inputs = solver.inputs(given, temperature, handed)
        result = [ctypes.c_void_p(pointer(array)) for array in (times, to)]
        tail = [1, None, ctypes.c_void_p(pointer(status)) if to is out else None]
        assert solver("trajectory", np.int64(6), *inputs, np.int64(3), *result, *tail) == 0, solver.error
    assert (status[2] == Status.BAD_INPUT).all()
    assert (status[[0, 1, 3, 4, 5], 0] == Status.UNCHANGED).all()
    assert x.tobytes() == before.tobytes()
    assert out[:, 0].tobytes() == x.tobytes()  # time 0, and what failed
    assert out[2].tobytes() == np.broadcast_to(x[2], (3, 29)).tobytes()
    good = np.arange(6) != 2
    for k in (1, 2):
        densities = to_densities(osu, units, out[:, k], conditions)
        np.testing.assert_allclose(densities[good], there[good, k], rtol=1e-6, atol=1e-14)


def test_derivatives_in_units(library: Library, osu: Network, units: str, cells: tuple[Floats, ...]) -> None:
    n, x, _, temperature, zeta, conditions = host_cells(osu, units, cells)
    plain, solver = library.open("osu_09_2008"), library.open("osu_09_2008", units=units)
    S = osu.n_species
    weight = np.array([s.mass_g for s in osu.species]) if units == "mass_fraction" else np.ones(S)
    factor = weight / conditions[:, -1:]
    for what, shape in (("rhs", (60, S)), ("jacobian", (60, S, S)), ("rate_coefficients", (60, osu.n_reactions))):
        here, there = np.empty(shape), np.empty(shape)
        solver.derive(what, here, x, temperature, conditions)
        plain.derive(what, there, n, temperature, zeta)
        if what == "rhs":
            there *= factor
        elif what == "jacobian":
            there *= weight[:, None] / weight
        scale = np.abs(there).max(axis=-1, keepdims=True)
        np.testing.assert_allclose(here / scale, there / scale, rtol=1e-9, atol=1e-11)
    conditions[5, 1] = np.nan
    here = np.empty((60, S))
    status = solver.derive("rhs", here, x, temperature, conditions)
    assert np.flatnonzero(status < 0).tolist() == [5]
    assert np.isnan(here[5]).all()


# --- misuse -----------------------------------------------------------------------------------------------------


@pytest.fixture
def one_cell(osu: Network) -> Iterator[dict[str, Any]]:
    n = np.full((3, 29), 1e-3)
    n[:, osu.species_index("H2")] = 1e3
    before = n.copy()
    yield {"n": n, "dt": np.full(3, 1e10), "T": np.full(3, 20.0), "zeta": np.full((3, 1), 1e-16)}
    np.testing.assert_array_equal(n, before)


@pytest.mark.parametrize(
    ("cells", "cell_stride", "species_stride", "code", "message"),
    [
        (2**40, 29, 1, CallError.MEMORY, "more than this machine has: use smaller batches"),
        (2**62, 29, 1, CallError.ARGUMENT, "reach beyond all addresses"),
        (3, 2**62, 1, CallError.ARGUMENT, "reach beyond all addresses"),
        (3, -(2**63), 1, CallError.ARGUMENT, "reach beyond all addresses"),
        (3, 29, 2**60, CallError.ARGUMENT, "reach beyond all addresses"),
        (-1, 29, 1, CallError.ARGUMENT, "the number of cells is negative"),
        (3, 0, 1, CallError.ARGUMENT, "cell stride of the abundances is 0"),
        (3, 29, 0, CallError.ARGUMENT, "species stride of the abundances is 0"),
        (3, 1, 1, CallError.ARGUMENT, "would share one place"),
        (3, 1, 2, CallError.ARGUMENT, "would share one place"),
        (3, 28, 1, CallError.ARGUMENT, "would share one place"),
        (3, -28, -1, CallError.ARGUMENT, "would share one place"),
    ],
)
@pytest.mark.parametrize("statistics", ["off", "on"])
def test_sizes_and_strides_that_cannot_be(
    library: Library,
    one_cell: dict[str, Any],
    cells: int,
    cell_stride: int,
    species_stride: int,
    code: CallError,
    message: str,
    statistics: str,
) -> None:
    """Refused before anything is touched: the pointers are good for three cells only."""
    solver = library.open("osu_09_2008", mode="exact", statistics=statistics)
    dt, n, temperature, zeta = (ctypes.c_void_p(pointer(one_cell[key])) for key in ("dt", "n", "T", "zeta"))
    zero, one = np.int64(0), np.int64(1)
    strides = np.int64(cell_stride), np.int64(species_stride)
    count = np.int64(cells)
    inputs = (n, *strides, temperature, zero, zeta, zero, one)
    counted = statistics == "on" and cells == 2**62  # room for the counts is asked for first
    refused = CallError.MEMORY if counted else code
    assert solver("step", count, dt, zero, *inputs, None, None) == refused
    assert re.search("more than this machine has" if counted else message, solver.error)
    tolerances = ctypes.c_double(1e-4), ctypes.c_double(1e17)
    assert solver("equilibrium", count, *tolerances, *inputs, None, None) == refused
    out = np.full(29 * 4, -7.0)
    if cell_stride != 0:
        times, to = ctypes.c_void_p(pointer(one_cell["dt"])), ctypes.c_void_p(pointer(out))
        assert solver("trajectory", count, *inputs, one, times, to, 1, None, None) == code
    # The same strides of results.
    given = (n, zero, one, temperature, zero, zeta, zero, one)
    assert solver("rhs", count, *given, ctypes.c_void_p(pointer(out)), *strides, None) == code
    assert (out == -7).all()


def test_other_strides_are_checked_too(library: Library, one_cell: dict[str, Any]) -> None:
    solver = library.open("osu_09_2008")
    dt, n, temperature, zeta = (ctypes.c_void_p(pointer(one_cell[key])) for key in ("dt", "n", "T", "zeta"))
    count, zero, one, far = (np.int64(i) for i in (3, 0, 1, 2**61))
    for inputs, dt_stride in (
        ((n, np.int64(29), one, temperature, far, zeta, zero, one), zero),
        ((n, np.int64(29), one, temperature, zero, zeta, far, one), zero),
        ((n, np.int64(29), one, temperature, zero, zeta, zero, far), zero),
        ((n, np.int64(29), one, temperature, zero, zeta, zero, one), far),
    ):
        assert solver("step", count, dt, dt_stride, *inputs, None, None) == CallError.ARGUMENT
        assert "reach beyond all addresses" in solver.error
    out = np.full((3, 29, 29), -7.0)
    given = (n, np.int64(29), one, temperature, zero, zeta, zero, one)
    for strides, message in (
        ((29, 29, 1), "share one place"),
        ((841, 1, 1), "share one place"),
        ((841, 29, 0), "share one place"),
        ((841, 29, 2**60), "reach beyond"),
    ):
        numbers = [np.int64(s) for s in strides]
        assert solver("jacobian", count, *given, ctypes.c_void_p(pointer(out)), *numbers, None) == CallError.ARGUMENT
        assert message in solver.error
    assert (out == -7).all()
    assert solver("rhs", count, *given, None, one, one, None) == CallError.ARGUMENT
    assert "results must not be null" in solver.error
    assert solver("rhs", count, None, *given[1:], None, one, one, None) == CallError.ARGUMENT
    times = ctypes.c_void_p(pointer(one_cell["dt"]))
    long = solver("trajectory", count, *given, np.int64(2**60), times, times, 1, None, None)
    assert long == CallError.ARGUMENT


def test_species_of_another_network(library: Library, every_law_file: Path, osu: Network) -> None:
    """A host that says which species it has is refused by a model for others, or for another order."""
    solver = library.open(every_law_file)
    assert solver("set_option", b"species", ",".join(osu.species_names).encode()) == CallError.OPTION
    assert "the model is for the species CO,H,e-" in solver.error
    assert solver("set_option", b"species", b"H,CO,e-,H2,H+,C,O,X,C+") == CallError.OPTION
    assert solver("set_option", b"species", b"CO,H,e-,H2,H+,C,O,X,C+") == 0
    assert solver("set_option", b"units", b"kilograms") == CallError.OPTION
    assert "number_density, hydrogen_fraction, mass_fraction" in solver.error
