"""KROME network files (Grassi et al. 2014, MNRAS 439, 2386), read into the rate laws of this package.

What is read: comments, the default format and @format, @common, @var, temperature limits, rates that are Fortran
expressions of Tgas, its shortcuts, @var and @common names and get_Hnuclei(n(:)), and conditional rates. Blocks that
change nothing here (@CR, @noTab, @storeOnce) are passed over. All else is refused by name, with its line: nothing
that a file says is ignored. The 1e-40 that KROME adds to every coefficient is not added.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pychemsurrogate.network.formats.files import read_text
from pychemsurrogate.network.formula.parse import INTRINSICS, Parser, Special, parse
from pychemsurrogate.network.formula.shape import degree, with_value
from pychemsurrogate.network.formula.tree import DENSITY, TEMPERATURE, Node, call, name, number
from pychemsurrogate.network.network import Network
from pychemsurrogate.network.rate_laws.choose import grain_law_of, law_of
from pychemsurrogate.network.reaction import MAX_REACTANTS, Reaction
from pychemsurrogate.network.species import (
    ATOMIC_MASS_UNIT_G,
    ATOMIC_WEIGHTS_U,
    ELECTRON_MASS_G,
    NetworkError,
    Species,
    declared_species,
    species_from_formula,
)

# The names that our rate laws and models give to what these variables stand for.
CONDITION_OF: Final[Mapping[str, str]] = MappingProxyType({"user_crate": "zeta", "user_av": "A_V", "user_g0": "G0"})

_DEFAULT_FORMAT: Final = "idx,R,R,R,P,P,P,P,Tmin,Tmax,rate"
_NO_LIMIT: Final = frozenset({"", "NONE", "NO", "N", "N/A"})
_LIMIT: Final = re.compile(r"(<=|>=|<|>|\.(?:LE|GE|LT|GT)\.)?\s*(\d+\.?\d*(?:[DE][+-]?\d+)?|\.\d+(?:[DE][+-]?\d+)?)")
_CONDITION: Final = re.compile(r"if\s*(?=\()", re.IGNORECASE)

# Photons and cosmic rays, written as reactants: neither has a density.
_NO_SPECIES: Final = frozenset({"G", "CR"})

# Blocks and marks that change nothing for a solver without tables and thermal terms.
_PASSED: Final = frozenset({"cr", "notab", "storeonce"})
_REFUSED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "photo": "photochemistry by bins of the radiation field: give the rate as an expression of a @common variable",
        "xray": "X-ray rates: give the rate as an expression of a @common variable",
        "surface": "surface chemistry",
        "ice": "ices",
        "cooling": "cooling: the temperature is the host's",
        "heating": "heating: the temperature is the host's",
        "reactionmodifier": "Fortran that changes rates: write the changes into the rates",
        "odemodifier": "Fortran that changes the equations",
        "tabvar": "tables: give the variable as @common, and set it in the host",
        "group": "groups of reactions",
        "xsecfile": "cross sections: give the rate as an expression of a @common variable",
        "next_solomon": "the Solomon process by bins of the radiation field",
        "next_h2photodissociation": "photodissociation by bins of the radiation field",
        "commons": "a mark that KROME itself does not know: write @common",
    }
)

# KROME spells species in capitals; the longest element that fits is meant.
_ELEMENTS: Final = tuple(ATOMIC_WEIGHTS_U)
_SYMBOLS: Final = {element.upper(): element for element in _ELEMENTS}
_ISOTOPES: Final[Mapping[str, float]] = MappingProxyType(
    # mass in u (AME2020)
    {"13C": 13.0033548, "14C": 14.0032420, "15N": 15.0001089, "17O": 16.9991318, "18O": 17.9991596}
)
_ATOM: Final = rf"(?:\[(?P<isotope>{'|'.join(_ISOTOPES)})\]|(?P<element>{'|'.join(sorted(_SYMBOLS, key=len)[::-1])}))"
_PIECE: Final = re.compile(rf"{_ATOM}(?P<count>\d*)")
_UNNAMED: Final = re.sub(r"\?P<\w+>", "?:", _PIECE.pattern)
_SPELLING: Final = re.compile(
    rf"(?:(?P<isomer>[CL])_)?(?P<atoms>(?:{_UNNAMED})+)(?P<state>_ORTHO|_PARA|_\d|\(\d[A-Z]\))?(?P<charge>\++|-+|)"
)
_GRAIN: Final = re.compile(r"GRAIN([-+0])")
_GRAIN_MASS_G: Final = 1.26e-14  # 0.1 um and 3 g/cm^3, as in kida.py

# Names that KROME defines for every rate, as functions of the temperature.
_SHORTCUTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "logt": "log10(Tgas)",
        "lnt": "log(Tgas)",
        "te": "Tgas*8.617343d-5",
        "lnte": "log(Tgas*8.617343d-5)",
        "t32": "Tgas/3d2",
        "t3": "Tgas/3d2",
        "t4": "Tgas/1d4",
        "invt": "1d0/Tgas",
        "invtgas": "1d0/Tgas",
        "invt32": "1d0/(Tgas/3d2)",
        "invte": "1d0/(Tgas*8.617343d-5)",
        "sqrtgas": "sqrt(Tgas)",
        "invsqrt": "1d0/sqrt(Tgas)",
        "sqrt32": "sqrt(Tgas/3d2)",
        "invsqrt32": "1d0/sqrt(Tgas/3d2)",
        "tgas2": "Tgas**2",
        "tgas3": "Tgas**3",
        "tgas4": "Tgas**4",
        "t0": "288d0",
        "t02": "288d0**2",
        "t03": "288d0**3",
        "t04": "288d0**4",
        "t0inv": "1d0/288d0",
    }
)


@dataclass(frozen=True)
class KromeNetwork:
    """A KROME network file, and what a program needs that speaks to its users in KROME's terms.

    network      species in KROME's order (by charge, then by first appearance), reactions in the file's order
    commons      the @common variables in the file's order (as spelt there) -> the network's condition
    species      KROME's spelling of every species (capitals, "E"), in the network's order
    reactions    KROME's text of every reaction ("H + E -> H+ + E + E"), in the network's order
    """

    network: Network
    commons: Mapping[str, str]
    species: tuple[str, ...]
    reactions: tuple[str, ...]


def read(path: str | Path, *, name: str | None = None, conditions: Mapping[str, str] = CONDITION_OF) -> Network:
    """The network of a KROME file; as read_krome."""
    return read_krome(path, name=name, conditions=conditions).network


def read_krome(
    path: str | Path, *, name: str | None = None, conditions: Mapping[str, str] = CONDITION_OF
) -> KromeNetwork:
    """Read a KROME network file.

    name         of the network (default: the file's name)
    conditions   @common variable (in lower case) -> the network's name for it; others keep their own

    NetworkError names the file and the line; a missing file is an OSError.
    """
    path = Path(path)
    text = read_text(path, errors="replace")  # comments may hold anything
    return parse_krome(text, str(path), name or path.stem, conditions)


def parse_krome(text: str, label: str, network_name: str, conditions: Mapping[str, str] = CONDITION_OF) -> KromeNetwork:
    """As read_krome, from the text of a file; `label` tells in errors which text it is."""
    return _File(label, network_name, conditions, text).krome_network()


@dataclass(frozen=True)
class _Row:
    """A line with a reaction, split into its fields."""

    line: int
    reactants: tuple[str, ...]
    products: tuple[str, ...]
    limits: tuple[str, str]
    rate: str


@dataclass
class _File:
    label: str
    name: str
    condition_of: Mapping[str, str]
    text: str
    commons: dict[str, str] = field(default_factory=dict)
    names: dict[str, Node] = field(default_factory=dict)  # lower case -> what it stands for
    variables: dict[str, str] = field(default_factory=dict)  # lower case -> text
    rows: list[_Row] = field(default_factory=list)
    species: dict[str, Species] = field(default_factory=dict)  # KROME's spelling -> ours
    coefficients: list[Node] = field(default_factory=list)  # of the reactions so far

    def error(self, line: int, reason: str) -> NetworkError:
        return NetworkError(f"{self.label}:{line}: {reason}")

    def krome_network(self) -> KromeNetwork:
        for shortcut, formula in {"tgas": "Tgas", **_SHORTCUTS}.items():
            self.names[shortcut] = parse(formula, lambda word: name(TEMPERATURE) if word == "Tgas" else None)
        self._collect()
        if not self.rows:
            raise NetworkError(f"{self.label}: no reaction")
        reactions = [self._reaction(row) for row in self.rows]
        spelt = sorted(self.species, key=lambda s: self.species[s].charge)
        source = [f"{Path(self.label).name}, a KROME network file"]
        try:
            network = Network(
                self.name, [self.species[s] for s in spelt], reactions, list(self.commons.values()), source
            )
        except NetworkError as error:
            raise NetworkError(f"{self.label}: {error}") from None
        texts = tuple(f"{' + '.join(row.reactants)} -> {' + '.join(row.products)}" for row in self.rows)
        return KromeNetwork(network, MappingProxyType(dict(self.commons)), tuple(spelt), texts)

    # --- lines ------------------------------------------------------------------------------------------------

    def _lines(self) -> Iterator[tuple[int, str]]:
        """Lines without comments and blanks at their ends."""
        inside = 0
        for line, raw in enumerate(self.text.splitlines(), 1):
            content = raw.strip()
            if inside or content.startswith("/*"):
                inside = 0 if "*/" in content else inside or line
            elif content and not content.startswith(("#", "//")):
                yield line, content
        if inside:
            raise self.error(inside, "the comment /* does not end")

    def _collect(self) -> None:
        for line, content in self._lines():  # they hold for the whole file, wherever they stand
            mark, value = _mark(content)
            if mark == "common":
                self._common(line, value)
        fields = self._format(0, _DEFAULT_FORMAT)
        for line, content in self._lines():
            mark, value = _mark(content)
            if not mark:
                self.rows.append(self._row(line, content, fields))
                continue
            plain = re.sub(r"(?:_?next|_(?:start|begin|stop|end))$", "", mark, flags=re.IGNORECASE).lower()
            if mark.lower() in _REFUSED or plain in _REFUSED:
                key = mark.lower() if mark.lower() in _REFUSED else plain
                raise self.error(line, f"@{mark} is not supported: {_REFUSED[key]}")
            if mark == "format":
                fields = self._format(line, value)
            elif mark == "var":
                self._variable(line, value)
            elif mark == "ghost":
                self._add_species(line, value.upper())
            elif mark != "common" and (plain not in _PASSED or plain == mark.lower()):
                raise self.error(line, f"@{mark} is not supported")

    def _format(self, line: int, value: str) -> list[str]:
        fields = [item.strip().lower() for item in value.split(",")]
        fields = ["rate" if item == "k" else item for item in fields]
        unknown = [item for item in fields if item not in ("idx", "r", "p", "tmin", "tmax", "rate", "qeff")]
        if unknown:
            raise self.error(line, f'@format: unknown item "{unknown[0]}"; there are idx, R, P, Tmin, Tmax, rate')
        if "qeff" in fields:
            raise self.error(line, "@format: qeff is not supported: the heat of reactions is the host's")
        if fields[-1] != "rate":
            raise self.error(line, "@format: the last item must be the rate")
        twice = [item for item in fields if item not in ("r", "p") and fields.count(item) > 1]
        if twice:
            raise self.error(line, f"@format: {twice[0]} is given twice")
        return fields

    def _row(self, line: int, content: str, fields: Sequence[str]) -> _Row:
        parts = [part.strip() for part in content.split(",", len(fields) - 1)]
        if len(parts) < len(fields):
            raise self.error(
                line, f"{len(parts)} fields where the format in force has {len(fields)} ({','.join(fields)}): {content}"
            )
        sides: dict[str, list[str]] = {"r": [], "p": []}
        single = {"tmin": "", "tmax": "", "rate": ""}
        for item, part in zip(fields, parts, strict=True):
            if item in sides:
                sides[item] += [_spelling(part)] if part else []
            elif item in single:
                single[item] = part
        rate = re.split(r"[!#]", single["rate"], maxsplit=1)[0].strip()
        if not rate:
            raise self.error(line, "the rate is missing")
        for spelt in (*sides["r"], *sides["p"]):
            if _bare(spelt) not in _NO_SPECIES:
                self._add_species(line, _bare(spelt))
        if any(_in_braces(p) for p in sides["p"]):
            raise self.error(line, "a product in braces")
        limits = (single["tmin"].upper(), single["tmax"].upper())
        return _Row(line, tuple(sides["r"]), tuple(sides["p"]), limits, rate)

    def _common(self, line: int, value: str) -> None:
        for spelt in (item.strip() for item in value.split(",")):
            lower = spelt.lower()
            if not re.fullmatch(r"user_\w+", lower, re.ASCII):
                raise self.error(line, f'@common: "{spelt}" is not a name that begins with user_')
            if lower in self.names:
                continue
            condition = self.condition_of.get(lower, spelt)
            if condition in self.commons.values():
                raise self.error(
                    line, f'@common: "{spelt}" and another variable would both be the condition {condition}'
                )
            self.commons[spelt] = condition
            self.names[lower] = name(condition)

    def _variable(self, line: int, value: str) -> None:
        spelt, equals, formula = value.partition("=")
        spelt, formula = spelt.strip(), re.split(r"[!#]", formula, maxsplit=1)[0].strip()
        lower = spelt.lower()
        if not equals or not re.fullmatch(r"[a-z]\w*", lower, re.ASCII):
            raise self.error(line, f"@var: expected name=expression, not {value}; arrays are not supported")
        if lower in ("k", "tgas", "n", "energy_ev") or lower in INTRINSICS:
            raise self.error(line, f'@var: the name "{spelt}" is taken')
        if lower.startswith("user_"):
            raise self.error(line, f'@var: the name "{spelt}" is one of a @common variable')
        if lower in self.variables and self.variables[lower] != formula:
            raise self.error(line, f'@var: "{spelt}" is given twice, differently')
        self.names[lower] = self._formula(line, formula, f"@var {spelt}")
        self.variables[lower] = formula

    # --- expressions ------------------------------------------------------------------------------------------

    def _formula(self, line: int, formula: str, what: str) -> Node:
        try:
            return parse(formula, lambda word: self.names.get(word.lower()), self._specials())
        except NetworkError as error:
            hint = ""
            if (unknown := re.search(r'the name "(user_\w+)" is unknown', str(error), re.IGNORECASE)) is not None:
                hint = f": declare it with @common:{unknown[1]}"
            raise self.error(line, f"{what}: {error}{hint}") from None

    def _specials(self) -> Mapping[str, Special]:
        return {
            "kooij": _kooij,
            "get_hnuclei": _hydrogen_nuclei,
            "krome_get_hnuclei": _hydrogen_nuclei,
            "n": _density_of_a_species,
            "k": self._coefficient,
        }

    def _coefficient(self, parser: Parser) -> Node:
        """k(i): the coefficient of an earlier reaction."""
        parser.expect("(")
        argument = parser.argument()
        parser.expect(")")
        if argument.op != "number" or argument.value not in range(1, len(self.coefficients) + 1):
            raise parser.error(f"k() takes the number of an earlier reaction, 1 to {len(self.coefficients)}")
        return self.coefficients[int(argument.value) - 1]

    def _limit(self, row: _Row, text: str, default: str) -> Node | None:
        if text in _NO_LIMIT:
            return None
        match = _LIMIT.fullmatch(text)
        if match is None:
            raise self.error(row.line, f'the temperature limit "{text}" is no number')
        sign = {".LE.": "<=", ".GE.": ">=", ".LT.": "<", ".GT.": ">"}.get(match[1] or default, match[1] or default)
        value = number(float(match[2].replace("D", "E")))
        T = name(TEMPERATURE)
        return call(sign, T, value) if sign in ("<", "<=") else call(sign.replace(">", "<"), value, T)

    def _rate(self, row: _Row) -> Node:
        text, condition = row.rate, None
        if text.lower() == "auto":
            raise self.error(row.line, "the rate auto is not supported: write the rate out")
        match = _CONDITION.match(text)
        if match is not None:
            head, colon, text = _split_at_colon(text[match.end() :])
            if not colon:
                raise self.error(row.line, f'expected "if(condition): rate", not "{row.rate}"')
            condition = self._formula(row.line, head, "condition")
            if not condition.logical:
                raise self.error(row.line, f'"{head.strip()}" is no condition')
        formula = self._formula(row.line, text, "rate")
        if formula.logical:
            raise self.error(row.line, f'the rate "{text}" is a condition, not a number')
        zero = number(0.0)
        for limit in (condition, self._limit(row, row.limits[1], "<"), self._limit(row, row.limits[0], ">=")):
            if limit is not None:
                formula = call("select", limit, formula, zero)
        return formula

    # --- reactions --------------------------------------------------------------------------------------------

    def _reaction(self, row: _Row) -> Reaction:
        formula = self._rate(row)
        self.coefficients.append(formula)
        bare = [r for r in row.reactants if not _in_braces(r) and r not in _NO_SPECIES]
        curly = [_bare(r) for r in row.reactants if _in_braces(r)]
        products = tuple(self.species[p] for p in row.products if p not in _NO_SPECIES)
        reactants = tuple(self.species[r] for r in (*bare, *curly))
        try:
            if DENSITY in formula.names and not any("H" in s.elements for s in self.species.values()):
                raise NetworkError("get_Hnuclei of a network without hydrogen")
            if not 1 <= len(reactants) <= MAX_REACTANTS:
                raise NetworkError(f"{len(reactants)} reactants; 1 to {MAX_REACTANTS} are supported")
            formula, alone = self._without_densities(row, formula, reactants)
            if (curly or alone) and (len(reactants) != 2 or len(set(reactants)) != 1 or len(curly) + alone != 1):
                raise NetworkError(
                    "a rate that leaves out the density of a reactant is supported for X + {X}, or X + X with a rate "
                    f"over n(idx_X), alone, not for {' + '.join(row.reactants)} with {row.rate}"
                )
            chosen = grain_law_of(formula) if curly or alone else law_of(formula, len(reactants))
            return Reaction(reactants, products, *chosen)
        except NetworkError as error:
            raise self.error(row.line, str(error)) from None

    def _without_densities(self, row: _Row, formula: Node, reactants: tuple[Species, ...]) -> tuple[Node, bool]:
        """The formula without n(idx_X), and whether it was proportional to 1 / n(idx_X) of a reactant."""
        alone = False
        for read in [read for read in formula.names if read.startswith("n(")]:
            power = degree(formula, read)
            mine = any(f"n({self._mangled(s)})" == read for s in reactants)
            if power != 0 and (power != -1 or not mine or alone):
                raise NetworkError(
                    f"a rate that depends on the density of a species ({read.replace('(', '(idx_')}) is not supported: "
                    "the step's exact derivatives know products of reactants alone; make the species a reactant, or "
                    "use get_Hnuclei(n(:))"
                )
            alone = alone or power == -1
            formula = with_value(formula, read, number(1.0))
        return formula, alone

    def _mangled(self, species: Species) -> str:
        spelt = next(spelt for spelt, known in self.species.items() if known == species)
        return spelt.replace("+", "J").replace("-", "K").replace("[", "").replace("]", "")

    def _add_species(self, line: int, spelt: str) -> None:
        if spelt in self.species:
            return
        try:
            species = species_of(spelt)
        except NetworkError as error:
            raise self.error(line, str(error)) from None
        for other, known in self.species.items():
            if known.name == species.name:
                raise self.error(line, f'"{spelt}" and "{other}" are the same species')
        self.species[spelt] = species


def species_of(spelt: str) -> Species:
    """The species that KROME spells so: "E", "HE+", "C_C3H2", "[13C]O", "H2_ORTHO", "O(1D)", "GRAIN-".

    Raises NetworkError for a name that cannot be read, and for what this package has no place for.
    """
    if spelt in ("E", "E-"):
        return species_from_formula("e-")
    if re.fullmatch(r"FK\d", spelt):  # KROME's species without mass, for toy networks
        return declared_species(spelt, {"FK": 1}, 0, 0.0)
    if (grain := _GRAIN.fullmatch(spelt)) is not None:
        charge = {"0": 0, "-": -1, "+": 1}[grain[1]]
        return declared_species(spelt, {"GRAIN": 1}, charge, _GRAIN_MASS_G)
    match = _SPELLING.fullmatch(spelt)
    if match is None:
        raise NetworkError(
            f'the species "{spelt}" is not supported: names are made of {", ".join(_ELEMENTS).upper()}, isotopes such '
            "as [13C], E, GRAIN0, GRAIN+ and GRAIN-"
        )
    formula, elements, mass_u = "", Counter[str](), 0.0
    for piece in _PIECE.finditer(match["atoms"]):
        count = int(piece["count"] or 1)
        element = piece["isotope"] or _SYMBOLS[piece["element"]]
        formula += (f"[{element}]" if piece["isotope"] else element) + (piece["count"] or "")
        elements[element] += count
        mass_u += count * (_ISOTOPES[element] if piece["isotope"] else ATOMIC_WEIGHTS_U[element])
    isomer = f"{match['isomer'].lower()}-" if match["isomer"] else ""
    charge = match["charge"].count("+") - match["charge"].count("-")
    state = (match["state"] or "").replace("_ORTHO", "_ortho").replace("_PARA", "_para")
    our_name = f"{isomer}{formula}{state}{match['charge']}"
    if not state and "[" not in formula:
        return species_from_formula(our_name)
    mass_g = mass_u * ATOMIC_MASS_UNIT_G - charge * ELECTRON_MASS_G
    return declared_species(our_name, elements, charge, mass_g)


def _kooij(parser: Parser) -> Node:
    arguments = parser.arguments()
    if len(arguments) != 4:
        raise parser.error("kooij() takes alpha, beta, gamma and Tgas")
    alpha, beta, gamma, temperature = arguments
    power = call("**", call("/", temperature, number(300.0)), beta)
    return call("*", call("*", alpha, power), call("exp", call("neg", call("/", gamma, temperature))))


def _hydrogen_nuclei(parser: Parser) -> Node:
    """get_Hnuclei(n(:)) or get_Hnuclei(n)."""
    parser.expect("(")
    if (parser.word() or "").lower() != "n":
        raise parser.error("get_Hnuclei() takes n(:)")
    if parser.accept("("):
        parser.expect(":")
        parser.expect(")")
    parser.expect(")")
    return name(DENSITY)


def _density_of_a_species(parser: Parser) -> Node:
    """n(idx_X), as the name "n(X)": a reaction may divide its rate by it (_without_densities)."""
    parser.expect("(")
    index = (parser.word() or "").upper()
    if not index.startswith("IDX_") or not parser.accept(")"):
        raise parser.error("densities other than n(idx_X) and get_Hnuclei(n(:)) are not supported in a rate")
    return name(f"n({index.removeprefix('IDX_')})")


def _mark(content: str) -> tuple[str, str]:
    """("format", "idx,R,...") of a line "@format:idx,R,..."; ("", "") of a line without a mark."""
    if not content.startswith("@"):
        return "", ""
    mark, _, value = content[1:].partition(":")
    return mark.strip() or "@", value.strip()


def _in_braces(spelt: str) -> bool:
    return spelt.startswith("{") and spelt.endswith("}")


def _bare(spelt: str) -> str:
    return spelt[1:-1] if _in_braces(spelt) else spelt


def _spelling(part: str) -> str:
    """A species as KROME spells it: capitals, no blanks in braces, one spelling of the electron."""
    capitals = part.upper()
    inside = _bare(capitals).strip()
    inside = "E" if inside == "E-" else inside
    return f"{{{inside}}}" if _in_braces(capitals) else inside


def _split_at_colon(text: str) -> tuple[str, str, str]:
    """What stands before and after the first colon outside parentheses."""
    depth = 0
    for at, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if sign == ":" and depth == 0:
            return text[:at], ":", text[at + 1 :]
    return text, "", ""
