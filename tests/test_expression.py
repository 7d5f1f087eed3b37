"""Rate laws that are formulas: their values in every language, steps, cells without a rate, damaged programs."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from krome_files import PRIMORDIAL
from native_build import NativeBuild
from numpy.typing import NDArray
from test_formula import SAME as SAME_FORMULAS

from pychemsurrogate import Solver, _native
from pychemsurrogate.integrators import NativeRosenbrock, ScipyBDF
from pychemsurrogate.integrators.native import open_network
from pychemsurrogate.model_file import ModelFile, ModelFileError
from pychemsurrogate.network import Network, NetworkError, Reaction, parse_network
from pychemsurrogate.network.formats.krome import parse_krome
from pychemsurrogate.network.formula.parse import parse
from pychemsurrogate.network.formula.program import OPERATIONS
from pychemsurrogate.network.formula.tree import name
from pychemsurrogate.network.rate_laws import expression_law
from pychemsurrogate.status import Status

FloatArray = NDArray[np.float64]
SAME = [(formula, f) for formula, f in SAME_FORMULAS if formula != "-2d0**2"]  # no rate
CELLS = 61  # several vectors of any instruction set, the last one partial


def toy(*rates: str, conditions: str = "x zeta") -> Network:
    """A0 -> B0, A1 -> B1, ... with these rates; the species are of one element, X."""
    pairs = range(len(rates))
    species = [f"{letter}{i}" for i in pairs for letter in "AB"]
    lines = ["pychemsurrogate network 1", "name: toy", f"conditions: {conditions}", f"species: {' '.join(species)}"]
    lines += [f"define: {s} X=1 mass_g=1e-24" for s in species]
    lines += ["reactions:", *(f"A{i} -> B{i} | expression | {rate}" for i, rate in zip(pairs, rates, strict=True))]
    return parse_network("\n".join(lines))


def as_formulas(network: Network) -> Network:
    """A network of Arrhenius and cosmic-ray rates with every rate as a formula."""
    reactions = []
    for r in network.reactions:
        alpha, *rest = r.parameters
        text = f"{alpha}*zeta" if not rest else f"{alpha}*(T/300)**({rest[0]})*exp(-({rest[1]})/T)"
        reactions.append(replace(r, law=expression_law(parse(text, name)), parameters=()))
    return Network(network.name, network.species, reactions, network.conditions, network.source)


@pytest.fixture(scope="module")
def primordial() -> Network:
    return parse_krome(PRIMORDIAL, "primordial.ntw", "primordial").network


@pytest.fixture(scope="module")
def formulas(osu: Network) -> Network:
    return as_formulas(osu)


def gas(network: Network, cells: int = CELLS, seed: int = 8) -> tuple[FloatArray, FloatArray, FloatArray, dict]:
    """Neutral cells of `primordial` with every species: n, dt, T, conditions."""
    rng = np.random.default_rng(seed)
    density = 10 ** rng.uniform(0, 4, cells)
    n = 10 ** rng.uniform(-8, -3, (cells, network.n_species)) * density[:, None]
    index = network.species_index
    n[:, index("H")], n[:, index("He")], n[:, index("H2")] = density, 0.08 * density, 0.1 * density
    n[:, index("e-")] = 0
    n[:, index("H+")] += 1e-3 * density
    n[:, index("e-")] = n @ network.tables().composition[-1]
    T = 10 ** rng.uniform(1.2, 4.2, cells)
    given = {
        "zeta": 10 ** rng.uniform(-17, -15, cells),
        "A_V": rng.uniform(0, 3, cells),
        "user_boost": rng.uniform(0, 2, cells),
    }
    return n, 10 ** rng.uniform(3, 12, cells), T, given


# --- values -------------------------------------------------------------------------------------------------------


def test_native_values_are_pythons() -> None:
    """Every operation: the native program against formulas written anew in Python (test_formula.SAME)."""
    network = toy(*(formula for formula, _ in SAME))
    native = open_network(network)
    first = np.arange(network.n_species) % 2 == 0
    n = np.where(first, 1.0, 0.0)
    rng = np.random.default_rng(2)
    for _ in range(100):
        T, x = 10 ** rng.uniform(-1, 5.5), 10 ** rng.uniform(-1, 0.8)
        k = -native.rhs(n, T, np.array([x, 0.0]))[first]
        expected = [f(T, x) for _, f in SAME]
        np.testing.assert_allclose(k, expected, rtol=1e-13, atol=1e-300)
        np.testing.assert_allclose(
            network.rate_coefficients(T, {"x": x, "zeta": 0.0}), expected, rtol=1e-13, atol=1e-300
        )


def test_every_operation_is_used_above() -> None:
    names = list(OPERATIONS)
    code = toy(*(formula for formula, _ in SAME), "n_H").tables().expression_code
    assert {names[operation] for operation in code[:, 0]} == set(OPERATIONS)


def test_torch_values_are_numpys(primordial: Network) -> None:
    torch = pytest.importorskip("torch")
    from pychemsurrogate.surrogates.rates import Rates

    _, _, T, given = gas(primordial)
    conditions = np.stack([given[c] for c in primordial.conditions], axis=1)
    k = Rates(primordial.tables()).coefficients(torch.tensor(T), torch.tensor(conditions)).numpy()
    np.testing.assert_allclose(k, primordial.rate_coefficients(T, given, n_H=1.0), rtol=1e-13, atol=1e-290)
    network = toy(*(formula for formula, _ in SAME))
    read = np.stack([T, np.zeros_like(T)], axis=1)  # x = T, zeta = 0
    k = Rates(network.tables()).coefficients(torch.tensor(T), torch.tensor(read)).numpy()
    np.testing.assert_allclose(k, network.rate_coefficients(T, {"x": T, "zeta": 0.0}), rtol=1e-13, atol=1e-290)


def test_rhs_of_a_network(primordial: Network) -> None:
    native = open_network(primordial)
    n, _, T, given = gas(primordial)
    weights = primordial.tables().scale_weights
    for i in range(len(n)):
        at = {c: values[i] for c, values in given.items()}
        k = primordial.rate_coefficients(T[i], at, weights @ n[i])
        expected = primordial.rhs(n[i], k)
        found = native.rhs(n[i], T[i], np.array([at[c] for c in primordial.conditions]))
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13 * np.abs(expected).max())


def test_shipped_network_by_formulas(osu: Network, formulas: Network, cells: tuple[FloatArray, ...]) -> None:
    n, dt, T, zeta = cells
    k = [net.rate_coefficients(T, {"zeta": zeta[:, 0]}) for net in (osu, formulas)]
    np.testing.assert_allclose(k[1], k[0], rtol=1e-14, atol=1e-300)
    assert formulas.symmetry == osu.symmetry
    # The same structure: the library's own straight-line code serves both.
    assert open_network(formulas).has_code
    (closed, status), (by_formula, again) = (
        NativeRosenbrock(net, rtol=1e-6, atol=1e-20).advance(n, dt, T, {"zeta": zeta[:, 0]}) for net in (osu, formulas)
    )
    np.testing.assert_array_equal(status, again)
    size = np.maximum(closed, 1e-12 * n.max(axis=1, keepdims=True))
    assert np.max(np.abs(closed - by_formula) / size) < 1e-5


# --- steps --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernels", ["tables", pytest.param("compiled", marks=pytest.mark.long)])
def test_steps_agree_with_scipy(
    primordial: Network, kernels: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PCS_KERNEL_CACHE", str(tmp_path))
    n, dt, T, given = gas(primordial, 12)
    native = NativeRosenbrock(primordial, rtol=1e-8, atol=1e-20, max_steps=100_000, kernels=kernels)
    found, status = native.advance(n, dt, T, given)
    expected, reference = ScipyBDF(primordial, rtol=1e-10, atol=1e-24).advance(n, dt, T, given)
    assert (status == Status.EXACT_REQUESTED).all()
    assert (reference == Status.EXACT_SCIPY).all()
    size = np.maximum(expected, 1e-12 * expected.max(axis=1, keepdims=True))
    assert np.max(np.abs(found - expected) / size) < 1e-6


def test_a_cell_is_itself_alone(primordial: Network) -> None:
    """Permuted, split, alone, by one thread or two: the same bits."""
    n, dt, T, given = gas(primordial)
    native = NativeRosenbrock(primordial)
    together, _ = native.advance(n, dt, T, given)
    order = np.random.default_rng(1).permutation(CELLS)
    permuted, _ = native.advance(n[order], dt[order], T[order], {c: v[order] for c, v in given.items()})
    np.testing.assert_array_equal(permuted, together[order])
    for part in (slice(0, 1), slice(3, 5), slice(20, 31)):
        split, _ = native.advance(n[part], dt[part], T[part], {c: v[part] for c, v in given.items()})
        np.testing.assert_array_equal(split, together[part])
    threads, _ = NativeRosenbrock(primordial, threads=2).advance(n, dt, T, given)
    np.testing.assert_array_equal(threads, together)


def test_density_in_a_rate() -> None:
    """n_H is that of the cell: with k proportional to it the flow is symmetric, else it is not."""
    proportional, saturating = toy("1d-12*n_H*T/(3d1+T)"), toy("1d-12*n_H/(1d0+n_H/1d2)")
    assert proportional.symmetry is not None
    assert saturating.symmetry is None
    assert "n_H" in saturating.reduced_conditions
    n = np.array([[1e2, 0.0], [1e4, 0.0]])
    k = np.array([1e-12 * 1e2 / 2, 1e-12 * 1e4 / 101])
    moved, _ = NativeRosenbrock(saturating, rtol=1e-8, atol=1e-20).advance(n, 1e10, 50.0, {"x": 0.0, "zeta": 0.0})
    np.testing.assert_allclose(moved[:, 0], n[:, 0] * np.exp(-k * 1e10), rtol=1e-6)
    with pytest.raises(ValueError, match="depend on n_H"):
        saturating.rate_coefficients(50.0, {"x": 0.0, "zeta": 0.0})
    with pytest.raises(ValueError, match="depends on n_H"):
        saturating.reactions[0].rate(50.0, {"x": 0.0, "zeta": 0.0})
    assert saturating.reactions[0].rate(50.0, {"x": 0.0, "zeta": 0.0}, 1e2) == pytest.approx(k[0], rel=1e-14)


def test_formation_on_grains() -> None:
    """H + H -> H2 at k n(H), k of a formula of n_H, against its solution; and native dn/dt against Python's."""
    text = "pychemsurrogate network 1\nname: grains\nspecies: H H2\nreactions:\nH + H -> H2 | grain_expression | {}\n"
    network = parse_network(text.format("3d-18*sqrt(T)/(1d0+0.04*sqrt(T))*n_H"))
    n, T, dt = np.array([[7e2, 5e1], [3e4, 1e2]]), np.array([50.0, 200.0]), np.array([1e13, 2e11])
    n_H = n @ network.tables().scale_weights
    k = 3e-18 * np.sqrt(T) / (1 + 0.04 * np.sqrt(T)) * n_H
    found = open_network(network).rhs(n[0], T[0], np.empty(0))
    np.testing.assert_allclose(found, k[0] * n[0, 0] * np.array([-2.0, 1.0]), rtol=1e-13)
    moved, status = NativeRosenbrock(network, rtol=1e-8, atol=1e-20).advance(n, dt, T, {})
    assert (status > 0).all()
    np.testing.assert_allclose(moved[:, 0], n[:, 0] * np.exp(-2 * k * dt), rtol=1e-6)
    assert network.symmetry is not None
    with pytest.raises(NetworkError, match="takes one species alone"):
        parse_network(text.replace("H + H -> H2", "H + H2 -> H2 + H").format("1.0"))


