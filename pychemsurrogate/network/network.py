"""The network: species and reactions as objects, and the same as plain arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from pychemsurrogate.network.formula.program import Compiler, evaluate
from pychemsurrogate.network.formula.tree import DENSITY, TEMPERATURE
from pychemsurrogate.network.rate_laws import MAX_CONDITIONS, RATE_LAWS, RateLaw
from pychemsurrogate.network.rate_laws import expression as expression_law
from pychemsurrogate.network.reaction import MAX_REACTANTS, Reaction
from pychemsurrogate.network.species import NetworkError, Species, check_name, species_from_formula

FORMAT_LINE: Final = "pychemsurrogate network 1"

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]


@dataclass(frozen=True)
class NetworkTables:
    """The network as plain arrays (docs/architecture.md): S species, R reactions, E elements, C conditions.

    composition (E + 1, S) f64; scale_weights (S) f64; mass_g (S) f64; reactants (R, 3) i32; products (R, P) i32;
    law (R) i32; law_conditions (R, 2) i32; parameters (R, 7) f64. A missing species or condition is -1.
    expression_code (I, 4) i32, expression_constants (K) f64: the program of the laws that are formulas
    (formula/program.py), empty without any; their parameters are a factor and the number of the program's value.
    """

    species: tuple[str, ...]
    conserved: tuple[str, ...]
    composition: FloatArray
    scale_weights: FloatArray
    mass_g: FloatArray
    reactants: IntArray
    products: IntArray
    law: IntArray
    law_conditions: IntArray
    parameters: FloatArray
    conditions: tuple[str, ...]
    expression_code: IntArray = field(default_factory=lambda: np.empty((0, 4), dtype=np.int32))
    expression_constants: FloatArray = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True)
class Symmetry:
    """The flow is invariant under n -> L n, dt -> dt / L, c -> L^exponent c for every condition c.

    `exponents` holds one entry a condition of the network; 0: the condition is not scaled.
    """

    exponents: Mapping[str, int]


class Network:
    """A reaction network.

    name, source     what it is called, and where its facts come from (one entry a line)
    species          their order is the order of every array with a species axis
    reactions        their order is the order of every array with a reaction axis
    conditions       names of what the rates read beside the temperature, such as "zeta" [1/s]

    Raises NetworkError for duplicate species, for reactions with a species outside the list, and for a condition
    that a rate law reads but the network does not name.
    """

    def __init__(
        self,
        name: str,
        species: Sequence[Species],
        reactions: Sequence[Reaction],
        conditions: Sequence[str] = (),
        source: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.species = tuple(species)
        self.reactions = tuple(reactions)
        self.conditions = tuple(conditions)
        self.source = tuple(source)
        self.species_names = tuple(s.name for s in self.species)
        self._index = {name: i for i, name in enumerate(self.species_names)}
        self._check()

    def _check(self) -> None:
        check_name("network", self.name)
        for name in self.species_names:
            check_name("species", name)
        for name in self.elements:
            check_name("element", name)
        for name in self.conditions:
            check_name("condition", name)
        if len(set(self.conditions)) != len(self.conditions):
            raise NetworkError(f"network {self.name}: conditions named twice: {' '.join(self.conditions[:10])}")
        if not self.species or not self.reactions:
            raise NetworkError(f"network {self.name}: at least one species and one reaction are needed")
        if len(self._index) != len(self.species):
            twice = sorted({n for n in self.species_names if self.species_names.count(n) > 1})
            raise NetworkError(f"network {self.name}: species listed twice: {', '.join(twice)}")
        for name in (TEMPERATURE, DENSITY):
            if name in self.conditions:
                raise NetworkError(f'network {self.name}: no condition may be named "{name}"')
        for reaction in self.reactions:
            for s in reaction.reactants + reaction.products:
                if s.name not in self._index:
                    raise NetworkError(f'reaction "{reaction.equation}": unknown species "{s.name}"')
            for needed in reaction.law.conditions:
                if needed not in self.conditions:
                    raise NetworkError(
                        f'reaction "{reaction.equation}": its law {reaction.law.name} reads the condition "{needed}", '
                        f"which the network does not name in its conditions"
                    )

    @property
    def n_species(self) -> int:
        """Number of species S."""
        return len(self.species)

    @property
    def n_reactions(self) -> int:
        """Number of reactions R."""
        return len(self.reactions)

    @cached_property
    def elements(self) -> tuple[str, ...]:
        """The elements of the network, in alphabetical order."""
        return tuple(sorted({e for s in self.species for e in s.elements}))

    def species_index(self, name: str) -> int:
        """Position of a species by name; KeyError lists the names there are."""
        try:
            return self._index[name]
        except KeyError:
            raise KeyError(
                f'network {self.name} has no species "{name}"; its species are {", ".join(self.species_names)}'
            ) from None

    # --- plain arrays -----------------------------------------------------------------------------------------

    @cached_property
    def _tables(self) -> NetworkTables:
        composition = np.array(
            [[s.elements.get(e, 0) for s in self.species] for e in self.elements] + [[s.charge for s in self.species]],
            dtype=np.float64,
        )
        hydrogen = self.elements.index("H") if "H" in self.elements else None
        weights = composition[:-1].sum(axis=0) if hydrogen is None else composition[hydrogen].copy()
        n_products = max(len(r.products) for r in self.reactions)
        parameters = np.array([r.padded_parameters for r in self.reactions], dtype=np.float64)
        compiler = Compiler(self.conditions)
        for row, reaction in zip(parameters, self.reactions, strict=True):
            if reaction.law.formula is not None:
                row[0], rest = expression_law.split_factor(reaction.law.formula)
                row[1] = compiler.add(rest)
        tables = NetworkTables(
            species=self.species_names,
            conserved=(*self.elements, "charge"),
            composition=composition,
            scale_weights=weights,
            mass_g=np.array([s.mass_g for s in self.species], dtype=np.float64),
            reactants=self._indices([r.reactants for r in self.reactions], MAX_REACTANTS),
            products=self._indices([r.products for r in self.reactions], n_products),
            law=np.array([r.law.number for r in self.reactions], dtype=np.int32),
            law_conditions=np.array([self._condition_indices(r.law) for r in self.reactions], dtype=np.int32),
            parameters=parameters,
            conditions=self.conditions,
            expression_code=compiler.code(),
            expression_constants=compiler.constants(),
        )
        for array in vars(tables).values():
            if isinstance(array, np.ndarray):
                array.setflags(write=False)
        return tables

    def _indices(self, sides: Sequence[tuple[Species, ...]], width: int) -> IntArray:
        rows = [[self._index[s.name] for s in side] + [-1] * (width - len(side)) for side in sides]
        return np.array(rows, dtype=np.int32)

    def _condition_indices(self, law: RateLaw) -> list[int]:
        indices = [self.conditions.index(name) for name in law.conditions] if law.formula is None else []
        return indices + [-1] * (MAX_CONDITIONS - len(indices))

    def tables(self) -> NetworkTables:
        """The network as plain, read-only arrays."""
        return self._tables

    # --- rates and the right-hand side ------------------------------------------------------------------------

    @cached_property
    def reads_density(self) -> bool:
        """Whether a rate coefficient depends on n_H."""
        return any(r.law.reads_density for r in self.reactions)

    def rate_coefficients(
        self, temperature: ArrayLike, conditions: Mapping[str, ArrayLike], n_H: ArrayLike | None = None
    ) -> FloatArray:
        """Rate coefficients k (..., R) in cm^(3(m-1))/s for reactions of m bodies.

        temperature [K], the conditions (by name, scalars or arrays) and n_H [cm^-3], which only rates with a formula
        may read, broadcast together to the leading shape. A formula without a finite value gives inf or NaN.
        Raises KeyError if a condition of the network is missing, ValueError if n_H is and a rate reads it.
        """
        if n_H is None and self.reads_density:
            raise ValueError(f"network {self.name} has rates that depend on n_H: give it")
        missing = [name for name in self.conditions if name not in conditions]
        if missing:
            raise KeyError(f"network {self.name} needs the condition {', '.join(missing)}")
        t = np.asarray(temperature, dtype=np.float64)[..., None]
        values = {name: np.asarray(conditions[name], dtype=np.float64)[..., None] for name in self.conditions}
        density = np.asarray(1.0 if n_H is None else n_H, dtype=np.float64)[..., None]
        shape = np.broadcast_shapes(t.shape, density.shape, *(v.shape for v in values.values()))[:-1]
        k = np.empty((*shape, self.n_reactions))
        tables = self._tables
        for law in RATE_LAWS:
            rows = np.flatnonzero(tables.law == law.number)
            if rows.size:
                read = [values[name] for name in law.conditions]
                k[..., rows] = law.rate(tables.parameters[rows], t, read)
        if tables.expression_code.size:
            computed = evaluate(
                tables.expression_code, tables.expression_constants, t, density, [values[c] for c in self.conditions]
            )
            for row in self._by_formula:
                factor, value = tables.parameters[row, :2]
                k[..., row] = factor * np.broadcast_to(computed[int(value)], (*shape, 1))[..., 0]
        return k

    @cached_property
    def _by_formula(self) -> NDArray[np.intp]:
        return np.flatnonzero(np.isin(self._tables.law, expression_law.NUMBERS))

    def has_rates(self, k: FloatArray) -> NDArray[np.bool_]:
        """Whether the coefficients k (..., R) that formulas gave are finite and not negative (...)."""
        given = k[..., self._by_formula]
        found: NDArray[np.bool_] = np.logical_and.reduce((given >= 0.0) & (given <= 1e300), axis=-1)
        return found

    @cached_property
    def _stoichiometry(self) -> sparse.csr_array:
        """(S, R): how many of a species a reaction makes, net."""
        rows, columns, values = [], [], []
        for sign, table in ((-1.0, self._tables.reactants), (1.0, self._tables.products)):
            reactions, slots = np.nonzero(table >= 0)
            rows.append(table[reactions, slots])
            columns.append(reactions)
            values.append(np.full(len(reactions), sign))
        entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
        total = sparse.csr_array(entries, shape=(self.n_species, self.n_reactions))  # sums entries of one place
        total.eliminate_zeros()
        return total

    @cached_property
    def _slots(self) -> IntArray:
        """(R, 3): what a rate is k times the product of: species; -1: nothing; -2: n_H (laws per_hydrogen)."""
        slots: IntArray = self._tables.reactants.copy()
        for number in (law.number for law in RATE_LAWS if law.per_hydrogen):
            slots[self._tables.law == number, 1:] = (-2, -1)
        slots[self._tables.law == expression_law.NUMBER_ON_GRAINS, 1:] = -1
        return slots

    @cached_property
    def _jacobian_map(self) -> sparse.csr_array:
        """(S S, 3 R): from the derivatives of the rates by each reactant slot to the flattened Jacobian."""
        stoichiometry = self._stoichiometry.tocoo()
        rows, columns, values = [], [], []
        for species, reaction, count in zip(stoichiometry.row, stoichiometry.col, stoichiometry.data, strict=True):
            for slot, reactant in enumerate(self._slots[reaction]):
                if reactant >= 0:
                    rows.append(int(species) * self.n_species + int(reactant))
                    columns.append(int(reaction) * MAX_REACTANTS + slot)
                    values.append(count)
        shape = (self.n_species**2, self.n_reactions * MAX_REACTANTS)
        return sparse.csr_array((values, (rows, columns)), shape=shape)

    def _factors(self, n: FloatArray) -> FloatArray:
        n_H = self._tables.scale_weights @ n
        factors: FloatArray = np.append(n, [n_H, 1.0])[self._slots]
        return factors

    def rhs(self, n: FloatArray, k: FloatArray) -> FloatArray:
        """dn/dt (S,) in cm^-3/s of one cell: n (S,) in cm^-3, k (R,) from rate_coefficients."""
        dndt: FloatArray = self._stoichiometry @ (k * self._factors(n).prod(axis=1))
        return dndt

    def jacobian(self, n: FloatArray, k: FloatArray) -> FloatArray:
        """d(dn/dt)/dn (S, S) in 1/s of one cell; row: species that changes, column: species that it depends on.

        n_H, which no reaction changes, is held fixed where a rate reads it (laws per_hydrogen).
        """
        a, b, c = self._factors(n).T
        by_slot = np.stack([k * b * c, k * a * c, k * a * b], axis=1)
        flat: FloatArray = self._jacobian_map @ by_slot.ravel()
        return flat.reshape(self.n_species, self.n_species)

    # --- symmetry ---------------------------------------------------------------------------------------------

    @cached_property
    def symmetry(self) -> Symmetry | None:
        """The scaling n -> L n, dt -> dt / L that leaves the flow of x = n/n_H unchanged, or None.

        The rate of an m-body reaction, per n and per dt, grows by L^(m - 2) under it. So each law's k must bring
        L^(2 - m): from n_H or a condition that it is proportional to a power of, or, with m = 2, from none.
        """
        exponents: dict[str, int] = {}
        for reaction in self.reactions:
            law = reaction.law
            if law.density_power is None:
                return None
            bodies = 1 if law.first_alone else len(reaction.reactants)
            needed = 0 if law.per_hydrogen else 2 - bodies - law.density_power
            if needed and not any(law.conditions.values()):
                return None
            for name, power in law.conditions.items():
                exponent, rest = divmod(needed, power) if power else (0, 0)
                if rest or exponents.setdefault(name, exponent) != exponent:
                    return None
        return Symmetry({name: exponents.get(name, 0) for name in self.conditions})

    @property
    def reduced_conditions(self) -> tuple[str, ...]:
        """What the flow of x = n/n_H over the clock depends on; with a symmetry n_H drops out of it.

        For example ("T", "zeta/n_H") with the clock n_H dt; without a symmetry ("T", "n_H", "zeta") with dt.
        """
        if self.symmetry is None:
            return ("T", "n_H", *self.conditions)
        spelling = {0: "{}", 1: "{}/n_H"}
        return (
            "T",
            *(spelling.get(p, "{}/n_H^" + str(p)).format(name) for name, p in self.symmetry.exponents.items()),
        )

    # --- parts ------------------------------------------------------------------------------------------------

    def restricted(
        self,
        elements: Sequence[str] | None = None,
        max_heavy_atoms: int | None = None,
        name: str | None = None,
        without_laws: Sequence[str] = (),
    ) -> Network:
        """The network of the species made of `elements` with at most `max_heavy_atoms` nuclei beside H and He.

        None: no restriction. without_laws: names of rate laws whose reactions are left out; without "photo" a network
        of shielded gas depends on no A_V and G0. Closed: species that are not both formed and destroyed, net, are
        dropped until none is left. Raises NetworkError for elements and laws that the network lacks, and if nothing is
        left.
        """
        absent = sorted(set(without_laws) - {r.law.name for r in self.reactions})
        if absent:
            raise NetworkError(f"network {self.name} has no reaction of the law {', '.join(absent)}")
        unknown = sorted(set(elements or ()) - set(self.elements))
        if unknown:
            raise NetworkError(
                f"network {self.name} has no {', '.join(unknown)}; its elements are {', '.join(self.elements)}"
            )
        keep = {
            s.name
            for s in self.species
            if (elements is None or set(s.elements) <= set(elements))
            and (max_heavy_atoms is None or _heavy_atoms(s) <= max_heavy_atoms)
        }
        while True:
            reactions = [
                r
                for r in self.reactions
                if r.law.name not in without_laws and all(s.name in keep for s in r.reactants + r.products)
            ]
            formed, destroyed = set(), set()
            for reaction in reactions:
                left, right = ([s.name for s in side] for side in (reaction.reactants, reaction.products))
                formed |= {s for s in right if right.count(s) > left.count(s)}
                destroyed |= {s for s in left if left.count(s) > right.count(s)}
            if formed & destroyed == keep:
                break
            keep = formed & destroyed
        read = {condition for r in reactions for condition in r.law.conditions}
        limits = [f"elements {' '.join(elements)}"] if elements is not None else []
        limits += [f"at most {max_heavy_atoms} heavy atoms"] if max_heavy_atoms is not None else []
        limits += [f"without {law} reactions" for law in without_laws]
        return Network(
            name or self.name,
            [s for s in self.species if s.name in keep],
            reactions,
            [condition for condition in self.conditions if condition in read],
            [*self.source, f"restricted to a closed network{': ' if limits else ''}{', '.join(limits)}"],
        )

    # --- text -------------------------------------------------------------------------------------------------

    def text(self) -> str:
        """The network in the project's own text format (docs/network_format.md), in canonical form."""
        header = [FORMAT_LINE, f"name: {self.name}"]
        header += [f"source: {line}" for line in self.source]
        header += [f"conditions: {' '.join(self.conditions)}"] if self.conditions else []
        header += [f"species: {' '.join(self.species_names)}"]
        header += [f"define: {_definition(s)}" for s in self.species if not _is_formula(s)]
        rows = [
            f"{r.equation} | {r.law.name} | {r.law.formula or ' '.join(repr(float(p)) for p in r.parameters)}"
            for r in self.reactions
        ]
        return "\n".join([*header, "reactions:", *rows]) + "\n"

    @cached_property
    def hash(self) -> str:
        """SHA-256 of text() in UTF-8, in hex."""
        return hashlib.sha256(self.text().encode("utf-8")).hexdigest()

    def __repr__(self) -> str:
        return f"<Network {self.name}: {self.n_species} species, {self.n_reactions} reactions>"


def _heavy_atoms(species: Species) -> int:
    return sum(count for element, count in species.elements.items() if element not in ("H", "He"))


def _is_formula(species: Species) -> bool:
    try:
        return species_from_formula(species.name) == species
    except NetworkError:
        return False


def _definition(species: Species) -> str:
    parts = [f"{e}={count}" for e, count in species.elements.items()]
    return " ".join([species.name, *parts, f"charge={species.charge}", f"mass_g={species.mass_g!r}"])
