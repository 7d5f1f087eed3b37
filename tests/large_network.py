"""A made-up network that a GPU's thread cannot serve alone, and cells for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pychemsurrogate.integrators import NativeRosenbrock
from pychemsurrogate.network import Network, parse_network

FloatArray = NDArray[np.float64]
YEAR_S = 3.15576e7


@dataclass(frozen=True)
class Cells:
    """Cells and their step, as NativeRosenbrock.advance takes them."""

    n: FloatArray
    dt: FloatArray
    temperature: FloatArray
    conditions: dict[str, FloatArray]

    def __len__(self) -> int:
        return len(self.n)

    def __getitem__(self, which: slice | NDArray[np.int64]) -> Cells:
        given = {name: value[which] for name, value in self.conditions.items()}
        return Cells(self.n[which], self.dt[which], self.temperature[which], given)


def hydrocarbons() -> Network:
    """A made-up network of 113 species of H and C with every kind of rate that the kernel knows."""
    rng = np.random.default_rng(5)

    def name(h: int, c: int, charge: str = "") -> str:
        return "".join(f"{e}{k if k > 1 else ''}" for e, k in (("H", h), ("C", c)) if k) + charge

    neutral = [(h, c) for h in range(12) for c in range(12) if 0 < h + c <= 11]
    ions = [pair for pair in neutral if sum(pair) <= 7]
    part = {pair: [p for p in neutral if p[0] <= pair[0] and p[1] <= pair[1] and p != pair] for pair in neutral}
    rows = []

    def add(left: str, right: str, rate: str) -> None:
        rows.append(f"{left} -> {right} | {rate}")

    def split(pair: tuple[int, int]) -> tuple[str, str] | None:
        if not part[pair]:
            return None
        h, c = part[pair][rng.integers(len(part[pair]))]
        return name(h, c), name(pair[0] - h, pair[1] - c)

    for pair in neutral:
        for _ in range(6):
            pieces = split(pair)
            if pieces is None:
                continue
            size = 10 ** rng.uniform(-12, -9)
            rest = f"{rng.uniform(-1, 1)} {rng.uniform(0, 50)}"
            add(f"{pieces[0]} + {pieces[1]}", name(*pair), f"arrhenius | {size} {rest}")
            pieces = split(pair)
            assert pieces is not None
            add(name(*pair), f"{pieces[0]} + {pieces[1]}", f"cosmic_ray | {10 ** rng.uniform(0, 3)}")
            add(name(*pair), f"{pieces[0]} + {pieces[1]}", f"photo | {10 ** rng.uniform(-12, -10)} {rng.uniform(1, 3)}")
    for pair in ions:
        add(name(*pair), name(*pair, "+") + " + e-", f"cosmic_ray | {rng.uniform(0.1, 10)}")
        pieces = split(pair)
        right = name(*pair) if pieces is None else " + ".join(pieces)
        add(f"{name(*pair, '+')} + e-", right, f"arrhenius_range | {rng.uniform(1, 9)}e-7 -0.5 0 10 1000 0 1e10")
        for h, c in (ions[k] for k in rng.integers(len(ions), size=4)):
            if (h, c) != pair:
                range_ = "arrhenius_range" if rng.random() < 0.5 else "ionpol1"
                rest = "0 0" if range_ == "arrhenius_range" else "1 2"
                add(f"{name(*pair, '+')} + {name(h, c)}", f"{name(*pair)} + {name(h, c, '+')}",
                    f"{range_} | {10 ** rng.uniform(-10, -9)} {rest} 10 500 0 1e10")  # fmt: skip
    for pair in part[(3, 2)]:
        add(f"{name(*pair)} + H + H", f"{name(*pair)} + H2", f"arrhenius | {10 ** rng.uniform(-31, -28)} -0.5 0")
        more = name(pair[0] + 1, pair[1])
        add(f"{name(*pair)} + H", more, "expression | 1e-12 * exp(-10.0 / T) * sqrt(T / 300.0)")
    add("H + H", "H2", "grain | 3e-17 0.5")
    species = [name(*p) for p in neutral] + [name(*p, "+") for p in ions] + ["e-"]
    head = ["pychemsurrogate network 1", "name: hydrocarbons", "source: made up", "conditions: zeta A_V G0"]
    return parse_network("\n".join([*head, f"species: {' '.join(species)}", "reactions:", *dict.fromkeys(rows)]))


def gas(network: Network, count: int, seed: int) -> Cells:
    """Cells that stand at random in a cloud's life, all of them solvable."""
    rng = np.random.default_rng(seed)
    density, T = 10 ** rng.uniform(2, 5, count), rng.uniform(10, 100, count)
    every = {"zeta": 10 ** rng.uniform(-17, -16, count), "A_V": rng.uniform(3, 10, count), "G0": np.ones(count)}
    at = {name: every[name] for name in network.conditions}
    n = np.zeros((count, network.n_species))
    for name, amount in {"H": 0.6, "H2": 0.2, "C": 1e-4, "O": 2e-4, "He": 0.1, "N": 2e-5}.items():
        if name in network.species_names:
            n[:, network.species_index(name)] = amount * density
    n, status = NativeRosenbrock(network, threads=1).advance(n, 10 ** rng.uniform(2, 5, count) * YEAR_S, T, at)
    assert np.all(status >= 0)
    moved = n * rng.uniform(0.8, 1.2, (count, 1))
    return Cells(moved, 10 ** rng.uniform(1, 4, count) * YEAR_S, T * rng.uniform(0.8, 1.25, count), at)