def test_torch_rates_on_grains() -> None:
    torch = pytest.importorskip("torch")
    from pychemsurrogate.surrogates.rates import Rates

    text = "pychemsurrogate network 1\nname: grains\nspecies: H H2\nreactions:\nH + H -> H2 | {} | {}\n"
    both = [
        Rates(parse_network(text.format(law, rate)).tables())
        for law, rate in (("grain", "3e-17 0.5"), ("grain_expression", "3d-17*sqrt(T/300)*n_H"))
    ]
    T, x = torch.tensor([20.0, 80.0], dtype=torch.float64), torch.tensor([[0.3, 0.35], [1.0, 0.0]], dtype=torch.float64)
    changes = [rates.change(x, rates.coefficients(T, torch.empty((2, 0), dtype=torch.float64))) for rates in both]
    np.testing.assert_allclose(changes[1].numpy(), changes[0].numpy(), rtol=1e-14)


@pytest.mark.parametrize(
    ("rate", "exponents"),
    [
        ("2d0*zeta*(1d0+T)", {"zeta": 1, "x": 0}),
        ("zeta*exp(-x)", {"zeta": 1, "x": 0}),
        ("sqrt(zeta)*T", None),
        ("zeta+1d-9", None),
        ("1d-9*T**2/(1d0+T)", None),
        ("zeta*n_H/(n_H+n_H)", {"zeta": 1, "x": 0}),
    ],
)
def test_symmetry(rate: str, exponents: dict[str, int] | None) -> None:
    symmetry = toy(rate).symmetry
    assert (symmetry and dict(symmetry.exponents)) == exponents


