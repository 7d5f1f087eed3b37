"""Formulas of rate coefficients as trees, simplified as they are built.

The names are T (the temperature in K), n_H (the density of H nuclei in cm^-3, which no reaction changes) and the
network's conditions. A tree prints in Fortran's spelling, and reading that text gives the same tree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from pychemsurrogate.network.species import NetworkError

TEMPERATURE: Final = "T"
DENSITY: Final = "n_H"

# Far above any rate that people write; they bound recursion and, where names stand for formulas, growth.
MOST_NODES: Final = 20_000
MOST_LEVELS: Final = 150

LOGICAL: Final = frozenset({"<", "<=", "==", "and", "or", "not", "true", "false"})
FUNCTIONS: Final[Mapping[str, int]] = MappingProxyType(
    {"exp": 1, "log": 1, "log10": 1, "sqrt": 1, "abs": 1, "sinh": 1, "cosh": 1, "tanh": 1, "min": 2, "max": 2}
)

# How tightly an operator holds its operands, for parentheses.
_BINDING: Final[Mapping[str, int]] = MappingProxyType(
    {"or": 1, "and": 2, "not": 3, "<": 4, "<=": 4, "==": 4, "+": 5, "-": 5, "neg": 5, "*": 6, "/": 6, "**": 7}
)
_ATOM: Final = 9


@dataclass(frozen=True)
class Node:
    """One node of a formula.

    op       "number", "name", an operator (+ - * / neg ** < <= == and or not), a function (FUNCTIONS), "select"
             (condition, value, other value), "true" or "false"
    args     the operands
    value    of a number
    name     of a name
    """

    op: str
    args: tuple[Node, ...] = ()
    value: float = 0.0
    name: str = ""
    size: int = field(init=False, compare=False, repr=False)
    depth: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", 1 + sum(a.size for a in self.args))
        object.__setattr__(self, "depth", 1 + max((a.depth for a in self.args), default=0))
        if self.size > MOST_NODES or self.depth > MOST_LEVELS:
            raise NetworkError(
                f"the formula is too large once its names are replaced (more than {MOST_NODES} operations, or more "
                f"than {MOST_LEVELS} within each other); split it up"
            )

    @property
    def logical(self) -> bool:
        """Whether the value is true or false, not a number."""
        return self.op in LOGICAL

    def is_number(self, value: float | None = None) -> bool:
        """Whether this is a number (this number)."""
        return self.op == "number" and (value is None or self.value == value)

    def walk(self) -> Iterator[Node]:
        """Every different node once, operands before what they are operands of."""
        seen: set[int] = set()
        stack = [(self, False)]
        while stack:
            node, ready = stack.pop()
            if id(node) in seen:
                continue
            if ready:
                seen.add(id(node))
                yield node
            else:
                stack.append((node, True))
                stack.extend((a, False) for a in reversed(node.args))

    @property
    def names(self) -> tuple[str, ...]:
        """The names that the formula reads, in order of appearance."""
        return tuple(dict.fromkeys(node.name for node in self.walk() if node.op == "name"))

    def __str__(self) -> str:
        return text(self)


def number(value: float) -> Node:
    """A number; NetworkError if it is not finite."""
    if not math.isfinite(value):
        raise NetworkError("the formula holds a number that is not finite")
    return Node("number", value=float(value))


def name(of: str) -> Node:
    """T, n_H or a condition."""
    return Node("name", name=of)


TRUE: Final = Node("true")
FALSE: Final = Node("false")


def _power(base: float, exponent: float) -> float:
    result = base**exponent
    if isinstance(result, complex):
        raise ValueError
    return float(result)


_FOLD: Final[Mapping[str, Callable[..., float | bool]]] = MappingProxyType(
    {
        "+": lambda a, b: a + b,
        "-": lambda a, b: a - b,
        "*": lambda a, b: a * b,
        "/": lambda a, b: a / b,
        "neg": lambda a: -a,
        "**": _power,
        "<": lambda a, b: a < b,
        "<=": lambda a, b: a <= b,
        "==": lambda a, b: a == b,
        "exp": math.exp,
        "log": math.log,
        "log10": math.log10,
        "sqrt": math.sqrt,
        "abs": abs,
        "sinh": math.sinh,
        "cosh": math.cosh,
        "tanh": math.tanh,
        "min": min,
        "max": max,
    }
)


def call(op: str, *args: Node) -> Node:
    """An operator or function applied to its operands, simplified: constants folded, neutral operands left out.

    Raises NetworkError for constants without a finite value, such as 1 / 0.
    """
    if op in ("and", "or", "not"):
        return _logical(op, args)
    if op == "select":
        condition, value, other = args
        if condition.op in ("true", "false"):
            return value if condition.op == "true" else other
        return value if value == other else Node(op, args)
    if all(a.op == "number" for a in args):
        return _folded(op, args)
    if len(args) == 2:
        a, b = args
        if (op in "+-" and b.is_number(0.0)) or (op in ("*", "/", "**") and b.is_number(1.0)):
            return a
        if (op == "+" and a.is_number(0.0)) or (op == "*" and a.is_number(1.0)):
            return b
        if op == "-" and a.is_number(0.0):
            return call("neg", b)
        if op == "**" and b.is_number(0.0):
            return number(1.0)
    if op == "neg" and args[0].op == "neg":
        return args[0].args[0]
    return Node(op, args)


def _folded(op: str, args: tuple[Node, ...]) -> Node:
    try:
        value = _FOLD[op](*(a.value for a in args))
        if isinstance(value, bool):
            return TRUE if value else FALSE
        return number(value)
    except (ArithmeticError, ValueError):
        raise NetworkError(f"{text(Node(op, args))} has no finite value") from None


def _logical(op: str, args: tuple[Node, ...]) -> Node:
    if op == "not":
        (a,) = args
        if a.op in ("true", "false"):
            return FALSE if a.op == "true" else TRUE
        return a.args[0] if a.op == "not" else Node(op, args)
    neutral, absorbing = ("true", "false") if op == "and" else ("false", "true")
    for one, other in (args, args[::-1]):
        if one.op == neutral:
            return other
        if one.op == absorbing:
            return one
    return Node(op, args)


# --- text -----------------------------------------------------------------------------------------------------


def text(node: Node) -> str:
    """The formula in Fortran's spelling, with no more parentheses than it needs."""
    if node.op == "number":
        return repr(node.value)
    if node.op == "name":
        return node.name
    if node.op in ("true", "false"):
        return f".{node.op}."
    if node.op == "select":
        condition, value, other = node.args
        return f"merge({text(value)}, {text(other)}, {text(condition)})"
    if node.op in FUNCTIONS:
        return f"{node.op}({', '.join(text(a) for a in node.args)})"
    mine = _BINDING[node.op]
    if node.op in ("neg", "not"):
        sign = "-" if node.op == "neg" else ".not. "
        return sign + _within(node.args[0], mine + 1)
    a, b = node.args
    if node.op == "**":
        # Exponents that are whole read better without a point, and are the same number.
        whole = b.op == "number" and b.value.is_integer() and 0 <= b.value < 1e6
        return f"{_within(a, mine + 1)}**{int(b.value) if whole else _within(b, mine + 1)}"
    # Comparisons do not chain; the others hold to the left.
    left = mine + 1 if node.op in ("<", "<=", "==") else mine
    sign = f".{node.op}." if node.op in ("and", "or") else node.op
    return f"{_within(a, left)} {sign} {_within(b, mine + 1)}"


def _within(node: Node, binding: int) -> str:
    negative = node.op == "number" and math.copysign(1.0, node.value) < 0
    mine = _BINDING["neg"] if negative else _BINDING.get(node.op, _ATOM)
    return text(node) if mine >= binding else f"({text(node)})"
