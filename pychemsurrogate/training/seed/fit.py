"""The fit of one model of the seed paper's family; an interrupted fit continues from its checkpoint.

The paper's weights: every loss counts as it is, L0 a hundredfold, until ten epochs are done (`BURN_IN`); then each is
divided by its value at that moment, so that all are 1, and L0 is again weighted by 100. The paper does not tell the
number of epochs or the size of its batches: the kinds' are our choice.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pychemsurrogate.network import load_network
from pychemsurrogate.surrogates.dynamics.neural_ode import FIXED, NeuralODE
from pychemsurrogate.surrogates.dynamics.polynomial import Polynomial
from pychemsurrogate.surrogates.latent import LatentModel, LatentScaling
from pychemsurrogate.surrogates.mlp import ACTIVATIONS, mlp
from pychemsurrogate.training.minimise import CheckpointError
from pychemsurrogate.training.seed import losses
from pychemsurrogate.training.seed.data import N_REF, NETWORK, PUBLISHED_RANGE, TIMES, SeedData
from pychemsurrogate.training.seed.kind import Kind, SeedRecipe

BURN_IN = 10  # epochs
LOSS_NAMES = ("L0", "L1", "L2", "L3", "L4")
_WEIGHTS = (100.0, 1.0, 1.0, 1.0, 1.0)
_IDENTITY_WEIGHT = 0.01  # of L1 beside L0, for losses "trajectory"
_N_FLOOR = 1e-20  # cm^-3
_ATOMIC_MASS = 1.66053906892e-24  # g, CODATA 2022
# The gradients of small losses are smaller than SOAP's usual 1e-8.
_SOAP_EPS = 1e-15
_SAVE_EVERY = 20.0  # s between checkpoints
# Normalised logarithms of the paper: x = (log10 n - _MIDDLE) / _UNIT.
_MIDDLE = 0.5 * (PUBLISHED_RANGE[1] + PUBLISHED_RANGE[0])
_UNIT = 0.5 * (PUBLISHED_RANGE[1] - PUBLISHED_RANGE[0])
# Fixed steps of the neural ODE: their error [dex], and the trajectories on which it is measured.
_STEP_ERROR = 1e-5
_CHECKED = 50
# Of the least-squares problem, relative to the mean diagonal: keeps its weights so small that single precision gives
# the same answers to 3e-5 dex.
_RIDGE = 1e-9
_CHUNK = 50  # trajectories at a time
_ROWS_A_UNIT = 20  # at least: with fewer the solution follows the training rows alone
# tanh at the neural ODE's start, as the slope over s: far from saturation.
_ODE_START = 0.5

Progress = Callable[[float, float], None]


@dataclass(frozen=True)
class SeedFit:
    """A fitted model (on the CPU, in evaluation mode), its history, and the CPU seconds that it took.

    history: arrays of one value an epoch: "total", "L0" to "L4" (means over the epoch's batches; NaN for a loss that
    is not part of the fit), and "validation", the RMSE on the held-out trajectories in the paper's normalised
    logarithms. Nothing is chosen by it: the last epoch's model, widened where the kind says so, is the result.
    """

    model: LatentModel
    history: dict[str, NDArray[np.float64]]
    seconds: float


def new_model(kind: Kind, data: SeedData, seed: int) -> LatentModel:
    """An untrained model, scaled to the training trajectories."""
    train = data.train.reshape(-1, data.train.shape[-1])
    species = train.shape[1]
    if kind.per_species:
        mean, scale = train.mean(axis=0), train.std(axis=0)
    else:
        mean = np.full(species, 0.5 * (train.max() + train.min()))
        scale = np.full(species, 0.5 * (train.max() - train.min()))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        dynamics: Polynomial | NeuralODE
        if kind.dynamics == "neural_ode":
            dynamics = NeuralODE(mlp([kind.latent, *kind.ode, kind.latent], "tanh"))
        else:
            dynamics = Polynomial(kind.degree, None if kind.encoded else torch.randn(kind.degree, kind.latent))
        encoder = mlp([species, *kind.widths, dynamics.width(kind.latent)], kind.activation, kind.output)
        decoder = mlp([kind.latent, *reversed(kind.widths), species], kind.activation, kind.output)
    scaling = LatentScaling(mean, scale, _N_FLOOR, N_REF, float(TIMES[0]), float(TIMES[-1]))
    return LatentModel(scaling, encoder, dynamics, decoder, kind.activation, kind.output)


def fit(recipe: SeedRecipe, data: SeedData, folder: str | Path, progress: Progress | None = None) -> SeedFit:
    """Train the model of `recipe` on the training trajectories; `folder` keeps it, and what an interruption left.

    progress: called after every epoch with the share done and the validation RMSE. A finished fit is read back.
    Raises CheckpointError if the folder's file belongs to other data or another version of the kind.
    """
    kind = recipe.resolved
    model = new_model(kind, data, recipe.seed)
    before = 0.0
    if kind.start is not None:
        first = fit(SeedRecipe(kind.start, recipe.seed, latent=kind.latent, budget=recipe.budget), data, folder)
        _begin_as(model, first.model)
        before = first.seconds
    run = _Run(model, kind, data, recipe.seed)
    # The sentence is text, and widening is done anew whenever a fit is read: what is kept depends on neither.
    trained = {name: value for name, value in asdict(kind).items() if name not in ("sentence", "widening")}
    identity = {"kind": trained, "seed": recipe.seed, "data": data.identity}
    file = Path(folder) / f"{recipe.label}-{data.convention}.pt"
    if file.exists():
        run.load(file, identity)
    saved = process_time()
    while run.epoch < kind.epochs:
        run.train_epoch()
        if run.epoch == kind.epochs or process_time() - saved > _SAVE_EVERY:
            run.save(file, identity)
            saved = process_time()
        if progress is not None:
            progress(run.epoch / kind.epochs, run.history["validation"][-1])
    seconds = before + run.seconds
    if kind.widening:
        begin = process_time()
        widen(model, data, kind.widening, recipe.seed)
        seconds += process_time() - begin
    model.requires_grad_(False).eval()
    if isinstance(model.dynamics, NeuralODE):
        model.dynamics.solver = FIXED
        model.dynamics.steps = enough_steps(model, data)
    history = {name: np.array(values) for name, values in run.history.items()}
    return SeedFit(model, history, seconds)


def widen(model: LatentModel, data: SeedData, units: int, seed: int) -> None:
    """Add `units` random units to the decoder's last hidden layer, in place, and solve for its output layer.

    Never more than one for 20 rows of the training data.

    The errors of a trained net are smooth functions of what it has computed by then, and gradients are slow to remove
    the last of them. Random functions of the second last hidden layer span them well (extreme learning machines: Huang
    et al. 2006, Neurocomputing 70, 489), and the best output layer on top is a linear least-squares problem.
    Raises ValueError for a decoder with a saturating output or fewer than two hidden layers.
    """
    layers = [layer for layer in model.decoder if isinstance(layer, nn.Linear)]
    if model.output != "linear" or len(layers) < 3:
        raise ValueError("only a decoder with a linear output and two hidden layers can be widened")
    *body, last, output = layers
    units = min(units, data.train[..., 0].size // _ROWS_A_UNIT)
    activation = ACTIVATIONS[model.activation]()
    exact = copy.deepcopy(model).double()
    with torch.no_grad():
        y = exact.normalise(10.0 ** torch.as_tensor(data.train)).split(_CHUNK)
        tau = _tau(exact)
        # A layer and its activation each.
        inputs = [exact.decoder[: 2 * len(body)](exact.advance(exact.encode(part[:, 0]), tau)) for part in y]
        # Weights for inputs of mean 0 and variance 1, then folded with that scaling.
        seen = torch.cat(inputs).flatten(0, 1)
        random = torch.Generator().manual_seed(seed)
        weight = torch.randn(units, last.in_features, generator=random, dtype=torch.float64) / last.in_features**0.5
        bias = torch.randn(units, generator=random, dtype=torch.float64)
        weight = weight / seen.std(dim=0)
        bias = bias - weight @ seen.mean(dim=0)
        hidden = nn.Linear(last.in_features, last.out_features + units)
        hidden.weight.copy_(torch.cat([last.weight, weight]))
        hidden.bias.copy_(torch.cat([last.bias, bias]))
        wide = copy.deepcopy(hidden).double()
        unknowns = hidden.out_features + 1
        gram = torch.zeros(unknowns, unknowns, dtype=torch.float64)
        right = torch.zeros(unknowns, output.out_features, dtype=torch.float64)
        for part, truth in zip(inputs, y, strict=True):
            active = activation(wide(part.flatten(0, 1)))
            design = torch.cat([active, torch.ones(len(active), 1, dtype=torch.float64)], dim=1)
            gram += design.T @ design
            right += design.T @ truth.flatten(0, 1)
        gram.diagonal().add_(_RIDGE * gram.diagonal().mean())
        solution = torch.linalg.solve(gram, right)
        top = nn.Linear(hidden.out_features, output.out_features)
        top.weight.copy_(solution[:-1].T)
        top.bias.copy_(solution[-1])
    model.decoder = nn.Sequential(*model.decoder[: 2 * len(body)], hidden, activation, top)


def rmse(model: LatentModel, log10_n: NDArray[np.float64]) -> float:
    """RMSE in the paper's normalised logarithms over trajectories log10_n (N, 100, S), each from its first row."""
    truth = torch.as_tensor(log10_n)
    with torch.no_grad():
        guess = model.log10_density(model(model.normalise(10.0 ** truth[:, 0]), _tau(model)))
    return float(((guess - truth) / _UNIT).square().mean().sqrt())


