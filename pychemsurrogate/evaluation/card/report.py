"""From a model file to its card: what is measured, in which order, and the page that is written."""

from __future__ import annotations

import hashlib
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pychemsurrogate import _native
from pychemsurrogate.evaluation.card.costs import measure_costs
from pychemsurrogate.evaluation.card.data import CardRecipe, gather
from pychemsurrogate.evaluation.card.measured import Card
from pychemsurrogate.evaluation.card.path import learned_paths
from pychemsurrogate.evaluation.card.runs import measure_runs
from pychemsurrogate.evaluation.card.step import measure_step
from pychemsurrogate.evaluation.machine import processor_line
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.training.provenance import made_now

_HEADER_BYTES = 32  # in front of what the file's CRC-32 covers


def make_card(
    model: ModelFile,
    recipe: CardRecipe,
    data: str | Path | None = None,
    shifted: str | Path | None = None,
    outside: str | Path | None = None,
    progress: bool = True,
) -> Card:
    """Measure a model that has a file.

    data, shifted, outside: data sets with the splits "test", "shifted" and "outside"; None: new pairs. Raises CardError
    for a model or a file that cannot be reported on, DatasetError for a file that is no data set, SamplingError for a
    network or ranges that nothing can be drawn from.
    """
    begin = time.monotonic()
    paths = learned_paths(model)
    assert model.path is not None
    file = model.path
    targets = sorted({target for path in paths if path.gate.calibration for target in path.gate.calibration.targets})
    told = paths[0].told
    with (
        tqdm(desc="report", bar_format="{desc} ({elapsed})", disable=not progress) as bar,
        tempfile.TemporaryDirectory() as folder,
    ):

        def stage(text: str) -> None:
            bar.set_description_str(text)

        sets = gather(
            model.of_path(paths[0].name), paths[0].gate.box, recipe, Path(folder), data, shifted, outside, stage
        )
        card = Card(
            model=file.stem,
            provenance=_provenance(model, recipe),
            training={path.name or file.stem: _training(model, path.name) for path in paths},
            data=sets.told,
            paths=[path.card() for path in paths],
        )
        for path, own in zip(paths, card.paths, strict=True):
            stage(f"one step {path.name}".strip())
            measure_step(own, path, sets, recipe, model)
        measure_runs(card, file, told, sets, recipe, stage)
        measure_costs(card, file, [float(target) for target in targets], sets, recipe, stage)
    card.seconds = time.monotonic() - begin
    return card


def _provenance(model: ModelFile, recipe: CardRecipe) -> dict[str, str]:
    """What was measured, with what, where and when."""
    assert model.path is not None
    content = model.path.read_bytes()
    network, now = model.network(), made_now("scipy", "h5py", "matplotlib", "jinja2")
    trained = [_training(model, name) for name in model.paths]
    return {
        "file": f"{model.path.name}, {len(content):,} bytes",
        "file's SHA-256": hashlib.sha256(content).hexdigest(),
        "file's CRC-32": f"{zlib.crc32(content[_HEADER_BYTES:]):08x}",
        "network": f"{network.name}: {network.n_species} species, {len(network.reactions)} reactions; conditions T, "
        + ", ".join(network.conditions),
        "network's SHA-256": network.hash,
        "trained": "; ".join(training.get("date", "not told") for training in trained),
        "training command": "; ".join(training.get("command", "not told") for training in trained),
        "report command": now["command"],
        "report date": now["date"],
        "report seed": str(recipe.seed),
        "versions": ", ".join(f"{name} {version}" for name, version in now["versions"].items()),
        "machine": f"{processor_line()}; kernels for {_native.isa()}",
    }


def _training(model: ModelFile, path: str) -> dict[str, Any]:
    """A path's own record of how it was made."""
    found: dict[str, Any] = model.of_path(path).meta.get("provenance", {})
    return found
