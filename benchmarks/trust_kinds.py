"""Kinds of cells that a gate is attacked with: none of them is drawn by the code that makes training data.

Each kind is a function of (gas, count) that returns `Cells`; `gas` has relaxed states of the network to start from.
Abundances are per H nucleus; electrons make all gas neutral; conditions lie inside the trained box (T 5 to 1000 K,
n_H/zeta 1e16 to 1e23 cm^-3 s, zeta 1e-17 to 1e-15 1/s, dt 1 to 1e6 yr), some of them on its bounds. It needs no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from workload import YEAR_S

from pychemsurrogate.integrators import NativeRosenbrock
from pychemsurrogate.network import Network

FloatArray = NDArray[np.float64]
YEARS = (1.0, 1e6)


@dataclass
class Cells:
    """x = n/n_H (B, S), T [K], n_H [cm^-3], zeta [1/s], dt [s] (B)."""

    x: FloatArray
    temperature: FloatArray
    density: FloatArray
    zeta: FloatArray
    dt: FloatArray

    def __len__(self) -> int:
        return len(self.dt)

    def where(self, rows: NDArray[np.generic]) -> Cells:
        """The cells of the given rows."""
        return Cells(**{name: values[rows] for name, values in vars(self).items()})


def joined(parts: list[Cells]) -> Cells:
    """All cells of the parts, in order."""
    return Cells(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])})


@dataclass
class Gas:
    """Draws cells of a network, from one random stream."""

    network: Network
    rng: np.random.Generator
    _pool: Cells | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.tables = self.network.tables()
        self.index = {name: i for i, name in enumerate(self.tables.species)}
        self._solver = NativeRosenbrock(self.network, rtol=1e-4, atol=1e-22)

    def log(self, low: float, high: float, count: int) -> FloatArray:
        """Log-uniform numbers."""
        return 10.0 ** self.rng.uniform(np.log10(low), np.log10(high), count)

    def conditions(self, count: int, years: tuple[float, float] = YEARS) -> dict[str, FloatArray]:
        """Temperature, density, zeta and dt, each log-uniform in the box."""
        zeta = self.log(1e-17, 1e-15, count)
        return {
            "temperature": self.log(5.0, 1000.0, count),
            "density": zeta * self.log(1e16, 1e23, count),
            "zeta": zeta,
            "dt": self.log(*years, count) * YEAR_S,
        }

    def neutral(self, x: FloatArray) -> FloatArray:
        """x with the electrons that its ions ask for, per H nucleus."""
        electron = self.index["e-"]
        charge = np.delete(self.tables.composition[-1], electron)
        ions = np.delete(x, electron, axis=1) @ charge
        x[:, self.index["H+"]] += np.maximum(0.0, 1e-30 - ions)
        x[:, electron] = np.maximum(ions, 1e-30)
        return x / (x @ self.tables.composition[self.tables.conserved.index("H")])[:, None]

    def advanced(self, cells: Cells) -> Cells:
        """The same cells after their dt; those that the integrator gives up are left out."""
        n, status = self._solver.advance(
            cells.x * cells.density[:, None], cells.dt, cells.temperature, {"zeta": cells.zeta}
        )
        after = Cells(n / cells.density[:, None], cells.temperature, cells.density, cells.zeta, cells.dt)
        return after.where(status >= 0)

    def relaxed(self, count: int) -> Cells:
        """Gas of random composition after 1e5 to 3e7 yr under its conditions, to go on for a random dt."""
        if self._pool is None or len(self._pool) < count:
            made = max(count, 20_000)
            at = self.conditions(made) | {"dt": self.log(1e5, 3e7, made) * YEAR_S}
            start = self.carried(self.elements(made), ["CO", "C+"], self.log(1e-20, 1e-12, made))
            self._pool = self.advanced(Cells(start, **at))
        rows = self.rng.permutation(len(self._pool))[:count]
        cells = self._pool.where(rows)
        cells.x = cells.x.copy()
        cells.dt = self.log(*YEARS, len(cells)) * YEAR_S
        return cells

    def elements(self, count: int) -> dict[str, FloatArray]:
        """C and O nuclei per H, inside the box."""
        carbon = self.log(1e-6, 4e-4, count)
        return {"C": carbon, "O": carbon * self.log(0.4, 8.0, count)}

    def carried(self, elements: dict[str, FloatArray], carriers: list[str], floor: FloatArray) -> FloatArray:
        """Elements in these carriers alone (H in the one without C and O, else in H2), the rest at the floor."""
        count = len(floor)
        x = np.repeat(floor[:, None], len(self.index), axis=1)
        left = {name: value.copy() for name, value in elements.items()} | {"H": np.ones(count)}
        conserved = list(self.tables.conserved[:-1])
        held = {
            name: dict(zip(conserved, self.tables.composition[:-1, self.index[name]], strict=True)) for name in carriers
        }
        for name in [each for each in carriers if held[each].get("C") or held[each].get("O")]:
            heavy = [e for e in ("C", "O") if held[name].get(e)]
            amount = np.min([left[e] / held[name][e] for e in heavy], axis=0)
            if (
                len(heavy) == 1
                and sum(bool(held[other].get(heavy[0])) for other in carriers) > 1
                and name == carriers[0]
            ):
                amount = amount * self.rng.random(count)
            x[:, self.index[name]] += amount
            for element in ("H", "C", "O"):
                left[element] = left[element] - amount * held[name].get(element, 0.0)
        for element in ("C", "O"):
            x[:, self.index[element]] += np.maximum(left[element], 0.0)
        hydrogen = next((name for name in carriers if not held[name].get("C") and not held[name].get("O")), "H2")
        x[:, self.index[hydrogen]] += left["H"] / held.get(hydrogen, {"H": 2.0})["H"]
        return self.neutral(x)


Kind = Callable[[Gas, int], Cells]


def start(*carriers: str) -> Kind:
    """Gas of a few carriers, as hydro codes start it; all else at one floor between 1e-20 and 1e-8."""

    def kind(gas: Gas, count: int) -> Cells:
        x = gas.carried(gas.elements(count), list(carriers), gas.log(1e-20, 1e-8, count))
        return Cells(x, **gas.conditions(count))

    return kind


def cloud(gas: Gas, count: int) -> Cells:
    """H2 0.5, CO 1e-4, O 2e-4 per H, all else 1e-12; n_H 1e3 to 1e5, T 50 (n_H/1e3)^-0.3, zeta 1e-16, dt 1e4 yr."""
    x = np.full((count, len(gas.index)), 1e-12)
    for name, value in (("H2", 0.5), ("CO", 1e-4), ("O", 2e-4)):
        x[:, gas.index[name]] = value
    density = gas.log(1e3, 1e5, count)
    temperature = 50.0 * (density / 1e3) ** -0.3
    return Cells(gas.neutral(x), temperature, density, np.full(count, 1e-16), np.full(count, 1e4 * YEAR_S))


def readme(gas: Gas, count: int) -> Cells:
    """The README's own start, with steps of 1 to 1e4 yr."""
    cells = cloud(gas, count)
    x = np.full((count, len(gas.index)), 1e-20)
    for name, value in (("H2", 0.5), ("O", 2e-4), ("C+", 1e-4), ("e-", 1e-4)):
        x[:, gas.index[name]] = value
    return Cells(gas.neutral(x), cells.temperature, cells.density, cells.zeta, gas.log(1.0, 1e4, count) * YEAR_S)


