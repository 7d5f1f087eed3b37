"""The output of the example hydro code (fortran_example/): read, compared and kept as HDF5.

A snapshot is a text header NAME.txt and a binary NAME.bin with the fields one after the other, x running fastest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import h5py
import numpy as np
from numpy.typing import NDArray

PARSEC_CM: Final = 3.0856775814913673e18
"""IAU 2015 resolution B2."""
KILOYEAR_S: Final = 3.15576e10
"""1000 Julian years (IAU)."""
ABUNDANCE_FLOOR: Final = 1e-10
"""Cells with less of a species per H nucleus than this in the reference run are left out of a comparison."""

_MAGIC = ("pychemsurrogate_fields", "1")
_TYPES = {"float64": "f8", "int8": "i1"}
_ORDERS = {"little": "<", "big": ">"}


class FieldsError(ValueError):
    """A snapshot cannot be read, or two runs cannot be compared; the message says what to do."""


@dataclass(frozen=True)
class Snapshot:
    """The state of all cells at one time.

    fields: name -> values (ny, nx), in the units of `units`: density, n_H, temperature, pressure, velocity_x,
    velocity_y, n(SPECIES) and, once the chemistry has run, status. cell_size_cm and lower_corner_cm are (x, y).
    """

    problem: str
    mode: str
    step: int
    time_s: float
    zeta_per_s: float
    cell_size_cm: tuple[float, float]
    lower_corner_cm: tuple[float, float]
    fields: dict[str, NDArray[np.generic]]
    units: dict[str, str]

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        ny, nx = self.fields["n_H"].shape
        return ny, nx

    @property
    def species(self) -> tuple[str, ...]:
        """Names of the species, in the order of the file."""
        return tuple(name[2:-1] for name in self.fields if name.startswith("n("))

    @property
    def time_kyr(self) -> float:
        """Time since the start of the run [kyr]."""
        return self.time_s / KILOYEAR_S

    @property
    def extent_pc(self) -> tuple[float, float, float, float]:
        """Left, right, lower and upper edge of the box [pc]."""
        ny, nx = self.shape
        (x0, y0), (dx, dy) = self.lower_corner_cm, self.cell_size_cm
        return x0 / PARSEC_CM, (x0 + nx * dx) / PARSEC_CM, y0 / PARSEC_CM, (y0 + ny * dy) / PARSEC_CM

    @property
    def x_pc(self) -> NDArray[np.float64]:
        """Cell centres along x [pc], (nx,)."""
        centres = np.arange(self.shape[1], dtype=np.float64) + 0.5
        return np.asarray((self.lower_corner_cm[0] + centres * self.cell_size_cm[0]) / PARSEC_CM)

    def values(self, name: str) -> NDArray[np.float64]:
        """A field by name, (ny, nx) float64. Raises FieldsError if the snapshot does not hold it."""
        if name not in self.fields:
            raise FieldsError(f'no field "{name}" in this snapshot; it holds {", ".join(self.fields)}')
        return np.asarray(self.fields[name], dtype=np.float64)

    def abundance(self, species: str) -> NDArray[np.float64]:
        """n_i / n_H of a species, (ny, nx)."""
        return self.values(f"n({species})") / self.values("n_H")


def read_snapshot(header: str | Path) -> Snapshot:
    """Read the snapshot whose header is the given .txt file.

    Raises FieldsError, with the reason, if the header or the binary file beside it is missing, foreign or truncated.
    """
    header = Path(header)
    try:
        lines = [line.split() for line in header.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    except (OSError, UnicodeDecodeError) as error:
        raise FieldsError(f"{header}: {error}") from None
    if not lines or tuple(lines[0]) != _MAGIC:
        raise FieldsError(f"{header}: not a snapshot (its first line must read {' '.join(_MAGIC)})")
    entries = {line[0]: line[1:] for line in lines[1:] if line and line[0] != "field"}
    declared = [line[1:] for line in lines if line and line[0] == "field"]
    try:
        nx, ny = (int(word) for word in entries["cells"])
        order = _ORDERS[entries["byte_order"][0]]
        dtypes = [np.dtype(order + _TYPES[kind]) for _, _, kind in declared]
        snapshot = Snapshot(
            problem=entries["problem"][0],
            mode=entries["mode"][0],
            step=int(entries["step"][0]),
            time_s=float(entries["time_s"][0]),
            zeta_per_s=float(entries["zeta_per_s"][0]),
            cell_size_cm=_pair(entries["cell_size_cm"]),
            lower_corner_cm=_pair(entries["lower_corner_cm"]),
            fields={},
            units={name: unit for name, unit, _ in declared},
        )
    except (KeyError, ValueError, IndexError) as error:
        raise FieldsError(f"{header}: the header is damaged ({error!r}); run the case again") from None

    binary = header.with_suffix(".bin")
    if not binary.is_file():
        raise FieldsError(f"{binary}: missing; it belongs beside {header.name}")
    content = binary.read_bytes()
    expected = nx * ny * sum(dtype.itemsize for dtype in dtypes)
    if len(content) != expected:
        raise FieldsError(f"{binary}: {len(content)} bytes, the header asks for {expected}; run the case again")
    offset = 0
    for (name, _, _), dtype in zip(declared, dtypes, strict=True):
        values = np.frombuffer(content, dtype, nx * ny, offset).reshape(ny, nx)
        snapshot.fields[name] = values.astype(dtype.newbyteorder("="))
        offset += values.nbytes
    return snapshot


def read_run(folder: str | Path) -> list[Snapshot]:
    """Read all snapshots of a run, in the order of time. Raises FieldsError if there are none, or of several runs."""
    headers = sorted(Path(folder).glob("snapshot_*.txt"))
    if not headers:
        raise FieldsError(f"{folder}: no snapshots here; give the folder that cloud_hydro wrote to")
    run = [read_snapshot(header) for header in headers]
    for before, after in pairwise(run):
        if after.time_s <= before.time_s or after.shape != before.shape or after.problem != before.problem:
            raise FieldsError(f"{folder}: snapshots of several runs; empty the folder and run the case again")
    return run


def dex_error(snapshot: Snapshot, reference: Snapshot, species: str) -> NDArray[np.float64]:
    """|log10 n - log10 n_reference| per cell, (ny, nx); NaN where the reference holds less than ABUNDANCE_FLOOR.

    Raises FieldsError if the snapshots are of different steps or meshes.
    """
    if snapshot.step != reference.step or snapshot.shape != reference.shape:
        raise FieldsError(
            f"step {snapshot.step} on {snapshot.shape} cells cannot be compared with step {reference.step} on "
            f"{reference.shape} cells; run the same case twice"
        )
    smallest = np.finfo(np.float64).tiny
    here = np.maximum(snapshot.values(f"n({species})"), smallest)
    there = np.maximum(reference.values(f"n({species})"), smallest)
    return np.where(reference.abundance(species) > ABUNDANCE_FLOOR, np.abs(np.log10(here / there)), np.nan)


def write_hdf5(run: Sequence[Snapshot], path: str | Path) -> None:
    """Write the snapshots of a run into one HDF5 file: a group a snapshot, a data set a field, units as attributes."""
    with h5py.File(path, "w") as file:
        file.attrs["problem"] = run[0].problem
        file.attrs["mode"] = run[0].mode
        file.attrs["zeta_per_s"] = run[0].zeta_per_s
        file.attrs["cell_size_cm"] = run[0].cell_size_cm
        file.attrs["lower_corner_cm"] = run[0].lower_corner_cm
        file.attrs["axes"] = "y, x"
        for number, snapshot in enumerate(run):
            group = file.create_group(f"snapshot_{number:04d}")
            group.attrs["time_s"] = snapshot.time_s
            group.attrs["step"] = snapshot.step
            for name, values in snapshot.fields.items():
                data = group.create_dataset(name, data=values, compression="gzip", shuffle=True)
                data.attrs["unit"] = snapshot.units[name]


def _pair(words: Sequence[str]) -> tuple[float, float]:
    x, y = (float(word) for word in words)
    return x, y