def enough_steps(model: LatentModel, data: SeedData) -> int:
    """How many fixed steps bring log10 n within 1e-5 dex of dopri5 at 1e-9, on training trajectories; a power of 2.

    Raises RuntimeError if 1024 do not.
    """
    exact = copy.deepcopy(model).double()
    assert isinstance(exact.dynamics, NeuralODE)
    y, tau = exact.normalise(10.0 ** torch.as_tensor(data.train[:_CHECKED, 0])), _tau(exact)
    exact.dynamics.solver, exact.dynamics.rtol, exact.dynamics.atol = "dopri5", 1e-9, 1e-9
    with torch.no_grad():
        wanted = exact.log10_density(exact(y, tau))
        exact.dynamics.solver = FIXED
        for steps in (8 << doublings for doublings in range(8)):
            exact.dynamics.steps = steps
            if (exact.log10_density(exact(y, tau)) - wanted).abs().max() < _STEP_ERROR:
                return steps
    raise RuntimeError("1024 fixed steps do not solve the neural ODE to 1e-5 dex; train it again, with lower rates")


def _tau(model: LatentModel) -> Tensor:
    return model.clock(torch.as_tensor(TIMES - TIMES[0]))


def _begin_as(model: LatentModel, linear: LatentModel) -> None:
    """Encoder and decoder of the linear model, and a neural ODE that moves z along its slope."""
    assert isinstance(model.dynamics, NeuralODE)
    assert isinstance(linear.dynamics, Polynomial)
    assert linear.dynamics.directions is not None
    model.encoder.load_state_dict(linear.encoder.state_dict())
    model.decoder.load_state_dict(linear.decoder.state_dict())
    slope = linear.dynamics.directions[0]
    with torch.no_grad():
        bound = slope.abs().max() / math.tanh(_ODE_START)
        model.dynamics.bound.copy_(bound)
        last = model.dynamics.net[-1]
        last.weight.mul_(0.01)
        last.bias.copy_(bound * torch.atanh(slope / bound))


