"""One learned path of a model: what its arrays are, and the learned step and the gate on pairs, by the native core."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pychemsurrogate import _native
from pychemsurrogate.evaluation.card.measured import CardError, PathCard, Row
from pychemsurrogate.gate import Gate
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.network import CONDITION_UNITS, Network
from pychemsurrogate.training import served
from pychemsurrogate.training.populations import X_MIN, X_TRACES, cell_error, cells_of
from pychemsurrogate.training.served import X_ZERO
from pychemsurrogate.training.truth import Pairs

FloatArray = NDArray[np.float64]

_TOLD: Final = 0.1


@dataclass(frozen=True)
class LearnedPath:
    """A map, its box and its gate, as the arrays that one set of names in a model file holds.

    name: "" for the only path of a file; arrays: `surrogate/...`, `gate/...` without the path's prefix; native: a
    solver whose learned step this is.
    """

    name: str
    arrays: dict[str, NDArray[Any]]
    network: Network
    native: _native.Solver

    @cached_property
    def gate(self) -> Gate:
        """Box and thresholds."""
        return Gate.from_arrays(self.arrays, self.network.tables())

    @property
    def kind(self) -> str:
        """Of the map."""
        return self.arrays["surrogate/kind"].tobytes().decode()

    @property
    def told(self) -> float | None:
        """The target that stands for the path: the largest up to 0.1 dex, else the smallest; None without a gate."""
        if self.gate.calibration is None:
            return None
        targets: list[float] = self.gate.calibration.targets.tolist()
        return max((target for target in targets if target <= _TOLD), default=min(targets))

    def card(self) -> PathCard:
        """What the arrays tell, with nothing measured yet."""
        calibration, box = self.gate.calibration, self.gate.box
        return PathCard(
            name=self.name,
            described=self._described(),
            box=[
                {"quantity": name, "low": low, "high": high, "unit": _unit(name)}
                for name, low, high in zip(box.names, box.low, box.high, strict=True)
            ],
            targets=[] if calibration is None else calibration.targets.tolist(),
            told=self.told,
            alpha=None if calibration is None else calibration.alpha,
        )

    def _described(self) -> dict[str, str]:
        nets = _nets(self.arrays)
        told = {"kind of map": self.kind}
        for name, net in nets.items():
            told[f"net: {name}"] = net.shape
        told["weights"] = f"{sum(net.weights for net in nets.values()):,}"
        told["arithmetic of the nets"] = f"{sum(net.flops for net in nets.values()) / 1e3:.1f} kFLOP a cell"
        if "surrogate/finish_fraction" in self.arrays:
            told["finish"] = (
                f"{int(self.arrays['surrogate/finish_steps'])} Rodas3 steps of the real chemistry over the last "
                f"{float(self.arrays['surrogate/finish_fraction']):g} of the time"
            )
        calibration = self.gate.calibration
        if calibration is not None:
            told["calibrated targets"] = ", ".join(f"{target:g}" for target in calibration.targets) + " dex"
            told["alpha"] = f"{calibration.alpha:g} (violations among accepted cells, upper 95 % bound)"
            told["bins of the gate"] = f"{calibration.bins.count}" + (
                f" over {', '.join(calibration.bins.names)}" if calibration.bins.names else ""
            )
        told["router"] = "measured" if "router/steps" in self.arrays else "none: every cell meets the surrogate first"
        told["error budget"] = "kappa measured" if "budget/kappa" in self.arrays else "kappa = 1: errors add up"
        return told


def learned_paths(model: ModelFile) -> list[LearnedPath]:
    """The learned paths of a model file. Raises CardError for none, or one that is latent."""
    if not model.has_surrogate:
        raise CardError(
            f"{model.label}: holds a network alone, no surrogate to report on; "
            "docs/integrator.md has the exact integrator's errors"
        )
    paths = []
    for name in model.paths:
        try:
            native = _native.Solver.open(str(model.path))
            native.set_option("path", name)
        except ValueError as error:  # a whole file whose arrays do not fit together
            raise CardError(str(error)) from None
        path = LearnedPath(name, model.of_path(name).arrays, model.network(), native)
        if path.kind == "latent":
            raise CardError(
                f"{model.label}: holds a latent map, which serves the first moment of a run alone and has no error "
                "head, so held-out steps, gate and rollouts say nothing about it; `pychemsurrogate reproduce` measures "
                "such maps"
            )
        paths.append(path)
    return paths


@dataclass(frozen=True)
class Made:
    """What the learned step makes of P pairs.

    x (P, S) n/n_H after the step, before any gate; error, traces, change (P): cell errors [dex] over x > X_MIN and
    x > X_TRACES, and that of leaving the cell as it is, which is its true change; inside (P): of the box; predicted
    (P): log10 of the error as the head expects it, infinite for a cell that is never accepted; bin (P).
    """

    x: FloatArray
    error: FloatArray
    traces: FloatArray
    change: FloatArray
    inside: NDArray[np.bool_]
    predicted: FloatArray
    bin: NDArray[np.intp]

    def accepted(self, thresholds: FloatArray) -> NDArray[np.bool_]:
        """Which pairs (P) a gate with these thresholds (bins) accepts."""
        return self.predicted < thresholds[self.bin]


def trace(path: LearnedPath, pairs: Pairs) -> tuple[FloatArray, FloatArray]:
    """States (P, S) n/n_H after the path's learned step, and the head's score (P) (training/served.py)."""
    cells = (pairs.start, pairs.temperature, pairs.density, pairs.conditions, pairs.dt)
    return served.trace(path.native, path.network.tables().composition, *cells)


def make(path: LearnedPath, pairs: Pairs) -> Made:
    """The learned step on every pair, beside the truth."""
    gate, truth = path.gate, pairs.end.astype(np.float64)
    weights = None if gate.calibration is None else gate.calibration.weights
    x, score = trace(path, pairs)
    cells = cells_of(pairs)
    inside = gate.box.contains(*cells)
    told = np.fmax(x, X_ZERO)  # also where x is no number
    return Made(
        x=x,
        error=cell_error(told, truth, weights),
        traces=cell_error(told, truth, weights, X_TRACES),
        change=cell_error(np.fmax(pairs.start, X_ZERO), truth, weights),
        inside=inside,
        predicted=np.where(inside, score, np.inf),
        bin=np.zeros(len(x), dtype=np.intp) if gate.calibration is None else gate.calibration.bins.place(*cells),
    )


def species_errors(x: FloatArray, truth: FloatArray) -> FloatArray:
    """|dlog10 x| [dex] (P, S), NaN where the true abundance is not above X_MIN."""
    with np.errstate(divide="ignore"):
        error = np.abs(np.log10(np.fmax(x, X_ZERO)) - np.log10(np.maximum(truth, 1e-300)))
    return np.where(truth > X_MIN, error, np.nan)


@dataclass
class _Net:
    """Of one set of dense layers: widths in words, all weights, and multiply-adds (2 FLOP) of a cell."""

    shape: str
    weights: int
    flops: int


def _nets(arrays: dict[str, NDArray[Any]]) -> dict[str, _Net]:
    """The nets `surrogate/NAME_w<i>`; of a stack of experts one serves a cell."""
    nets: dict[str, _Net] = {}
    layers = [(match[1], name) for name in arrays if (match := re.fullmatch(r"surrogate/(\w+)_w\d+", name))]
    for net, name in layers:
        weight, bias = arrays[name], arrays[name.replace("_w", "_b")]
        outputs, inputs = weight.shape[-2:]
        experts = "" if weight.ndim == 2 else f"{weight.shape[0]} x "
        before = nets.setdefault(net, _Net(f"{experts}{inputs}", 0, 0))
        before.shape += f"-{outputs}"
        before.weights += weight.size + bias.size
        before.flops += 2 * inputs * outputs
    return nets


def _unit(name: str) -> str:
    """Of a quantity of the box."""
    if name == "T":
        return "K"
    if name == "theta":
        return "s cm^-3"
    condition = name.removesuffix("/n_H").removesuffix("*dt")
    if condition in CONDITION_UNITS and condition != name:
        unit = CONDITION_UNITS[condition]
        return f"({unit}) cm^3" if name.endswith("/n_H") else f"({unit}) s"
    return ""


def percentiles(values: FloatArray, *which: float) -> list[float | None]:
    """The percentiles of what is not NaN; None of nothing."""
    kept = values[~np.isnan(values)]
    return [None] * len(which) if not kept.size else [float(value) for value in np.percentile(kept, which)]


def error_row(values: FloatArray) -> Row:
    """Median, p90, p99 and maximum of errors [dex]."""
    median, p90, p99, worst = percentiles(values, 50, 90, 99, 100)
    return {"median": median, "p90": p90, "p99": p99, "max": worst}
