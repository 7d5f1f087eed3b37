"""Write the modules, headers, makefiles and the model of one network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from pychemsurrogate import __version__
from pychemsurrogate.krome.facts import COMMONS, CONSTANTS, PROTONS, SETTINGS, SOLAR_DEX
from pychemsurrogate.krome.source import Source
from pychemsurrogate.krome.spelling import krome_name, krome_order, krome_tag
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.network import CONDITION_UNITS, Network
from pychemsurrogate.network.species import ATOMIC_MASS_UNIT_G, ATOMIC_WEIGHTS_U, ELECTRON_NAME, Species

ABI_VERSION: Final = 3  # of pcs.h
MODEL_NAME: Final = "krome.pcs"
MODES: Final = ("exact", "auto", "surrogate")
RTOL: Final = 1e-4  # KROME's own default
_MODULES: Final = ("constants", "commons", "tables", "libpcs", "engine", "getphys", "subs", "user", "main", "c")
GENERATED: Final = (
    *(f"krome_{part}.f90" for part in _MODULES),
    *("krome_header.c", "krome.h", "krome_user.h", "Makefile", "CMakeLists.txt", "pykrome.py"),
)
REACTION_LETTERS: Final = 50  # of KROME's names of reactions
KEPT: Final = "krome_user_commons.f90"
_VALUES_A_STATEMENT: Final = 100
_LINE: Final = 116
_ELECTRON: Final = "electron"  # as an atom
_NO_REACTANT, _HYDROGEN_NUCLEI = 0, -1


class GenerateError(ValueError):
    """The modules cannot be written for this network or with these options; the message says why."""


@dataclass(frozen=True)
class _Name:
    """A species by KROME's name, and by what follows krome_idx_."""

    name: str
    tag: str


@dataclass(frozen=True)
class _User:
    """A variable that krome_set_<name> sets: a condition of the rates."""

    name: str
    meaning: str


