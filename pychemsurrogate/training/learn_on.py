"""A model learns on from states that a host's runs refused or audited (docs/surrogate.md, "Learning from a run")."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.network import Network
from pychemsurrogate.surrogates.jump import Jump
from pychemsurrogate.surrogates.multiclock import MultiClock
from pychemsurrogate.training.dataset import DatasetError, generate, load, read_provenance, recipe_of
from pychemsurrogate.training.fit_jump import continue_jump, costly, newest
from pychemsurrogate.training.fit_multiclock import continue_multi_clock
from pychemsurrogate.training.logged import logged_pairs, told
from pychemsurrogate.training.minimise import CheckpointError
from pychemsurrogate.training.recipe import ContinueRecipe, JumpRecipe, MultiClockRecipe
from pychemsurrogate.training.stream import fresh_pairs
from pychemsurrogate.training.train import MapError, Sources, finish, fit_verdict, fitted, forget, trained_box
from pychemsurrogate.training.truth import SPLITS, Pairs, Recipe

_FRESH_BLOCKS = 20  # where there is no data set


def learn_on(
    parent: str | Path,
    logs: Sequence[str | Path],
    output: str | Path,
    again: ContinueRecipe,
    data: str | Path | None = None,
    checkpoint: str | Path | None = None,
    progress: bool = True,
    held_out: str | Path | None = None,
    unusual: Sequence[str | Path] = (),
) -> ModelFile:
    """Train the map of the model file `parent` further on logged states, refit its head, calibrate it anew, write it.

    logs: files of Solver.load(log=...). data: a data set of the model's recipe (other units and seeds will do); None:
    training pairs are made by the native integrator. held_out: the data set with the calibration and test runs
    (default: data, else it is made); unusual: data sets of unusual gas (default: those of the model are made again).
    checkpoint: folder for all that is made on the way (default:
    "<output>.checkpoint"); a second call with the same arguments continues an interrupted one.
    Raises MapError, LogError, DatasetError, ModelFileError, CheckpointError.
    """
    output = Path(output)
    folder = Path(checkpoint) if checkpoint is not None else output.with_name(output.name + ".checkpoint")
    model = ModelFile.read(parent)
    surrogate, recipe, network = fitted(model)
    recipe, origin = replace(recipe, seed=again.seed), model.meta["provenance"]
    truth = _truth_of(origin.get("data", {}), model.label)
    if held_out is not None:
        _data_of(held_out, truth, network)
    if data is not None:
        given = _data_of(data, truth, network)
        truth = replace(given, units=max(given.units, truth.units))
    logged, counts = logged_pairs(logs, network, truth, trained_box(network, truth), again.block_rows, progress)
    if progress:
        tqdm.write(told(counts))

    blocks = again.fresh_blocks if again.fresh_blocks is not None else 0 if data is not None else _FRESH_BLOCKS
    if data is None and not blocks:
        raise MapError("without a data set there must be fresh blocks: name the data set, or ask for some")
    made_of: dict[str, Any] = {
        "continued": again.as_dict(),
        "states": counts,
        "logs": [{"file": Path(log).name, "sha256": _hash(log)} for log in logs],
        "fresh_blocks": blocks,
        "data": origin["data"] if data is None else read_provenance(data),
        "parent": {"file": Path(model.label).name, "sha256": _hash(model.label)},
    }
    folder.mkdir(parents=True, exist_ok=True)
    _stamp(folder / "continue.json", {**made_of, "recipe": recipe.as_dict()})
    if held_out is None:
        held_out = data if data is not None else _made_held_out(origin, folder, progress)
        made_of |= {"held_out": read_provenance(held_out)} if data is None else {}
    else:
        made_of["held_out"] = read_provenance(held_out)
    unusual = tuple(unusual) or _made_unusual(origin, folder, progress)
    given_data = Sources(held_out, held_out, unusual)
    if unusual:
        made_of["unusual"] = given_data.provenance()["unusual"]

    def wanted(pairs: Pairs) -> Pairs:
        return costly(pairs, recipe) if isinstance(recipe, JumpRecipe) else pairs

    parts = [wanted(load(data, "train"))] if data is not None else []
    if blocks:
        parts.append(fresh_pairs(truth, _blocks_used(origin), blocks, wanted, folder / "fresh.h5"))
    pairs, lessons = Pairs.concatenate(parts), logged.where(logged.split == SPLITS.index("train"))
    del parts
    if isinstance(surrogate, Jump) and isinstance(recipe, JumpRecipe):
        pairs = newest(pairs, recipe)
        continue_jump(surrogate, pairs, lessons, network, recipe, again, folder / "map.pt", progress)
    elif isinstance(surrogate, MultiClock) and isinstance(recipe, MultiClockRecipe):
        continue_multi_clock(surrogate, pairs, lessons, network, recipe, again, folder / "map.pt", progress)
    forget(surrogate, recipe.seed)
    share = float(again.share_of(len(lessons), recipe.head_samples))
    box, reference, head = trained_box(network, truth), Pairs.concatenate([pairs, lessons]), folder / "head.pt"
    strays = given_data.strays("train")
    gate = fit_verdict(surrogate, pairs, network, recipe, box, reference, head, progress, strays, (lessons, share))
    del pairs, reference, strays
    made_of["parent"]["provenance"] = origin
    joining = [logged, *given_data.held_out_strays()]
    result = finish(surrogate, network, held_out, recipe, made_of, gate, joining)
    result.write(output)
    return result


def _truth_of(origin: dict[str, Any], label: str | Path) -> Recipe:
    """The recipe of a data set, from its provenance or that of a model."""
    try:
        return recipe_of(origin)
    except (KeyError, TypeError) as error:
        raise MapError(f"{label}: the recipe of its data is of another version ({error}); make it anew") from None


def _data_of(path: str | Path, truth: Recipe, network: Network) -> Recipe:
    """The recipe of a data set, which must be alike: only its units, runs, seed and splits may differ."""
    origin = read_provenance(path)
    given = _truth_of(origin, path)
    shared = {name: getattr(truth, name) for name in ("network", "units", "runs_per_unit", "seed", "splits")}
    if origin["network_hash"] != network.hash or replace(given, **shared) != truth:
        raise DatasetError(f"{path}: was made by another recipe than the model's data; name one of the same recipe")
    return given


def _made_held_out(origin: dict[str, Any], folder: Path, progress: bool) -> Path:
    """The calibration and test runs that the model was calibrated on, made again."""
    recipe = recipe_of(origin.get("held_out", origin["data"]))
    return generate(replace(recipe, splits=("calibration", "test")), folder / "held_out.h5", progress=progress)


def _made_unusual(origin: dict[str, Any], folder: Path, progress: bool) -> tuple[Path, ...]:
    """The data sets of unusual gas of a model, made again."""
    recipes = [recipe_of(made) for made in origin.get("unusual", [])]
    return tuple(generate(each, folder / f"unusual_{k}.h5", progress=progress) for k, each in enumerate(recipes))


def _blocks_used(origin: dict[str, Any]) -> int:
    """How many fresh blocks the fits behind a model's provenance saw."""
    if "parent" in origin:
        return int(origin["fresh_blocks"]) + _blocks_used(origin["parent"]["provenance"])
    return int(origin["recipe"].get("tours", 0) * origin["recipe"].get("fresh_blocks", 0))


def _hash(path: str | Path) -> str:
    return sha256(Path(path).read_bytes()).hexdigest()


def _stamp(path: Path, identity: dict[str, Any]) -> None:
    """Keep what a folder's files are made for. Raises CheckpointError if they are there for something else."""
    text = json.dumps(identity, sort_keys=True)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise CheckpointError(
            f"{path.parent}: belongs to another model, log, data set or recipe; delete it, or name another"
        )
    path.write_text(text, encoding="utf-8")
