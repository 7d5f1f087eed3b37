"""What a formula is in closed form: products of powers and exponentials, ranges of temperature, proportionality."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from pychemsurrogate.network.formula.tree import TEMPERATURE, Node, call

# Powers of T are those of T / 300 K, and numbers are kept exactly: so the parameters of a law come out as they were
# written, whatever the spelling.
REFERENCE: Final = Fraction(300)
NO_LIMIT_K: Final = 1e10

# An exact number of more bits is no rate's any more.
_MOST_BITS: Final = 100_000

_LN10: Final = Fraction(math.log(10.0))


@dataclass(frozen=True)
class Monomial:
    """factor (T / 300 K)^temperature exp(inverse / T) times powers and exponentials of other names.

    powers: name -> exponent; decay: name -> c in exp(c name). All numbers exact.
    """

    factor: Fraction
    temperature: Fraction = Fraction(0)
    inverse: Fraction = Fraction(0)
    powers: dict[str, Fraction] = field(default_factory=dict)
    decay: dict[str, Fraction] = field(default_factory=dict)

    @property
    def constant(self) -> bool:
        """Whether this is a number."""
        return not (self.temperature or self.inverse or self.powers or self.decay)

    def alike(self, other: Monomial) -> bool:
        """Whether the two differ in the factor alone."""
        mine = (self.temperature, self.inverse, self.powers, self.decay)
        return mine == (other.temperature, other.inverse, other.powers, other.decay)

    def times(self, other: Monomial, sign: int = 1) -> Monomial:
        """The product, or with sign -1 the ratio."""
        return Monomial(
            self.factor * other.factor if sign > 0 else self.factor / other.factor,
            self.temperature + sign * other.temperature,
            self.inverse + sign * other.inverse,
            _sum(self.powers, other.powers, sign),
            _sum(self.decay, other.decay, sign),
        )

    def to_the(self, power: Fraction) -> Monomial | None:
        """A power; None where it has no exact or no real form."""
        factor = _factor_power(self.factor, power)
        if factor is None:
            return None
        return Monomial(
            factor,
            self.temperature * power,
            self.inverse * power,
            {name: p * power for name, p in self.powers.items()},
            {name: c * power for name, c in self.decay.items()},
        )


def _sum(a: dict[str, Fraction], b: dict[str, Fraction], sign: int) -> dict[str, Fraction]:
    total: Counter[str] = Counter()
    for part, s in ((a, 1), (b, sign)):
        for name, value in part.items():
            total[name] += s * value  # type: ignore[assignment]
    return {name: Fraction(value) for name, value in total.items() if value}


def _factor_power(factor: Fraction, power: Fraction) -> Fraction | None:
    if factor == 1 or power == 1:
        return factor
    bits = factor.numerator.bit_length() + factor.denominator.bit_length()
    if power.denominator == 1 and bits * abs(power) <= _MOST_BITS:
        return factor ** int(power) if factor or power > 0 else None
    if factor <= 0:
        return None
    try:
        return Fraction(float(factor) ** float(power))
    except (ArithmeticError, ValueError):
        return None


@dataclass(frozen=True)
class _Linear:
    """constant + logarithm ln(T / 300 K) + inverse / T + sum of c name: what an exponential may hold."""

    constant: Fraction = Fraction(0)
    logarithm: Fraction = Fraction(0)
    inverse: Fraction = Fraction(0)
    names: dict[str, Fraction] = field(default_factory=dict)

    def plus(self, other: _Linear, sign: int = 1) -> _Linear:
        return _Linear(
            self.constant + sign * other.constant,
            self.logarithm + sign * other.logarithm,
            self.inverse + sign * other.inverse,
            _sum(self.names, other.names, sign),
        )

    def scaled(self, by: Fraction) -> _Linear:
        return _Linear(
            self.constant * by, self.logarithm * by, self.inverse * by, {n: c * by for n, c in self.names.items() if by}
        )

    @property
    def is_constant(self) -> bool:
        return not (self.logarithm or self.inverse or self.names)


def monomial(node: Node) -> Monomial | None:
    """The formula as a monomial, None where it is none."""
    if node.op == "number":
        return Monomial(Fraction(node.value))
    if node.op == "name":
        if node.name == TEMPERATURE:
            return Monomial(REFERENCE, Fraction(1))
        return Monomial(Fraction(1), powers={node.name: Fraction(1)})
    if node.op == "exp":
        inside = _linear(node.args[0])
        return None if inside is None else _exponential(inside)
    if node.op == "**" and node.args[0].op == "number" and node.args[0].value > 0 and node.args[1].op != "number":
        inside = _linear(node.args[1])
        if inside is None:
            return None
        base = node.args[0].value
        return _exponential(inside.scaled(_LN10 if base == 10 else Fraction(math.log(base))))
    if node.op not in ("neg", "*", "/", "+", "-", "sqrt", "**"):
        return None
    parts = [monomial(a) for a in node.args]
    first = parts[0]
    if first is None:
        return None
    if node.op == "neg":
        return first.times(Monomial(Fraction(-1)))
    if node.op == "sqrt":
        return first.to_the(Fraction(1, 2))
    second = parts[1]
    if second is None:
        return None
    if node.op == "**":
        return first.to_the(second.factor) if second.constant else None
    if node.op == "*":
        return first.times(second)
    if node.op == "/":
        return first.times(second, -1) if second.factor else None
    if not first.alike(second):
        return None
    factor = first.factor + second.factor if node.op == "+" else first.factor - second.factor
    return Monomial(factor, first.temperature, first.inverse, first.powers, first.decay)


def _exponential(inside: _Linear) -> Monomial | None:
    try:
        factor = Fraction(math.exp(inside.constant)) if inside.constant else Fraction(1)
    except OverflowError:
        return None
    return Monomial(factor, inside.logarithm, inside.inverse, {}, inside.names)


def _linear(node: Node) -> _Linear | None:
    if node.op in ("+", "-"):
        a, b = (_linear(part) for part in node.args)
        return None if a is None or b is None else a.plus(b, 1 if node.op == "+" else -1)
    if node.op == "neg":
        inside = _linear(node.args[0])
        return None if inside is None else inside.scaled(Fraction(-1))
    if node.op in ("log", "log10"):
        form = monomial(node.args[0])
        if form is None or form.powers or form.factor <= 0:
            return None
        try:
            log = Fraction(0) if form.factor == 1 else Fraction(math.log(form.factor))
        except (ArithmeticError, ValueError):
            return None
        natural = _Linear(log, form.temperature, form.inverse, form.decay)
        return natural if node.op == "log" else natural.scaled(1 / _LN10)
    form = monomial(node)
    if form is not None:
        if form.constant:
            return _Linear(form.factor)
        if form.inverse or form.decay:
            return None
        if form.temperature == -1 and not form.powers:
            return _Linear(inverse=form.factor * REFERENCE)
        if not form.temperature and list(form.powers.values()) == [Fraction(1)]:
            return _Linear(names=dict.fromkeys(form.powers, form.factor))
        return None
    if node.op in ("*", "/"):
        a, b = (_linear(part) for part in node.args)
        if a is None or b is None:
            return None
        if b.is_constant and (node.op == "*" or b.constant):
            return a.scaled(b.constant if node.op == "*" else 1 / b.constant)
        return b.scaled(a.constant) if node.op == "*" and a.is_constant else None
    return None


def temperature_range(condition: Node) -> tuple[float, float] | None:
    """[from, until) where a condition on T alone holds; None for another condition."""
    if condition.op == "and":
        a, b = (temperature_range(part) for part in condition.args)
        return None if a is None or b is None else (max(a[0], b[0]), min(a[1], b[1]))
    if condition.op not in ("<", "<="):
        return None
    left, right = condition.args
    strict = condition.op == "<"
    if left.op == "name" and left.name == TEMPERATURE and right.op == "number":
        return 0.0, right.value if strict else math.nextafter(right.value, math.inf)
    if right.op == "name" and right.name == TEMPERATURE and left.op == "number":
        return math.nextafter(left.value, math.inf) if strict else left.value, NO_LIMIT_K
    return None


def pieces(node: Node) -> tuple[Node, float, float] | None:
    """(formula, from, until) of a formula that holds for T in [from, until) and is 0 elsewhere; None if it is not one.

    A formula that holds everywhere has the range (0, NO_LIMIT_K).
    """
    if node.op != "select":
        return node, 0.0, NO_LIMIT_K
    condition, value, other = node.args
    if not other.is_number(0.0):
        return None
    here, inner = temperature_range(condition), pieces(value)
    if here is None or inner is None:
        return None
    return inner[0], max(here[0], inner[1]), min(here[1], inner[2])


def with_value(node: Node, name: str, value: Node) -> Node:
    """The formula with a name replaced."""
    done: dict[int, Node] = {}
    for part in node.walk():
        if part.op == "name":
            done[id(part)] = value if part.name == name else part
        elif part.args:
            done[id(part)] = call(part.op, *(done[id(a)] for a in part.args))
        else:
            done[id(part)] = part
    return done[id(node)]


def degree(node: Node, name: str) -> Fraction | None:
    """The p for which the formula is proportional to name^p, 0 if it does not read it; None if it is no power of it."""
    found = _degree(node, name)
    return Fraction(0) if found is _ANY else found


# Of the number 0, which is proportional to every power.
_ANY: Final = Fraction(10**9 + 7)


def _degree(node: Node, name: str) -> Fraction | None:
    if node.op == "name":
        return Fraction(1 if node.name == name else 0)
    if node.op in ("number", "true", "false"):
        return _ANY if node.is_number(0.0) else Fraction(0)
    parts = [_degree(a, name) for a in node.args]
    if any(p is None for p in parts):
        return None
    known = [p for p in parts if p is not None]
    if node.op in ("neg", "abs"):
        return known[0]
    if node.op == "sqrt":
        return _ANY if known[0] is _ANY else known[0] / 2
    if node.op == "*":
        return _ANY if any(p is _ANY for p in known) else known[0] + known[1]
    if node.op == "/":
        return _ANY if known[0] is _ANY else known[0] - known[1]
    if node.op == "**":
        if known[0] in (0, _ANY) and known[1] in (0, _ANY):
            return Fraction(0)
        by = node.args[1]
        return known[0] * Fraction(by.value) if by.op == "number" and known[0] is not _ANY else None
    if node.op in ("+", "-", "min", "max", "<", "<=", "=="):
        same = _common(known)
        return same if node.op in ("+", "-", "min", "max") or same is None else Fraction(0)
    if node.op == "select":
        return _common(known[1:]) if known[0] == 0 else None
    # Functions and .and., .or., .not.: of what does not change alone.
    return Fraction(0) if all(p in (0, _ANY) for p in known) else None


def _common(powers: list[Fraction]) -> Fraction | None:
    real = {p for p in powers if p is not _ANY}
    if len(real) > 1:
        return None
    return real.pop() if real else _ANY
