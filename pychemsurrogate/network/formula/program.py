"""Formulas as one straight program: a list of values, each computed from earlier ones, that every language evaluates.

Value i is instruction i: (operation, a, b, c), where a, b, c are earlier values, or the index of a constant or of a
condition. Equal values are computed once, whatever formulas they belong to. Powers, logarithms to base 10 and
hyperbolic functions are spelt out by the operations there are, so that all evaluators do the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pychemsurrogate.network.formula.tree import DENSITY, TEMPERATURE, Node

# The numbers of the operations in a program (never reused) are their places here; operands: how many earlier values
# each reads. native/include/pcs/plan_view.hpp has the same list. A condition is 1 or 0; select(c, a, b): a where c is
# not 0, else b; min and max give their second operand where the first is NaN.
OPERATIONS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "constant": 0,
        "temperature": 0,
        "density": 0,
        "condition": 0,
        "+": 2,
        "-": 2,
        "*": 2,
        "/": 2,
        "exp": 1,
        "log": 1,
        "sqrt": 1,
        "abs": 1,
        "min": 2,
        "max": 2,
        "<": 2,
        "<=": 2,
        "==": 2,
        "select": 3,
    }
)
_NUMBERS: Final = {operation: number for number, operation in enumerate(OPERATIONS)}
_COMMUTATIVE: Final = frozenset({"+", "*", "=="})
_LARGEST_POWER: Final = 64  # by multiplication

# exp saturates here: e^708 is near the largest double.
LARGEST_EXPONENT: Final = 708.0

IntArray = NDArray[np.int32]
FloatArray = NDArray[np.float64]


class Compiler:
    """Collects the formulas of a network, whose conditions are in this order, into one program."""

    def __init__(self, conditions: Sequence[str]) -> None:
        self._conditions = {name: i for i, name in enumerate(conditions)}
        self._code: list[tuple[int, int, int, int]] = []
        self._constants: list[float] = []
        self._values: dict[tuple[Any, ...], int] = {}

    def add(self, formula: Node) -> int:
        """The number of the value that is this formula. KeyError for a name that is no condition."""
        done: dict[int, int] = {}
        for node in formula.walk():
            done[id(node)] = self._value(node, [done[id(a)] for a in node.args])
        return done[id(formula)]

    def code(self) -> IntArray:
        """The instructions (I, 4)."""
        return np.array(self._code, dtype=np.int32).reshape(-1, 4)

    def constants(self) -> FloatArray:
        """The constants (K)."""
        return np.array(self._constants, dtype=np.float64)

    def _emit(self, operation: str, *operands: int) -> int:
        if operation in _COMMUTATIVE:
            operands = tuple(sorted(operands))
        key = (operation, *operands)
        if key not in self._values:
            self._values[key] = len(self._code)
            a, b, c = (*operands, 0, 0, 0)[:3]
            self._code.append((_NUMBERS[operation], a, b, c))
        return self._values[key]

    def _constant(self, value: float) -> int:
        key = ("number", value.hex())  # 0.0 and -0.0 differ
        if key not in self._values:
            self._constants.append(value)
            self._values[key] = self._emit("constant", len(self._constants) - 1)
        return self._values[key]

    def _value(self, node: Node, operands: list[int]) -> int:
        op = node.op
        if op == "number":
            return self._constant(node.value)
        if op == "name":
            if node.name == TEMPERATURE:
                return self._emit("temperature")
            if node.name == DENSITY:
                return self._emit("density")
            return self._emit("condition", self._conditions[node.name])
        if op in ("true", "false"):
            return self._constant(1.0 if op == "true" else 0.0)
        if op == "neg":
            return self._emit("*", self._constant(-1.0), operands[0])
        if op == "and":
            return self._emit("min", *operands)
        if op == "or":
            return self._emit("max", *operands)
        if op == "not":
            return self._emit("-", self._constant(1.0), operands[0])
        if op == "log10":
            return self._emit("*", self._emit("log", operands[0]), self._constant(1.0 / math.log(10.0)))
        if op == "**":
            return self._power(node, *operands)
        if op in ("sinh", "cosh", "tanh"):
            return self._hyperbolic(op, operands[0])
        return self._emit(op, *operands)

    def _power(self, node: Node, base: int, exponent: int) -> int:
        by, of = node.args[1], node.args[0]
        if by.op == "number":
            if by.value.is_integer() and abs(by.value) <= _LARGEST_POWER:
                return self._whole_power(base, int(by.value))
            if abs(by.value) == 0.5:
                root = self._emit("sqrt", base)
                return root if by.value > 0 else self._emit("/", self._constant(1.0), root)
        # base^exponent = exp(exponent ln base): the logarithm is shared by all powers of a base.
        log = self._constant(math.log(of.value)) if of.op == "number" and of.value > 0 else self._emit("log", base)
        power = self._emit("exp", self._emit("*", log, exponent))
        if by.op == "number":
            return power
        # Whatever the base, 0 among them, its power of 0 is 1, as in Fortran.
        one, zero = self._constant(1.0), self._constant(0.0)
        return self._emit("select", self._emit("==", exponent, zero), one, power)

    def _whole_power(self, base: int, exponent: int) -> int:
        if exponent < 0:
            return self._emit("/", self._constant(1.0), self._whole_power(base, -exponent))
        if exponent == 0:
            return self._constant(1.0)
        if exponent == 1:
            return base
        half = self._whole_power(base, exponent // 2)
        square = self._emit("*", half, half)
        return self._emit("*", square, base) if exponent % 2 else square

    def _hyperbolic(self, op: str, x: int) -> int:
        """By exponentials; near 0, where they cancel, sinh by its Taylor series."""
        up = self._emit("exp", x)
        down = self._emit("exp", self._emit("*", self._constant(-1.0), x))
        half = self._constant(0.5)
        cosh = self._emit("*", half, self._emit("+", up, down))
        if op == "cosh":
            return cosh
        square = self._emit("*", x, x)
        series = self._constant(1.0 / math.factorial(19))
        for k in range(17, 0, -2):
            series = self._emit("+", self._emit("*", series, square), self._constant(1.0 / math.factorial(k)))
        small = self._emit("<", self._emit("abs", x), self._constant(1.0))
        near = self._emit("*", series, x)
        if op == "sinh":
            return self._emit("select", small, near, self._emit("*", half, self._emit("-", up, down)))
        one, two = self._constant(1.0), self._constant(2.0)
        twice = self._emit("exp", self._emit("*", two, x))
        far = self._emit("-", one, self._emit("/", two, self._emit("+", one, twice)))
        return self._emit("select", small, self._emit("/", near, cosh), far)


def _exp(x: Any) -> Any:
    inside = np.exp(np.clip(x, -LARGEST_EXPONENT, LARGEST_EXPONENT))
    return np.where(x > LARGEST_EXPONENT, np.inf, np.where(x < -LARGEST_EXPONENT, 0.0, inside))


_NUMPY: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        "+": np.add,
        "-": np.subtract,
        "*": np.multiply,
        "/": np.divide,
        "exp": _exp,
        "log": np.log,
        "sqrt": np.sqrt,
        "abs": np.abs,
        "min": lambda a, b: np.where(a < b, a, b),
        "max": lambda a, b: np.where(a > b, a, b),
        "<": lambda a, b: np.where(a < b, 1.0, 0.0),
        "<=": lambda a, b: np.where(a <= b, 1.0, 0.0),
        "==": lambda a, b: np.where(a == b, 1.0, 0.0),
        "select": lambda c, a, b: np.where(c != 0.0, a, b),
    }
)


def evaluate(
    code: IntArray,
    constants: FloatArray,
    temperature: Any,
    density: Any,
    conditions: Sequence[Any],
    operations: Mapping[str, Callable[..., Any]] = _NUMPY,
) -> list[Any]:
    """All values of a program, by numpy or whatever arrays `operations` works on.

    temperature [K], density n_H [cm^-3] and the conditions broadcast together. Where a formula has no finite value the
    result says so (inf or NaN).
    """
    names = tuple(OPERATIONS)
    values: list[Any] = []
    with np.errstate(all="ignore"):
        for number_, a, b, c in code.tolist():
            operation = names[number_]
            if operation == "constant":
                values.append(constants[a])
            elif operation == "temperature":
                values.append(temperature)
            elif operation == "density":
                values.append(density)
            elif operation == "condition":
                values.append(conditions[a])
            else:
                operands = [values[i] for i in (a, b, c)[: OPERATIONS[operation]]]
                values.append(operations[operation](*operands))
    return values
