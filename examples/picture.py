"""Draw the fields that an example saved, by `python examples/picture.py RUN.npz PICTURE.png`."""

from __future__ import annotations

import sys

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt


def draw(run_file: str, picture: str) -> None:
    """Six panels: density, temperature, CO, C, OH per H nucleus, and which chemistry served where."""
    with np.load(run_file) as run:
        species = run["species"].tolist()
        abundance = {name: run["n"][species.index(name)] / run["n_H"] for name in ("CO", "C", "OH")}
        gas = [("$n_\\mathrm{H}$ [cm$^{-3}$]", run["n_H"], "viridis"), ("T [K]", run["temperature_K"], "inferno")]
        if "integrator_steps" in run:
            cost = ("integrator's steps in a gas step", run["integrator_steps"] / run["calls"], "cividis")
        else:
            cost = ("share of steps by the surrogate", run["learned"] / run["calls"], "cividis")
        left, right, bottom, top = run["extent_pc"]
        title = f"{float(run['time_kyr']):g} kyr, {run['n_H'].shape[0]} x {run['n_H'].shape[1]} cells"
    panels = [*gas, *((f"n({name}) / $n_\\mathrm{{H}}$", field, "magma") for name, field in abundance.items()), cost]
    rows, columns = (3, 2) if right - left > 1.5 * (top - bottom) else (2, 3)
    width = 4.6 if rows == 3 else 3.6
    height = (width - 1.0) * (top - bottom) / (right - left) + 0.4
    figure, axes = plt.subplots(
        rows, columns, figsize=(columns * width, rows * height + 0.3), sharex=True, sharey=True, layout="constrained"
    )
    for axis, (label, field, colours) in zip(axes.flat, panels, strict=True):
        low, high = max(field.min(), 1e-5 * field.max()), field.max()
        if label.startswith("share"):
            norm = mpl.colors.Normalize(0, 1)
        else:
            norm = None if high < 3 * low else mpl.colors.LogNorm(low, high)
        image = axis.imshow(field.T, origin="lower", extent=(left, right, bottom, top), norm=norm, cmap=colours)
        axis.set_title(label, fontsize=10)
        figure.colorbar(image, ax=axis, shrink=0.9)
    for axis in axes[-1]:
        axis.set_xlabel("x [pc]")
    for axis in axes[:, 0]:
        axis.set_ylabel("y [pc]")
    figure.suptitle(title, fontsize=11)
    figure.savefig(picture, dpi=100)


if __name__ == "__main__":
    draw(*sys.argv[1:])
