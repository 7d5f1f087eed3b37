"""The figures of `pychemsurrogate reproduce`: the seed paper's, and what its benchmark looks like beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from pychemsurrogate.evaluation.figures import STYLE, save
from pychemsurrogate.evaluation.seed_baselines import PUBLISHED
from pychemsurrogate.evaluation.seed_metrics import (
    DEX_PER_UNIT,
    log10_error_of_species,
    relative_error_normalised,
    relative_error_physical,
)
from pychemsurrogate.network.species import species_from_formula

FloatArray = NDArray[np.float64]

SPECIES: Final = ("H2", "H", "e-", "C", "C+", "CO", "O2", "H2O")
"""Shown over time: the reservoirs, the carriers of carbon and of charge, and late products."""
YEAR_S: Final = 3.1536e7
"""365 days, the year of the published time grid."""

# Tol's bright scheme and black: told apart with every kind of colour vision.
_COLOURS: Final = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#000000")
_MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "*")
_DASHES: Final = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))
_STYLE: Final = STYLE | {
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "legend.frameon": False,
}
_COMPONENTS: Final = 5
"""Of the latent space, drawn at most."""
_FLOOR: Final = 1e-8
"""Errors below are drawn at the lower edge."""


@dataclass(frozen=True)
class Shown:
    """One method in the figures, on the held-out trajectories of the first seed.

    prediction: log10 n [cm^-3], (trajectories, times, species). latent: z(tau) as the model advances it, and encoded:
    the encoder's view of the true states, both (trajectories, times, Z); history: curves over the epochs, by name.
    The last three are empty for methods that are no latent models.
    """

    label: str
    prediction: FloatArray
    latent: FloatArray | None = None
    encoded: FloatArray | None = None
    history: Mapping[str, FloatArray] | None = None


@dataclass(frozen=True)
class Sweep:
    """Normalised RMSE over a model's size; one seed. family: what is swept."""

    family: str
    sizes: tuple[int, ...]
    rmse: tuple[float, ...]


def draw_figures(
    folder: Path,
    times_s: FloatArray,
    initial: FloatArray,
    truth: FloatArray,
    species: Sequence[str],
    models: Sequence[Shown],
    references: Sequence[Shown],
    baselines: Sequence[Shown],
    latent_sweeps: Sequence[Sweep],
    degree_sweeps: Sequence[Sweep],
) -> list[Path]:
    """Draw all figures into `folder` and return their paths.

    times_s (times,) on the published grid; initial: n_C and n_C+ (trajectories, 2) and truth: log10 n (trajectories,
    times, S), held out, in cm^-3; species: names (S,). models: latent models (with the baselines at most eight, the
    number of colours); references: models whose loss curves alone are drawn; baselines: what models are compared with.
    """
    folder.mkdir(parents=True, exist_ok=True)
    years = times_s / YEAR_S
    everything = [*models, *baselines]
    with mpl.rc_context(_STYLE):
        figures = {
            "trajectories": _trajectories(years, initial, truth, species, models),
            "latent": _latent(years, [model for model in models if model.latent is not None]),
            "error_size": _error_size(latent_sweeps, degree_sweeps, truth, baselines),
            "error_time": _error_time(years, truth, everything),
            "error_species": _error_species(truth, species, everything),
            "error_plane": _error_plane(initial, truth, everything),
            "loss": _loss([*references, *models]),
        }
        return save(figures, folder)


def _latex(species: str) -> str:
    return f"${species_from_formula(species).latex}$"


def _median_trajectory(initial: FloatArray) -> int:
    """The trajectory nearest to the middle of the plane of initial densities: neither the best nor the worst."""
    logarithm = np.log10(initial)
    return int(np.argmin(np.sum((logarithm - np.median(logarithm, axis=0)) ** 2, axis=1)))


