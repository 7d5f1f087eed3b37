"""Refused and audited states on disk, for training to learn from (docs/surrogate.md, "The log")."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import h5py
import numpy as np
from numpy.typing import NDArray

from pychemsurrogate.network import Network
from pychemsurrogate.solver.ladder import Batch
from pychemsurrogate.status import Status

FORMAT: Final = 1
MOST_A_CALL: Final = 1000
_KEPT: Final = (Status.EXACT_BOX, Status.EXACT_ERROR, Status.EXACT_AUDIT)
_UNITS: Final = {"start": "n/n_H", "density": "cm^-3 (H nuclei)", "temperature": "K", "dt": "s"}


class LogError(ValueError):
    """A log of another network, or a file that is no log; the message says what to do."""


@dataclass
class StateLog:
    """Appends to the HDF5 file `path`, at most MOST_A_CALL cells a call, spread evenly over those that qualify.

    Raises LogError if the file is there but holds something else.
    """

    path: Path
    network: Network

    def __post_init__(self) -> None:
        with h5py.File(self.path, "a") as file:
            if not file.keys() and not file.attrs.keys():
                self._create(file)
            elif file.attrs.get("format") != FORMAT or file.attrs.get("network_hash") != self.network.hash:
                raise LogError(f"{self.path}: is no log for the network {self.network.name}; name another file")

    def append(self, given: Batch, status: NDArray[np.int8]) -> None:
        """Keep the states of `given`, as they were before the step, that the gate refused or that were audited."""
        rows = np.flatnonzero(np.isin(status, _KEPT))
        if not len(rows):
            return
        rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_A_CALL)).astype(np.intp)]
        cells = given.rows(rows, given.n[rows])
        count = len(rows)
        density = cells.n @ self.network.tables().scale_weights
        columns = {
            "start": cells.n / density[:, None],
            "density": density,
            "temperature": np.broadcast_to(cells.temperature, count),
            "conditions": np.broadcast_to(cells.conditions, (count, cells.conditions.shape[1])),
            "dt": np.broadcast_to(cells.dt, count),
            "status": status[rows],
        }
        with h5py.File(self.path, "a") as file:
            for name, values in columns.items():
                stored = file[name]
                stored.resize(len(stored) + count, axis=0)
                stored[-count:] = values

    def _create(self, file: h5py.File) -> None:
        width = {"start": (self.network.n_species,), "conditions": (len(self.network.conditions),)}
        for name in ("start", "density", "temperature", "conditions", "dt", "status"):
            inner = width.get(name, ())
            kind = np.int8 if name == "status" else np.float64
            stored = file.create_dataset(name, (0, *inner), kind, maxshape=(None, *inner), chunks=(1024, *inner))
            if name in _UNITS:
                stored.attrs["units"] = _UNITS[name]
        file.attrs["format"] = FORMAT
        file.attrs["network_hash"] = self.network.hash
        file.attrs["species"] = list(self.network.species_names)
        file.attrs["conditions"] = list(self.network.conditions)
