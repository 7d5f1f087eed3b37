"""The kinds by name, one file each."""

from __future__ import annotations

from pychemsurrogate.training.seed.kind import Kind
from pychemsurrogate.training.seed.kinds.best import BEST
from pychemsurrogate.training.seed.kinds.best_five import BEST_FIVE
from pychemsurrogate.training.seed.kinds.linear import LINEAR
from pychemsurrogate.training.seed.kinds.linear_paper import LINEAR_PAPER
from pychemsurrogate.training.seed.kinds.neural_ode import NEURAL_ODE
from pychemsurrogate.training.seed.kinds.neural_ode_paper import NEURAL_ODE_PAPER
from pychemsurrogate.training.seed.kinds.polynomial import POLYNOMIAL

KINDS: dict[str, Kind] = {
    kind.name: kind for kind in (LINEAR, POLYNOMIAL, NEURAL_ODE, BEST_FIVE, BEST, LINEAR_PAPER, NEURAL_ODE_PAPER)
}
