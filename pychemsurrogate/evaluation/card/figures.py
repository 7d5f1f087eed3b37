"""The figures of a model card, drawn from its numbers alone, as SVG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from pychemsurrogate.evaluation.card.measured import Card, PathCard, Row
from pychemsurrogate.evaluation.card.step import EVERYTHING
from pychemsurrogate.evaluation.figures import STYLE
from pychemsurrogate.network.species import species_from_formula

# Tol's bright scheme and black: told apart with every kind of colour vision; markers and dashes say the same again.
_COLOURS: Final = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#777777", "#000000")
_MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "*")
_DASHES: Final = ("-", "--", "-.", ":")
_STYLE: Final = STYLE | {
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "savefig.bbox": None,  # the layout leaves no margin to cut, and each look costs a drawing
    "svg.hashsalt": "pychemsurrogate",  # the same figures have the same bytes
}
_QUANTILES: Final = (("median", "#4477aa", "o", "-"), ("p90", "#ccbb44", "s", "--"), ("p99", "#ee6677", "^", "-."))
_UNCHANGED: Final = "#777777"
_FLOOR: Final = 1e-6  # smaller errors [dex] are drawn at the lower edge
_DEX: Final = "cell error [dex]"
_SERVED: Final = (
    ("surrogate", ("SURROGATE",), "#228833"),
    ("exact: routed", ("EXACT_ROUTED",), "#66ccee"),
    ("exact: predicted error", ("EXACT_ERROR",), "#ee6677"),
    ("exact: outside the box", ("EXACT_BOX",), "#aa3377"),
    ("exact: far from training", ("EXACT_DISTANCE",), "#ee8866"),
    ("exact: budget, refresh, audit", ("EXACT_BUDGET", "EXACT_REFRESH", "EXACT_AUDIT"), "#ccbb44"),
    ("unchanged", ("UNCHANGED",), "#bbbbbb"),
)


def draw_path(card: PathCard) -> dict[str, str]:
    """The figures of one learned path, by name, as SVG."""
    drawn = {
        "species": _species(card.species),
        "steps": _dt_and_change(card.by_dt, card.by_change),
        "plane": _plane(card),
        "small": _small(card.small_steps, card.told),
    }
    if card.curves:
        drawn["risk"] = _risk(card)
    return _as_svg(drawn)


def draw_model(card: Card) -> dict[str, str]:
    """The figures of the whole model, by name, as SVG."""
    return _as_svg(
        {"rollouts": _rollouts(card.rollouts), "served": _served(card.rollouts), "costs": _costs(card.costs)}
    )


def _as_svg(drawn: Mapping[str, Any]) -> dict[str, str]:
    figures = {}
    for name, draw in drawn.items():
        with mpl.rc_context(_STYLE):
            stream = io.StringIO()
            draw().savefig(stream, format="svg", metadata={"Date": None})
        figures[name] = stream.getvalue()
    return figures


def _column(rows: Sequence[Row], name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([np.nan if row[name] is None else row[name] for row in rows], dtype=np.float64)


def _shown(values: Any) -> Any:
    return np.maximum(values, _FLOOR)


def _latex(name: str) -> str:
    return f"${species_from_formula(name).latex}$"


def _told_ticks(axes: Any) -> None:
    """Plain numbers at 1, 2 and 5 on a logarithmic x axis of few decades."""
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _species(rows: list[Row]) -> Any:
    def draw() -> Figure:
        figure = Figure(figsize=(max(6.0, 0.30 * len(rows)), 3.6))
        axes = figure.subplots()
        x = np.arange(len(rows))
        axes.vlines(x, _shown(_column(rows, "median")), _shown(_column(rows, "p99")), color="#cccccc", lw=1.5)
        for name, colour, marker, _ in _QUANTILES:
            axes.plot(x, _shown(_column(rows, name)), marker, color=colour, ms=4, label=name)
        unchanged = _shown(_column(rows, "persistence_median"))
        axes.plot(x, unchanged, "_", color=_UNCHANGED, ms=9, label="median of the true change")
        axes.set_yscale("log")
        axes.set_xticks(x, [_latex(row["species"]) for row in rows], rotation=90)
        axes.tick_params(axis="x", which="both", top=False)
        axes.set_xlim(-0.7, len(rows) - 0.3)
        axes.set_ylabel(r"$|\Delta\log_{10} x|$ [dex], where $x > 10^{-10}$")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=4)
        return figure

    return draw


def _quantile_lines(axes: Any, x: Any, rows: list[Row]) -> None:
    for name, colour, marker, dash in _QUANTILES:
        axes.plot(x, _shown(_column(rows, name)), marker=marker, ls=dash, color=colour, ms=3.5, lw=1.2, label=name)


def _dt_and_change(by_dt: list[Row], by_change: list[Row]) -> Any:
    def draw() -> Figure:
        figure = Figure(figsize=(8.6, 3.7))
        left, right = figure.subplots(1, 2, sharey=True)
        middle = 10.0 ** (0.5 * (_column(by_dt, "low") + _column(by_dt, "high")))
        _quantile_lines(left, middle, by_dt)
        left.plot(
            middle, _shown(_column(by_dt, "persistence_median")), color=_UNCHANGED, ls=":", label="median true change"
        )
        left.set(xscale="log", yscale="log", xlabel=r"$\Delta t$ [yr]", ylabel=_DEX)
        left.legend()
        middle = 10.0 ** (0.5 * (_column(by_change, "low") + _column(by_change, "high")))
        _quantile_lines(right, middle, by_change)
        right.plot(middle, middle, color=_UNCHANGED, ls=":", label="error = change (persistence)")
        right.set(xscale="log", yscale="log", xlabel="true change of the cell [dex]")
        right.legend()
        return figure

    return draw


def _plane(card: PathCard) -> Any:
    plane = card.plane

    def draw() -> Figure:
        x, y = 10.0 ** np.array(plane["log10_T"]), 10.0 ** np.array(plane["log10_other"])
        maps = {
            name: np.ma.masked_invalid(np.array(plane[name], dtype=np.float64)) for name in ("p90", "p99", "accepted")
        }
        figure = Figure(figsize=(10.8, 3.3))
        panels = figure.subplots(1, 3, sharex=True, sharey=True)
        share = "share accepted" + (f" at {card.told:g} dex" if card.told is not None else " by the box")
        norm = LogNorm(1e-2, 3.0)
        for axes, name, label in zip(
            panels, ("p90", "p99", "accepted"), (f"p90 {_DEX}", f"p99 {_DEX}", share), strict=True
        ):
            axes.set_facecolor("#dddddd")
            axes.grid(visible=False)
            error = name != "accepted"
            image = axes.pcolormesh(
                x,
                y,
                maps[name].T,
                norm=norm if error else Normalize(0.0, 1.0),
                cmap="cividis" if error else "viridis",
                rasterized=True,
            )
            figure.colorbar(image, ax=axes, label=label, extend="both" if error else "neither")
            axes.set(xscale="log", yscale="log", xlabel="$T$ [K]")
            _told_ticks(axes)
        scaled = plane["other"] == "n_H/zeta"
        panels[0].set_ylabel(r"$n_\mathrm{H}/\zeta$ [cm$^{-3}$ s]" if scaled else r"$n_\mathrm{H}$ [cm$^{-3}$]")
        return figure

    return draw


def _risk(card: PathCard) -> Any:
    def draw() -> Figure:
        figure = Figure(figsize=(8.8, 4.2))
        left, right = figure.subplots(1, 2, sharex=True)
        names = [name for name in card.curves if name != EVERYTHING and card.curves[name]["share"]]
        points = {row["population"]: row for row in card.gate if row["target"] == card.told}
        fewest = 1.0
        for k, name in enumerate(names):
            curve, style = card.curves[name], {"color": _COLOURS[k % 8], "ls": _DASHES[k % 4], "lw": 1.2}
            share, violations = np.array(curve["share"]), np.array(curve["violations"])
            left.plot(share, _shown(curve["p99"]), label=name, **style)
            right.plot(share, np.where(violations > 0.0, violations, np.nan), **style)
            point = points[name]
            marker = {"color": _COLOURS[k % 8], "marker": _MARKERS[k % 8], "ms": 6, "mec": "black", "mew": 0.6}
            if point["accepted"]:
                left.plot([point["accepted"]], [point["p99"]], **marker)
                right.plot([point["accepted"]], [point["bound"]], **marker)
                if point["violations"]:
                    right.plot([point["accepted"]] * 2, [point["rate"], point["bound"]], color=_COLOURS[k % 8], lw=0.8)
            positive = violations[violations > 0.0]
            fewest = min(fewest, positive.min() if positive.size else 1.0)
        left.axhline(card.told, color="black", lw=0.8, ls=(0, (5, 2)))
        left.set(yscale="log", xlabel="share of the cells accepted", ylabel="p99 error of the accepted [dex]")
        right.axhline(card.alpha, color="black", lw=0.8, ls=(0, (5, 2)))
        right.set(
            yscale="log",
            xlabel="share of the cells accepted",
            ylabel=f"share of the accepted above {card.told:g} dex",
            ylim=(max(1e-5, 0.5 * fewest), 1.0),
            xlim=(-0.02, 1.02),
        )
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
        return figure

    return draw


def _small(rows: list[Row], told: float | None) -> Any:
    def draw() -> Figure:
        figure = Figure(figsize=(8.6, 3.5))
        left, right = figure.subplots(1, 2, sharex=True)
        dt = _column(rows, "dt_s")
        for name, label, colour, dash in (
            ("change_median", "true change, median", "#000000", "-"),
            ("change_p99", "true change, p99", "#000000", "--"),
            ("error_median", "error, median", "#ee6677", "-"),
            ("error_p99", "error, p99", "#ee6677", "--"),
        ):
            left.plot(dt, np.maximum(_column(rows, name), 1e-14), color=colour, ls=dash, label=label)
        left.set(xscale="log", yscale="log", xlabel=r"$\Delta t$ [s]", ylabel="cell error, cell change [dex]")
        left.legend()
        right.plot(
            dt, _column(rows, "ratio_median"), color="#4477aa", marker="o", ms=3.5, label="error / true change, median"
        )
        right.axhline(1.0, color=_UNCHANGED, ls=":", label="as wrong as leaving the cell as it is")
        right.set(xscale="log", yscale="log", xlabel=r"$\Delta t$ [s]", ylabel="error / true change")
        other = right.twinx()
        other.grid(visible=False)
        at = "" if told is None else f" at {told:g} dex"
        other.plot(
            dt, _column(rows, "accepted"), color="#228833", ls="-.", marker="^", ms=3.5, label=f"share accepted{at}"
        )
        other.set(ylim=(-0.03, 1.03), ylabel="share of the cells")
        handles = [*right.get_legend_handles_labels()[0], *other.get_legend_handles_labels()[0]]
        figure.legend(handles=handles, loc="outside upper center", ncols=3)
        return figure

    return draw


def _rollouts(rollouts: dict[str, Row]) -> Any:
    def draw() -> Figure:
        kinds = list(rollouts)
        figure = Figure(figsize=(4.4 * len(kinds), 5.6))
        axes = figure.subplots(2, len(kinds), sharex="col", sharey=True, squeeze=False)
        for column, kind in enumerate(kinds):
            for k, (name, rows) in enumerate(rollouts[kind]["curves"].items()):
                style = {"color": _COLOURS[k], "marker": _MARKERS[k], "ms": 3, "lw": 1.2}
                step = _column(rows, "step")
                for row, quantile in enumerate(("median", "p99")):
                    axes[row, column].loglog(step, _shown(_column(rows, quantile)), label=name, **style)
                axes[0, column].loglog(step, _shown(_column(rows, "p90")), color=_COLOURS[k], ls=":", lw=1.2)
            axes[0, column].set_title(f"{kind} runs")
            axes[1, column].set_xlabel("steps")
        axes[0, 0].set_ylabel("median (dotted: p90) " + _DEX)
        axes[1, 0].set_ylabel("p99 " + _DEX)
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        return figure

    return draw


def _served(rollouts: dict[str, Row]) -> Any:
    def draw() -> Figure:
        bars = [
            (f"{kind}: {name}", rollouts[kind]["served"][name])
            for kind in rollouts
            for name in rollouts[kind]["served"]
            if name.startswith("auto")
        ]
        figure = Figure(figsize=(8.6, 0.42 * len(bars) + 1.3))
        axes = figure.subplots()
        known = {code for _, codes, _ in _SERVED for code in codes}
        groups = [*_SERVED, ("exact: other", tuple({c for _, s in bars for c in s} - known), "#4477aa")]
        handles = []
        begin = np.zeros(len(bars))
        for label, codes, colour in groups:
            width = np.array([sum(served.get(code, 0.0) for code in codes) for _, served in bars])
            if width.any():
                axes.barh(np.arange(len(bars)), width, left=begin, color=colour, edgecolor="white", lw=0.5)
                handles.append(Patch(color=colour, label=label))
            begin += width
        axes.set_yticks(np.arange(len(bars)), [name for name, _ in bars])
        axes.invert_yaxis()
        axes.grid(visible=False)
        axes.set(xlim=(0.0, 1.0), xlabel="share of all cells and steps")
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
        return figure

    return draw


def _costs(costs: list[Row]) -> Any:
    def draw() -> Figure:
        sets = list(dict.fromkeys(row["set"] for row in costs))
        figure = Figure(figsize=(4.4 * max(1, len(sets)), 4.0))
        panels = figure.subplots(1, max(1, len(sets)), sharey=True, squeeze=False)[0]
        for axes, name in zip(panels, sets, strict=False):
            rows = [row for row in costs if row["set"] == name]
            exact = [row for row in rows if row["way"] == "exact"]
            axes.plot(
                _column(exact, "us"), _column(exact, "p99"), "-o", color="#4477aa", ms=4, label="exact integrator"
            )
            for row in exact:
                exponent = np.log10(row["rtol"])
                text = rf"$10^{{{exponent:.0f}}}$" if abs(exponent - round(exponent)) < 1e-9 else f"{row['rtol']:g}"
                axes.annotate(text, (row["us"], row["p99"]), (-4, -3), textcoords="offset points", fontsize=7,
                              color="#4477aa", ha="right", va="top")  # fmt: skip
            for row in rows:
                if row["way"] == "learned step":
                    axes.plot([row["us"]], [row["p99"]], "s", color="#ee6677", ms=6, label="learned step, no gate")
            auto = [row for row in rows if row["way"] == "auto"]
            for k, row in enumerate(auto):
                axes.plot([row["us"]], [row["p99"]], marker=_MARKERS[2 + k % 6], color="#228833", mec="black", mew=0.6,
                          ms=7, ls="", label=f"auto, {row['setting']}")  # fmt: skip
            axes.set(xscale="log", yscale="log", xlabel=r"time a cell, one thread [$\mu$s]", title=f"{name} cells")
            low, high = min(_column(rows, "us")), max(_column(rows, "us"))
            axes.set_xlim(0.6 * low, 1.6 * high)
            _told_ticks(axes)
        panels[0].set_ylabel("p99 " + _DEX)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        return figure

    return draw
