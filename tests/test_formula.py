"""Formulas: read from Fortran, printed and read again, recognised, compiled and evaluated."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest

from pychemsurrogate.network import NetworkError
from pychemsurrogate.network.formula.parse import parse
from pychemsurrogate.network.formula.program import Compiler, evaluate
from pychemsurrogate.network.formula.shape import degree, monomial, pieces
from pychemsurrogate.network.formula.tree import Node, name
from pychemsurrogate.network.rate_laws.choose import law_of

NAMES = ("T", "n_H", "x", "zeta", "A_V", "G0")
CONDITIONS = ("x", "zeta", "A_V", "G0")


def read(formula: str) -> Node:
    return parse(formula, lambda word: name(word) if word in NAMES else None)


def value(formula: str, T: float = 120.0, n_H: float = 5e3, **conditions: float) -> float:
    compiler = Compiler(CONDITIONS)
    index = compiler.add(read(formula))
    given = [np.asarray(conditions.get(c, 1.0)) for c in CONDITIONS]
    values = evaluate(compiler.code(), compiler.constants(), np.asarray(T), np.asarray(n_H), given)
    return float(values[index])


# Written anew in Python, beside Fortran.
SAME: list[tuple[str, Callable[[float, float], float]]] = [
    ("1d-9", lambda T, x: 1e-9),
    ("1.D-9*2.e0", lambda T, x: 2e-9),
    (".5d0+3", lambda T, x: 3.5),
    ("2*3**2", lambda T, x: 18.0),
    ("2d0**3**2", lambda T, x: 512.0),
    ("-T**2", lambda T, x: -T * T),
    ("-2d0**2", lambda T, x: -4.0),
    ("T**-x", lambda T, x: T**-x),
    ("T**-2*x", lambda T, x: x / T**2),
    ("T*-x", lambda T, x: -T * x),
    ("T/x/2d0", lambda T, x: T / x / 2),
    ("T-x-1", lambda T, x: T - x - 1),
    ("T-(x-1)", lambda T, x: T - (x - 1)),
    ("(T)", lambda T, x: T),
    ("4/2*T", lambda T, x: 2 * T),
    ("3d0/2*T", lambda T, x: 1.5 * T),
    ("exp(-x)+DEXP(-x)", lambda T, x: 2 * math.exp(-x)),
    ("log(T)+dlog(T)+Alog(T)", lambda T, x: 3 * math.log(T)),
    ("log10(T)-dlog10(T/1d1)", lambda T, x: 1.0),
    ("sqrt(T)*dsqrt(x)", lambda T, x: math.sqrt(T * x)),
    ("abs(x-T)+dabs(T-x)", lambda T, x: 2 * abs(T - x)),
    ("min(T,x,1d0)", lambda T, x: min(T, x, 1.0)),
    ("max(T,x)-dmax1(x,T)+amax1(1.,2.)", lambda T, x: 2.0),
    ("sinh(x)", lambda T, x: math.sinh(x)),
    ("sinh(x/1d3)", lambda T, x: math.sinh(x / 1e3)),
    ("cosh(x)", lambda T, x: math.cosh(x)),
    ("tanh(x)", lambda T, x: math.tanh(x)),
    ("dtanh(x*1d-6)", lambda T, x: math.tanh(x * 1e-6)),
    ("merge(T,x,T<x)", lambda T, x: min(T, x)),
    ("merge(1d0,2d0,T.gt.1.d3.and.x.le.1d0)", lambda T, x: 1.0 if T > 1e3 and x <= 1 else 2.0),
    ("merge(1,2,.not.(T>=2d3.or.x/=1.).and.T.ne.3.)", lambda T, x: 1.0 if T < 2e3 and x == 1 and T != 3 else 2.0),
    ("merge(1,2,T==x .or. 1.eq.2)", lambda T, x: 1.0 if x == T else 2.0),
    ("merge(1,2,T.lt.1..or..false.)", lambda T, x: 1.0 if T < 1 else 2.0),
    ("(x-2d0)**3", lambda T, x: (x - 2) ** 3),
    ("(x-2d0)**(-5)", lambda T, x: (x - 2) ** -5),
    ("(x-2d0)**2.d0", lambda T, x: (x - 2) ** 2),
    ("T**0.5+T**(-.5d0)", lambda T, x: math.sqrt(T) + 1 / math.sqrt(T)),
    ("T**(-0.41)*exp(-1d2/T)", lambda T, x: T**-0.41 * math.exp(-100 / T)),
    ("1d1**(x*log10(T))", lambda T, x: T**x),
    ("dble(T)+real(x)", lambda T, x: T + x),
    ("exp(-1d5)", lambda T, x: 0.0),
    ("exp(-1d5*T)", lambda T, x: 0.0),
    ("+T", lambda T, x: T),
]


@pytest.mark.parametrize(("formula", "expected"), SAME, ids=[formula for formula, _ in SAME])
def test_value(formula: str, expected: Callable[[float, float], float]) -> None:
    for T in (0.7, 3.0, 120.0, 2500.0, 4e5):
        for x in (0.3, 1.0, 4.2):
            assert value(formula, T, x=x) == pytest.approx(expected(T, x), rel=1e-13, abs=1e-300)


def test_out_of_range_says_so() -> None:
    assert value("exp(T)", 1e4) == math.inf
    assert math.isnan(value("sqrt(x-2)", x=1.0))
    assert math.isnan(value("(x-2)**0.3", x=1.0))
    assert value("log(x)", x=0.0) == -math.inf
    assert value("1/x", x=0.0) == math.inf
    assert value("x**1.5", x=0.0) == 0.0
    # As in Fortran: exponents that vanish, here of a factor that underflows, are no 0 * infinity.
    assert value("exp(-1d5/T)**(T-120)*2**(T-120)") == 1.0


REFUSED = {
    "": "expected a number",
    "1d-9*": 'expected a number, a name or "("',
    "(1d-9": 'expected ")"',
    "1d-9)": "where the expression should end",
    "1 2": "where the expression should end",
    "Tx*2": 'the name "Tx" is unknown',
    "t": 'the name "t" is unknown',
    "sin(T)": 'function "sin" is not supported; there are exp, log',
    "exp(T,T)": "takes 1 argument",
    "max(T)": "takes 2 arguments or more",
    "merge(1,2,3)": "two numbers and a condition",
    "1/3*T": "1d0 / 3d0",
    "2**(-1)": "2d0 ** -1d0",
    "1/0": "no finite value",
    "1d0/0d0*T": "no finite value",
    "log(-1d0)": "no finite value",
    "(-1d0)**0.5": "no finite value",
    "1d400": "too large",
    "1d300*1d300": "not finite|no finite value",
    "exp(1d4)": "no finite value",
    "T*(T<2)": "is a condition, not a number",
    "-(T<2)": "is a condition, not a number",
    "max(T,T<2)": "takes numbers",
    "T.and.T<2": "is a number",
    ".not.T": "is a number",
    "1<T<2": "where the expression should end",
    "T<2.eqv.T>3": "not supported",
    "T$2": "cannot be read",
    "é": "cannot be read",
    "T%2": "where the expression should end",
    "a=2": "unknown",
    "(" * 200 + "T" + ")" * 200: "nested too deeply",
    "T" + "**T" * 200: "nested too deeply",
    "T" + "+T" * 400: "too large",
    ".not." * 300 + "(T<2)": "too many",
}


@pytest.mark.parametrize("formula", REFUSED, ids=[str(i) for i in range(len(REFUSED))])
def test_refusal(formula: str) -> None:
    with pytest.raises(NetworkError) as error:
        read(formula)
    assert any(part in str(error.value) for part in REFUSED[formula].split("|"))


FORMS = (
    "({a})+{b}", "{a}-({b})", "({a})*({b})", "({a})/({b})", "-({a})", "abs({a})**({x})", "exp(-abs({a}))",
    "log(1d0+abs({a}))", "sqrt(abs({a}))", "min({a},{b})", "max({a},{b},{c})", "tanh({a})", "({a})**2",
    "merge({a},{b},({c})<({b}).and..not.({a})>=({c}))", "{a}*({b})", "{a}-({b})+({c})",
)  # fmt: skip


def random_formula(rng: random.Random, depth: int = 4) -> str:
    if depth == 0 or rng.random() < 0.15:
        return rng.choice([*NAMES, f"{rng.uniform(0.1, 30):.3g}d{rng.randint(-3, 3)}", f"{rng.uniform(1, 9):.2f}"])
    a, b, c = (random_formula(rng, depth - 1) for _ in range(3))
    form = rng.choice(FORMS)
    return form.format(a=a, b=b, c=c, x=rng.choice(["0.3", "-1.5", "3", "0.5"]))


def test_text_reads_back_as_the_same_formula() -> None:
    rng = random.Random(3)
    for _ in range(400):
        try:
            node = read(random_formula(rng))
        except NetworkError as error:
            if "finite" not in str(error):
                raise
            continue
        again = read(str(node))
        assert again == node
        assert str(again) == str(node)


def test_broken_formulas_are_refused_and_nothing_else() -> None:
    rng = random.Random(4)
    letters = "T x()*+-/.,<>=:1deexp(log.and.not.merge{}|$ 0"
    for _ in range(1000):
        text = list(random_formula(rng, 3))
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(text) + 1)
            text[at : at + rng.randint(0, 2)] = rng.choice(letters)
        with suppress(NetworkError):
            assert isinstance(read("".join(text)), Node)


def test_names_that_stand_for_formulas_do_not_grow_without_bound() -> None:
    def grown(node: Node, times: int) -> Node:
        return node if times == 0 else grown(parse("a+a*a", lambda word: node), times - 1)

    assert grown(read("T*x"), 5).size < 20_000
    with pytest.raises(NetworkError, match="too large"):
        grown(read("T*x"), 40)


LAWS = {
    "1.5d-9": ("arrhenius", (1.5e-9, 0.0, 0.0)),
    "0d0": ("arrhenius", (0.0, 0.0, 0.0)),
    "4.95d-17*(T/3d2)**0.5": ("arrhenius", (4.95e-17, 0.5, 0.0)),
    "4.95d-17*sqrt(T/300)": ("arrhenius", (4.95e-17, 0.5, 0.0)),
    "7d-10*exp(-2.32d2/T)": ("arrhenius", (7e-10, 0.0, 232.0)),
    "7d-10*exp(-232*(1d0/T))": ("arrhenius", (7e-10, 0.0, 232.0)),
    "exp(-232/T)/(T/300)**1.9*3d-9": ("arrhenius", (3e-9, -1.9, 232.0)),
    "3d-9*exp(-1.9*log(T/300)-232/T)": ("arrhenius", (3e-9, -1.9, 232.0)),
    "3d-9*10**(-1.5d0*log10(T/300))": ("arrhenius", (3e-9, -1.5, 0.0)),
    "2d-9+1d-9": ("arrhenius", (2e-9 + 1e-9, 0.0, 0.0)),
    "1d-9*(T/300)*2+1d-9*(T/300)": ("arrhenius", (2e-9 + 1e-9, 1.0, 0.0)),
    "merge(1d-9,0d0,T<100)": ("arrhenius_range", (1e-9, 0.0, 0.0, 0.0, 1e10, 0.0, 100.0)),
    "merge(1d-9*(T/300),0d0,T>=10.and.T<100)": ("arrhenius_range", (1e-9, 1.0, 0.0, 0.0, 1e10, 10.0, 100.0)),
    "merge(merge(1d-9,0d0,T>10),0d0,T<=100)": (
        "arrhenius_range",
        (1e-9, 0.0, 0.0, 0.0, 1e10, math.nextafter(10.0, 99.0), math.nextafter(100.0, 999.0)),
    ),
    "1.02d3*zeta": ("cosmic_ray", (1020.0,)),
    "zeta*1.02d3/2d0": ("cosmic_ray", (510.0,)),
    "3d0*zeta*(T/300)**0.1": ("cosmic_ray_range", (3.0, 0.1, 0.0, 0.0, 1e10, 0.0, 1e10)),
    "2.6d-10*G0*exp(-1.8*A_V)": ("photo", (2.6e-10, 1.8)),
    "2.6d-10*exp(-1.8*A_V)": ("expression", ()),
    "1d-9*x": ("expression", ()),
    "zeta**2": ("expression", ()),
    "1d-9*n_H": ("expression", ()),
    "1d-9*(1+T/300)": ("expression", ()),
    "1d-9*exp(-T/300)": ("expression", ()),
    "merge(1d-9,2d-9,T<100)": ("expression", ()),
    "merge(1d-9,0d0,T<100.or.T>300)": ("expression", ()),
    "merge(1d-9,0d0,x<100)": ("expression", ()),
    "max(1d-9,1d-9*(T/300))": ("expression", ()),
}


@pytest.mark.parametrize("formula", LAWS)
def test_law_of_a_formula(formula: str) -> None:
    law, parameters = law_of(read(formula), 1)
    assert (law.name, parameters) == LAWS[formula]


def test_closed_laws_equal_their_formulas() -> None:
    """Recognised or not, a formula is the same rate."""
    rng = np.random.default_rng(1)
    T = 10 ** rng.uniform(0.5, 4.5, 50)
    given = {"x": 2.0, "zeta": 3e-17, "A_V": 1.2, "G0": 0.7}
    for formula in LAWS:
        law, parameters = law_of(read(formula), 1)
        padded = np.array([*parameters, *[0.0] * (7 - len(parameters))])
        read_by_it = [np.asarray(given[c]) for c in law.conditions] + [np.asarray(5e3)] * (law.formula is not None)
        k = np.broadcast_to(law.rate(padded, T, read_by_it), T.shape)
        np.testing.assert_allclose(k, [value(formula, t, **given) for t in T], rtol=1e-13)


def test_a_two_body_rate_with_zeta_is_no_cosmic_ray_rate() -> None:
    assert law_of(read("2*zeta"), 2)[0].name == "expression"


def test_negative_rates_are_refused() -> None:
    for formula in ("-1d-9", "-1d-9*(T/300)", "1d-9-2d-9", "merge(-1d-9,0d0,T<3)"):
        with pytest.raises(NetworkError, match="negative"):
            law_of(read(formula), 2)


@pytest.mark.parametrize(
    ("formula", "power"),
    [
        ("3*zeta*tanh(T)", 1),
        ("3*zeta*n_H/(zeta+2*zeta)", 0),
        ("zeta*x+zeta", 1),
        ("sqrt(zeta*zeta)*(T/3)", 1),
        ("merge(zeta,0d0,T<3)+2*zeta", 1),
        ("max(zeta,2d0*zeta)", 1),
        ("zeta**3/x", 3),
        ("x", 0),
        ("zeta+1", None),
        ("exp(zeta)", None),
        ("merge(zeta,2d0,T<3)", None),
        ("merge(zeta,0d0,zeta<3)", None),
        ("2**zeta", None),
    ],
)
def test_degree(formula: str, power: int | None) -> None:
    assert degree(read(formula), "zeta") == power


def test_equal_values_are_computed_once() -> None:
    compiler = Compiler(CONDITIONS)
    first = compiler.add(read("exp(-3*log(T/3d2))*T**0.7"))
    size = len(compiler.code())
    assert compiler.add(read("exp(-3*log(T/3d2))*T**0.7")) == first
    assert len(compiler.code()) == size
    compiler.add(read("T**(-0.2)"))  # a constant, a product, an exponential: the logarithm is there
    assert len(compiler.code()) == size + 3


def test_monomials_are_exact() -> None:
    form = monomial(read("4.95d-17*(T*3d0)**2/(9d0*9d4)*exp(-232d0/T)"))
    assert form is not None
    assert float(form.factor) == 4.95e-17
    assert float(form.temperature) == 2
    assert form.inverse == -232
    assert monomial(read("T+1")) is None
    assert monomial(read("exp(T)")) is None
    found = pieces(read("merge(T,0d0,T<3)"))
    assert found is not None
    assert found[1:] == (0.0, 3.0)