def generate(
    source: Source,
    folder: Path,
    *,
    commons: Mapping[str, str] | None = None,
    use_x: bool = False,
    ierr: bool = False,
    conserve: bool = False,
    mode: str | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    clean: bool = False,
) -> list[Path]:
    """Write everything into `folder` (made if need be) and return the files.

    commons   condition of the network -> name of its variable (user_...); the others keep the
              KROME file's names, or get COMMONS (zeta -> user_crate ...), or user_<name>
    use_x     the state is mass fractions, and krome takes the density
    ierr      C's krome has the argument ierr (in Fortran it is optional)
    conserve  krome_conserve scales to the elements of its second argument; else it hands the first one back
    mode      option of libpcs; None: "auto" for a model with a surrogate, else "exact"
    rtol, atol   of the exact integrator; None: 1e-4 in mode exact (as KROME), and the library's choice

    krome_user_commons.f90 is the user's: it is not written again, unless `clean`.

    Raises GenerateError for names that Fortran cannot have or that would meet, and for a mode that the model lacks.
    """
    model, network = source.model, source.model.network()
    if mode is not None and mode not in MODES:
        raise GenerateError(f"mode must be one of {', '.join(MODES)}, not '{mode}'")
    if mode not in (None, "exact") and not model.has_surrogate:
        raise GenerateError(f"mode {mode}: the model holds a network alone, which mode exact serves")
    chosen = mode or ("auto" if model.has_surrogate else "exact")
    order = krome_order(network) if source.names is None else list(range(network.n_species))
    spelt = [krome_name(network.species[i]) for i in order] if source.names is None else list(source.names)
    options = {"mode": chosen}
    if rtol is not None or chosen == "exact":
        options["rtol"] = repr(RTOL if rtol is None else rtol)
    if atol is not None:
        options["atol"] = repr(atol)
    facts = _facts(network, order, _names(spelt), _users(network, commons or {}, source.commons or COMMONS), options)
    if source.reactions is not None:
        facts["rnames"] = [text[:REACTION_LETTERS] for text in source.reactions]
    facts |= {"use_x": use_x, "ierr": ierr, "conserve": conserve}

    environment = Environment(
        loader=PackageLoader("pychemsurrogate.krome"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    texts = {name: environment.get_template(f"{name}.j2").render(facts) for name in (*GENERATED, KEPT)}
    for name, text in texts.items():
        for number, line in enumerate(text.split("\n"), 1):
            if name.endswith(".f90") and len(line) > 132:
                raise GenerateError(f"{name}, line {number}: a name is too long for a line of Fortran: {line.strip()}")
    folder.mkdir(parents=True, exist_ok=True)
    if not clean and (folder / KEPT).exists():
        del texts[KEPT]
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    ModelFile(model.arrays, model.meta).write(folder / MODEL_NAME)
    return [folder / name for name in (*texts, MODEL_NAME)]


def _names(spelt: Iterable[str]) -> list[_Name]:
    result: list[_Name] = []
    by_tag: dict[str, str] = {}
    for name in spelt:
        tag = krome_tag(name)
        other = by_tag.setdefault(tag.lower(), name)
        if other != name or any(name == earlier.name for earlier in result):
            raise GenerateError(
                f"the species {other} and {name} would both be krome_idx_{tag}, as Fortran does not tell case: "
                "rename one in the network"
            )
        if len(name) > 16:
            raise GenerateError(f"the species {name} has more than the 16 letters that KROME's names have")
        result.append(_Name(name, tag))
    return result


def _users(network: Network, commons: Mapping[str, str], usual: Mapping[str, str]) -> list[_User]:
    unknown = sorted(set(commons) - set(network.conditions))
    if unknown:
        has = ", ".join(network.conditions) or "none"
        raise GenerateError(f"the network has no condition {', '.join(unknown)}; its conditions are {has}")
    result: list[_User] = []
    for condition in network.conditions:
        default = condition if condition.startswith("user_") else f"user_{condition}"
        name = commons.get(condition, usual.get(condition, default))
        if not re.fullmatch(r"user_\w{1,40}", name, re.ASCII):
            raise GenerateError(f"condition {condition}: '{name}' is no name such as user_crate")
        if any(name.lower() == other.name.lower() for other in result):
            raise GenerateError(f"two conditions would be {name}: name one of them otherwise")
        unit = CONDITION_UNITS.get(condition)
        result.append(_User(name, f"Condition {condition} of the network" + (f" [{unit}]." if unit else ".")))
    return result


def _facts(
    network: Network, order: Sequence[int], names: Sequence[_Name], users: Sequence[_User], options: Mapping[str, str]
) -> dict[str, Any]:
    """What the templates read."""
    species = [network.species[i] for i in order]
    place = {s.name: number for number, s in enumerate(species, 1)}
    spelt = {s.name: name.name for s, name in zip(species, names, strict=True)}
    has_electron = ELECTRON_NAME in place
    atoms = [*network.elements, *([_ELECTRON] if has_electron else [])]
    metals = [i for i, s in enumerate(species, 1) if s.name in SOLAR_DEX]
    reactants = []
    for reaction in network.reactions:
        slots = [place[s.name] for s in reaction.reactants]
        if reaction.law.per_hydrogen:
            slots = [slots[0], _HYDROGEN_NUCLEI]
        elif reaction.law.first_alone:
            slots = slots[:1]
        reactants.append(slots + [_NO_REACTANT] * (3 - len(slots)))

    def head(mark: str) -> str:
        end = " */" if mark == "/*" else ""
        return f"{mark} Generated by pychemsurrogate {__version__} for the network {network.name}; do not edit.{end}"

    def equation(reaction: Any) -> str:
        sides = (" + ".join(spelt[s.name] for s in side) for side in (reaction.reactants, reaction.products))
        return " -> ".join(sides)[:REACTION_LETTERS]

    return {
        "abi": ABI_VERSION,
        "head": head,
        "species": names,
        "has_electron": has_electron,
        "electron": place.get(ELECTRON_NAME, 0),
        "atoms": atoms,
        "in_model_order": list(order) == list(range(network.n_species)),
        "model_name": MODEL_NAME,
        "model_name_length": max(len(name) for name in network.species_names),
        "condition_length": max([1, *(len(name) for name in network.conditions)]),
        "users": users,
        "metals": metals,
        "solar": [SOLAR_DEX[species[i - 1].name] - 12.0 for i in metals],
        "options": options,
        "option_keys": list(options),
        "option_values": list(options.values()),
        "constants": [(name, value, remark) for name, value, remark in CONSTANTS],
        "settings": SETTINGS,
        "sizes": [
            *(("nrea", network.n_reactions), ("nmols", len(names)), ("nspec", len(names) + 4), ("natoms", len(atoms))),
            *(("nuser", len(users)), ("ndust", 0), ("ndustTypes", 0), ("nPhotoBins", 0), ("nPhotoRates", 0)),
        ],
        "names": [name.name for name in names],
        "model_names": list(network.species_names),
        "model_index": [i + 1 for i in order],
        "masses": [s.mass_g for s in species],
        "charges": [float(s.charge) for s in species],
        "protons": [
            sum(PROTONS.get(re.sub(r"[^A-Za-z]", "", e), 0) * n for e, n in s.elements.items()) for s in species
        ],
        "hydrogen": [float(s.elements.get("H", 0)) for s in species],
        "composition": [[float(s.elements.get(e, 0)) for e in atoms] for s in species],
        "atom_masses": [_atom_mass(element, species) for element in atoms],
        "rnames": [equation(reaction) for reaction in network.reactions],
        "reactants": reactants,
        "conditions": list(network.conditions),
        "quoted": ", ".join(
            f'"{name.name}"' for name in [*names, *(_Name(n, n) for n in ("CR", "g", "Tgas", "dummy"))]
        ),
        "setters": ", ".join(f'"{name.lower()}"' for name in [*(u.name for u in users), *(s for s, _ in SETTINGS)]),
        "data": _data,
        "data_rows": _data_rows,
        "literal": _literal,
        "c_literal": repr,
    }


def _atom_mass(element: str, species: Sequence[Species]) -> float:
    """Mass of an atom [g]; 0 for the electron. Of what has no tabulated weight: of its free neutral atom, else 1 u."""
    if element == _ELECTRON:
        return 0.0
    if element in ATOMIC_WEIGHTS_U:
        return ATOMIC_WEIGHTS_U[element] * ATOMIC_MASS_UNIT_G
    free = (s.mass_g for s in species if dict(s.elements) == {element: 1} and s.charge == 0)
    return next(free, ATOMIC_MASS_UNIT_G)


def _literal(value: str | int | float) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return f"{value!r}_real64" if isinstance(value, float) else str(value)


def _statement(target: str, values: Sequence[Any]) -> str:
    lines, line = [], f"  data {target} / "
    for number, value in enumerate(values, 1):
        text = _literal(value) + (" /" if number == len(values) else ", ")
        if len(line) + len(text) > _LINE:
            lines.append(line + "&")
            line = "    "
        line += text
    return "\n".join([*lines, line])


def _data(name: str, values: Sequence[Any]) -> str:
    """DATA statements of an array, a hundred values each (a statement has at most 255 lines)."""
    starts = range(0, len(values), _VALUES_A_STATEMENT)
    parts = [(start + 1, values[start : start + _VALUES_A_STATEMENT]) for start in starts]
    return "\n".join(_statement(f"({name}(i), i = {a}, {a + len(part) - 1})", part) for a, part in parts)


def _data_rows(name: str, rows: Sequence[Sequence[Any]]) -> str:
    """DATA statements of an array whose columns (the first index runs within one) are `rows`."""
    at_once = max(1, _VALUES_A_STATEMENT // len(rows[0]))
    texts = []
    for start in range(0, len(rows), at_once):
        part = rows[start : start + at_once]
        target = f"(({name}(i, j), i = 1, {len(rows[0])}), j = {start + 1}, {start + len(part)})"
        texts.append(_statement(target, [value for row in part for value in row]))
    return "\n".join(texts)