class _Run:
    """The state of a fit between two epochs."""

    def __init__(self, model: LatentModel, kind: Kind, data: SeedData, seed: int) -> None:
        self.model, self.kind = model, kind
        self.optimiser = _optimiser(kind, model)
        self.random = torch.Generator().manual_seed(seed)
        self.epoch = 0
        self.seconds = 0.0
        self.divisors: list[float] = [1.0] * len(LOSS_NAMES)
        self.history: dict[str, list[float]] = {name: [] for name in ("total", *LOSS_NAMES, "validation")}
        if isinstance(model.dynamics, NeuralODE):
            model.dynamics.solver, model.dynamics.adjoint = "dopri5", kind.adjoint
        self.tau = _tau(model)
        self.held_out = data.held_out
        log10_n = torch.as_tensor(data.train)
        self.y = model.normalise(10.0**log10_n)
        self.x = ((log10_n - _MIDDLE) / _UNIT).float()
        # From the model's own scaling to the paper's.
        self.factor = (model.scale / _UNIT).float()
        self.shift = ((model.mean - _MIDDLE) / _UNIT).float()
        # In atomic mass units, so that m.x is of order 1.
        masses = [species.mass_g / _ATOMIC_MASS for species in load_network(NETWORK).species]
        self.masses = torch.tensor(masses, dtype=torch.float32)

    def train_epoch(self) -> None:
        """One pass over the training trajectories."""
        begin = process_time()
        order = torch.randperm(len(self.y), generator=self.random)
        batches = [
            rows
            for rows in order.split(self.kind.batch)
            if len(rows) == self.kind.batch or len(order) < self.kind.batch
        ]
        sums = np.zeros(1 + len(LOSS_NAMES))
        for number, rows in enumerate(batches):
            self._set_rate(self.epoch + number / len(batches))
            values = self._losses(rows)
            weighted = [
                weight * value / divisor
                for weight, value, divisor in zip(self._weights, values, self.divisors, strict=True)
                if value is not None
            ]
            total = torch.stack(weighted).sum()
            self.optimiser.zero_grad()
            total.backward()
            self.optimiser.step()
            sums += [float(total.detach()), *(math.nan if v is None else float(v.detach()) for v in values)]
        means = sums / len(batches)
        if not math.isfinite(means[0]):
            raise FloatingPointError(f"the fit of {self.kind.name} diverged in epoch {self.epoch}; lower its rates")
        self.epoch += 1
        if self.epoch == BURN_IN and self.kind.losses != "trajectory":
            self.divisors = [float(value) for value in means[1:]]
        for name, value in zip(("total", *LOSS_NAMES), means, strict=True):
            self.history[name].append(float(value))
        self.history["validation"].append(rmse(self.model, self.held_out))
        self.seconds += process_time() - begin

    @property
    def _weights(self) -> tuple[float, ...]:
        return (1.0, _IDENTITY_WEIGHT, 0.0, 0.0, 0.0) if self.kind.losses == "trajectory" else _WEIGHTS

    def _losses(self, rows: Tensor) -> list[Tensor | None]:
        model, x, y = self.model, self.x[rows], self.y[rows]
        encoded = model.encode(y[:, 0])
        if self.kind.losses == "trajectory":
            chosen = torch.arange(len(self.tau))
            if self.kind.rows < len(chosen):
                chosen = torch.randperm(len(chosen), generator=self.random)[: self.kind.rows].sort().values
            guess = self._normalised(model.decode(model.advance(encoded, self.tau[chosen])))
            first = self._normalised(model.decode(encoded[:, : model.latent]))
            return [losses.trajectory(x[:, chosen], guess), losses.identity(x[:, 0], first), None, None, None]
        guess = self._normalised(model.decode(model.advance(encoded, self.tau)))
        rebuilt = self._normalised(model.decode(model.encode(y.flatten(0, 1))[:, : model.latent])).view_as(x)
        in_code = self.kind.losses == "code"
        spacing = 1.0 if in_code else float(self.tau[1])
        return [
            losses.trajectory(x, guess),
            losses.identity(x, rebuilt),
            losses.mass_of_logarithms(x, guess, self.masses)
            if in_code
            else losses.mass(_abundances(x), _abundances(guess), self.masses),
            losses.derivative(x, guess, spacing),
            losses.second_derivative(x, guess, spacing),
        ]

    def _normalised(self, y: Tensor) -> Tensor:
        return y * self.factor + self.shift

    def _set_rate(self, epoch: float) -> None:
        first, last = self.kind.rates
        done = epoch / self.kind.epochs
        rate = last + 0.5 * (first - last) * (1.0 + math.cos(math.pi * done))
        if epoch < self.kind.warm_up:
            rate *= (epoch + 1.0 / len(self.y)) / self.kind.warm_up
        self.optimiser.param_groups[0]["lr"] = rate

    def save(self, file: Path, identity: dict[str, Any]) -> None:
        """Write the checkpoint, whole or not at all."""
        state = {
            "identity": identity,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "random": self.random.get_state(),
            "epoch": self.epoch,
            "seconds": self.seconds,
            "divisors": self.divisors,
            "history": self.history,
        }
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(file.name + ".tmp")
        torch.save(state, temporary)
        temporary.replace(file)

    def load(self, file: Path, identity: dict[str, Any]) -> None:
        """Continue from a checkpoint. Raises CheckpointError for one of another fit."""
        saved = torch.load(file, weights_only=True)
        if saved["identity"] != identity:
            raise CheckpointError(f"{file}: belongs to another recipe or data set; delete it, or name another folder")
        self.model.load_state_dict(saved["model"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.random.set_state(saved["random"])
        self.epoch, self.seconds = saved["epoch"], saved["seconds"]
        self.divisors, self.history = saved["divisors"], saved["history"]


def _optimiser(kind: Kind, model: LatentModel) -> torch.optim.Optimizer:
    if kind.optimiser == "adam":
        return torch.optim.Adam(model.parameters())
    # Adam in the eigenbasis of Shampoo's preconditioner: Vyas et al. 2024, arXiv:2409.11321.
    from pytorch_optimizer import SOAP

    soap: torch.optim.Optimizer = SOAP(model.parameters(), weight_decay=0.0, eps=_SOAP_EPS)
    return soap


def _abundances(x: Tensor) -> Tensor:
    """n/n_H of the paper's normalised logarithms."""
    return 10.0 ** (x * _UNIT + _MIDDLE - math.log10(N_REF))
