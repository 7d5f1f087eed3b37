"""Networks: the objects, the file format, the tables, the right-hand side, the symmetry."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from pychemsurrogate.cli import main
from pychemsurrogate.network import (
    RATE_LAWS,
    Network,
    NetworkError,
    load_network,
    parse_network,
    shipped_networks,
    species_from_formula,
)
from pychemsurrogate.network.formats import native_text

HEADER = """pychemsurrogate network 1
name: small
conditions: zeta
species: H H+ H2 H2+ e-
reactions:
"""


def network_of(*reactions: str, header: str = HEADER) -> Network:
    return parse_network(header + "\n".join(reactions) + "\n", "small.network")


# --- species ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "elements", "charge"),
    [
        ("H", {"H": 1}, 0),
        ("H2", {"H": 2}, 0),
        ("H3O+", {"H": 3, "O": 1}, 1),
        ("HCO+", {"H": 1, "C": 1, "O": 1}, 1),
        ("CH3OH", {"C": 1, "H": 4, "O": 1}, 0),
        ("He++", {"He": 1}, 2),
        ("H-", {"H": 1}, -1),
        ("e-", {}, -1),
    ],
)
def test_formula(name: str, elements: dict[str, int], charge: int) -> None:
    species = species_from_formula(name)
    assert species.elements == elements
    assert species.charge == charge


def test_masses() -> None:
    # CODATA 2022: u = 1.66053906892e-24 g, m_e = 9.1093837139e-28 g; IUPAC 2021: C 12.011, O 15.999.
    assert species_from_formula("CO").mass_g == pytest.approx(28.010 * 1.66053906892e-24, rel=1e-12)
    electron = species_from_formula("e-").mass_g
    assert electron == pytest.approx(9.1093837139e-28, rel=1e-12)
    difference = species_from_formula("H").mass_g - species_from_formula("H+").mass_g
    assert difference == pytest.approx(electron, rel=1e-9)


@pytest.mark.parametrize("name", ["", "h2", "H2 O", "2H", "Xx", "H+-", "e"])
def test_no_formula(name: str) -> None:
    with pytest.raises(NetworkError):
        species_from_formula(name)


def test_latex(osu: Network) -> None:
    assert species_from_formula("H3O+").latex == r"\mathrm{H_{3}O^{+}}"
    reaction = osu.reactions[0]
    assert reaction.equation == "H + H -> H2"
    assert reaction.latex == r"\mathrm{H} + \mathrm{H} \rightarrow \mathrm{H_{2}}"
    assert reaction.rate_latex == r"k = 4.95 \times 10^{-17} (T / 300\,\mathrm{K})^{0.5}"
    assert osu.reactions[1].rate_latex == r"k = 1020\,\zeta"


# --- the shipped network ----------------------------------------------------------------------------------------------


def test_shipped_network(osu: Network) -> None:
    assert "osu_09_2008" in shipped_networks()
    assert (osu.n_species, osu.n_reactions) == (29, 224)
    assert osu.elements == ("C", "H", "O")
    assert osu.conditions == ("zeta",)
    assert sum(r.law.name == "cosmic_ray" for r in osu.reactions) == 18
    assert osu.species_names[osu.species_index("e-")] == "e-"
    with pytest.raises(KeyError, match="its species are C, C"):
        osu.species_index("N2")


def test_a_network_travels_between_processes(osu: Network) -> None:
    copy = pickle.loads(pickle.dumps(osu))
    assert copy.hash == osu.hash
    assert copy.species == osu.species
    assert len(set(osu.species) | set(copy.species)) == osu.n_species
    assert copy.reactions == osu.reactions


def test_every_reaction_is_balanced(osu: Network) -> None:
    tables = osu.tables()
    net = np.zeros((osu.n_reactions, osu.n_species))
    for sign, side in ((-1, tables.reactants), (1, tables.products)):
        for row, indices in enumerate(side):
            np.add.at(net[row], indices[indices >= 0], sign)
    np.testing.assert_array_equal(net @ tables.composition.T, 0.0)
    assert not any(reaction.imbalance() for reaction in osu.reactions)


def test_tables(osu: Network) -> None:
    t = osu.tables()
    assert t.species == osu.species_names
    assert t.conserved == ("C", "H", "O", "charge")
    assert t.composition.shape == (4, 29)
    assert t.reactants.shape == (224, 3)
    assert t.products.shape[0] == 224
    assert t.law.shape == (224,)
    assert t.law_conditions.shape == (224, 2)
    assert t.parameters.shape == (224, 7)
    assert {a.dtype for a in (t.reactants, t.products, t.law, t.law_conditions)} == {np.dtype(np.int32)}
    assert {a.dtype for a in (t.composition, t.scale_weights, t.parameters)} == {np.dtype(np.float64)}
    np.testing.assert_array_equal(t.scale_weights, t.composition[1])
    np.testing.assert_array_equal(t.law_conditions[:, 0], np.where(t.law == 1, 0, -1))
    np.testing.assert_array_equal(t.law_conditions[:, 1], -1)
    with pytest.raises(ValueError, match="read-only"):
        t.parameters[0, 0] = 1.0


# --- rates and the right-hand side ------------------------------------------------------------------------------------


def test_rate_coefficients(osu: Network) -> None:
    temperature, zeta = np.array([10.0, 50.0, 300.0]), 3e-17
    k = osu.rate_coefficients(temperature, {"zeta": zeta})
    assert k.shape == (3, 224)
    for i in (0, 1, 60, 150, 223):
        np.testing.assert_allclose(osu.reactions[i].rate(temperature, {"zeta": zeta}), k[:, i], rtol=1e-14)
    np.testing.assert_allclose(k[:, 0], 4.95e-17 * np.sqrt(temperature / 300.0), rtol=1e-14)
    np.testing.assert_allclose(k[:, 1], 1020 * zeta, rtol=1e-14)
    assert osu.rate_coefficients(10.0, {"zeta": np.full(4, zeta)}).shape == (4, 224)
    assert osu.rate_coefficients(10.0, {"zeta": zeta}).shape == (224,)
    with pytest.raises(KeyError, match="zeta"):
        osu.rate_coefficients(10.0, {})


def test_rhs_reaction_by_reaction(osu: Network) -> None:
    rng = np.random.default_rng(2)
    n = 10.0 ** rng.uniform(-8, 4, osu.n_species)
    k = osu.rate_coefficients(30.0, {"zeta": 1e-16})
    expected = np.zeros(osu.n_species)
    for reaction, rate in zip(osu.reactions, k, strict=True):
        speed = rate * np.prod([n[osu.species_index(s.name)] for s in reaction.reactants])
        for s in reaction.reactants:
            expected[osu.species_index(s.name)] -= speed
        for s in reaction.products:
            expected[osu.species_index(s.name)] += speed
    np.testing.assert_allclose(osu.rhs(n, k), expected, rtol=1e-10, atol=1e-14 * np.abs(expected).max())


def test_jacobian_by_complex_step(osu: Network) -> None:
    n = 10.0 ** np.random.default_rng(3).uniform(-8, 4, osu.n_species)
    k = osu.rate_coefficients(30.0, {"zeta": 1e-16})
    step = 1e-30
    columns = [np.imag(osu.rhs(n + 1j * step * unit, k)) / step for unit in np.eye(osu.n_species)]
    jacobian = osu.jacobian(n, k)
    np.testing.assert_allclose(jacobian, np.array(columns).T, rtol=1e-10, atol=1e-15 * np.abs(jacobian).max())


def test_three_bodies() -> None:
    net = network_of("H + H + H -> H2 + H | arrhenius | 2e-30 0 0")
    n = np.array([3.0, 0.0, 0.0, 0.0, 0.0])
    k = net.rate_coefficients(300.0, {"zeta": 0.0})
    np.testing.assert_allclose(net.rhs(n, k), [-2 * 2e-30 * 27, 0, 2e-30 * 27, 0, 0])
    np.testing.assert_allclose(net.jacobian(n, k)[0, 0], -2 * 2e-30 * 27)


def test_law_numbers_are_unique() -> None:
    assert [law.number for law in RATE_LAWS] == list(range(len(RATE_LAWS)))


# --- symmetry ---------------------------------------------------------------------------------------------------------


def test_symmetry_is_derived(osu: Network, decay_chain: Network) -> None:
    assert osu.symmetry is not None
    assert osu.symmetry.exponents == {"zeta": 1}
    assert osu.reduced_conditions == ("T", "zeta/n_H")
    assert decay_chain.symmetry is None
    assert decay_chain.reduced_conditions == ("T", "n_H")
    assert network_of("H + H -> H2 | arrhenius | 1e-17 0 0", "H2 -> H + H | arrhenius | 1e-9 0 0").symmetry is None
    assert network_of("H + H + H -> H2 + H | arrhenius | 1e-30 0 0").symmetry is None
    mixed = network_of("H2 -> H + H | cosmic_ray | 1", "H2 + H -> H + H + H | cosmic_ray | 1")
    assert mixed.symmetry is None


def test_the_right_hand_side_scales(osu: Network) -> None:
    n = 10.0 ** np.random.default_rng(4).uniform(-8, 4, osu.n_species)
    scale = 128.0
    base = osu.rhs(n, osu.rate_coefficients(30.0, {"zeta": 1e-16}))
    scaled = osu.rhs(scale * n, osu.rate_coefficients(30.0, {"zeta": scale * 1e-16}))
    np.testing.assert_allclose(scaled, scale**2 * base, rtol=1e-12, atol=1e-13 * np.abs(scaled).max())


# --- the file format --------------------------------------------------------------------------------------------------


def test_text_round_trip(osu: Network, robertson: Network, tmp_path: Path) -> None:
    for net in (osu, robertson):
        native_text.write(net, tmp_path / "copy.network")
        copy = load_network(tmp_path / "copy.network")
        assert copy.text() == net.text()
        assert copy.hash == net.hash
        assert copy.species == net.species
        np.testing.assert_array_equal(copy.tables().parameters, net.tables().parameters)
    assert osu.hash != robertson.hash


def test_comments_do_not_matter() -> None:
    plain = network_of("H + H -> H2 | arrhenius | 1e-17 0 0")
    noted = network_of("# formation on grains", "", "  H + H ->   H2|arrhenius|1.0E-17 0.0 0  ")
    assert noted.hash == plain.hash


@pytest.mark.parametrize(
    ("reaction", "message"),
    [
        ("H + H -> H2 + H | arrhenius | 1 0 0", r"small.network:6: .*not balanced.*H \+1"),
        ("H -> H+ | cosmic_ray | 1", r":6: .*charge \+1"),
        ("H + He -> H2 | arrhenius | 1 0 0", ':6: unknown species "He"'),
        ("H + H -> H2 | kooij | 1 0 0", ':6: unknown rate law "kooij"; the laws are arrhenius, cosmic_ray, '),
        ("H + H -> H2 | arrhenius | 1 0", r":6: .*takes 3 parameters \(alpha, beta, gamma\), not 2"),
        ("H + H -> H2 | arrhenius | 1 0 x", ":6: the parameters are not numbers"),
        ("H + H -> H2 | arrhenius | nan 0 0", ":6: .*not finite"),
        ("H + H = H2 | arrhenius | 1 0 0", ':6: expected "reactants -> products"'),
        ("H + H -> H2", r":6: expected .*law \| parameters"),
        ("H + H + H + H -> H2 + H2 | arrhenius | 1 0 0", ":6: .*1 to 3 reactants, not 4"),
        (" -> H2 | arrhenius | 1 0 0", ':6: unknown species ""'),
    ],
)
def test_bad_reaction_names_its_line(reaction: str, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        network_of(reaction)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("network 1", "network 2", "small.network:1: .*first line must be"),
        ("name: small\n", "", "the header has no line name"),
        ("species: H", "species: H H", "listed twice: H"),
        ("species:", "elements:", ":4: expected .* one of the keys"),
        ("conditions: zeta", "name: again", ':3: the key "name" is given twice'),
        ("conditions: zeta\n", "", 'reads the condition "zeta"'),
        ("H2+ e-", "Qq+ e-", 'no atomic weight is tabulated for the element "Qq"'),
        ("H2+ e-", "h2 e-", '"h2" is not a chemical formula'),
        ("reactions:\n", "", "expected"),
        ("species:", "define: A X=1 mass_g=1\nspecies:", "defined but not in the species list: A"),
        ("species:", "define: H X=1\nspecies:", 'species "H" has no mass_g'),
        ("species:", "define: H X=one mass_g=1\nspecies:", '"X=one" is not of the form'),
    ],
)
def test_bad_header(old: str, new: str, message: str) -> None:
    assert old in HEADER
    with pytest.raises(NetworkError, match=message):
        network_of("H -> H+ + e- | cosmic_ray | 1", header=HEADER.replace(old, new))


def test_empty_or_foreign_text() -> None:
    for text in ("", "\n\n", "H,H,H2\n"):
        with pytest.raises(NetworkError, match="not a network file"):
            parse_network(text)
    with pytest.raises(NetworkError, match='"reactions:" is missing'):
        parse_network("pychemsurrogate network 1\nname: x\nspecies: H\n")
    with pytest.raises(NetworkError, match="at least one species and one reaction"):
        network_of()


def test_unknown_network() -> None:
    with pytest.raises(NetworkError, match=r"neither a file nor a shipped network .*osu_09_2008"):
        load_network("osu_2009")


# --- the command ------------------------------------------------------------------------------------------------------


def test_command_prints_and_checks(osu: Network) -> None:
    result = CliRunner().invoke(main, ["network", "osu_09_2008"])
    assert result.exit_code == 0
    assert "29 species, 224 reactions" in result.output
    assert "every reaction conserves C, H, O, charge" in result.output
    assert "T, zeta/n_H and n_H dt alone" in result.output
    assert all(f" {reaction.equation} " in result.output for reaction in osu.reactions)
    canonical = CliRunner().invoke(main, ["network", "osu_09_2008", "--canonical"])
    assert canonical.output == osu.text()


def test_command_refuses(tmp_path: Path) -> None:
    bad = tmp_path / "bad.network"
    bad.write_text(HEADER + "H -> H2 | cosmic_ray | 1\n", encoding="utf-8")
    for argument, message in ((str(bad), "bad.network:6"), ("nowhere", "no network"), (str(tmp_path), "no network")):
        result = CliRunner().invoke(main, ["network", argument])
        assert result.exit_code == 1
        assert message in result.output
        assert "Traceback" not in result.output
