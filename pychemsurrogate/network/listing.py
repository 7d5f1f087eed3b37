"""A network as a table for people, with the checks that it passed."""

from __future__ import annotations

import numpy as np

from pychemsurrogate.network.network import Network


def listing(network: Network) -> str:
    """The species, the reactions and the checks of a network, as text."""
    return "\n".join([*_head(network), "", *_species(network), "", *_reactions(network), "", *_checks(network)]) + "\n"


def _head(network: Network) -> list[str]:
    lines = [f"{network.name}: {network.n_species} species, {network.n_reactions} reactions"]
    lines += [f"  {line}" for line in network.source]
    return [*lines, f"  sha256 {network.hash}"]


def _species(network: Network) -> list[str]:
    lines = [f"{'#':>4}  {'species':<10} {'mass [g]':>12}  {'charge':>6}  elements"]
    for i, s in enumerate(network.species, 1):
        elements = " ".join(f"{element}{count}" for element, count in s.elements.items())
        lines.append(f"{i:>4}  {s.name:<10} {s.mass_g:>12.5e}  {s.charge:>+6d}  {elements}".rstrip())
    return lines


def _reactions(network: Network) -> list[str]:
    width = max(len(r.equation) for r in network.reactions)
    lines = [f"{'#':>4}  {'reaction':<{width}}  {'law':<16}  parameters"]
    for i, r in enumerate(network.reactions, 1):
        named = zip(r.law.parameters, r.parameters, strict=True)
        parameters = str(r.law.formula or "  ".join(f"{name} {value:g}" for name, value in named))
        lines.append(f"{i:>4}  {r.equation:<{width}}  {r.law.name:<16}  {parameters}")
    return lines


def _checks(network: Network) -> list[str]:
    tables = network.tables()
    laws = ", ".join(
        f"{sum(r.law.name == name for r in network.reactions)} {name}"
        for name in sorted({r.law.name for r in network.reactions})
    )
    clock = "dt" if network.symmetry is None else "n_H dt"
    return [
        "checks",
        f"  balance     every reaction conserves {', '.join(tables.conserved)}",
        f"  independent {np.linalg.matrix_rank(tables.composition)} of {len(tables.conserved)} conserved quantities",
        f"  rate laws   {laws}",
        f"  symmetry    x = n/n_H depends on {', '.join(network.reduced_conditions)} and {clock} alone",
    ]
