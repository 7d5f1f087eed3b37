"""What the readers of database files share: temperature ranges, species, balance, H2 on grains."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal

from pychemsurrogate.network.formats.files import read_text
from pychemsurrogate.network.network import Network
from pychemsurrogate.network.rate_laws import ARRHENIUS, CONDITION_UNITS, GRAIN, RateLaw
from pychemsurrogate.network.rate_laws.temperature_range import NO_LIMIT_K
from pychemsurrogate.network.reaction import Reaction, describe_imbalance, imbalance
from pychemsurrogate.network.species import NetworkError, Species, species_from_formula

Outside = Literal["clamp", "extrapolate", "zero"]

# H2 formation on grains at 100 K, cm^3/s: Jura 1975, ApJ 197, 575; it grows as T^(1/2), as the arrivals do.
H2_FORMATION: Final = 3e-17


@dataclass(frozen=True)
class Piece:
    """One row of a rate: its law with a range (temperature_range.py), alpha, beta, gamma, and the range in K."""

    law: RateLaw
    coefficients: tuple[float, float, float]
    low: float
    high: float


def rate_pieces(pieces: Sequence[Piece], outside: Outside) -> list[tuple[RateLaw, tuple[float, ...]]]:
    """The laws and parameters whose sum is one rate in several ranges.

    Between two ranges the pieces meet at the geometric mean of the ranges' ends. Outside all of them T is clamped
    ("clamp"), the formula of the nearest piece holds on ("extrapolate"), or the rate is 0 ("zero").
    Raises NetworkError for another `outside` and for an empty range.
    """
    if outside not in ("clamp", "extrapolate", "zero"):
        raise NetworkError(f'outside is "{outside}": it must be clamp, extrapolate or zero')
    ordered = sorted(dict.fromkeys(pieces), key=lambda piece: (piece.low, piece.high))
    edges = [math.sqrt(max(a.high, 0.0) * max(b.low, 0.0)) for a, b in pairwise(ordered)]
    if any(piece.low > piece.high for piece in ordered) or any(a >= b for a, b in pairwise(edges)):
        raise NetworkError("the temperature ranges are empty or lie within each other")
    # A rate of 0 outside must still hold at the end of the range itself.
    first, last = (
        (ordered[0].low, math.nextafter(ordered[-1].high, math.inf)) if outside == "zero" else (0.0, NO_LIMIT_K)
    )
    bounds = [first, *edges, last]
    result: list[tuple[RateLaw, tuple[float, ...]]] = []
    for piece, (begin, end) in zip(ordered, pairwise(bounds), strict=True):
        limits = (0.0, NO_LIMIT_K) if outside == "extrapolate" else (piece.low, piece.high)
        result.append((piece.law, (*piece.coefficients, *limits, begin, end)))
    return result


def without_range(parameters: Sequence[float]) -> bool:
    """Whether an Arrhenius form with these parameters (7) is the same at every temperature as one without a range."""
    _, beta, gamma, low, high, begin, end = parameters
    everywhere = begin <= 0 and end >= NO_LIMIT_K
    return everywhere and ((low <= 0 and high >= NO_LIMIT_K) or (beta == 0 and gamma == 0))


@dataclass
class Collector:
    """Gathers the reactions of one file; unbalanced ones are kept aside with their lines."""

    label: str
    declared: dict[str, Species] = field(default_factory=dict)
    species: dict[str, Species] = field(default_factory=dict)
    reactions: list[Reaction] = field(default_factory=list)
    unbalanced: list[str] = field(default_factory=list)

    def add(
        self,
        line: int,
        reactants: Sequence[str],
        products: Sequence[str],
        rates: Sequence[tuple[RateLaw, Sequence[float]]],
    ) -> None:
        """One reaction by the names of its species; `rates` adds up. NetworkError names the line."""
        try:
            left, right = ([self._species(name) for name in side] for side in (reactants, products))
            excess = imbalance(left, right)
            if excess:
                equation = f"{' + '.join(reactants)} -> {' + '.join(products)}"
                self.unbalanced.append(f"{self.label}:{line}: {equation}: {describe_imbalance(excess)}")
                return
            for s in (*left, *right):
                self.species.setdefault(s.name, s)
            self.reactions += [Reaction(tuple(left), tuple(right), law, tuple(p)) for law, p in rates]
        except NetworkError as error:
            raise NetworkError(f"{self.label}:{line}: {error}") from None

    def _species(self, name: str) -> Species:
        known = self.species.get(name) or self.declared.get(name)
        return known if known is not None else species_from_formula(name)

    def network(self, name: str, source: Sequence[str], h2_formation: float | None, drop_unbalanced: bool) -> Network:
        """The network, with H2 formation on grains at `h2_formation` cm^3/s (at 100 K) unless None.

        Raises NetworkError that lists every unbalanced reaction unless they are to be dropped.
        """
        if self.unbalanced and not drop_unbalanced:
            raise NetworkError(
                f"{self.label}: {len(self.unbalanced)} reactions are not balanced; drop_unbalanced=True "
                "(--drop-unbalanced) reads the file without them:\n" + "\n".join(self.unbalanced)
            )
        lines = [*source, *(f"left out, not balanced: {entry}" for entry in self.unbalanced)]
        if h2_formation is not None:
            alpha = h2_formation * math.sqrt(300.0 / 100.0)
            self.add(0, ("H", "H"), ("H2",), [(GRAIN, (alpha, 0.5))])
            lines.append(
                f"H2 formation on grains: R = {h2_formation:g} cm^3/s (T / 100 K)^0.5, Jura 1975, ApJ 197, 575"
            )
        read = {condition for r in self.reactions for condition in r.law.conditions}
        conditions = [condition for condition in CONDITION_UNITS if condition in read]
        return Network(name, list(self.species.values()), self.reactions, conditions, lines)


def arrhenius_rates(pieces: Sequence[Piece], outside: Outside) -> list[tuple[RateLaw, tuple[float, ...]]]:
    """Like rate_pieces, with the law without a range where that is the same."""
    rates = rate_pieces(pieces, outside)
    law, parameters = rates[0]
    if len(rates) == 1 and law.name == "arrhenius_range" and without_range(parameters):
        return [(ARRHENIUS, parameters[:3])]
    return rates


def numbered_lines(path: Path, errors: str = "strict") -> Iterator[tuple[int, str]]:
    """Line numbers and lines of a text file, gzip-compressed if its name ends with .gz; empty lines are left out.

    errors: what becomes of bytes that are not UTF-8. Raises as read_text.
    """
    for number, line in enumerate(read_text(path, errors).split("\n"), 1):
        if line.strip():
            yield number, line.rstrip("\r")