# --- no rate ------------------------------------------------------------------------------------------------------

NONE = {
    "negative": "1d-9*(T-100)",
    "NaN": "1d-9*sqrt(T-100)",
    "infinite": "1d-9*exp((99-T)*1d4+100)",
    "divided by zero": "merge(1d-9,1d-9/x,T>100)",
}


@pytest.mark.parametrize("rate", NONE.values(), ids=NONE)
def test_cells_without_a_rate_are_refused(rate: str) -> None:
    """Their status says so and their input stays; their neighbours are what they are without them."""
    network = toy(rate, "1d-10*T")
    rng = np.random.default_rng(4)
    n = 10 ** rng.uniform(0, 3, (CELLS, 4))
    T = 10 ** rng.uniform(1, 3, CELLS)
    bad = T < 100
    given = {"x": np.zeros(CELLS), "zeta": np.zeros(CELLS)}
    native = NativeRosenbrock(network)
    moved, status = native.advance(n, 1e8, T, given)
    assert 5 < bad.sum() < CELLS - 5
    np.testing.assert_array_equal(status, np.where(bad, Status.UNSUPPORTED, Status.EXACT_REQUESTED))
    np.testing.assert_array_equal(moved[bad], n[bad])
    alone, _ = native.advance(n[~bad], 1e8, T[~bad], {c: v[~bad] for c, v in given.items()})
    np.testing.assert_array_equal(moved[~bad], alone)
    kept, status = ScipyBDF(network).advance(n[:20], 1e8, T[:20], {"x": 0.0, "zeta": 0.0})
    np.testing.assert_array_equal(status, np.where(bad[:20], Status.UNSUPPORTED, Status.EXACT_SCIPY))
    np.testing.assert_array_equal(kept[bad[:20]], n[:20][bad[:20]])