def one_molecule(gas: Gas, count: int) -> Cells:
    """All C in one molecule and all O in one."""
    tables, parts = gas.tables, []
    carbon, oxygen = (tables.composition[tables.conserved.index(e)] for e in ("C", "O"))
    in_carbon, in_oxygen = np.flatnonzero((carbon > 0) & (oxygen == 0)), np.flatnonzero((oxygen > 0) & (carbon == 0))
    for _ in range(40):
        names = [tables.species[gas.rng.choice(each)] for each in (in_carbon, in_oxygen)]
        size = -(-count // 40)
        x = gas.carried(gas.elements(size), [*names, "H2"], gas.log(1e-20, 1e-8, size))
        parts.append(Cells(x, **gas.conditions(size)))
    return joined(parts).where(np.arange(count))


def scaled(gas: Gas, count: int) -> Cells:
    """Every species of relaxed gas times 0.01 to 100."""
    cells = gas.relaxed(count)
    cells.x = gas.neutral(cells.x * gas.log(0.01, 100.0, cells.x.size).reshape(cells.x.shape))
    return cells


def noisy(size: float) -> Kind:
    """Every species of relaxed gas with noise of a relative size."""

    def kind(gas: Gas, count: int) -> Cells:
        cells = gas.relaxed(count)
        cells.x = gas.neutral(cells.x * np.exp(size * gas.rng.normal(size=cells.x.shape)))
        return cells

    return kind


def added(species: str, low: float, high: float) -> Kind:
    """Relaxed gas to which something is added."""

    def kind(gas: Gas, count: int) -> Cells:
        cells = gas.relaxed(count)
        cells.x[:, gas.index[species]] += gas.log(low, high, len(cells))
        cells.x = gas.neutral(cells.x)
        return cells

    return kind


def zeroed(gas: Gas, count: int) -> Cells:
    """One species of relaxed gas at 0."""
    cells = gas.relaxed(count)
    cells.x[np.arange(len(cells)), gas.rng.integers(0, cells.x.shape[1], len(cells))] = 0.0
    cells.x = gas.neutral(cells.x)
    return cells


def traces_at(level: float) -> Kind:
    """Relaxed gas whose traces below 1e-12 are all at one level: no host resolves them."""

    def kind(gas: Gas, count: int) -> Cells:
        cells = gas.relaxed(count)
        cells.x = gas.neutral(np.where(cells.x < 1e-12, level, cells.x))
        return cells

    return kind


def changed(**factors: tuple[float, float]) -> Kind:
    """Relaxed gas whose T, n_H or zeta change at once, by factors; kept in the box."""

    def kind(gas: Gas, count: int) -> Cells:
        cells = gas.relaxed(count)
        for name, (low, high) in factors.items():
            setattr(cells, name, getattr(cells, name) * gas.log(low, high, len(cells)))
        cells.temperature = np.clip(cells.temperature, 5.0, 1000.0)
        cells.zeta = np.clip(cells.zeta, 1e-17, 1e-15)
        cells.density = np.clip(cells.density, 1e16 * cells.zeta, 1e23 * cells.zeta)
        return cells

    return kind


def at_temperature(before: float, after: float) -> Kind:
    """Gas that rested at one temperature and finds itself at another."""

    def kind(gas: Gas, count: int) -> Cells:
        cells = gas.relaxed(count)
        cells.temperature[:] = before
        rest = cells.dt
        cells.dt = gas.log(1e4, 1e6, len(cells)) * YEAR_S
        cells = gas.advanced(cells)
        cells.temperature[:] = after
        cells.dt = rest[: len(cells)]
        return cells

    return kind


def mixed(parts: int) -> Kind:
    """Unrelated relaxed gases, by mass, under the conditions of the first."""

    def kind(gas: Gas, count: int) -> Cells:
        cells = gas.relaxed(count)
        for _ in range(parts - 1):
            share = gas.log(1e-4, 1.0, len(cells))[:, None]
            cells.x += share * (gas.relaxed(len(cells)).x - cells.x)
        cells.x = gas.neutral(cells.x)
        return cells

    return kind


def mixed_with_ionised(gas: Gas, count: int) -> Cells:
    """Relaxed gas with a share of hot ionised gas (H+, C+, O+)."""
    cells = gas.relaxed(count)
    hot = gas.carried(gas.elements(len(cells)), ["C+", "O+", "H+"], np.full(len(cells), 1e-20))
    share = gas.log(1e-6, 0.5, len(cells))[:, None]
    cells.x = gas.neutral(cells.x + share * (hot - cells.x))
    return cells


def shock(gas: Gas, count: int) -> Cells:
    """Relaxed gas heated 3 to 100 times and compressed 1.5 to 4 times, then steps of 1 to 1e4 yr."""
    cells = changed(temperature=(3.0, 100.0), density=(1.5, 4.0))(gas, count)
    cells.dt = gas.log(1.0, 1e4, len(cells)) * YEAR_S
    return cells


def dissociated(gas: Gas, count: int) -> Cells:
    """Relaxed gas whose H2 and CO are atoms at once."""
    cells = gas.relaxed(count)
    for molecule, atoms in (("H2", ("H", "H")), ("CO", ("C", "O"))):
        share = cells.x[:, gas.index[molecule]] * gas.rng.random(len(cells))
        cells.x[:, gas.index[molecule]] -= share
        for atom in atoms:
            cells.x[:, gas.index[atom]] += share
    cells.x = gas.neutral(cells.x)
    return cells


def evaporated(gas: Gas, count: int) -> Cells:
    """Relaxed gas into which ices of H2O, CO and CH4 evaporate."""
    cells = gas.relaxed(count)
    for name in ("H2O", "CO", "CH4"):
        cells.x[:, gas.index[name]] += gas.log(1e-8, 1e-4, len(cells))
    cells.x = gas.neutral(cells.x)
    return cells


def enriched(gas: Gas, count: int) -> Cells:
    """Relaxed gas whose metals are 0.1 to 10 times what they were."""
    cells = gas.relaxed(count)
    heavy = gas.tables.composition[[gas.tables.conserved.index(e) for e in ("C", "O")]].sum(axis=0) > 0
    cells.x[:, heavy] *= gas.log(0.1, 10.0, len(cells))[:, None]
    cells.x = gas.neutral(cells.x)
    return cells


def swapped(gas: Gas, count: int) -> Cells:
    """Relaxed gas in which two species have changed places."""
    cells = gas.relaxed(count)
    rows = np.arange(len(cells))
    a, b = (gas.rng.integers(0, cells.x.shape[1], len(cells)) for _ in range(2))
    cells.x[rows, a], cells.x[rows, b] = cells.x[rows, b].copy(), cells.x[rows, a].copy()
    cells.x = gas.neutral(cells.x)
    return cells


def random_states(gas: Gas, count: int) -> Cells:
    """Every species log-uniform from 1e-14 to 1e-4, the rest H and H2."""
    x = gas.log(1e-14, 1e-4, count * len(gas.index)).reshape(count, -1)
    share = gas.rng.random(count)
    x[:, gas.index["H"]], x[:, gas.index["H2"]] = share, 0.5 * (1.0 - share)
    return Cells(gas.neutral(x), **gas.conditions(count))


def on_bounds(gas: Gas, count: int) -> Cells:
    """Relaxed gas, then T and dt on the bounds of the box."""
    cells = gas.relaxed(count)
    cells.temperature = gas.rng.choice([5.0, 1000.0], len(cells))
    cells.dt = gas.rng.choice([1.0, 1e6], len(cells)) * YEAR_S
    return cells


def chained(steps: int) -> Kind:
    """Relaxed gas that was changed at random and has gone on for a few short steps since."""

    def kind(gas: Gas, count: int) -> Cells:
        cells = changed(temperature=(0.2, 5.0), density=(0.2, 5.0))(gas, count)
        for _ in range(steps):
            cells.dt = gas.log(1.0, 1e3, len(cells)) * YEAR_S
            cells = gas.advanced(cells)
        cells.dt = gas.log(*YEARS, len(cells)) * YEAR_S
        return cells

    return kind


# name -> kind. Those of the training data's own sort come from data sets (trust.py).
KINDS: dict[str, Kind] = {
    "cloud H2 CO O, dt 1e4 yr": cloud,
    "README's start": readme,
    "start H2 O CO": start("CO", "O", "H2"),
    "start H2 O C": start("C", "O", "H2"),
    "start H2 O C+": start("C+", "O", "H2"),
    "start H O C+": start("C+", "O", "H"),
    "start H2 CO H2O": start("CO", "H2O", "H2"),
    "start H2 CH4 O2": start("CH4", "O2", "H2"),
    "start H+ C+ O+": start("C+", "O+", "H+"),
    "one molecule each": one_molecule,
    "random states": random_states,
    "relaxed": lambda gas, count: gas.relaxed(count),
    "noise 1 %": noisy(0.01),
    "noise 30 %": noisy(0.3),
    "scaled 0.01..100": scaled,
    "H+ added 1e-6..0.1": added("H+", 1e-6, 0.1),
    "C+ added 1e-8..1e-4": added("C+", 1e-8, 1e-4),
    "OH added 1e-9..1e-5": added("OH", 1e-9, 1e-5),
    "one species zeroed": zeroed,
    "two species swapped": swapped,
    "traces at 0": traces_at(0.0),
    "traces at 1e-13": traces_at(1e-13),
    "1000 K to 10 K": at_temperature(1000.0, 10.0),
    "10 K to 1000 K": at_temperature(10.0, 1000.0),
    "T x 0.1..10": changed(temperature=(0.1, 10.0)),
    "n_H x 0.01..100": changed(density=(0.01, 100.0)),
    "zeta x 0.03..30": changed(zeta=(0.03, 30.0)),
    "shock": shock,
    "mixed, two gases": mixed(2),
    "mixed, three gases": mixed(3),
    "mixed with ionised": mixed_with_ionised,
    "dissociated": dissociated,
    "ices evaporate": evaporated,
    "metals x 0.1..10": enriched,
    "changed, then 3 steps": chained(3),
    "on the bounds": on_bounds,
}