def _trajectories(
    years: FloatArray, initial: FloatArray, truth: FloatArray, species: Sequence[str], models: Sequence[Shown]
) -> Figure:
    """Truth and prediction of one trajectory, and its relative errors in two definitions: a row a model."""
    chosen = _median_trajectory(initial)
    indices = [list(species).index(name) for name in SPECIES]
    figure = Figure(figsize=(11.0, 2.3 * len(models) + 0.9))
    axes = figure.subplots(len(models), 3, sharex=True, sharey="col", squeeze=False)
    one = slice(chosen, chosen + 1)
    for row, model in zip(axes, models, strict=True):
        normalised = relative_error_normalised(truth[one], model.prediction[one])[0]
        physical = relative_error_physical(truth[one], model.prediction[one])[0]
        for colour, index in zip(_COLOURS, indices, strict=True):
            row[0].loglog(years, 10.0 ** truth[chosen, :, index], color=colour, lw=2.6, alpha=0.4)
            row[0].loglog(years, 10.0 ** model.prediction[chosen, :, index], color=colour, lw=1.0, ls="--")
            row[1].loglog(years, np.maximum(normalised[:, index], _FLOOR), color=colour, lw=1.0)
            row[2].loglog(years, np.maximum(physical[:, index], _FLOOR), color=colour, lw=1.0)
        row[0].set_ylabel(r"$n$ [cm$^{-3}$]")
        row[0].text(0.03, 0.94, model.label, transform=row[0].transAxes, va="top", fontsize=9, fontweight="bold")
        row[1].set_ylabel(r"$|\Delta x|/|x|$, normalised log")
        row[2].set_ylabel(r"$|n'/n - 1|$")
        row[0].set_ylim(1e-18, 1e8)
        row[1].set_ylim(_FLOOR, 10.0)
        row[2].set_ylim(_FLOOR, 10.0)
    for panel in axes[-1]:
        panel.set_xlabel("$t$ [yr]")
    handles = [Line2D([], [], color=c, lw=2, label=_latex(name)) for c, name in zip(_COLOURS, SPECIES, strict=True)]
    handles += [
        Line2D([], [], color="#555555", lw=2.6, alpha=0.4, label="integrator"),
        Line2D([], [], color="#555555", lw=1.0, ls="--", label="model"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return figure


def _latent(years: FloatArray, models: Sequence[Shown]) -> Figure:
    """Latent trajectories: as the model advances them, and as the encoder sees the truth."""
    tau = np.log10(years / years[0]) / np.log10(years[-1] / years[0])
    columns = min(3, len(models))
    rows = -(-len(models) // columns)
    figure = Figure(figsize=(3.9 * columns, 3.6 * rows))
    axes = figure.subplots(rows, columns, squeeze=False)
    for panel, model in zip(axes.ravel(), models, strict=False):
        assert model.latent is not None
        size = model.latent.shape[2]
        for k, colour in zip(range(size), _COLOURS[:_COMPONENTS], strict=False):
            for one in range(min(3, len(model.latent))):
                if model.encoded is not None:
                    panel.plot(tau, model.encoded[one, :, k], color=colour, lw=0.7, ls=":")
                panel.plot(tau, model.latent[one, :, k], color=colour, lw=1.1)
        slope, curvature = slope_and_curvature(tau, model.latent)
        some = f", {_COMPONENTS} of {size} components" if size > _COMPONENTS else ""
        panel.set_title(f"{model.label}{some}\nmean |slope| {slope:.2g}, curvature {curvature:.4f}")
        panel.set(xlabel=r"$\tau$", ylabel="$z$")
    for panel in axes.ravel()[len(models) :]:
        panel.set_visible(False)
    figure.legend(
        handles=[
            Line2D([], [], color="#555555", lw=1.1, label=r"advanced, $z(\tau)$"),
            Line2D([], [], color="#555555", lw=0.7, ls=":", label="encoder of the true states"),
        ],
        loc="outside lower center",
        ncols=2,
    )
    return figure


def slope_and_curvature(tau: FloatArray, latent: FloatArray) -> tuple[float, float]:
    """How steep and how bent latent trajectories (trajectories, times, Z) are.

    Slope: mean of the absolute slope of the least-squares line of every component. Curvature: root mean square of the
    deviation from that line over the root mean square about the mean; 0 for a straight line, 1 for no trend at all.
    """
    flat = np.moveaxis(latent, 1, 0).reshape(len(tau), -1)
    centred, about = tau - tau.mean(), flat - flat.mean(axis=0)
    slope = centred @ about / (centred @ centred)
    spread = float(np.sqrt(np.mean(about**2)))
    deviation = float(np.sqrt(np.mean((about - np.outer(centred, slope)) ** 2)))
    return float(np.abs(slope).mean()), deviation / spread if spread > 0 else 0.0


def _rmse(truth: FloatArray, prediction: FloatArray, axes: tuple[int, ...]) -> FloatArray:
    return np.asarray(np.sqrt(np.mean((prediction - truth) ** 2, axis=axes)))


def _error_size(
    latent: Sequence[Sweep], degree: Sequence[Sweep], truth: FloatArray, baselines: Sequence[Shown]
) -> Figure:
    """RMSE over the latent dimension and over the degree, with the baselines as lines."""
    figure = Figure(figsize=(8.6, 3.8))
    axes: Any = figure.subplots(1, 2, sharey=True)
    for panel, first, sweeps, label in (
        (axes[0], 0, latent, "latent dimension"),
        (axes[1], len(latent), degree, "degree of the polynomial"),
    ):
        for k, sweep in enumerate(sweeps, start=first):
            panel.semilogy(
                sweep.sizes, sweep.rmse, color=_COLOURS[k], marker=_MARKERS[k], ms=5, lw=1.1, label=sweep.family
            )
        for k, baseline in enumerate(baselines):
            level = float(_rmse(truth, baseline.prediction, (0, 1, 2))) / DEX_PER_UNIT
            panel.axhline(level, color="#555555", lw=1.0, ls=_DASHES[1 + k], label=baseline.label)
        for k, row in enumerate(row for row in PUBLISHED if row.rmse is not None):
            panel.axhline(row.rmse, color="#cc79a7", lw=1.0, ls=_DASHES[k], label=f"published: {row.name}")
        panel.set_xlabel(label)
        panel.xaxis.get_major_locator().set_params(integer=True)
    axes[0].set_ylabel("RMSE, normalised, held out")
    handles: dict[str, Any] = {}
    for panel in axes:
        handles |= dict(zip(*reversed(panel.get_legend_handles_labels()), strict=True))
    figure.legend(handles=list(handles.values()), labels=list(handles), loc="outside lower center", ncols=3)
    return figure


def _error_time(years: FloatArray, truth: FloatArray, shown: Sequence[Shown]) -> Figure:
    """RMSE in dex over trajectories and species, against time."""
    figure = Figure(figsize=(6.6, 3.9))
    panel: Any = figure.subplots()
    for k, method in enumerate(shown):
        error = np.maximum(_rmse(truth, method.prediction, (0, 2)), _FLOOR)
        panel.loglog(years, error, color=_COLOURS[k], ls=_DASHES[k], lw=1.2, label=method.label)
    panel.set(xlabel="$t$ [yr]", ylabel=r"RMSE of $\log_{10} n$ [dex]")
    figure.legend(loc="outside right upper")
    return figure


def _error_species(truth: FloatArray, species: Sequence[str], shown: Sequence[Shown]) -> Figure:
    """The paper's mean logarithmic error of every species, and the RMSE in dex."""
    order = np.argsort(_rmse(truth, shown[0].prediction, (0, 1)))
    where = np.arange(len(species))
    figure = Figure(figsize=(10.0, 6.2))
    axes: Any = figure.subplots(2, 1, sharex=True)
    for k, method in enumerate(shown):
        style = {"color": _COLOURS[k], "marker": _MARKERS[k], "ms": 4.5, "ls": "none", "label": method.label}
        axes[0].plot(where, log10_error_of_species(truth, method.prediction)[order], **style)
        axes[1].semilogy(where, np.maximum(_rmse(truth, method.prediction, (0, 1)), 1e-16)[order], **style)
    axes[0].set_ylabel(r"mean $\log_{10}(|\Delta x|/|x|)$, normalised")
    axes[1].set_ylabel(r"RMSE of $\log_{10} n$ [dex]")
    axes[1].set_xticks(where, [_latex(species[i]) for i in order], rotation=60)
    for panel in axes:
        panel.tick_params(axis="x", top=False)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper")
    return figure


def _error_plane(initial: FloatArray, truth: FloatArray, shown: Sequence[Shown]) -> Figure:
    """Every held-out trajectory at its place in the only plane in which trajectories differ, coloured by its error."""
    columns = min(4, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(2.9 * columns + 0.8, 2.7 * rows))
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    errors = [_rmse(truth, method.prediction, (1, 2)) for method in shown]
    top, bottom = max(e.max() for e in errors), max(min(e.min() for e in errors), 1e-7)
    norm = mpl.colors.LogNorm(bottom, top)
    for panel, method, error in zip(axes.ravel(), shown, errors, strict=False):
        image = panel.scatter(*initial.T, c=np.maximum(error, bottom), norm=norm, cmap="cividis", s=22)
        panel.set(xscale="log", yscale="log", title=method.label)
    for panel in axes[-1]:
        panel.set_xlabel(r"initial $n(\mathrm{C})$ [cm$^{-3}$]")
    for panel in axes[:, 0]:
        panel.set_ylabel(r"initial $n(\mathrm{C^+})$ [cm$^{-3}$]")
    for panel in axes.ravel()[len(shown) :]:
        panel.set_visible(False)
    figure.colorbar(image, ax=axes, label="RMSE of the trajectory [dex]", pad=0.01)
    return figure


def _loss(models: Sequence[Shown]) -> Figure:
    """The curves that a fit records, over its epochs."""
    columns = min(4, len(models))
    rows = -(-len(models) // columns)
    figure = Figure(figsize=(3.2 * columns, 2.9 * rows + 0.5))
    axes = figure.subplots(rows, columns, sharey=True, squeeze=False)
    names = list(dict.fromkeys(name for model in models for name in model.history or {}))
    for panel, model in zip(axes.ravel(), models, strict=False):
        for name, curve in (model.history or {}).items():
            k = names.index(name)
            panel.semilogy(np.arange(1, len(curve) + 1), curve, color=_COLOURS[k], lw=1.0)
        panel.set(xlabel="epoch", title=model.label)
    for panel in axes.ravel()[len(models) :]:
        panel.set_visible(False)
    handles = [Line2D([], [], color=_COLOURS[k], lw=1.0, label=name) for k, name in enumerate(names)]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(8, max(1, len(handles))))
    return figure
