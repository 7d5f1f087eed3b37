"""Fortran expressions, read into trees: the grammar of the standard for reals and logicals, no evaluation by Python.

Literals without a d exponent are read in double precision, and a ratio of whole numbers that Fortran would cut is
refused. As gfortran does, `a**-b`, `a*-b` and `a+-b` are read with the sign in parentheses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from pychemsurrogate.network.formula.tree import FALSE, FUNCTIONS, TRUE, Node, call, number
from pychemsurrogate.network.species import NetworkError

_WORD_OPERATORS: Final = "lt|le|gt|ge|eq|ne|and|or|not|eqv|neqv|true|false"
_TOKEN: Final = re.compile(
    rf"""\s*(?:
      (?P<number>(?:\d+(?:\.(?!(?:{_WORD_OPERATORS})\.)\d*)?|\.\d+)(?:[de][+-]?\d+)?)
    | (?P<name>[a-z_]\w*)
    | (?P<word>\.(?:{_WORD_OPERATORS})\.)
    | (?P<symbol>\*\*|[<>]=|==|/=|[-+*/()<>,:%\[\]=])
    )""",
    re.IGNORECASE | re.VERBOSE | re.ASCII,
)
_RELATIONS: Final[Mapping[str, tuple[str, bool, bool]]] = MappingProxyType(
    # operator, operands swapped, negated
    {
        "<": ("<", False, False),
        "<=": ("<=", False, False),
        ">": ("<", True, False),
        ">=": ("<=", True, False),
        "==": ("==", False, False),
        "/=": ("==", False, True),
        ".lt.": ("<", False, False),
        ".le.": ("<=", False, False),
        ".gt.": ("<", True, False),
        ".ge.": ("<=", True, False),
        ".eq.": ("==", False, False),
        ".ne.": ("==", False, True),
    }
)
# Fortran's specific names, and what they are; conversions to double precision change nothing.
_SPECIFIC: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{f"d{f}": f for f in ("exp", "log", "log10", "sqrt", "abs", "sinh", "cosh", "tanh")},
        "alog": "log",
        "alog10": "log10",
        "dmin1": "min",
        "amin1": "min",
        "dmax1": "max",
        "amax1": "max",
        **dict.fromkeys(("dble", "real", "float"), "real"),
    }
)
INTRINSICS: Final = (*FUNCTIONS, *_SPECIFIC, "merge")

Special = Callable[["Parser"], Node]


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int


def parse(
    formula: str, resolve: Callable[[str], Node | None], specials: Mapping[str, Special] = MappingProxyType({})
) -> Node:
    """The tree of a Fortran expression.

    resolve      gives the tree that a name (as it is spelt) stands for; None: unknown
    specials     by name in lower case: functions that a format adds; each reads its own arguments from the parser,
                 which stands at their "("

    Raises NetworkError that says what is wrong with the expression, and nothing else.
    """
    parser = Parser(formula, resolve, specials)
    return parser.whole()


class Parser:
    """A recursive-descent parser over one expression; whole numbers are tracked for Fortran's integer division."""

    def __init__(self, formula: str, resolve: Callable[[str], Node | None], specials: Mapping[str, Special]) -> None:
        self._formula = formula
        self._resolve = resolve
        self._specials = specials
        self._tokens = self._split()
        self._next = 0
        self._depth = 0

    def whole(self) -> Node:
        """The tree of the whole text."""
        node, _ = self._any()
        if self._peek.kind != "end":
            raise self.error(f'"{self._peek.text}" where the expression should end or an operator stand')
        return node

    def error(self, reason: str) -> NetworkError:
        """An error at the present token."""
        return NetworkError(f'in the expression "{self._formula.strip()}", at character {self._peek.at + 1}: {reason}')

    # --- tokens -----------------------------------------------------------------------------------------------

    def _split(self) -> list[_Token]:
        tokens, at = [], 0
        end = len(self._formula.rstrip())
        while at < end:
            match = _TOKEN.match(self._formula, at)
            if match is None or match.lastgroup is None:
                left = self._formula[at:].strip()
                raise NetworkError(f'the expression "{self._formula.strip()}" cannot be read from "{left[:20]}" on')
            token = match[match.lastgroup]
            kind = "symbol" if match.lastgroup == "word" else match.lastgroup
            tokens.append(_Token(kind, token.lower() if kind == "symbol" else token, match.start(match.lastgroup)))
            at = match.end()
        return [*tokens, _Token("end", "the end", end)]

    @property
    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def accept(self, *symbols: str) -> str | None:
        """The next token if it is one of these symbols, taken; else None."""
        token = self._peek
        if token.kind != "symbol" or token.text not in symbols:
            return None
        self._next += 1
        return token.text

    def expect(self, symbol: str) -> None:
        """Take this symbol; NetworkError if another one stands there."""
        if self.accept(symbol) is None:
            raise self.error(f'expected "{symbol}", not "{self._peek.text}"')

    def word(self) -> str | None:
        """The next token if it is a name, taken; else None."""
        if self._peek.kind != "name":
            return None
        self._next += 1
        return self._tokens[self._next - 1].text

    # --- grammar, from the loosest operator to the tightest; each gives (tree, whether it is a whole number) ------

    def argument(self) -> Node:
        """One argument of a function."""
        return self._any()[0]

    def _any(self) -> tuple[Node, bool]:
        self._depth += 1
        if self._depth > 60:
            raise self.error("parentheses nested too deeply")
        value = self._conjunction()
        while (at := self.accept(".or.", ".eqv.", ".neqv.")) is not None:
            if at != ".or.":
                raise self.error(f"{at} is not supported")
            value = self._combine("or", value, self._conjunction())
        self._depth -= 1
        return value

    def _conjunction(self) -> tuple[Node, bool]:
        value = self._negation()
        while self.accept(".and."):
            value = self._combine("and", value, self._negation())
        return value

    def _negation(self) -> tuple[Node, bool]:
        if not self.accept(".not."):
            return self._relation()
        operand, _ = self._negation() if self._shallow() else self._relation()
        if not operand.logical:
            raise self.error("the operand of .not. is a number")
        return call("not", operand), False

    def _shallow(self) -> bool:
        if self._next > 1 and all(t.text == ".not." for t in self._tokens[max(self._next - 20, 0) : self._next]):
            raise self.error("too many .not. in a row")
        return True

    def _combine(self, op: str, left: tuple[Node, bool], right: tuple[Node, bool]) -> tuple[Node, bool]:
        if not (left[0].logical and right[0].logical):
            raise self.error(f"an operand of .{op}. is a number")
        return call(op, left[0], right[0]), False

    def _relation(self) -> tuple[Node, bool]:
        value = self._sum()
        relation = self.accept(*_RELATIONS)
        if relation is None:
            return value
        other = self._sum()
        self._need_numbers(relation, value, other)
        op, swapped, negated = _RELATIONS[relation]
        node = call(op, other[0], value[0]) if swapped else call(op, value[0], other[0])
        return (call("not", node) if negated else node), False

    def _need_numbers(self, op: str, *operands: tuple[Node, bool]) -> None:
        if any(node.logical for node, _ in operands):
            raise self.error(f"an operand of {op} is a condition, not a number")

    def _sum(self) -> tuple[Node, bool]:
        value = self._signed(self._product)
        while (op := self.accept("+", "-")) is not None:
            value = self._arithmetic(op, value, self._signed(self._product))
        return value

    def _product(self) -> tuple[Node, bool]:
        value = self._factor()
        while (op := self.accept("*", "/")) is not None:
            value = self._arithmetic(op, value, self._signed(self._factor))
        return value

    def _signed(self, operand: Callable[[], tuple[Node, bool]]) -> tuple[Node, bool]:
        sign = self.accept("+", "-")
        value = operand()
        if sign:
            self._need_numbers(sign, value)
        return (call("neg", value[0]), value[1]) if sign == "-" else value

    def _factor(self) -> tuple[Node, bool]:
        base = self._primary()
        if not self.accept("**"):
            return base
        self._depth += 1
        if self._depth > 60:
            raise self.error("powers of powers nested too deeply")
        exponent = self._signed(self._factor)
        self._depth -= 1
        return self._arithmetic("**", base, exponent)

    def _arithmetic(self, op: str, left: tuple[Node, bool], right: tuple[Node, bool]) -> tuple[Node, bool]:
        self._need_numbers(op, left, right)
        whole = left[1] and right[1]
        (a, _), (b, _) = left, right
        if whole and ((op == "/" and b.value and a.value % b.value) or (op == "**" and b.value < 0)):
            raise self.error(
                f"{a.value:.0f} {op} {b.value:.0f} of whole numbers is cut to a whole number in Fortran; "
                f"write {a.value:.0f}d0 {op} {b.value:.0f}d0"
            )
        try:
            return call(op, a, b), whole
        except NetworkError as error:
            raise self.error(str(error)) from None

    def _primary(self) -> tuple[Node, bool]:
        token = self._peek
        if token.kind == "number":
            self._next += 1
            try:
                value = float(token.text.lower().replace("d", "e"))
                return number(value), token.text.isdigit() and value < 2**31
            except (ValueError, NetworkError):
                raise self.error(f"the number {token.text} is too large") from None
        if self.accept("("):
            inside = self._any()
            self.expect(")")
            return inside
        if self.accept(".true."):
            return TRUE, False
        if self.accept(".false."):
            return FALSE, False
        name = self.word()
        if name is None:
            raise self.error(f'expected a number, a name or "(", not "{token.text}"')
        if self._peek.text == "(" and self._peek.kind == "symbol":
            return self._function(name), False
        node = self._resolve(name)
        if node is None:
            self._next -= 1
            raise self.error(f'the name "{name}" is unknown')
        return node, False

    def _function(self, name: str) -> Node:
        lower = name.lower()
        if lower in self._specials:
            return self._specials[lower](self)
        function = _SPECIFIC.get(lower, lower)
        if function not in FUNCTIONS and function not in ("merge", "real"):
            self._next -= 1
            raise self.error(
                f'the function "{name}" is not supported; there are {", ".join((*FUNCTIONS, "merge", *self._specials))}'
            )
        arguments = self.arguments()
        if function == "merge":
            return self._merge(arguments)
        if any(a.logical for a in arguments):
            raise self.error(f"{name}() takes numbers, not conditions")
        if function == "real":
            if len(arguments) != 1:
                raise self.error(f"{name}() takes one argument here")
            return arguments[0]
        wanted = FUNCTIONS[function]
        if len(arguments) < wanted or (wanted == 1 and len(arguments) > 1):
            raise self.error(f"{name}() takes {wanted} argument{'s or more' if wanted > 1 else ''}")
        try:
            node = call(function, *arguments[:wanted])
            for argument in arguments[wanted:]:
                node = call(function, node, argument)
        except NetworkError as error:
            raise self.error(str(error)) from None
        return node

    def arguments(self) -> list[Node]:
        """The arguments of a function, in their parentheses."""
        self.expect("(")
        arguments = [self.argument()]
        while self.accept(","):
            arguments.append(self.argument())
        self.expect(")")
        return arguments

    def _merge(self, arguments: list[Node]) -> Node:
        if len(arguments) != 3 or not arguments[2].logical or arguments[0].logical or arguments[1].logical:
            raise self.error("merge() takes two numbers and a condition")
        return call("select", arguments[2], arguments[0], arguments[1])