def with_network(model: ModelFile, network: Network, path: Path) -> Path:
    """A copy of a model for a network of the same species and symmetry."""
    kept = {key: array for key, array in model.arrays.items() if not key.startswith("network/")}
    ModelFile({**ModelFile.from_network(network).arrays, **kept}, model.meta).write(path)
    return path


@pytest.fixture(scope="module")
def partly(osu: Network) -> Network:
    """The shipped network with some formulas, one of which has no value below 20 K."""
    whole = as_formulas(osu)
    reactions: list[Reaction] = list(osu.reactions)
    for i in (0, 3, 20, 100, 223):
        reactions[i] = whole.reactions[i]
    formula = parse(f"{whole.reactions[30].law.formula}*sqrt((T-20)/(T-20))", name)
    reactions[30] = replace(whole.reactions[30], law=expression_law(formula))
    return Network(osu.name, osu.species, reactions, osu.conditions, osu.source)


@pytest.mark.parametrize("engine", ["native", "torch"])
@pytest.mark.parametrize("mode", ["auto", "surrogate"])
def test_a_surrogate_of_a_network_with_formulas(
    osu: Network, mode: str, engine: str, partly: Network, cells: tuple[FloatArray, ...], tmp_path: Path
) -> None:
    """The shipped surrogate over the same rates by formulas: the same answers, and no cell without a rate."""
    if engine == "torch":
        pytest.importorskip("torch")
    n, dt, T, zeta = cells
    T = T.copy()
    T[::7] = 20.0  # 0 / 0 in one formula
    bad = T == 20.0
    model = ModelFile.read("osu_09_2008-multiclock")
    path = with_network(model, partly, tmp_path / "m.pcs")
    expected, _ = Solver.load("osu_09_2008-multiclock", mode=mode, engine=engine).step(n, dt, T, zeta=zeta[:, 0])
    solver = Solver.load(str(path), mode=mode, engine=engine)
    moved, report = solver.step(n, dt, T, zeta=zeta[:, 0])
    assert (report.status[bad] == Status.UNSUPPORTED).all()
    np.testing.assert_array_equal(moved[bad], n[bad])
    assert (report.status[~bad] >= 0).all()
    assert (report.status == Status.SURROGATE).sum() > 50
    size = np.maximum(expected, 1e-10 * n.max(axis=1, keepdims=True))
    assert np.quantile(np.abs(moved - expected)[~bad] / size[~bad], 0.99) < 1e-3
    states, report = solver.trajectory(n[:14], [1e9, 1e10], T[:14], zeta=zeta[:14, 0], mode=mode)
    assert (report.status[bad[:14]] == Status.UNSUPPORTED).all()
    np.testing.assert_array_equal(states[bad[:14]], np.repeat(n[:14][bad[:14], None], 2, axis=1))


