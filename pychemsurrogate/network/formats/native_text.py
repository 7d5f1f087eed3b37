"""The project's own text format (docs/network_format.md): one file, one network, readable by eye."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pychemsurrogate.network.formats.files import read_text
from pychemsurrogate.network.formula.parse import parse as parse_formula
from pychemsurrogate.network.formula.tree import DENSITY, TEMPERATURE
from pychemsurrogate.network.formula.tree import name as formula_name
from pychemsurrogate.network.network import FORMAT_LINE, Network
from pychemsurrogate.network.rate_laws import LAWS_BY_NAME, expression
from pychemsurrogate.network.reaction import Reaction
from pychemsurrogate.network.species import NetworkError, Species, declared_species, species_from_formula

# Header keys, and whether a key may be given more than once.
_HEADER_KEYS = {"name": False, "source": True, "conditions": False, "species": False, "define": True}


def read(path: str | Path) -> Network:
    """Read a network file. NetworkError names the file and the line; a missing file is an OSError."""
    return parse(read_text(path), name=str(path))


def write(network: Network, path: str | Path) -> None:
    """Write the network in canonical form; reading it gives a network with the same hash."""
    Path(path).write_text(network.text(), encoding="utf-8")


def parse(text: str, name: str = "network text") -> Network:
    """Read a network from the text of a file; `name` tells in errors (NetworkError) which text it is."""
    lines = _content_lines(text)
    number, first = next(lines, (1, ""))
    if first != FORMAT_LINE:
        raise NetworkError(
            f'{name}:{number}: not a network file of this version: the first line must be "{FORMAT_LINE}"'
        )
    header = _read_header(lines, name)
    try:
        species = _read_species(header)
        conditions = tuple(" ".join(header["conditions"]).split())
        by_name = {s.name: s for s in species}
    except NetworkError as error:
        raise NetworkError(f"{name}: {error}") from None
    reactions = []
    for number, line in lines:
        try:
            reactions.append(_read_reaction(line, by_name, conditions))
        except NetworkError as error:
            raise NetworkError(f"{name}:{number}: {error}") from None
    try:
        return Network(
            name=" ".join(header["name"]),
            species=species,
            reactions=reactions,
            conditions=conditions,
            source=header["source"],
        )
    except NetworkError as error:
        raise NetworkError(f"{name}: {error}") from None


def _content_lines(text: str) -> Iterator[tuple[int, str]]:
    """Line numbers and lines, without empty lines and comments (lines that begin with #)."""
    for number, line in enumerate(text.splitlines(), 1):
        content = line.strip()
        if content and not content.startswith("#"):
            yield number, content


def _read_header(lines: Iterator[tuple[int, str]], name: str) -> dict[str, list[str]]:
    """The header's entries up to the line "reactions:"; the iterator is left at the first reaction."""
    header: dict[str, list[str]] = {key: [] for key in _HEADER_KEYS}
    for number, line in lines:
        key, colon, value = line.partition(":")
        key = key.strip()
        if key == "reactions" and colon and not value.strip():
            missing = [key for key in ("name", "species") if not header[key]]
            if missing:
                raise NetworkError(f"{name}:{number}: the header has no line {' and no line '.join(missing)}")
            return header
        if not colon or key not in _HEADER_KEYS:
            raise NetworkError(
                f'{name}:{number}: expected "key: value" with one of the keys {", ".join(_HEADER_KEYS)}, '
                f'or "reactions:", not "{line}"'
            )
        if header[key] and not _HEADER_KEYS[key]:
            raise NetworkError(f'{name}:{number}: the key "{key}" is given twice')
        header[key].append(value.strip())
    raise NetworkError(f'{name}: the line "reactions:" is missing')


def _read_species(header: Mapping[str, list[str]]) -> list[Species]:
    defined = [_read_definition(value) for value in header["define"]]
    definitions = dict(defined)
    if len(definitions) != len(defined):
        twice = sorted({name for name, _ in defined if sum(name == other for other, _ in defined) > 1})
        raise NetworkError(f"defined twice: {', '.join(twice)}")
    names = " ".join(header["species"]).split()
    unused = sorted(set(definitions) - set(names))
    if unused:
        raise NetworkError(f"defined but not in the species list: {', '.join(unused)}")
    return [definitions.get(name) or species_from_formula(name) for name in names]


def _read_definition(value: str) -> tuple[str, Species]:
    if not value.split():
        raise NetworkError('define: names no species; write "define: A X=1 mass_g=1e-24"')
    species, *entries = value.split()
    elements: dict[str, int] = {}
    charge, mass_g = 0, None
    try:
        for entry in entries:
            key, _, number = entry.partition("=")
            if key == "charge":
                charge = int(number)
            elif key == "mass_g":
                mass_g = float(number)
            else:
                elements[key] = int(number)
    except ValueError:
        raise NetworkError(f'define: "{entry}" is not of the form X=1, charge=0 or mass_g=1e-24') from None
    if mass_g is None:
        raise NetworkError(f'define: species "{species}" has no mass_g=...')
    return species, declared_species(species, elements, charge, mass_g)


def _read_reaction(line: str, species: Mapping[str, Species], conditions: tuple[str, ...]) -> Reaction:
    columns = [column.strip() for column in line.split("|")]
    if len(columns) != 3:
        raise NetworkError(f'expected "reactants -> products | law | parameters", not "{line}"')
    equation, law_name, numbers = columns
    left, arrow, right = equation.partition("->")
    if not arrow:
        raise NetworkError(f'expected "reactants -> products", not "{equation}"')
    if law_name in (expression.NAME, expression.ON_GRAINS):
        known = {TEMPERATURE, DENSITY, *conditions}
        formula = parse_formula(numbers, lambda word: formula_name(word) if word in known else None)
        return Reaction(
            _read_side(left, species),
            _read_side(right, species),
            expression.expression_law(formula, law_name == expression.ON_GRAINS),
            (),
        )
    law = LAWS_BY_NAME.get(law_name)
    if law is None:
        known_laws = ", ".join((*LAWS_BY_NAME, expression.NAME, expression.ON_GRAINS))
        raise NetworkError(f'unknown rate law "{law_name}"; the laws are {known_laws}')
    try:
        parameters = tuple(float(number) for number in numbers.split())
    except ValueError:
        raise NetworkError(f'the parameters are not numbers: "{numbers}"') from None
    return Reaction(_read_side(left, species), _read_side(right, species), law, parameters)


def _read_side(side: str, species: Mapping[str, Species]) -> tuple[Species, ...]:
    # A plus sign with blanks around it separates species; without them it is a charge.
    names = [name.strip() for name in f" {side} ".split(" + ")]
    for name in names:
        if name not in species:
            raise NetworkError(f'unknown species "{name}": it is not in the species list')
    return tuple(species[name] for name in names)
