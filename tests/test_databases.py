"""Readers of database files: short excerpts in each format, with rates by the formats' own formulas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from pychemsurrogate.cli import main
from pychemsurrogate.integrators import NativeRosenbrock, ScipyBDF, conservation_defect, open_network
from pychemsurrogate.network import Network, NetworkError, load_network, parse_network
from pychemsurrogate.network.formats import kida, umist

UMIST = """1:NN:H2:C+:CH+:H:::1:1.50e-10:0.50:4000.0:20:2000:L:C:"10.1/a:b":"a note: with a colon":
2:DR:CH+:e-:C:H:::2:1.5e-07:-0.4:0.0:50:1000:L:A:"":"x":3.0e-07:-1.4:0.0:1100:30000:L:A:"":"y":
3:CP:H2:CRP:H2+:e-:::1:1.2e-17:0.0:0.0:10:41000:L:C:"":"":
4:CR:CH:CRPHOT:C:H:::1:1.3e-17:0.0:365.0:10:41000:L:C:"":"":
5:CR:CO:CRPHOT:C:O:::1:1.3e-17:1.2:105.0:10:41000:L:C:"":"":
6:PH:C:PHOTON:C+:e-:::1:3.1e-10:0.0:3.3:10:41000:L:C:"":"an open quote
7:RA:C+:e-:C:PHOTON:::1:2.0e-12:-0.8:0.0:10:41000:L:C:"":"":
8:DR:H2+:e-:H:H:::1:1.6e-08:-0.4:0.0:10:1000:L:C:"":"":
9:RA:C:O:CO:PHOTON:::1:2.0e-17:0.3:30.0:10:300:L:C:"":"":
10:RA:C:H:CH:PHOTON:::1:1.0e-17:0.0:0.0:10:300:L:C:"":"":
"""


def kida_row(left: str, right: str, abc: str, kind: int, limits: str, formula: int, number: int) -> str:
    reactants = "".join(f"{s:11s}" for s in [*left.split(), "", "", ""][:3])
    products = "".join(f"{s:11s}" for s in [*right.split(), "", "", "", "", ""][:5])
    return (
        f"{reactants:34s}{products:56s} {abc} 2.00e+00 0.00e+00 logn {kind:2d} {limits} {formula:2d} {number:5d} 1  1\n"
    )


KIDA = "! a comment\n" + "".join(
    [
        kida_row("H2 CR", "H2+ e-", "9.3e-01 0 0", 1, "-9999 9999", 1, 1),
        kida_row("c-C3H CRP", "C3 H", "1.0e+03 0 0", 2, "-9999 9999", 1, 2),
        kida_row("C3 Photon", "C3+ e-", "2.0e-10 0 2.5", 3, "-9999 9999", 2, 3),
        kida_row("C3+ e-", "C3", "1.1e-07 -5e-01 0", 8, "-9999 9999", 3, 4),
        kida_row("H2+ e-", "H H", "1.6e-08 -4.3e-01 0", 8, "10 300", 3, 5),
        kida_row("C3+ H2O", "C3 H2O+", "5.0e-01 2.0e-09 2.1", 4, "10 329", 4, 6),
        kida_row("C3+ H2O", "C3 H2O+", "5.0e-01 2.0e-09 2.1", 4, "330 800", 5, 6),
        kida_row("H2O+ GRAIN-", "H2O GRAIN0", "1.3e-05 5e-01 0", 0, "-9999 9999", 0, 7),
        kida_row("GRAIN0 e-", "GRAIN-", "3.4e-03 5e-01 0", 0, "-9999 9999", 0, 8),
        kida_row("C3 H", "c-C3H", "1.0e-15 0 0", 6, "-9999 9999", 3, 9),
        kida_row("XH XH", "H2", "1 0 0", 10, "-9999 9999", 10, 10),
    ]
)


@pytest.fixture
def umist_file(tmp_path: Path) -> Path:
    path = tmp_path / "excerpt.rates"
    path.write_text(UMIST, encoding="utf-8")
    return path


@pytest.fixture
def kida_file(tmp_path: Path) -> Path:
    path = tmp_path / "excerpt.dat"
    path.write_text(KIDA, encoding="utf-8")
    return path


def rate(network: Network, equation: str, temperature: float, **conditions: float) -> float:
    """The sum of the coefficients of all pieces and channels of one equation."""
    given = {"zeta": 0.0, "A_V": 0.0, "G0": 0.0, **conditions}
    k = network.rate_coefficients(temperature, {name: given[name] for name in network.conditions})
    found = [i for i, r in enumerate(network.reactions) if r.equation == equation]
    assert found, equation
    return float(k[found].sum())


# --- UMIST ------------------------------------------------------------------------------------------------------------


def test_umist(umist_file: Path) -> None:
    net = umist.read(umist_file, omega=0.6)
    assert net.name == "excerpt"
    assert net.conditions == ("zeta", "A_V", "G0")
    assert net.n_reactions == 12  # ten rows, one of them in two pieces, and H2 on grains
    zeta = 5e-17
    assert rate(net, "H2 + C+ -> CH+ + H", 500.0) == pytest.approx(1.5e-10 * (500 / 300) ** 0.5 * np.exp(-8.0))
    assert rate(net, "H2 -> H2+ + e-", 20.0, zeta=zeta) == pytest.approx(1.2e-17 * zeta / 1.36e-17)
    assert rate(net, "CH -> C + H", 20.0, zeta=zeta) == pytest.approx(1.3e-17 * 365 / 0.4 * zeta / 1.36e-17)
    warm = 1.3e-17 * (50 / 300) ** 1.2 * 105 / 0.4 * zeta / 1.36e-17
    assert rate(net, "CO -> C + O", 50.0, zeta=zeta) == pytest.approx(warm)
    assert rate(net, "C -> C+ + e-", 20.0, A_V=2.0, G0=30.0) == pytest.approx(3.1e-10 * 30 * np.exp(-6.6))
    # The rate of H2 formation is R n_H n(H), and two H go.
    assert rate(net, "H + H -> H2", 100.0) == pytest.approx(3e-17)
    n = np.zeros(net.n_species)
    n[net.species_index("H")], n[net.species_index("H2")] = 10.0, 45.0
    k = net.rate_coefficients(100.0, {"zeta": 0.0, "A_V": 0.0, "G0": 0.0})
    assert net.rhs(n, k)[net.species_index("H2")] == pytest.approx(3e-17 * 100 * 10)
    assert net.rhs(n, k)[net.species_index("H")] == pytest.approx(-2 * 3e-17 * 100 * 10)
    assert "H + H -> H2" not in [r.equation for r in umist.read(umist_file, h2_formation=None).reactions]


def test_temperature_ranges(umist_file: Path) -> None:
    def two_pieces(t: float) -> float:
        return 1.5e-7 * (t / 300) ** -0.4 if t < np.sqrt(1000 * 1100) else 3e-7 * (t / 300) ** -1.4

    def one(t: float) -> float:
        return float(1.5e-10 * (t / 300) ** 0.5 * np.exp(-4000 / t))

    first, second = "H2 + C+ -> CH+ + H", "CH+ + e- -> C + H"
    clamp, extrapolate, zero = (umist.read(umist_file, outside=o) for o in ("clamp", "extrapolate", "zero"))
    for t in (50.0, 300.0, 1000.0, 1040.0, 1060.0, 1100.0, 5000.0, 30000.0):
        limits = (50, 1000) if t < 1048 else (1100, 30000)
        assert rate(clamp, second, t) == pytest.approx(
            two_pieces(t)
            if limits[0] <= t <= limits[1]
            else {1040.0: two_pieces(1000.0), 1060.0: two_pieces(1100.0)}[t]
        )
        assert rate(extrapolate, second, t) == pytest.approx(two_pieces(t))
        assert rate(zero, second, t) > 0
    assert rate(clamp, first, 5.0) == pytest.approx(one(20.0))
    assert rate(clamp, first, 1e5) == pytest.approx(one(2000.0))
    assert rate(extrapolate, first, 1e5) == pytest.approx(one(1e5))
    assert [rate(zero, first, t) > 0 for t in (19.9, 20.0, 2000.0, 2000.1)] == [False, True, True, False]
    assert {r.law.name for r in extrapolate.reactions if len(r.reactants) == 2} == {
        "arrhenius",
        "arrhenius_range",
        "grain",
    }
    with pytest.raises(NetworkError, match="clamp, extrapolate or zero"):
        umist.read(umist_file, outside="bounce")  # type: ignore[arg-type]


def test_unbalanced_reactions_are_listed(umist_file: Path) -> None:
    bad = '11:NN:C:O:CO:H:::1:1e-17:0:0:10:300:L:C:"":"":\n12:NN:C+:O:CO:::::1:1e-17:0:0:10:300:L:C:"":"":\n'
    umist_file.write_text(UMIST + bad.replace(":::::1", "::::1"), encoding="utf-8")
    with pytest.raises(NetworkError, match=r"(?s)2 reactions are not balanced.*:11: C \+ O.*H \+1.*:12: .*charge -1"):
        umist.read(umist_file)
    net = umist.read(umist_file, drop_unbalanced=True)
    assert net.n_reactions == 12
    assert sum("not balanced" in line for line in net.source) == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1:NN:C:O:CO", ":1: not a reaction in UMIST's format"),
        ("1:NN:C:O:CO::::1:x:0:0:10:300:L:C::", ":1: not a reaction in UMIST's format"),
        ("1:NN:C:O:CO::::0:1e-17:0:0:10:300:L:C::", ":1: the reaction has no temperature range"),
        ("1:PH:C:CRP:C+:e-:::1:1e-17:0:0:10:300:L:C::", ":1: type PH with the reactants CRP, expected PHOTON"),
        ("1:NN:C:O:CO::::1:1e-17:0:0:300:10:L:C::", ":1: the temperature ranges are empty"),
        ("1:NN:c:O:CO::::1:1e-17:0:0:10:300:L:C::", ':1: species "c" is not a chemical formula'),
    ],
)
def test_bad_umist_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "bad.rates"
    path.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(NetworkError, match=message):
        umist.read(path)
    with pytest.raises(NetworkError, match="an albedo lies between 0 and 1"):
        umist.read(path, omega=1.0)


# --- KIDA -------------------------------------------------------------------------------------------------------------


def test_kida(kida_file: Path) -> None:
    net = kida.read(kida_file)
    assert net.n_reactions == 11
    assert "GRAIN" in net.elements
    assert net.species[net.species_index("c-C3H")].elements == {"C": 3, "H": 1}
    assert rate(net, "H2 -> H2+ + e-", 10.0, zeta=1e-17) == pytest.approx(0.93e-17)
    assert rate(net, "c-C3H -> C3 + H", 10.0, zeta=1e-17) == pytest.approx(1e-14)
    assert rate(net, "C3 -> C3+ + e-", 10.0, A_V=1.0, G0=2.0) == pytest.approx(4e-10 * np.exp(-2.5))
    assert rate(net, "C3+ + e- -> C3", 1200.0) == pytest.approx(1.1e-7 * 0.5)
    assert rate(net, "H2+ + e- -> H + H", 1200.0) == pytest.approx(1.6e-8)  # clamped to 300 K
    assert rate(net, "H2O+ + GRAIN- -> H2O + GRAIN0", 1200.0) == pytest.approx(2.6e-5)

    def ionpol1(t: float) -> float:
        return float(1e-9 * (0.62 + 0.4767 * 2.1 * np.sqrt(300 / t)))

    def ionpol2(t: float) -> float:
        return float(1e-9 * (1 + 0.0967 * 2.1 * np.sqrt(300 / t) + 2.1**2 / 10.526 * 300 / t))

    for t, expected in ((5.0, ionpol1(10)), (100.0, ionpol1(100)), (329.2, ionpol1(329)), (400.0, ionpol2(400))):
        assert rate(net, "C3+ + H2O -> C3 + H2O+", t) == pytest.approx(expected)


def test_a_mistaken_kida_formula_is_mended_and_listed(tmp_path: Path) -> None:
    path = tmp_path / "mistaken.dat"
    rows = kida_row("C3 H3+", "C3H3+", "1.0e+00 1.45e-09 1.5", 4, "10 800", 3, 1)
    rows += kida_row("C3 H2+", "C3H2+", "1.0e-03 1.0e-09 0", 4, "10 800", 3, 2)  # no mistake that can be told
    path.write_text(rows, encoding="utf-8")
    net = kida.read(path)
    s = 1.5 * np.sqrt(300 / 20)
    assert rate(net, "C3 + H3+ -> C3H3+", 20.0) == pytest.approx(1.45e-9 * (1 + 0.0967 * s + s**2 / 10.526))
    assert rate(net, "C3 + H2+ -> C3H2+", 20.0) == pytest.approx(1e-3)
    assert [line for line in net.source if "read as formula" in line] == [
        "line 1: formula 3 with alpha 1, beta 1.45e-09 read as formula 5"
    ]


def test_bad_kida_lines(tmp_path: Path) -> None:
    path = tmp_path / "bad.dat"
    for row, message in (
        ("C O CO\n", ":1: not a reaction in KIDA's format"),
        (kida_row("C O", "CO", "1 0 0", 4, "10 300", 6, 1), ":1: formula 6 of type 4 is not known"),
        (kida_row("C O", "C", "1 0 0", 4, "10 300", 3, 1), "1 reactions are not balanced"),
    ):
        path.write_text(row, encoding="utf-8")
        with pytest.raises(NetworkError, match=message):
            kida.read(path)


# --- what follows from the laws ---------------------------------------------------------------------------------------


def test_symmetry_and_text(umist_file: Path, kida_file: Path) -> None:
    for net in (umist.read(umist_file), kida.read(kida_file)):
        assert net.symmetry is not None
        assert net.symmetry.exponents == {"zeta": 1, "A_V": 0, "G0": 1}
        assert net.reduced_conditions == ("T", "zeta/n_H", "A_V", "G0/n_H")
        copy = parse_network(net.text())
        assert copy.hash == net.hash
        np.testing.assert_array_equal(copy.tables().parameters, net.tables().parameters)
        np.testing.assert_array_equal(copy.tables().composition, net.tables().composition)


def test_one_species_on_grains() -> None:
    head = "pychemsurrogate network 1\nname: x\nspecies: H C CH\nreactions:\n"
    with pytest.raises(NetworkError, match="takes one species alone"):
        parse_network(head + "H + C -> CH | grain | 1e-17 0.5\n")


@pytest.mark.parametrize("database", ["umist", "kida"])
@pytest.mark.parametrize("outside", ["clamp", "extrapolate", "zero"])
def test_native_has_the_same_rates(database: str, outside: str, umist_file: Path, kida_file: Path) -> None:
    path = umist_file if database == "umist" else kida_file
    net = load_network(path, database, outside=outside)
    solver = open_network(net)
    rng = np.random.default_rng(5)
    for temperature in (4.0, 10.0, 77.0, 300.0, 329.4, 329.6, 1040.0, 1060.0, 5e4):
        n = 10.0 ** rng.uniform(-8, 4, net.n_species)
        values = {"zeta": 3e-16, "A_V": 0.7, "G0": 200.0}
        k = net.rate_coefficients(temperature, values)
        expected = net.rhs(n, k)
        scale = np.abs(net._stoichiometry) @ np.abs(k * net._factors(n).prod(axis=1))
        got = solver.rhs(n, temperature, np.array([values[name] for name in net.conditions]))
        np.testing.assert_array_less(np.abs(got - expected), 1e-13 * scale + 1e-300)


@pytest.mark.parametrize("database", ["umist", "kida"])
def test_native_solves_them(database: str, umist_file: Path, kida_file: Path) -> None:
    net = load_network(umist_file if database == "umist" else kida_file)
    n = np.full((6, net.n_species), 1e-8)
    n[:, net.species_index("H")], n[:, net.species_index("H2")] = 60.0, 20.0
    ions = net.tables().composition[-1] @ n[0]
    n[:, net.species_index("e-")] += ions
    given = {"zeta": np.geomspace(1e-17, 1e-14, 6), "A_V": np.linspace(0, 5, 6), "G0": np.geomspace(1e3, 1, 6)}
    dt, temperature = np.geomspace(1e6, 1e14, 6), np.geomspace(8, 900, 6)
    expected, status = ScipyBDF(net, rtol=1e-8, atol=1e-22).advance(n, dt, temperature, given)
    assert np.all(status >= 0)
    found, status = NativeRosenbrock(net, rtol=1e-6, atol=1e-18).advance(n, dt, temperature, given)
    assert np.all(status >= 0)
    held = expected > 1e-10
    np.testing.assert_allclose(found[held], expected[held], rtol=2e-4)
    assert conservation_defect(found, n, net.tables().composition).max() < 1e-13


# --- sub-networks -----------------------------------------------------------------------------------------------------


def test_restricted_networks_are_closed(umist_file: Path) -> None:
    net = umist.read(umist_file)
    # Without O, CO goes; O itself is neither formed nor destroyed then.
    part = net.restricted(["H", "C"], max_heavy_atoms=1)
    assert set(part.species_names) == {"H2", "C+", "CH+", "H", "e-", "C", "H2+", "CH"}
    assert part.n_reactions == net.n_reactions - 2
    assert net.restricted().n_species == net.n_species
    # Of H alone: H2+ and e- form and recombine.
    assert set(net.restricted(["H"]).species_names) == {"H", "H2", "H2+", "e-"}
    assert net.restricted(["H"]).conditions == ("zeta",)
    shielded = net.restricted(without_laws=["photo"])
    assert shielded.conditions == ("zeta",)
    assert {r.law.name for r in net.reactions} - {r.law.name for r in shielded.reactions} == {"photo"}
    assert shielded.source[-1].endswith("without photo reactions")
    with pytest.raises(NetworkError, match="no reaction of the law photo"):
        shielded.restricted(without_laws=["photo"])
    with pytest.raises(NetworkError, match="has no Fe; its elements are C, H, O"):
        net.restricted(["H", "Fe"])
    with pytest.raises(NetworkError, match="at least one species"):
        net.restricted(["O"])


def test_command_detects_the_format(umist_file: Path, kida_file: Path) -> None:
    for path, text in ((umist_file, "12 reactions"), (kida_file, "11 reactions")):
        result = CliRunner().invoke(main, ["network", str(path)])
        assert result.exit_code == 0, result.output
        assert text in result.output
        assert "T, zeta/n_H, A_V, G0/n_H and n_H dt alone" in result.output
    result = CliRunner().invoke(main, ["network", str(umist_file), "--format", "umist", "--elements", "H"])
    assert "4 species" in result.output
    result = CliRunner().invoke(main, ["network", "osu_09_2008", "--outside", "zero"])
    assert result.exit_code == 1
    assert "does not take the options outside" in result.output


def test_twenty_elements_are_conserved() -> None:
    elements = [
        "H",
        "He",
        "Li",
        "C",
        "N",
        "O",
        "F",
        "Ne",
        "Na",
        "Mg",
        "Al",
        "Si",
        "P",
        "S",
        "Cl",
        "Ar",
        "K",
        "Ca",
        "Ti",
        "Fe",
    ]
    lines = ["H + H -> H2 | grain | 5e-17 0.5", "H2 -> H + H | photo | 3e-11 2.5"]
    names = ["H", "H2", "e-"]
    for e in elements:
        names += [e, f"{e}+"] if e != "H" else ["H+"]
        lines += [f"{e} -> {e}+ + e- | photo | 1e-10 2", f"{e}+ + e- -> {e} | arrhenius | 4e-12 -0.6 0"]
        if e not in ("H", "O"):
            names += [f"{e}O", f"{e}OH+"]
            lines += [
                f"{e} + O -> {e}O | arrhenius | 1e-11 0 0",
                f"{e}O + H+ -> {e}OH+ | arrhenius | 1e-9 -0.5 0",
                f"{e}OH+ + e- -> {e} + O + H | arrhenius | 1e-7 -0.5 0",
            ]
    head = f"pychemsurrogate network 1\nname: many\nconditions: A_V G0\nspecies: {' '.join(names)}\nreactions:\n"
    net = parse_network(head + "\n".join(lines) + "\n")
    assert len(net.elements) == 20
    rng = np.random.default_rng(6)
    n = 10.0 ** rng.uniform(-9, -3, (32, net.n_species))
    n[:, net.species_index("H")] = 1e2
    n[:, net.species_index("e-")] = 0
    n[:, net.species_index("e-")] = n @ net.tables().composition[-1]
    given = {"A_V": rng.uniform(0, 4, 32), "G0": 10.0 ** rng.uniform(0, 4, 32)}
    found, status = NativeRosenbrock(net).advance(n, 10.0 ** rng.uniform(6, 13, 32), rng.uniform(10, 300, 32), given)
    assert np.all(status >= 0)
    assert np.any(np.abs(np.log10(found / n)) > 1)
    assert conservation_defect(found, n, net.tables().composition).max() < 1e-14


def test_more_than_a_hundred_species() -> None:
    """From here on nearly full rows of the matrix are stored and factorised as full ones (native/src/plan.cpp)."""
    rng = np.random.default_rng(7)
    sizes = [(carbon, hydrogen) for carbon in range(1, 13) for hydrogen in range(10)]

    def formula(carbon: int, hydrogen: int) -> str:
        return "C" + (str(carbon) if carbon > 1 else "") + ("H" + str(hydrogen).replace("1", "") if hydrogen else "")

    lines = []
    for _ in range(700):  # two molecules exchange some of their atoms
        (a, b), (c, d) = rng.choice(sizes, 2)
        left = rng.integers(1, a + c), rng.integers(max(0, b + d - 9), min(9, b + d) + 1)
        right = a + c - left[0], b + d - left[1]
        if max(left[0], right[0]) <= 12 and {(a, b), (c, d)} != {left, right}:
            reactants, products = (
                f"{formula(*one)} + {formula(*two)}" for one, two in (((a, b), (c, d)), (left, right))
            )
            lines.append(f"{reactants} -> {products} | arrhenius | {10.0 ** rng.uniform(-13, -9):.3e} 0 0")
    names = " ".join(formula(*size) for size in sizes)
    net = parse_network(
        f"pychemsurrogate network 1\nname: many\nspecies: {names}\nreactions:\n" + "\n".join(lines) + "\n"
    )
    n = 10.0 ** rng.uniform(-3, 2, (9, net.n_species))
    dt = np.geomspace(1e3, 1e10, 9)
    expected, status = ScipyBDF(net, rtol=1e-8, atol=1e-22).advance(n, dt, 50.0, {})
    assert np.all(status >= 0)
    tight = NativeRosenbrock(net, rtol=1e-6, atol=1e-18)
    found, status = tight.advance(n, dt, 50.0, {})
    assert np.all(status >= 0)
    assert np.any(np.abs(np.log10(found / n)) > 1)
    held = expected > 1e-10
    np.testing.assert_allclose(found[held], expected[held], rtol=2e-4)
    backwards, _ = tight.advance(n[::-1].copy(), dt[::-1].copy(), 50.0, {})
    assert backwards[::-1].tobytes() == found.tobytes()


@pytest.mark.parametrize("database", ["umist", "kida"])
def test_a_solved_cell_scales(database: str, umist_file: Path, kida_file: Path) -> None:
    net = load_network(umist_file if database == "umist" else kida_file)
    n = np.full((1, net.n_species), 1e-7)
    n[:, net.species_index("H")] = 50.0
    n[:, net.species_index("e-")] += net.tables().composition[-1] @ n[0]
    scale = 2.0**7
    base, _ = NativeRosenbrock(net).advance(n, 1e12, 80.0, {"zeta": 1e-16, "A_V": 1.5, "G0": 30.0})
    at = {"zeta": scale * 1e-16, "A_V": 1.5, "G0": scale * 30.0}
    scaled, _ = NativeRosenbrock(net).advance(scale * n, 1e12 / scale, 80.0, at)
    assert np.any(np.abs(base / n - 1) > 0.1)
    held = base > 1e-12 * n.sum()
    np.testing.assert_allclose(scaled[held], scale * base[held], rtol=1e-9)
