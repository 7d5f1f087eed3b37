"""Data sets on disk: HDF5 with provenance, computed unit by unit through any executor, continued after interruption."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import h5py
from tqdm import tqdm

from pychemsurrogate.network import load_network
from pychemsurrogate.training.provenance import made_now
from pychemsurrogate.training.sampling import STARTS, Ranges
from pychemsurrogate.training.truth import KINDS, SPLITS, Pairs, Recipe, compute_unit

_UNITS_OF = {
    "start": "n/n_H",
    "end": "n/n_H",
    "temperature": "K",
    "density": "cm^-3 (H nuclei)",
    "conditions": "network's own (zeta: 1/s per H2)",
    "dt": "s",
}


class DatasetError(ValueError):
    """A data set that is missing, incomplete, or made by another recipe; the message says what to do."""


def provenance(recipe: Recipe) -> dict[str, Any]:
    """What made a data set: command, date, versions, network hash and the whole recipe."""
    return {
        **made_now("h5py"),
        "network_hash": load_network(recipe.network).hash,
        "recipe": recipe.as_dict(),
    }


def generate(
    recipe: Recipe,
    path: str | Path,
    executor: Executor | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> Path:
    """Compute the data set of `recipe` into the HDF5 file `path`; return the path.

    executor: any concurrent.futures.Executor (dask's client.get_executor(), mpi4py's MPIPoolExecutor); None: a process
    pool of `workers`. Every finished unit is kept in the folder "<path>.parts" until all are there; a second call with
    the same recipe computes only what is missing, and nothing if the file is complete.
    Raises DatasetError if file or folder belong to another recipe.
    """
    path = Path(path)
    identity = json.dumps(recipe.as_dict(), sort_keys=True)
    if path.exists():
        with h5py.File(path, "r") as file:
            if file.attrs.get("identity") == identity:
                return path
        raise DatasetError(f"{path}: holds data of another recipe; delete it, or name another file")
    parts = path.with_name(path.name + ".parts")
    parts.mkdir(parents=True, exist_ok=True)
    stamp = parts / "recipe.json"
    if stamp.exists() and stamp.read_text() != identity:
        raise DatasetError(f"{parts}: holds units of another recipe; delete it, or name another file")
    stamp.write_text(identity)

    missing = [unit for unit in recipe.unit_numbers() if not _part(parts, unit).exists()]
    if missing:
        if executor is None:
            # A fresh interpreter a worker: forking a process that runs threads (OpenMP) may hang.
            with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
                _compute(recipe, parts, missing, pool, progress)
        else:
            _compute(recipe, parts, missing, executor, progress)
    _merge(recipe, identity, parts, path)
    shutil.rmtree(parts)
    return path


def save(
    pairs: Pairs, path: str | Path, recipe: Recipe, dropped: int = 0, attributes: dict[str, Any] | None = None
) -> None:
    """Write pairs of the recipe's network and truth into one HDF5 file; dropped: pairs that no integrator served."""
    path = Path(path)
    temporary = path.with_name(path.name + ".tmp")
    described = {
        "provenance": json.dumps(provenance(recipe)),
        "dropped": dropped,
        "kinds": list(KINDS),
        "begins": list(STARTS),
        "splits": list(SPLITS),
        "species": list(load_network(recipe.network).species_names),
        **(attributes or {}),
    }
    _write(temporary, pairs, described)
    temporary.replace(path)


def load(path: str | Path, split: str | None = None) -> Pairs:
    """The pairs of a data set, or of one split of it ("train", "calibration", "test").

    Raises DatasetError if the file is missing or no data set.
    """
    path = Path(path)
    if not path.is_file():
        raise DatasetError(f"{path}: no such data set; make it with `pychemsurrogate data -o {path}`")
    try:
        with h5py.File(path, "r") as file:
            pairs = Pairs(**{name: file[name][:] for name in Pairs.__dataclass_fields__})
    except (KeyError, OSError) as error:
        raise DatasetError(f"{path}: is not a data set of training pairs ({error}); make it again") from None
    return pairs if split is None else pairs.where(pairs.split == SPLITS.index(split))


def read_provenance(path: str | Path) -> dict[str, Any]:
    """The provenance that was stored with a data set. Raises DatasetError if the file is missing."""
    if not Path(path).is_file():
        raise DatasetError(f"{path}: no such data set; make it with `pychemsurrogate data -o {path}`")
    with h5py.File(path, "r") as file:
        result: dict[str, Any] = json.loads(file.attrs["provenance"])
    return result


def recipe_of(origin: dict[str, Any]) -> Recipe:
    """The recipe that a data set's provenance holds."""
    given = dict(origin["recipe"])
    return Recipe(**{**given, "splits": tuple(given["splits"]), "ranges": Ranges(**given["ranges"])})


def _part(parts: Path, unit: int) -> Path:
    return parts / f"unit_{unit:06d}.h5"


def _compute(recipe: Recipe, parts: Path, units: list[int], executor: Executor, progress: bool) -> None:
    futures: dict[Future[tuple[Pairs, int]], int] = {
        executor.submit(compute_unit, recipe, unit): unit for unit in units
    }
    total = len(recipe.unit_numbers())
    with tqdm(total=total, initial=total - len(units), desc="truth", unit="unit", disable=not progress) as bar:
        for future in as_completed(list(futures)):
            pairs, dropped = future.result()
            target = _part(parts, futures.pop(future))
            temporary = target.with_suffix(".tmp")
            _write(temporary, pairs, {"dropped": dropped})
            temporary.replace(target)
            bar.update()


def _write(path: Path, pairs: Pairs, attributes: dict[str, Any]) -> None:
    with h5py.File(path, "w") as file:
        for name, values in vars(pairs).items():
            stored = file.create_dataset(name, data=values, chunks=True)
            if name in _UNITS_OF:
                stored.attrs["units"] = _UNITS_OF[name]
        file.attrs.update(attributes)


def _merge(recipe: Recipe, identity: str, parts: Path, path: Path) -> None:
    collected, dropped = [], 0
    for unit in recipe.unit_numbers():
        collected.append(load(_part(parts, unit)))
        with h5py.File(_part(parts, unit), "r") as file:
            dropped += int(file.attrs["dropped"])
    save(Pairs.concatenate(collected), path, recipe, dropped, {"identity": identity})
