"""Figures of the example hydro code's runs: maps of a 2-D run, profiles of a 1-D run, who served each cell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.colors import BoundaryNorm, ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from pychemsurrogate.evaluation.figures import STYLE, save
from pychemsurrogate.evaluation.hydro import ABUNDANCE_FLOOR, FieldsError, Snapshot, dex_error
from pychemsurrogate.network.species import species_from_formula
from pychemsurrogate.status import Status

COMPARED: Final = ("CO", "C", "C+", "e-")
"""Species whose abundances and errors are shown: the carriers of carbon, and the charge."""
DECADES_SHOWN: Final = 5
"""An abundance map reaches this many powers of ten below its largest value."""
KM_CM: Final = 1e5

_STYLE: Final = STYLE | {"image.origin": "lower", "image.interpolation": "nearest"}
_DENSITY: Final = r"$n_\mathrm{H}$ [cm$^{-3}$]"
_PATHS: Final = (  # label, colour, status codes
    ("surrogate", "#4477aa", (Status.SURROGATE,)),
    ("unchanged", "#bbbbbb", (Status.UNCHANGED, Status.MASKED)),
    ("exact: beyond the training states", "#ccbb44", (Status.EXACT_BOX, Status.EXACT_DISTANCE)),
    ("exact: predicted error", "#ee6677", (Status.EXACT_ERROR,)),
    ("exact: by lot, audit or budget", "#aa3377", (Status.EXACT_REFRESH, Status.EXACT_AUDIT, Status.EXACT_BUDGET)),
    ("exact", "#228833", (Status.EXACT_REQUESTED, Status.EXACT_ONE_STEP, Status.EXACT_ROUTED)),
    ("exact, second try", "#66ccee", (Status.EXACT_SECOND_TRY, Status.EXACT_SCIPY)),
    ("failed", "#000000", tuple(status for status in Status if status < 0)),
)


def draw_run(run: Sequence[Snapshot], reference: Sequence[Snapshot] | None, folder: str | Path) -> list[Path]:
    """Draw all figures of a run into a folder and return their paths.

    reference: the snapshots of the same case run with the exact integrator, or None; with it the errors are drawn,
    and which path served each cell.
    Raises FieldsError if the two runs do not belong together.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if reference is not None and len(reference) != len(run):
        raise FieldsError(f"{len(run)} snapshots cannot be compared with {len(reference)}; run the same case twice")
    two_dimensional = run[-1].shape[0] > 1
    has_chemistry = bool(run[-1].species)
    with mpl.rc_context(_STYLE):
        figures = {}
        if two_dimensional:
            figures["final_state"] = _final_state(run[-1])
            figures["evolution"] = _evolution(run)
        else:
            figures["profiles"] = _profiles(run)
        if has_chemistry:
            figures["abundance_density"] = _abundance_density(run[-1])
        if has_chemistry and reference is not None:
            figures["errors"] = _errors(run[-1], reference[-1])
            if two_dimensional and "status" in run[-1].fields:
                figures["paths"] = _paths(run)
        return save(figures, folder)


def _latex(species: str) -> str:
    return rf"$x({species_from_formula(species).latex})$"


def _map(axes: Any, snapshot: Snapshot, values: NDArray[np.float64], label: str, norm: Normalize, cmap: str) -> None:
    """A map of one field with its colour bar, on axes in pc."""
    image = axes.imshow(values, extent=snapshot.extent_pc, norm=norm, cmap=cmap)
    axes.figure.colorbar(image, ax=axes, shrink=0.9, pad=0.02, label=label)


def _density_norm(snapshots: Sequence[Snapshot]) -> LogNorm:
    densities = [snapshot.values("n_H") for snapshot in snapshots]
    return LogNorm(min(d.min() for d in densities), max(d.max() for d in densities))


def _abundance_norm(values: Sequence[NDArray[np.float64]]) -> LogNorm:
    largest = max(float(v.max()) for v in values)
    smallest = min(float(v.min()) for v in values)
    return LogNorm(max(smallest, largest * 10.0**-DECADES_SHOWN), largest, clip=True)


def _label_edges(axes: NDArray[Any]) -> None:
    for panel in axes[-1, :]:
        panel.set_xlabel("$x$ [pc]")
    for panel in axes[:, 0]:
        panel.set_ylabel("$y$ [pc]")