def test_equilibrium_without_a_rate(tmp_path: Path) -> None:
    network = parse_network(toy("1d-9*sqrt(T-100)").text() + "B0 -> A0 | arrhenius | 2e-9 0 0\n")
    ModelFile.from_network(network).write(tmp_path / "m.pcs")
    n0 = np.array([[3.0, 1.0], [3.0, 1.0]])
    n, report = Solver.load(tmp_path / "m.pcs").equilibrium(n0, np.array([50.0, 104.0]), x=0.0, zeta=0.0)
    assert report.status[0] == Status.UNSUPPORTED
    assert report.status[1] >= 0
    np.testing.assert_array_equal(n[0], n0[0])
    np.testing.assert_allclose(n[1], [2.0, 2.0], rtol=1e-6)


# --- files --------------------------------------------------------------------------------------------------------


def test_model_file_keeps_the_formulas(primordial: Network, tmp_path: Path) -> None:
    ModelFile.from_network(primordial).write(tmp_path / "m.pcs")
    n, dt, T, given = gas(primordial)
    moved, report = Solver.load(tmp_path / "m.pcs", mode="exact", rtol=1e-2, atol=1e-15).step(n, dt, T, **given)
    expected, status = NativeRosenbrock(primordial).advance(n, dt, T, given)
    np.testing.assert_array_equal(moved, expected)
    np.testing.assert_array_equal(report.status, status)
    assert ModelFile.read(tmp_path / "m.pcs").network().hash == primordial.hash


def test_files_without_formulas_are_as_before(osu: Network) -> None:
    assert not [key for key in ModelFile.from_network(osu).arrays if "expression" in key]


def with_row(row: int, column: int, value: int) -> Callable[[NDArray[np.int32]], NDArray[np.int32]]:
    def change(code: NDArray[np.int32]) -> NDArray[np.int32]:
        code = code.copy()
        code[row, column] = value
        return code

    return change


def with_value(value: float) -> Callable[[FloatArray], FloatArray]:
    def change(parameters: FloatArray) -> FloatArray:
        parameters = parameters.copy()
        parameters[0, 1] = value
        return parameters

    return change


