"""A rate coefficient that is any formula of T, n_H and the network's conditions (network/formula/).

The formula gives k in cm^(3(m-1))/s for m reactants, T in K, n_H in cm^-3. On grains it gives k in 1/s, and the rate is
k n(first reactant), all reactants the same species: each arrival counts, as in grain.py. A cell in which it is negative
or not finite is refused by every solver.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from pychemsurrogate.network.formula.program import Compiler, FloatArray, IntArray, evaluate
from pychemsurrogate.network.formula.shape import degree
from pychemsurrogate.network.formula.tree import DENSITY, TEMPERATURE, Node, call, number
from pychemsurrogate.network.rate_laws.law import RateLaw, latex_number
from pychemsurrogate.network.species import NetworkError

NAME: Final = "expression"
NUMBER: Final = 8
ON_GRAINS: Final = "grain_expression"
NUMBER_ON_GRAINS: Final = 9
NUMBERS: Final = (NUMBER, NUMBER_ON_GRAINS)


@dataclass(frozen=True)
class Formula:
    """The functions of the law of one formula."""

    tree: Node

    @property
    def conditions(self) -> tuple[str, ...]:
        """The conditions that it reads."""
        return tuple(name for name in self.tree.names if name not in (TEMPERATURE, DENSITY))

    @cached_property
    def _program(self) -> tuple[IntArray, FloatArray, int]:
        compiler = Compiler(self.conditions)
        value = compiler.add(self.tree)
        return compiler.code(), compiler.constants(), value

    def rate(self, parameters: FloatArray, temperature: FloatArray, conditions: Sequence[FloatArray]) -> FloatArray:
        """k, broadcast over temperature [K] and conditions, n_H [cm^-3] the last of them; no parameter is read."""
        code, constants, value = self._program
        *read, density = conditions
        k: FloatArray = np.asarray(evaluate(code, constants, temperature, density, read)[value], dtype=np.float64)
        return k

    def latex(self, parameters: tuple[float, ...]) -> str:
        """The formula, LaTeX math mode."""
        return _latex(self.tree)


def expression_law(tree: Node, on_grains: bool = False) -> RateLaw:
    """The law of one formula, on grains or not.

    Raises NetworkError for a formula that is a condition, or a negative number.
    """
    if tree.logical:
        raise NetworkError(f'the rate "{tree}" is a condition, not a number')
    if tree.op == "number" and tree.value < 0:
        raise NetworkError(f'the rate "{tree}" is negative')
    formula = Formula(tree)
    powers: dict[str, int | None] = dict.fromkeys(formula.conditions)
    for name in powers:
        power = degree(tree, name)
        if power and power.denominator == 1:
            powers[name] = int(power)
            break  # of one condition alone a symmetry can ask for more than that it stays as it is
    density = degree(tree, DENSITY)
    return RateLaw(
        name=ON_GRAINS if on_grains else NAME,
        number=NUMBER_ON_GRAINS if on_grains else NUMBER,
        parameters=(),
        conditions=powers,
        rate=formula.rate,
        latex=formula.latex,
        first_alone=on_grains,
        formula=tree,
        density_power=int(density) if density is not None and density.denominator == 1 else None,
    )


def split_factor(tree: Node) -> tuple[float, Node]:
    """(c, rest) with the formula = c times rest: formulas that differ in c alone are evaluated once."""
    if tree.op == "number":
        return tree.value, number(1.0)
    if tree.op in ("*", "/"):
        (c, first), second = split_factor(tree.args[0]), tree.args[1]
        d = 1.0
        if tree.op == "*":
            d, second = split_factor(second)
        product = c * d
        if product != 0.0 and np.isfinite(product):
            return product, call(tree.op, first, second)
    return 1.0, tree


_LATEX_NAMES: Final = {"T": "T", "n_H": r"n_\mathrm{H}", "zeta": r"\zeta", "A_V": "A_V", "G0": "G_0"}
_LATEX_SIGNS: Final = {"<": "<", "<=": r"\le", "==": "=", "and": r"\wedge", "or": r"\vee", "+": "+", "-": "-"}


def _latex(node: Node) -> str:
    if node.op == "number":
        return latex_number(node.value)
    if node.op == "name":
        return _LATEX_NAMES.get(node.name, rf"\mathrm{{{node.name}}}".replace("_", r"\_"))
    if node.op in ("true", "false"):
        return rf"\text{{{node.op}}}"
    parts = [_latex(a) for a in node.args]
    if node.op == "select":
        return rf"\begin{{cases}} {parts[1]} & {parts[0]} \\ {parts[2]} & \text{{else}} \end{{cases}}"
    if node.op == "/":
        return rf"\frac{{{parts[0]}}}{{{parts[1]}}}"
    if node.op == "sqrt":
        return rf"\sqrt{{{parts[0]}}}"
    if node.op == "abs":
        return rf"\left|{parts[0]}\right|"
    if node.op == "**":
        base = parts[0] if node.args[0].op == "name" else rf"\left({parts[0]}\right)"
        return rf"{base}^{{{parts[1]}}}"
    if node.op in ("exp", "log", "log10", "sinh", "cosh", "tanh", "min", "max"):
        function = {"log": r"\ln", "log10": r"\log_{10}"}.get(node.op, rf"\{node.op}")
        return rf"{function}\left({', '.join(parts)}\right)"
    if node.op in ("neg", "not"):
        return rf"{'-' if node.op == 'neg' else chr(92) + 'neg '}\left({parts[0]}\right)"
    if node.op == "*":
        loose = ("+", "-", "neg", "select")
        return r"\,".join(rf"\left({p}\right)" if a.op in loose else p for a, p in zip(node.args, parts, strict=True))
    second = rf"\left({parts[1]}\right)" if node.op == "-" and node.args[1].op in ("+", "-") else parts[1]
    return f"{parts[0]} {_LATEX_SIGNS[node.op]} {second}"
