"""The file of states that a host's runs refused or audited (docs/surrogate.md, "The log"), written and read."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from pychemsurrogate.network import Network

FORMAT: Final = 1
_UNITS: Final = {"start": "n/n_H", "density": "cm^-3 (H nuclei)", "temperature": "K", "dt": "s"}


class LogError(ValueError):
    """A log of another network or a newer version, or a file that is no log; the message says what to do."""


@dataclass(frozen=True)
class States:
    """P states as they were before a step.

    start (P, S) n/n_H; density n_H [cm^-3], temperature [K], dt [s] (P); conditions (P, C) in the network's units and
    order; f64. status (P) i8: why each is there.
    """

    start: NDArray[np.float64]
    density: NDArray[np.float64]
    temperature: NDArray[np.float64]
    conditions: NDArray[np.float64]
    dt: NDArray[np.float64]
    status: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.dt)


def open_log(path: str | PathLike[str], network: Network) -> None:
    """Make the log `path` of a network's states, or see that it is one. Raises LogError if it holds something else."""
    try:
        if Path(path).exists() and not Path(path).is_file():
            raise LogError(f"{path}: is no regular file; name another log")
        file = h5py.File(path, "a")
    except OSError as error:
        raise LogError(f"{path}: is no log, or cannot be written ({error}); name another file") from None
    with file:
        if file.keys() or file.attrs.keys():
            _require(file, path, network)
            return
        width = {"start": (network.n_species,), "conditions": (len(network.conditions),)}
        for name in States.__dataclass_fields__:
            inner = width.get(name, ())
            kind = np.int8 if name == "status" else np.float64
            stored = file.create_dataset(name, (0, *inner), kind, maxshape=(None, *inner), chunks=True)
            if name in _UNITS:
                stored.attrs["units"] = _UNITS[name]
        file.attrs["format"] = FORMAT
        file.attrs["network_hash"] = network.hash
        file.attrs["species"] = list(network.species_names)
        file.attrs["conditions"] = list(network.conditions)


def append_states(path: str | PathLike[str], states: States) -> None:
    """Append states to a log that `open_log` made."""
    with h5py.File(path, "a") as file:
        for name, values in vars(states).items():
            stored = file[name]
            stored.resize(len(stored) + len(states), axis=0)
            stored[-len(states) :] = values


def read_states(path: str | PathLike[str], network: Network) -> States:
    """The states of a log. Raises LogError if the file is missing, no log, of another network or a newer version."""
    try:
        with h5py.File(path, "r") as file:
            _require(file, path, network)
            return States(**{name: file[name][:] for name in States.__dataclass_fields__})
    except (KeyError, OSError) as error:
        raise LogError(f"{path}: cannot be read as a log ({error}); Solver.load(..., log=FILE) makes one") from None


def _require(file: Any, path: str | PathLike[str], network: Network) -> None:
    version = file.attrs.get("format")
    if version is None or "network_hash" not in file.attrs:
        raise LogError(f"{path}: is no log of refused states; name another file")
    if version > FORMAT:
        raise LogError(
            f"{path}: is a log of format {version}, and this version knows {FORMAT}; upgrade pychemsurrogate"
        )
    if file.attrs["network_hash"] != network.hash:
        raise LogError(f"{path}: is no log for the network {network.name}; name another file")