def _final_state(snapshot: Snapshot) -> Figure:
    """Gas above, chemistry below."""
    figure = Figure(figsize=(14.0, 6.4), layout="compressed")
    axes = figure.subplots(2, 4, sharex=True, sharey=True)
    vx, vy = snapshot.values("velocity_x") / KM_CM, snapshot.values("velocity_y") / KM_CM
    _map(axes[0, 0], snapshot, snapshot.values("n_H"), _DENSITY, _density_norm([snapshot]), "magma")
    temperature = snapshot.values("temperature")
    _map(axes[0, 1], snapshot, temperature, "$T$ [K]", Normalize(temperature.min(), temperature.max()), "inferno")
    for panel, values, label in ((axes[0, 2], vx, "$v_x$ [km s$^{-1}$]"), (axes[0, 3], vy, "$v_y$ [km s$^{-1}$]")):
        top = float(np.abs(values).max())
        _map(panel, snapshot, values, label, Normalize(-top, top), "RdBu_r")

    skip = max(1, snapshot.shape[0] // 20)
    left, right, low, high = snapshot.extent_pc
    ny, nx = snapshot.shape
    x = np.linspace(left, right, 2 * nx + 1)[1::2][::skip]
    y = np.linspace(low, high, 2 * ny + 1)[1::2][::skip]
    axes[0, 0].quiver(x, y, vx[::skip, ::skip], vy[::skip, ::skip], color="white", alpha=0.6, width=0.003)

    shown = [species for species in COMPARED if species in snapshot.species]
    for panel, species in zip(axes[1], shown, strict=False):
        abundance = snapshot.abundance(species)
        _map(panel, snapshot, abundance, _latex(species), _abundance_norm([abundance]), "viridis")
    for panel in axes[1, len(shown) :]:
        panel.set_visible(False)
    _label_edges(axes)
    figure.suptitle(
        rf"$t$ = {snapshot.time_kyr:.0f} kyr, $\zeta$ = {snapshot.zeta_per_s:.1e} s$^{{-1}}$, mode {snapshot.mode}"
    )
    return figure


def _evolution(run: Sequence[Snapshot]) -> Figure:
    """Density, and the carriers of carbon, at four times."""
    chosen = [run[round(k * (len(run) - 1) / 4)] for k in (1, 2, 3, 4)]
    species = [name for name in ("CO", "C", "C+") if name in run[-1].species]
    figure = Figure(figsize=(13.0, 3.1 * (1 + len(species))), layout="compressed")
    axes = figure.subplots(1 + len(species), 4, sharex=True, sharey=True, squeeze=False)
    norm = _density_norm(chosen)
    for panel, snapshot in zip(axes[0], chosen, strict=True):
        image = panel.imshow(snapshot.values("n_H"), extent=snapshot.extent_pc, norm=norm, cmap="magma")
        panel.set_title(f"$t$ = {snapshot.time_kyr:.0f} kyr")
    figure.colorbar(image, ax=axes[0], shrink=0.9, pad=0.01, label=_DENSITY)
    for row, name in zip(axes[1:], species, strict=True):
        norm = _abundance_norm([snapshot.abundance(name) for snapshot in chosen])
        for panel, snapshot in zip(row, chosen, strict=True):
            image = panel.imshow(snapshot.abundance(name), extent=snapshot.extent_pc, norm=norm, cmap="viridis")
        figure.colorbar(image, ax=row, shrink=0.9, pad=0.01, label=_latex(name))
    _label_edges(axes)
    return figure


def _profiles(run: Sequence[Snapshot]) -> Figure:
    """A 1-D run: the gas, and the abundances, at four times."""
    chosen = [run[round(k * (len(run) - 1) / 3)] for k in (0, 1, 2, 3)]
    species = [name for name in COMPARED if name in run[-1].species]
    figure = Figure(figsize=(7.0, 2.0 * (3 + len(species))))
    axes = figure.subplots(3 + len(species), 1, sharex=True)
    colours = mpl.colormaps["viridis"](np.linspace(0.0, 0.85, len(chosen)))
    for snapshot, colour in zip(chosen, colours, strict=True):
        x = snapshot.x_pc
        label = f"{snapshot.time_kyr:.0f} kyr"
        axes[0].semilogy(x, snapshot.values("n_H")[0], color=colour, label=label)
        axes[1].semilogy(x, snapshot.values("temperature")[0], color=colour)
        axes[2].plot(x, snapshot.values("velocity_x")[0] / KM_CM, color=colour)
        for panel, name in zip(axes[3:], species, strict=True):
            panel.semilogy(x, snapshot.abundance(name)[0], color=colour)
    axes[0].set_ylabel(_DENSITY)
    axes[1].set_ylabel("$T$ [K]")
    axes[2].set_ylabel("$v_x$ [km s$^{-1}$]")
    for panel, name in zip(axes[3:], species, strict=True):
        panel.set_ylabel(_latex(name))
    axes[0].legend(frameon=False, ncols=2)
    axes[-1].set_xlabel("$x$ [pc]")
    axes[-1].set_xlim(run[-1].extent_pc[:2])
    return figure


def _abundance_density(snapshot: Snapshot) -> Figure:
    """How much gas has which abundance at which density."""
    shown = [species for species in COMPARED if species in snapshot.species]
    figure = Figure(figsize=(3.3 * len(shown), 3.2))
    axes = figure.subplots(1, len(shown), squeeze=False)[0]
    log_n = np.log10(snapshot.values("n_H")).ravel()
    mass = snapshot.values("density").ravel()
    mass = mass / mass.sum()
    counted = []
    for species in shown:
        abundance = snapshot.abundance(species).ravel()
        log_x = np.log10(np.maximum(abundance, abundance.max() * 1e-9))
        counted.append(np.histogram2d(log_n, log_x, bins=70, weights=mass))
    top = max(float(counts.max()) for counts, _, _ in counted)
    norm = LogNorm(top * 1e-3, top)
    for panel, species, (counts, n_edges, x_edges) in zip(axes, shown, counted, strict=True):
        panel.set_facecolor("white")
        image = panel.pcolormesh(
            10.0**n_edges, 10.0**x_edges, np.ma.masked_equal(counts, 0.0).T, norm=norm, cmap="cividis", rasterized=True
        )
        panel.set(xscale="log", yscale="log", xlabel=_DENSITY, ylabel=_latex(species))
    figure.colorbar(image, ax=axes, pad=0.01, label="share of the gas mass")
    return figure


def _paths(run: Sequence[Snapshot]) -> Figure:
    """Which path served each cell in the step before four snapshots."""
    served = [snapshot for snapshot in run if "status" in snapshot.fields]
    chosen = [served[round(k * (len(served) - 1) / 3)] for k in (0, 1, 2, 3)]
    codes = {int(code): number for number, (_, _, group) in enumerate(_PATHS) for code in group}
    numbers = [np.vectorize(codes.__getitem__)(snapshot.fields["status"].astype(int)) for snapshot in chosen]
    present = np.unique(np.concatenate([n.ravel() for n in numbers]))
    colours = ListedColormap([colour for _, colour, _ in _PATHS])
    norm = BoundaryNorm(np.arange(len(_PATHS) + 1) - 0.5, len(_PATHS))
    figure = Figure(figsize=(13.0, 3.8), layout="compressed")
    axes = figure.subplots(1, 4, sharex=True, sharey=True, squeeze=False)
    for panel, snapshot, number in zip(axes[0], chosen, numbers, strict=True):
        panel.imshow(number, extent=snapshot.extent_pc, cmap=colours, norm=norm)
        panel.contour(
            np.log10(snapshot.values("n_H")),
            levels=[3.0, 4.0],
            extent=snapshot.extent_pc,
            colors="white",
            linewidths=0.5,
        )
        panel.set_title(f"$t$ = {snapshot.time_kyr:.0f} kyr")
    handles = [Patch(color=_PATHS[k][1], label=_PATHS[k][0]) for k in present]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    figure.suptitle(r"who served the cells (contours: $n_\mathrm{H}$ = 10$^3$, 10$^4$ cm$^{-3}$)")
    _label_edges(axes)
    return figure


def _errors(snapshot: Snapshot, reference: Snapshot) -> Figure:
    """The accumulated difference to the run with the exact integrator: where it lies, and how it is distributed."""
    shown = [species for species in COMPARED if species in snapshot.species]
    errors = [dex_error(snapshot, reference, species) for species in shown]
    figure = Figure(figsize=(14.0, 6.6) if snapshot.shape[0] > 1 else (7.0, 6.0))
    halves: Any = figure.subfigures(2, 1)
    above, below = halves
    if snapshot.shape[0] > 1:
        axes = above.subplots(1, len(shown), sharex=True, sharey=True, squeeze=False)
        for panel, species, error in zip(axes[0], shown, errors, strict=True):
            panel.set_facecolor("lightgrey")
            norm = LogNorm(1e-4, 1.0, clip=True)
            _map(panel, snapshot, error, rf"$|\Delta\log_{{10}}$ {_latex(species)}$|$ [dex]", norm, "cividis")
        _label_edges(axes)
    else:
        panel = above.subplots()
        for species, error in zip(shown, errors, strict=True):
            panel.semilogy(snapshot.x_pc, np.maximum(error[0], 1e-6), label=_latex(species))
        panel.set(xlabel="$x$ [pc]", ylabel=r"$|\Delta\log_{10} x|$ [dex]")
    panel = below.subplots()
    for species, error in zip(shown, errors, strict=True):
        values = np.sort(error[np.isfinite(error)])
        if len(values):
            above_share = 1.0 - np.arange(len(values)) / len(values)
            panel.loglog(np.maximum(values, 1e-6), above_share, label=_latex(species))
    panel.set(
        xlabel=rf"$|\Delta\log_{{10}} x|$ [dex], cells with $x$ > {ABUNDANCE_FLOOR:.0e} in the exact run",
        ylabel="share of cells above",
        xlim=(1e-3, max(1.0, panel.get_xlim()[1])),
    )
    panel.legend(frameon=False)
    figure.suptitle(f"mode {snapshot.mode} against mode {reference.mode} at $t$ = {snapshot.time_kyr:.0f} kyr")
    return figure
