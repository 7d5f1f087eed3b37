"""The one table of `pychemsurrogate reproduce`, as text, Markdown and CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import StringIO
from typing import Final

import numpy as np

from pychemsurrogate.evaluation.seed_baselines import PublishedRow
from pychemsurrogate.evaluation.seed_metrics import SeedMetrics, Spread

BATCHES: Final = (1, 10_000)
"""Trajectories a call in the timings."""
EMPTY: Final = "-"


@dataclass(frozen=True)
class Row:
    """One line: what it is, its errors (None: not known or not a number), its times.

    seeds: splits and fits behind the errors, 0 for a quoted row. parameters: numbers that the method holds.
    rmse is the mean over seeds, rmse_range their smallest and largest; medians are means over seeds, extremes those of
    all seeds. log10_error: mean over species, smallest and largest species. python, native: seconds a trajectory of
    100 outputs, by batch, with numpy, scipy or torch and with the native library.
    """

    group: str
    name: str
    seeds: int = 0
    parameters: int | None = None
    rmse: float | None = None
    rmse_range: tuple[float, float] | None = None
    rmse_dex: float | None = None
    relative_normalised: Spread | None = None
    relative_log: Spread | None = None
    relative_physical: Spread | None = None
    log10_error: tuple[float, float, float] | None = None
    python: dict[int, float] = field(default_factory=dict)
    native: dict[int, float] = field(default_factory=dict)


def row_of(group: str, name: str, metrics: Sequence[SeedMetrics], parameters: int | None = None) -> Row:
    """The line of a method that was measured on one or more splits (`metrics`, not empty)."""
    rmse = [m.rmse for m in metrics]
    species = np.mean([m.log10_error for m in metrics], axis=0)
    return Row(
        group,
        name,
        seeds=len(metrics),
        parameters=parameters,
        rmse=float(np.mean(rmse)),
        rmse_range=(min(rmse), max(rmse)),
        rmse_dex=float(np.mean([m.rmse_dex for m in metrics])),
        relative_normalised=_over_seeds([m.relative_normalised for m in metrics]),
        relative_log=_over_seeds([m.relative_log for m in metrics]),
        relative_physical=_over_seeds([m.relative_physical for m in metrics]),
        log10_error=(float(species.mean()), float(species.min()), float(species.max())),
    )


def quoted_row(row: PublishedRow) -> Row:
    """The line of a published result."""
    relative = row.median_relative_error
    return Row(
        "quoted",
        f"{row.name} ({row.hardware})",
        rmse=row.rmse,
        relative_normalised=None if relative is None else Spread(relative, float("nan"), float("nan")),
        log10_error=row.log10_error,
        python={1: row.time_ms * 1e-3},
    )


def _over_seeds(spreads: Sequence[Spread]) -> Spread:
    return Spread(
        float(np.mean([s.median for s in spreads])),
        min(s.smallest for s in spreads),
        max(s.largest for s in spreads),
    )


def _number(value: float | None) -> str:
    """Two digits: 35, 0.45, 3.1e-5."""
    if value is None or np.isnan(value):
        return EMPTY
    if value == 0.0 or 0.01 <= abs(value) < 1000.0:
        return f"{value:.2g}" if abs(value) < 100.0 else f"{value:.0f}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def _spread(spread: Spread | None, smallest: bool) -> str:
    if spread is None:
        return EMPTY
    if np.isnan(spread.largest):
        return _number(spread.median)
    lower = f"{_number(spread.smallest)}.." if smallest else ""
    return f"{_number(spread.median)} ({lower}{_number(spread.largest)})"


def _rmse(row: Row) -> str:
    if row.rmse is None or row.rmse_range is None or row.seeds < 2:
        return _number(row.rmse)
    return f"{_number(row.rmse)} ({_number(row.rmse_range[0])}..{_number(row.rmse_range[1])})"


def _log10(row: Row) -> str:
    return EMPTY if row.log10_error is None else "{:.2f} ({:.2f}..{:.2f})".format(*row.log10_error)


def _milliseconds(times: dict[int, float]) -> list[str]:
    return [_number(times[batch] * 1e3) if batch in times else EMPTY for batch in BATCHES]


HEADINGS: Final = (
    "",
    "seeds",
    "parameters",
    "RMSE (seeds)",
    "dex",
    "normalised",
    "of log10 n",
    "of n",
    "log10 error (species)",
    "ms: 1",
    "10,000",
    "native: 1",
    "10,000",
)


def _cells(row: Row, smallest: bool) -> list[str]:
    return [
        row.name,
        str(row.seeds) if row.seeds else EMPTY,
        EMPTY if row.parameters is None else f"{row.parameters:,}",
        _rmse(row),
        _number(row.rmse_dex),
        *(_spread(s, smallest) for s in (row.relative_normalised, row.relative_log, row.relative_physical)),
        _log10(row),
        *_milliseconds(row.python),
        *_milliseconds(row.native),
    ]


NOTES: Final = (
    "RMSE: of log10 n, normalised as published (1 = 10.72 dex), held-out trajectories; mean over seeds (range).",
    "Relative errors, median ({range}) over trajectories, times and species; normalised: |dx|/|x| of the normalised",
    "logarithm, the paper's definition; of log10 n: |d log10 n|/|log10 n|; of n: |n'/n - 1|, of the densities.",
    "log10 error: mean over species (best..worst species) of the mean log10 of the normalised relative error.",
    "ms: a trajectory of 100 outputs in calls of 1 and of 10,000 trajectories, by numpy, scipy or torch, or by the",
    "native library: processor time of one core; quoted rows are another machine's.",
)
"""Below the table; {range} tells what is in the brackets."""


def text_table(rows: Sequence[Row]) -> str:
    """The table for the terminal, groups under their headings, notes below."""
    body = [_cells(row, smallest=False) for row in rows]
    widths = [max(len(line[k]) for line in [list(HEADINGS), *body]) for k in range(len(HEADINGS))]
    widths[0] += 2

    def line(cells: Sequence[str]) -> str:
        aligned = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return "  ".join([cells[0].ljust(widths[0]), *aligned]).rstrip()

    lines, group = [line(HEADINGS)], ""
    lines.append("-" * max(len(line(cells)) for cells in [list(HEADINGS), *body]))
    for row, cells in zip(rows, body, strict=True):
        if row.group != group:
            lines.append(row.group)
            group = row.group
        lines.append(line(["  " + cells[0], *cells[1:]]))
    return "\n".join([*lines, "", *NOTES]).format(range="largest")


def markdown_table(rows: Sequence[Row]) -> str:
    """The same as Markdown, with the smallest relative errors as well."""
    lines = [_markdown_line(HEADINGS), "|" + "---|" * len(HEADINGS)]
    group = ""
    for row in rows:
        if row.group != group:
            lines.append(_markdown_line([f"**{row.group}**", *[""] * (len(HEADINGS) - 1)]))
            group = row.group
        lines.append(_markdown_line(_cells(row, smallest=True)))
    return "\n".join([*lines, "", *NOTES]).format(range="smallest..largest")


def _markdown_line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def csv_table(rows: Sequence[Row]) -> str:
    """The same as CSV in full precision, times in seconds; an empty field: not known."""
    spreads = ("relative_normalised", "relative_log", "relative_physical")
    parts = ("median", "smallest", "largest")
    header = ["group", "name", "seeds", "parameters", "rmse", "rmse_smallest", "rmse_largest", "rmse_dex"]
    header += [f"{spread}_{part}" for spread in spreads for part in parts]
    header += ["log10_error_mean", "log10_error_lowest", "log10_error_highest"]
    header += [f"{way}_s_batch_{batch}" for way in ("python", "native") for batch in BATCHES]
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        values: list[object] = [row.group, row.name, row.seeds, row.parameters, row.rmse]
        values += [*(row.rmse_range or (None, None)), row.rmse_dex]
        for name in spreads:
            spread: Spread | None = getattr(row, name)
            values += [None] * 3 if spread is None else [getattr(spread, part) for part in parts]
        values += row.log10_error or (None,) * 3
        values += [way.get(batch) for way in (row.python, row.native) for batch in BATCHES]
        writer.writerow([None if isinstance(v, float) and np.isnan(v) else v for v in values])
    return out.getvalue()