# Of toy("x*exp(T)+2d0"): x, T, exp, *, 2, +.
DAMAGE: dict[str, tuple[str, Callable[..., NDArray[np.generic]], str]] = {
    "operation too large": ("expression_code", with_row(2, 0, len(OPERATIONS)), "instruction 2 .* unknown operation"),
    "operation negative": ("expression_code", with_row(2, 0, -1), "unknown operation"),
    "reads itself": ("expression_code", with_row(3, 1, 3), "instruction 3 .* not computed before"),
    "reads ahead": ("expression_code", with_row(2, 1, 5), "not computed before"),
    "reads before the first": ("expression_code", with_row(3, 2, -1), "not computed before"),
    "far away": ("expression_code", with_row(3, 2, 2**31 - 1), "not computed before"),
    "no such constant": ("expression_code", with_row(4, 1, 1), "a constant that is not there"),
    "negative constant": ("expression_code", with_row(4, 1, -1), "a constant that is not there"),
    "no such condition": ("expression_code", with_row(0, 1, 2), "unknown condition"),
    "negative condition": ("expression_code", with_row(0, 1, -1), "unknown condition"),
    "cut": ("expression_code", lambda code: code.ravel()[:-1], "must be .instructions, 4."),
    "empty": ("expression_code", lambda code: code[:0], "names no value"),
    "constant NaN": ("expression_constants", lambda c: c * np.nan, "constant .* not finite"),
    "constant infinite": ("expression_constants", lambda c: c * np.inf, "constant .* not finite"),
    "no constants": ("expression_constants", lambda c: c[:0], "a constant that is not there"),
    "value too large": ("parameters", with_value(6.0), "names no value"),
    "value negative": ("parameters", with_value(-1.0), "names no value"),
    "value broken": ("parameters", with_value(2.5), "names no value"),
    "value huge": ("parameters", with_value(1e300), "names no value"),
    "conditions": ("law_conditions", lambda c: c * 0, "does not name the conditions"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_programs_are_refused(damage: str, tmp_path: Path) -> None:
    network = toy("x*exp(T)+2d0")
    key, change, message = DAMAGE[damage]
    tables = {item.name: getattr(network.tables(), item.name) for item in fields(network.tables())}
    _native.Solver(tables)
    with pytest.raises(ValueError, match=message):
        _native.Solver({**tables, key: change(tables[key])})
    model = ModelFile.from_network(network)
    model.arrays[f"network/{key}"] = change(model.arrays[f"network/{key}"])
    model.write(tmp_path / "m.pcs")
    with pytest.raises((ValueError, ModelFileError, RuntimeError), match=message):
        _native.Solver.open(str(tmp_path / "m.pcs"))


def test_rate_coefficients_through_c(primordial: Network, libpcs: NativeBuild, tmp_path: Path) -> None:
    """libpcs gives the coefficients of a network with formulas, and says where there are none."""
    ModelFile.from_network(primordial).write(tmp_path / "m.pcs")
    library = ctypes.CDLL(str(libpcs.folder / "lib" / "libpcs.so"))
    library.pcs_last_error.restype = ctypes.c_char_p
    handle = ctypes.c_void_p()
    assert library.pcs_open(str(tmp_path / "m.pcs").encode(), ctypes.byref(handle)) == 0
    n, _, T, given = gas(primordial)
    conditions = np.stack([given[c] for c in primordial.conditions], axis=1)
    R, S, C = primordial.n_reactions, primordial.n_species, len(primordial.conditions)
    k, status = np.full((CELLS, R), -1.0), np.zeros(CELLS, dtype=np.int8)

    def coefficients(abundances: FloatArray | None) -> int:
        pointers = [a.ctypes.data_as(ctypes.c_void_p) for a in (T, conditions, k, status)]
        first = None if abundances is None else abundances.ctypes.data_as(ctypes.c_void_p)
        wide = ctypes.c_int64
        return library.pcs_rate_coefficients(
            handle, wide(CELLS), first, wide(S), wide(1), pointers[0], wide(1), pointers[1], wide(C), wide(1),
            pointers[2], wide(R), wide(1), pointers[3],
        )  # fmt: skip

    assert coefficients(n) == 0
    assert (status >= 0).all()
    density = n @ primordial.tables().scale_weights
    np.testing.assert_allclose(k, primordial.rate_coefficients(T, given, density), rtol=1e-12, atol=1e-250)
    assert coefficients(None) < 0
    assert b"read the density" in library.pcs_last_error(handle)
    assert library.pcs_close(ctypes.byref(handle)) == 0


def test_too_many_conditions() -> None:
    names = [f"c{i}" for i in range(33)]
    with pytest.raises(ValueError, match="at most 32 conditions"):
        open_network(toy("c0", conditions=" ".join(names)))
    assert open_network(toy("c31", conditions=" ".join(names[:32]))).rhs(
        np.array([1.0, 0.0]), 10.0, np.arange(32.0)
    ) == pytest.approx([-31.0, 31.0])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("A0 -> B0 | expression | 2*y", 'the name "y" is unknown'),
        ("A0 -> B0 | expression | ", "expected a number"),
        ("A0 -> B0 | expression | -2", "negative"),
        ("A0 -> B0 | expression | T<2", "is a condition"),
        ("A0 -> B0 | formula | 2", "the laws are arrhenius, .*, expression"),
    ],
)
def test_wrong_lines_of_the_text_format(line: str, message: str) -> None:
    text = toy("2*x").text()
    number = len(text.splitlines()) + 1
    with pytest.raises(NetworkError, match=f"network text:{number}: .*{message}"):
        parse_network(text + line + "\n")
    for reserved in ("T", "n_H"):
        with pytest.raises(NetworkError, match=f'no condition may be named "{reserved}"'):
            toy("1d0", conditions=reserved)


def test_latex(primordial: Network) -> None:
    latex = [r.rate_latex for r in primordial.reactions]
    assert r"\begin{cases}" in latex[2]
    assert r"\exp\left(" in latex[0]
    assert r"\zeta" in latex[4]
    assert all(text.count("{") == text.count("}") and text.count(r"\left") == text.count(r"\right") for text in latex)


def test_infinite_is_more_than_double_precision() -> None:
    assert math.isinf(toy("exp(T)").rate_coefficients(1e4, {"x": 0.0, "zeta": 0.0})[0])
