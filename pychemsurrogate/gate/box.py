"""The trained box: bounds on what a step depends on, in the symmetry-reduced form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pychemsurrogate.network import NetworkTables

FloatArray = NDArray[np.float64]


def require_quantities(names: Sequence[str], tables: NetworkTables) -> None:
    """Raise ValueError for a quantity that the network does not have.

    There are "T" [K]; "theta" = n_H dt [s cm^-3]; "<condition>/n_H"; "<condition>*dt"; "<element>/<element>", a ratio
    of nuclei; "net_charge/n_e", an absolute value; "abundance/<species>" = n/n_H of the given state.
    """
    known = {"T", "theta", "net_charge/n_e"}
    known |= {f"{name}/n_H" for name in tables.conditions} | {f"{name}*dt" for name in tables.conditions}
    elements = tables.conserved[:-1]
    known |= {f"{a}/{b}" for a in elements for b in elements if a != b}
    known |= {f"abundance/{name}" for name in tables.species}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"the gate reads {', '.join(unknown)}; this network knows {', '.join(sorted(known))}")


def quantities(
    names: Sequence[str],
    tables: NetworkTables,
    x: FloatArray,
    density: FloatArray,
    dt: FloatArray,
    temperature: FloatArray,
    conditions: FloatArray,
) -> FloatArray:
    """The named quantities (B, len(names)) of B cells.

    x (B, S) abundances n/n_H; density n_H [cm^-3], dt [s], temperature [K] (B); conditions (B, C) as the host gives
    them, in the network's order.
    """
    return np.stack(columns(names, tables, x @ tables.composition.T, x, density, dt, temperature, conditions), axis=1)


def columns(
    names: Sequence[str],
    tables: NetworkTables,
    conserved: Any,
    x: Any,
    density: Any,
    dt: Any,
    temperature: Any,
    conditions: Any,
) -> list[Any]:
    """The named quantities (B) of B cells, of arrays of any kind; conserved (B, E + 1): the sums of x."""
    totals = dict(zip(tables.conserved, conserved.T, strict=True))
    column = {name: conditions[:, i] for i, name in enumerate(tables.conditions)}
    values = []
    for name in names:
        first, _, second = name.partition("/")
        if name == "T":
            values.append(temperature)
        elif name == "theta":
            values.append(density * dt)
        elif name == "net_charge/n_e":
            values.append(abs(totals["charge"]) / x[:, tables.species.index("e-")])
        elif name.endswith("*dt"):
            values.append(column[name.removesuffix("*dt")] * dt)
        elif first == "abundance":
            values.append(x[:, tables.species.index(second)])
        elif second == "n_H":
            values.append(column[first] / density)
        else:
            values.append(totals[first] / totals[second])
    return values


@dataclass(frozen=True)
class Box:
    """Bounds, both included, on named quantities (`require_quantities`); a cell outside any of them is refused.

    low, high: (len(names)).
    Raises ValueError for a quantity that the network does not have, and for bounds that hold nothing.
    """

    names: tuple[str, ...]
    low: FloatArray
    high: FloatArray
    tables: NetworkTables

    def __post_init__(self) -> None:
        if len(self.names) != len(self.low) or len(self.names) != len(self.high):
            raise ValueError("a box needs one lower and one upper bound a name")
        empty = [name for name, low, high in zip(self.names, self.low, self.high, strict=True) if not low <= high]
        if empty:
            raise ValueError(f"the box bounds {', '.join(empty)} by no interval")
        require_quantities(self.names, self.tables)

    def contains(
        self, x: FloatArray, density: FloatArray, dt: FloatArray, temperature: FloatArray, conditions: FloatArray
    ) -> NDArray[np.bool_]:
        """Which of the cells (B) lie in the box; arguments as for `quantities`. NaN lies outside."""
        with np.errstate(divide="ignore", invalid="ignore"):
            values = quantities(self.names, self.tables, x, density, dt, temperature, conditions)
            return np.asarray(((values >= self.low) & (values <= self.high)).all(axis=1))


def box_of_ranges(
    tables: NetworkTables,
    temperature: Sequence[float],
    density: Sequence[float],
    dt: Sequence[float],
    conditions: Mapping[str, Sequence[float]],
    ratios: Mapping[str, Sequence[float]],
    net_charge: float,
    density_per_zeta: Sequence[float] | None = None,
) -> Box:
    """The box that a range of temperature [K], n_H [cm^-3], dt [s] and conditions becomes in the reduced form.

    The range of (condition, n_H, dt) becomes a hexagon in the logarithms of the reduced quantities; its six sides are
    the bounds on condition/n_H, theta and condition*dt. density_per_zeta: n_H/zeta [s cm^-3] is bounded instead of n_H,
    so that the hexagon becomes a rectangle in zeta/n_H and zeta*dt. ratios: of elements, by name ("C/H").
    """
    if density_per_zeta is not None:
        density = [ratio * zeta for ratio, zeta in zip(density_per_zeta, conditions["zeta"], strict=True)]
    bounds: dict[str, tuple[float, float]] = {"T": (temperature[0], temperature[1])}
    for name, (low, high) in conditions.items():
        bounds[f"{name}/n_H"] = (low / density[1], high / density[0])
        bounds[f"{name}*dt"] = (low * dt[0], high * dt[1])
    if density_per_zeta is not None:
        bounds["zeta/n_H"] = (1.0 / density_per_zeta[1], 1.0 / density_per_zeta[0])
    bounds["theta"] = (density[0] * dt[0], density[1] * dt[1])
    bounds |= {name: (low, high) for name, (low, high) in ratios.items()}
    bounds["net_charge/n_e"] = (0.0, net_charge)
    low, high = np.array(list(bounds.values()), dtype=np.float64).T
    # Round-off of a host that sits on a bound must not refuse its cells.
    return Box(tuple(bounds), low * (1.0 - 1e-6), high * (1.0 + 1e-6), tables)
