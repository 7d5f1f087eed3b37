"""The law of a formula: one of the closed laws where the formula is one, whatever its spelling; else an expression."""

from __future__ import annotations

from fractions import Fraction

from pychemsurrogate.network.formula.shape import NO_LIMIT_K, Monomial, monomial, pieces
from pychemsurrogate.network.formula.tree import DENSITY, Node
from pychemsurrogate.network.rate_laws.arrhenius import ARRHENIUS
from pychemsurrogate.network.rate_laws.arrhenius_range import ARRHENIUS_RANGE
from pychemsurrogate.network.rate_laws.cosmic_ray import COSMIC_RAY
from pychemsurrogate.network.rate_laws.cosmic_ray_range import COSMIC_RAY_RANGE
from pychemsurrogate.network.rate_laws.expression import expression_law
from pychemsurrogate.network.rate_laws.grain import GRAIN
from pychemsurrogate.network.rate_laws.law import RateLaw
from pychemsurrogate.network.rate_laws.photo import PHOTO
from pychemsurrogate.network.species import NetworkError

ChosenLaw = tuple[RateLaw, tuple[float, ...]]


def law_of(formula: Node, bodies: int) -> ChosenLaw:
    """The law and its parameters for a rate coefficient, of a reaction with so many reactants.

    Raises NetworkError for a rate that is negative at every temperature.
    """
    found = pieces(formula)
    if found is not None:
        inner, begin, end = found
        form = monomial(inner)
        if form is not None:
            if form.factor < 0:
                raise NetworkError(f'the rate "{formula}" is negative')
            closed = _closed(form, begin, end, bodies)
            if closed is not None:
                return closed
    return expression_law(formula), ()


def grain_law_of(formula: Node) -> ChosenLaw:
    """The law of a reaction of one species whose rate is the formula times its density once: `grain` where it is one.

    Raises NetworkError for a rate that is negative at every temperature.
    """
    form = monomial(formula)
    if form is not None:
        if form.factor < 0:
            raise NetworkError(f'the rate "{formula}" is negative')
        parameters = _floats(form.factor, form.temperature)
        if form.powers == {DENSITY: Fraction(1)} and not (form.inverse or form.decay) and parameters is not None:
            return GRAIN, parameters
    return expression_law(formula, on_grains=True), ()


def _closed(form: Monomial, begin: float, end: float, bodies: int) -> ChosenLaw | None:
    everywhere = begin <= 0 and end >= NO_LIMIT_K
    cold = not (form.temperature or form.inverse)
    decay = {name: -c for name, c in form.decay.items()}
    if decay:
        if bodies != 1 or not (everywhere and cold) or list(decay) != ["A_V"] or form.powers != {"G0": Fraction(1)}:
            return None
        return _with(PHOTO, _floats(form.factor, decay["A_V"]))
    if form.powers == {"zeta": Fraction(1)} and bodies == 1:
        if everywhere and cold:
            return _with(COSMIC_RAY, _floats(form.factor))
        return _with(COSMIC_RAY_RANGE, _arrhenius(form), 0.0, NO_LIMIT_K, begin, end)
    if form.powers:
        return None
    if everywhere:
        return _with(ARRHENIUS, _arrhenius(form))
    return _with(ARRHENIUS_RANGE, _arrhenius(form), 0.0, NO_LIMIT_K, begin, end)


def _arrhenius(form: Monomial) -> tuple[float, ...] | None:
    return _floats(form.factor, form.temperature, -form.inverse)


def _floats(*numbers: Fraction) -> tuple[float, ...] | None:
    try:
        found = tuple(float(n) for n in numbers)
    except OverflowError:
        return None
    underflow = any(n and not f for n, f in zip(numbers, found, strict=True))
    return None if underflow else found


def _with(law: RateLaw, parameters: tuple[float, ...] | None, *more: float) -> ChosenLaw | None:
    return None if parameters is None else (law, (*parameters, *more))
