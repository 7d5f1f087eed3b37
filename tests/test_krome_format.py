"""KROME network files: what they say becomes our laws; what cannot be served is refused with its line."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from krome_files import PRIMORDIAL, in_krome_format

from pychemsurrogate.cli import main
from pychemsurrogate.integrators import NativeRosenbrock
from pychemsurrogate.network import Network, NetworkError, load_network, parse_network
from pychemsurrogate.network.formats.krome import KromeNetwork, parse_krome, read_krome, species_of


def read(text: str) -> KromeNetwork:
    return parse_krome(text, "file.ntw", "test")


@pytest.fixture(scope="module")
def primordial() -> KromeNetwork:
    return read(PRIMORDIAL)


@pytest.fixture(scope="module")
def krome_osu(osu: Network, tmp_path_factory: pytest.TempPathFactory) -> KromeNetwork:
    path = tmp_path_factory.mktemp("krome") / "osu.ntw"
    path.write_text(in_krome_format(osu))
    return read_krome(path)


# --- the shipped network ------------------------------------------------------------------------------------------


def test_osu_is_the_shipped_network(osu: Network, krome_osu: KromeNetwork) -> None:
    network = krome_osu.network
    assert dict(krome_osu.commons) == {"user_crate": "zeta"}
    assert network.conditions == ("zeta",)
    for ours, theirs in zip(osu.reactions, network.reactions, strict=True):
        assert (ours.equation, ours.law, ours.parameters) == (theirs.equation, theirs.law, theirs.parameters)
    assert network.symmetry == osu.symmetry
    T = np.geomspace(5, 1e4, 40)
    k = [net.rate_coefficients(T, {"zeta": 3e-17}) for net in (osu, network)]
    np.testing.assert_array_equal(*k)
    # In the shipped order and under its name it is the same network, hash and all.
    same = Network(osu.name, osu.species, network.reactions, network.conditions, osu.source)
    assert same.hash == osu.hash


def test_osu_steps_bit_for_bit(
    osu: Network, krome_osu: KromeNetwork, cells: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
) -> None:
    n, dt, T, zeta = cells
    same = Network(osu.name, osu.species, krome_osu.network.reactions, krome_osu.network.conditions, osu.source)
    steps = [NativeRosenbrock(net).advance(n, dt, T, {"zeta": zeta[:, 0]}) for net in (osu, same)]
    for ours, theirs in zip(*steps, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_species_come_in_kromes_order(krome_osu: KromeNetwork, primordial: KromeNetwork) -> None:
    charges = [s.charge for s in krome_osu.network.species]
    assert charges == sorted(charges)
    assert charges[0] == -1
    assert krome_osu.species[:6] == ("E", "H", "H2", "C", "O", "CH")
    assert krome_osu.network.species_names[:3] == ("e-", "H", "H2")
    # By charge, then as the file first names them; the @ghost at its head comes first of its charge.
    assert primordial.species == ("E", "H-", "H", "HE", "H2", "H2+", "H+", "HE+")
    assert primordial.network.species_names == ("e-", "H-", "H", "He", "H2", "H2+", "H+", "He+")


# --- a network with every feature ---------------------------------------------------------------------------------


def ln_electronvolts(T: float) -> float:
    return math.log(T * 8.617343e-5)


def collisional(T: float) -> float:
    e = ln_electronvolts(T)
    return math.exp(-32.71 + 13.54 * e - 5.739 * e**2 + 1.563 * e**3 - 0.2877 * e**4)


def recombination(T: float) -> float:
    e = ln_electronvolts(T)
    return math.exp(-28.61 - 0.7241 * e - 2.026e-2 * e**2)


# The rates of PRIMORDIAL by hand: f(T, zeta, A_V, user_boost, n_H).
RATES: list[Callable[[float, float, float, float, float], float]] = [
    lambda T, z, a, b, n: collisional(T),
    lambda T, z, a, b, n: 3.92e-13 * (1 / (T * 8.617343e-5)) ** 0.6353 if T < 5500 else 0.0,
    lambda T, z, a, b, n: recombination(T) if T > 5500 else 0.0,
    lambda T, z, a, b, n: 0.46 * z,
    lambda T, z, a, b, n: 0.5 * z * (1 + b),
    lambda T, z, a, b, n: 1.4e-18 * T**0.928 * math.exp(-T / 16200),
    lambda T, z, a, b, n: 1.43e-9 if T <= 1160 else 0.0,
    lambda T, z, a, b, n: 10 ** (-8.8 - 0.03 * math.log10(T) ** 2) if T > 1160 else 0.0,
    lambda T, z, a, b, n: (3e-12 if T < 200 else 2.5e-12) * (T / 300) ** -0.7,
    lambda T, z, a, b, n: 5.2e-17 * math.sqrt(T / 300),
    lambda T, z, a, b, n: max(1e-7 / math.sqrt(T / 300), 2e-8) * b,
    lambda T, z, a, b, n: 3.3e-11 * math.exp(-3.5 * a),
    lambda T, z, a, b, n: 1e-8 / math.sqrt(T / 300) * math.exp(-5.2e4 / T) * n,
    lambda T, z, a, b, n: min(1e-15, math.tanh(1e-7 * T) * z),
    lambda T, z, a, b, n: 1e-16 * T * 3.3333333333333333e-3,
    lambda T, z, a, b, n: 2e-7 / math.sqrt(T / 300),
]  # fmt: skip


def test_rates_of_every_shape(primordial: KromeNetwork) -> None:
    rng = np.random.default_rng(5)
    network = primordial.network
    assert network.conditions == ("zeta", "A_V", "user_boost")
    assert dict(primordial.commons) == {"user_crate": "zeta", "user_Av": "A_V", "user_boost": "user_boost"}
    for _ in range(200):
        T, z, a, b, n = (
            10 ** rng.uniform(0.5, 5),
            10 ** rng.uniform(-18, -14),
            rng.uniform(0, 5),
            rng.uniform(0, 3),
            1e3,
        )
        k = network.rate_coefficients(T, {"zeta": z, "A_V": a, "user_boost": b}, n)
        expected = [rate(T, z, a, b, n) for rate in RATES]
        np.testing.assert_allclose(k, expected, rtol=1e-13, atol=1e-200)


def test_closed_laws_are_found(primordial: KromeNetwork) -> None:
    laws = [r.law.name for r in primordial.network.reactions]
    assert laws == ["expression", "arrhenius_range", "expression", "cosmic_ray", "expression", "expression",
                    "arrhenius_range", "expression", "expression", "grain", "expression", "expression", "expression",
                    "expression", "arrhenius", "arrhenius"]  # fmt: skip
    assert primordial.reactions[0] == "H + E -> H+ + E + E"
    assert primordial.reactions[5] == "H + E -> H- + G"
    assert primordial.network.reactions[5].equation == "H + e- -> H-"
    assert primordial.network.reactions[9].equation == "H + H -> H2"


def test_canonical_text_keeps_the_network(primordial: KromeNetwork) -> None:
    network = primordial.network
    again = parse_network(network.text())
    assert again.hash == network.hash
    assert again.reactions == network.reactions
    given = {"zeta": 1e-17, "A_V": 1.0, "user_boost": 2.0}
    np.testing.assert_array_equal(
        again.rate_coefficients(90.0, given, 1e4), network.rate_coefficients(90.0, given, 1e4)
    )


def test_default_format_and_case() -> None:
    text = "1,h,h,,h2,,,,10,NONE,1d-17*TGAS*INVT\n\n2,H2,,,H,H,,,N/A,.LE.1d4,1D-11*T32**2\n"
    network = read(text).network
    assert [r.law.name for r in network.reactions] == ["arrhenius_range", "arrhenius_range"]
    assert network.reactions[0].parameters[5:] == (10.0, 1e10)
    assert network.reactions[1].parameters[6] == math.nextafter(1e4, math.inf)


@pytest.mark.parametrize(
    ("tmin", "tmax", "inside"),
    [
        ("10", "20", lambda T: 10 <= T < 20),
        (">10", "<=20", lambda T: 10 < T <= 20),
        (".GT.1d1", ".lt.2.d1", lambda T: 10 < T < 20),
        (".GE.10", "NO", lambda T: T >= 10),
        ("", "20", lambda T: T < 20),
        ("<15", ">12", lambda T: 12 < T < 15),
    ],
)
def test_temperature_limits(tmin: str, tmax: str, inside: Callable[[float], bool]) -> None:
    for rate in ("1d-9", "1d-9*max(T32,1d0)/max(T32,1d0)"):
        network = read(f"@format:idx,R,R,P,Tmin,Tmax,rate\n1,H,H,H2,{tmin},{tmax},{rate}").network
        for T in (9.0, 10.0, np.nextafter(10, 11), 12.0, 13.0, 15.0, np.nextafter(20, 0), 20.0, np.nextafter(20, 21)):
            assert network.rate_coefficients(T, {})[0] == (1e-9 if inside(T) else 0.0)


def test_names_of_conditions_can_be_chosen(tmp_path: Path) -> None:
    path = tmp_path / "net"
    path.write_text("@common:user_zz\n@format:idx,R,P,P,rate\n1,H,H+,E,0.46d0*user_ZZ\n")
    assert load_network(path, format="krome").conditions == ("user_zz",)
    network = load_network(path, format="krome", conditions={"user_zz": "zeta"}, name="mine")
    assert network.reactions[0].law.name == "cosmic_ray"
    assert network.name == "mine"


@pytest.mark.parametrize(("reactants", "over"), [("H,H", "/n(idx_H)"), ("H,{H}", "")])
def test_formation_on_grains(reactants: str, over: str) -> None:
    """A sticking coefficient in the rate: it is k n(H), whichever way it is spelt."""
    text = f"@common:user_Tdust\n@format:R,R,P,rate\n@var:s=1d0+0.04d0*sqrt(Tgas+user_Tdust)\n{reactants},H2,"
    network = read(f"{text}3d-18*sqrt(Tgas)/s{over}*get_Hnuclei(n(:))\n").network
    assert network.reactions[0].law.name == "grain_expression"
    n, T, dust = np.array([7e2, 50.0]), 80.0, 15.0
    n_H = n @ network.tables().scale_weights
    rate = 3e-18 * math.sqrt(T) / (1 + 0.04 * math.sqrt(T + dust)) * n_H * n[0]
    k = network.rate_coefficients(T, {"user_Tdust": dust}, n_H)
    np.testing.assert_allclose(network.rhs(n, k), [-2 * rate, rate], rtol=1e-14)
    np.testing.assert_allclose(network.jacobian(n, k), np.array([[-2, 0], [1, 0]]) * rate / n[0], rtol=1e-14)
    assert parse_network(network.text()).hash == network.hash
    assert network.symmetry is not None


def test_coefficients_of_earlier_reactions() -> None:
    network = read("@format:R,R,P,Tmin,Tmax,rate\nH,H,H2,10,20,3d-9*T32\nD,D,D2,,,2d0*k(1)\n").network
    k = network.rate_coefficients(np.array([5.0, 15.0]), {})
    np.testing.assert_allclose(k, [[0.0, 0.0], [1.5e-10, 3e-10]], rtol=1e-15)


def test_species_without_mass() -> None:
    network = read("@format:idx,R,P,P,rate\n1,FK1,FK2,,1d0\n2,FK2,FK3,,0.5d0\n").network
    n, status = NativeRosenbrock(network, rtol=1e-8, atol=1e-20).advance([[1.0, 0.0, 0.0]], 2.0, 10.0, {})
    assert status[0] > 0
    np.testing.assert_allclose(n[0, :2], [math.exp(-2), 2 * (math.exp(-1) - math.exp(-2))], rtol=1e-6)


def test_species_names() -> None:
    expected = {
        "E": "e-", "E-": "e-", "H-": "H-", "HE++": "He++", "CO": "CO", "SICH2+": "SiCH2+", "NACL": "NaCl", "HD": "HD",
        "C_C3H2": "c-C3H2", "L_C3H": "l-C3H", "HCO+": "HCO+", "FE": "Fe", "MGH": "MgH", "CH3OH": "CH3OH",
        "[13C]O": "[13C]O", "[13C][18O]+": "[13C][18O]+", "H2_ORTHO": "H2_ortho", "O(1D)": "O(1D)", "GRAIN-": "GRAIN-",
    }  # fmt: skip
    for spelling, ours in expected.items():
        assert species_of(spelling).name == ours
    assert species_of("[13C]O").elements == {"13C": 1, "O": 1}
    assert species_of("O(1D)").elements == {"O": 1}
    assert species_of("[13C]O").mass_g == pytest.approx(29.0023 * 1.66054e-24, rel=1e-5)
    assert species_of("D2+").elements == {"D": 2}
    assert species_of("D2+").charge == 1


def test_auto_detection_and_command_line(tmp_path: Path) -> None:
    for name, text in {
        "a.ntw": PRIMORDIAL,
        "b.dat": "// note\n1,H,H,,H2,,,,,,1d-17\n",
        "c": "1,H,H,,H2,,,,,,1d-17\n",
    }.items():
        (tmp_path / name).write_text(text)
        assert load_network(tmp_path / name).n_reactions in (1, 16)
    result = CliRunner().invoke(main, ["network", str(tmp_path / "a.ntw"), "--format", "krome"])
    assert result.exit_code == 0
    assert "H- + H -> H2 + e-" in result.output
    assert "merge(" in result.output
    (tmp_path / "bad.ntw").write_text("@format:idx,R,R,P,rate\n1,H,H,H2,1d-9*Tx\n")
    result = CliRunner().invoke(main, ["network", str(tmp_path / "bad.ntw")])
    assert result.exit_code == 1
    assert 'bad.ntw:2: rate: in the expression "1d-9*Tx"' in result.output
    (tmp_path / "latin.ntw").write_bytes(b"# \xe9\n@format:R,R,P,rate\nH,H,H2,1d-9 !\xe9\n")
    assert load_network(tmp_path / "latin.ntw").n_reactions == 1


# --- refusals -----------------------------------------------------------------------------------------------------

HEAD = "@format:idx,R,R,P,P,Tmin,Tmax,rate\n"
REFUSED = {
    "@photo_start\n": ":2: @photo_start is not supported: photochemistry",
    "@PHOTO_BEGIN\n": ":2: @PHOTO_BEGIN is not supported",
    "@xray_start\n": "X-ray",
    "@surface_start\n": "surface chemistry",
    "@surface:H,H,H2,1,1d-3\n": "@surface is not supported",
    "@ice:CO,freezeout,1d-3\n": "ices",
    "@cooling_start\n": "cooling",
    "@cooling:1d-27*n(idx_H)\n": "cooling",
    "@heating_start\n": "heating",
    "@reactionModifier_start\nk(:)=0\n": "@reactionModifier_start is not supported: Fortran that changes rates",
    "@ODEModifier_start\n": "changes the equations",
    "@tabvar:a=file.dat,Tgas,user_x\n": "tables",
    "@group:one\n": "groups",
    "@next_solomon\n": "Solomon",
    "@xsecFile=SWRI\n": "@xsecFile=SWRI is not supported",
    "@commons:user_x\n": "write @common",
    "@Format:R,P,rate\n": "@Format is not supported",
    "@CR\n": "@CR is not supported",
    "@anything:1\n": "@anything is not supported",
    "@format:idx,R,P\n": "the last item must be the rate",
    "@format:idx,R,S,rate\n": 'unknown item "s"',
    "@format:idx,R,P,qeff,rate\n": "qeff is not supported",
    "@format:idx,idx,R,P,rate\n": "idx is given twice",
    "@common:crate\n": "begins with user_",
    "@common:user_a b\n": "begins with user_",
    "@var:a\n": "expected name=expression",
    "@var:[nspec] m = get_mass()\n": "arrays are not supported",
    "@var:k=1d0\n": 'the name "k" is taken',
    "@var:exp=1d0\n": 'the name "exp" is taken',
    "@var:a=1d0\n@var:A=2d0\n": ":3: @var: \"A\" is given twice, differently",
    "@var:a=b\n": ':2: @var a: in the expression "b"',
    "@var:user_b=1\n@common:user_b\n": "is one of a @common variable",
    "@ghost:XYZ\n": ':2: the species "XYZ" is not supported',
    "/* a comment\n": ":2: the comment /* does not end",
    "1,H,H,H2\n": ":2: 4 fields where the format in force has 8",
    "1,H,H,H2,,,,\n": ":2: the rate is missing",
    "1,H,H,H2,,,,!note\n": ":2: the rate is missing",
    "1,H,H,H2,,,,auto\n": ":2: the rate auto is not supported",
    "1,H,H,H2,,,,1d-9*n(idx_H2)\n": "the density of a species (n(idx_H2)) is not supported",
    "1,H,H,H2,,,,1d-9*user_x\n": "declare it with @common:user_x",
    "1,H,H,H2,,,,krome_fshield(n,Tgas)\n": 'the function "krome_fshield" is not supported',
    "1,H,H,H2,,,,num2col(n(idx_H2),n(:))\n": 'the function "num2col" is not supported',
    "1,H,H,H2,,,,kooij(1d0,2d0)\n": "kooij() takes alpha, beta, gamma and Tgas",
    "1,H,H,H2,,,,get_Hnuclei(2)\n": "get_Hnuclei() takes n(:)",
    "1,H,H,H2,,,,if(Tgas>10) 1d-9\n": 'expected "if(condition): rate"',
    "1,H,H,H2,,,,if(Tgas): 1d-9\n": "is no condition",
    "1,H,H,H2,,,,if(Tgas<2): \n": "expected a number",
    "1,H,H,H2,,,,Tgas<2\n": "is a condition, not a number",
    "1,H,H,H2,,,,-1d-9\n": "negative",
    "1,H,H,H2,,,,1d0/3*2/4+1/3\n": "1d0 / 3d0",
    "1,H,H,H2,,ten,,1d-9\n": 'the temperature limit "TEN" is no number',
    "1,H,H,H2,,!=3,,1d-9\n": "is no number",
    "1,H,H,HE,,,,1d-9\n": "not balanced: products minus reactants: He +1, H -2",
    "1,H,E,H+,,,,1d-9\n": "not balanced: products minus reactants: charge +2",
    "1,H,H,,,,,1d-9\n": "has no product",
    "1,,,H,,,,1d-9\n": "0 reactants",
    "1,CR,g,H,,,,1d-9\n": "0 reactants",
    "1,FK1,H,H,,,,1d-9\n": "not balanced: products minus reactants: FK -1",
    "1,H,O,OH,,,,1d-9/n(idx_H)\n": "leaves out the density of a reactant",
    "1,H,H,H2,,,,1d-9/n(idx_H)**2\n": "the density of a species (n(idx_H)) is not supported",
    "1,H,H,H2,,,,1d-9/(1d0+n(idx_H))\n": "the density of a species (n(idx_H)) is not supported",
    "1,H,H,H2,,,,1d-9*sum(n(:))\n": 'the function "sum" is not supported',
    "1,H,H,H2,,,,1d-9*n(3)\n": "densities other than n(idx_X)",
    "1,H,H,H2,,,,k(1)\n": "the number of an earlier reaction",
    "1,H_ICE,H,H2,,,,1d-9\n": 'the species "H_ICE" is not supported',
    "1,PAH,E,PAH-,,,,1d-9\n": 'the species "PAH" is not supported',
    "1,H,{O},OH,,,,1d-9\n": "leaves out the density of a reactant",
    "1,H,H,{H2},,,,1d-9\n": "a product in braces",
    "1,O(1D),H,OH,,,,1d-9\n2,O,H,OH,,,,1d-9*get_Hnuclei(n(:)\n": ':3: rate: in the expression "1d-9*get_Hnuclei(n(:)"',
}  # fmt: skip


@pytest.mark.parametrize("lines", REFUSED, ids=[str(i) for i in range(len(REFUSED))])
def test_refusal(lines: str) -> None:
    with pytest.raises(NetworkError) as error:
        read(HEAD + lines)
    assert str(error.value).startswith("file.ntw:")
    assert REFUSED[lines] in str(error.value)


def test_hydrogen_nuclei_without_hydrogen() -> None:
    with pytest.raises(NetworkError, match="get_Hnuclei of a network without hydrogen"):
        read("@format:R,R,P,rate\nO,O,O2,1d-9*get_Hnuclei(n(:))\n")


def test_two_variables_for_one_condition() -> None:
    with pytest.raises(NetworkError, match="would both be the condition zeta"):
        parse_krome("@common:user_a,user_b\n", "f", "f", {"user_a": "zeta", "user_b": "zeta"})


def test_commons_hold_for_the_whole_file() -> None:
    file = read("@var:a=user_b\n@format:R,P,P,rate\nH,H+,E,a\n@common:user_b\n@common:user_c,user_b\n")
    assert file.network.conditions == ("user_b", "user_c")
    assert file.network.reactions[0].law.conditions == {"user_b": 1}


def test_empty_file() -> None:
    with pytest.raises(NetworkError, match="no reaction"):
        read("# nothing\n")


def test_broken_files_are_refused_and_nothing_else() -> None:
    """Lines damaged at random: a network or a NetworkError."""
    rng = random.Random(6)
    letters = "@:,(){}[]+-*/.!#<>=dDeEHTnif0129 \t|\\'\"$é"
    for _ in range(300):
        lines = PRIMORDIAL.splitlines()
        for _ in range(rng.randint(1, 3)):
            row = rng.randrange(len(lines))
            line = list(lines[row])
            for _ in range(rng.randint(1, 3)):
                at = rng.randrange(len(line) + 1)
                line[at : at + rng.randint(0, 3)] = rng.choice(letters)
            lines[row] = "".join(line)
        if rng.random() < 0.2:
            lines.pop(rng.randrange(len(lines)))
        with suppress(NetworkError):
            assert read("\n".join(lines)).network.n_species > 0
