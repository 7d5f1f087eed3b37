"""From a data set to a model file: fit, calibrate, measure, write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pychemsurrogate import _native
from pychemsurrogate.gate import Bins, Calibration, Distance, Gate, Population, calibrate, coverage
from pychemsurrogate.gate.box import Box, box_of_ranges
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.network import Network, load_network
from pychemsurrogate.surrogates.jump import Jump
from pychemsurrogate.surrogates.multiclock import MultiClock
from pychemsurrogate.surrogates.surrogate import from_arrays
from pychemsurrogate.training.budget import budget_arrays
from pychemsurrogate.training.dataset import DatasetError, load, read_provenance, recipe_of
from pychemsurrogate.training.fit import fit_head
from pychemsurrogate.training.fit_jump import costly, fit_jump, new_jump
from pychemsurrogate.training.fit_multiclock import fit_multi_clock, new_multi_clock
from pychemsurrogate.training.populations import X_MIN, cell_error, cells_of, populations_of
from pychemsurrogate.training.provenance import made_now
from pychemsurrogate.training.recipe import FitRecipe, JumpRecipe, MultiClockRecipe, recipe_from
from pychemsurrogate.training.routing import cost_arrays, router_arrays
from pychemsurrogate.training.sampling import YEAR_S
from pychemsurrogate.training.served import Judged, judge
from pychemsurrogate.training.truth import KINDS, SPLITS, Pairs, Recipe

# Net charge, relative to the electrons, that round-off of a host may leave.
_NET_CHARGE = 1e-6
_REFERENCES = 300_000  # training states that the distance is made of


class MapError(ValueError):
    """A model whose map or gate cannot be trained on; the message says why."""


def train(
    data: str | Path,
    output: str | Path,
    recipe: FitRecipe,
    checkpoint: str | Path | None = None,
    progress: bool = True,
    held_out: str | Path | None = None,
    unusual: Sequence[str | Path] = (),
) -> ModelFile:
    """Fit a surrogate to the data set `data`, calibrate its gate, measure both, and write the model file `output`.

    held_out: the data set with the calibration and test runs (default: data); unusual: data sets of unusual gas
    (Recipe.unusual), which the head, the calibration and the test see beside the others.
    checkpoint: folder for checkpoints (default: "<output>.checkpoint"); a second call with the same recipe and data
    continues an interrupted fit. Raises CheckpointError, DatasetError.
    """
    given = Sources(data, data if held_out is None else held_out, tuple(unusual))
    folder = _folder(output, checkpoint)
    origin = read_provenance(data)
    network = load_network(origin["recipe"]["network"])
    if network.hash != origin["network_hash"]:
        raise DatasetError(f"{data}: was made for another version of the network {network.name}; make it again")
    pairs = load(data, "train")
    surrogate: MultiClock | Jump
    if isinstance(recipe, JumpRecipe):
        surrogate = new_jump(network, recipe)
        fit_jump(surrogate, pairs, network, recipe, recipe_of(origin), folder, progress)
    elif isinstance(recipe, MultiClockRecipe):
        surrogate = new_multi_clock(network, recipe)
        fit_multi_clock(surrogate, pairs, network, recipe, folder / "map.pt", progress)
    else:
        raise TypeError(f"no fit for a {type(recipe).__name__}")
    return _gated(surrogate, network, pairs, recipe, given, output, folder, progress, given.provenance())


def regate(
    parent: str | Path,
    data: str | Path,
    output: str | Path,
    checkpoint: str | Path | None = None,
    progress: bool = True,
    held_out: str | Path | None = None,
    unusual: Sequence[str | Path] = (),
    samples: float | None = None,
    alpha: float | None = None,
) -> ModelFile:
    """Fit the error head of the model file `parent` anew, calibrate its gate, and write `output`: its map stays.

    Other arguments and errors as of `train`; data: as the map was fitted to; samples: that the head sees, alpha: of the
    calibration, None: as its recipe says. Raises ModelFileError, and MapError for a model without a map that serves any
    state.
    """
    model = ModelFile.read(parent)
    surrogate, recipe, network = fitted(model)
    if samples is not None:
        recipe = replace(recipe, head_samples=samples)
    if alpha is not None:
        recipe = replace(recipe, alpha=alpha)
    forget(surrogate, recipe.seed)
    given = Sources(data, data if held_out is None else held_out, tuple(unusual))
    made_of = {**given.provenance(), "map": model.meta["provenance"]}
    folder = _folder(output, checkpoint)
    return _gated(surrogate, network, load(data, "train"), recipe, given, output, folder, progress, made_of)


@dataclass(frozen=True)
class Sources:
    """The data sets of a fit: with the training runs, with those held out, and any number of unusual gas."""

    data: str | Path
    held_out: str | Path
    unusual: tuple[str | Path, ...] = ()

    def strays(self, split: str) -> Pairs | None:
        """The pairs of a split that start from unusual gas; None without such data sets."""
        return Pairs.concatenate([load(path, split) for path in self.unusual]) if self.unusual else None

    def held_out_strays(self) -> list[Pairs]:
        """The same for calibration and test."""
        return [pairs for pairs in map(self.strays, ("calibration", "test")) if pairs is not None]

    def provenance(self) -> dict[str, Any]:
        """What made them."""
        made: dict[str, Any] = {"data": read_provenance(self.data)}
        if self.held_out != self.data:
            made["held_out"] = read_provenance(self.held_out)
        if self.unusual:
            made["unusual"] = [read_provenance(path) for path in self.unusual]
        return made


def fitted(model: ModelFile) -> tuple[MultiClock | Jump, FitRecipe, Network]:
    """The map of a model, the recipe that it was fitted by, and its network. Raises MapError."""
    if "paths" in model.arrays:
        raise MapError(f"{model.label}: holds several learned paths; take one path's own model")
    if not model.has_surrogate:
        raise MapError(f"{model.label}: holds no surrogate; train one")
    network = model.network()
    surrogate = from_arrays(model.arrays, network.tables())
    if not isinstance(surrogate, MultiClock | Jump):
        raise MapError(
            f"{model.label}: its latent map serves the first moment of a run alone, and learns from no others"
        )
    kind = JumpRecipe if isinstance(surrogate, Jump) else MultiClockRecipe
    try:
        recipe = recipe_from(kind, model.meta["provenance"]["recipe"])
    except KeyError:
        raise MapError(f"{model.label}: its provenance holds no recipe; train it anew") from None
    except (TypeError, ValueError) as error:
        raise MapError(f"{model.label}: is of another version ({error}); train it anew") from None
    return surrogate, recipe, network


def forget(surrogate: MultiClock | Jump, seed: int) -> None:
    """Let the error head begin anew: the scaling of its former inputs is in its first layer."""
    torch.manual_seed(seed)
    for layer in surrogate.head:
        if isinstance(layer, torch.nn.Linear):
            layer.reset_parameters()


def fit_verdict(
    surrogate: MultiClock | Jump,
    pairs: Pairs,
    network: Network,
    recipe: FitRecipe,
    box: Box,
    reference: Pairs,
    checkpoint: Path,
    progress: bool,
    strays: Pairs | None = None,
    lessons: tuple[Pairs, float] | None = None,
) -> Gate:
    """The distance from the states of `reference`, and the head on what is inside the box and not far; the gate so far.

    pairs: that the map was fitted to; strays: such that start from unusual gas; lessons: logged ones, with their share
    of the head's batches.
    """
    chosen = np.random.default_rng(recipe.seed).permutation(len(reference))[:_REFERENCES]
    gate = Gate(box, None, Distance.of_states(cells_of(reference.where(chosen)), recipe.known))
    others = [] if lessons is None else [lessons]
    if strays is not None:
        others.append((strays.where(_known(gate, strays)), recipe.unusual_share))
    fit_head(surrogate, pairs, network, recipe, checkpoint, progress, others)
    return gate


def finish(
    surrogate: MultiClock | Jump,
    network: Network,
    data: str | Path,
    recipe: FitRecipe,
    made_of: dict[str, Any],
    gate: Gate,
    joining: Sequence[Pairs] = (),
) -> ModelFile:
    """Calibrate the gate of a fitted surrogate, measure it on the test runs, and make the model (not yet written).

    data: the data set with the calibration and test runs; gate: of `fit_verdict`; joining: pairs whose calibration and
    test splits join those runs; made_of: what the provenance tells beside recipe, command, date and versions.
    """

    def runs(split: str) -> Pairs:
        others = [pairs.where(pairs.split == SPLITS.index(split)) for pairs in joining]
        return Pairs.concatenate([load(data, split), *others])

    held_out = runs("calibration")
    weights = recipe.species_weights(network)
    bins = Bins(
        tuple(name for name, _ in recipe.bins), tuple(np.array(edges) for _, edges in recipe.bins), network.tables()
    )
    place, known = bins.place(*cells_of(held_out)), _known(gate, held_out)
    targets = np.array(recipe.targets)
    model = ModelFile.from_network(network)
    model.arrays |= surrogate.to_arrays()
    open_gate = replace(gate, calibration=Calibration.open(bins, targets, recipe.alpha, weights, X_MIN))
    native = _served(model, open_gate)
    composition = network.tables().composition
    outcome = judge(native, held_out, composition, weights)
    populations = [
        Population(outcome.predicted[rows], outcome.error[rows], held_out.run[rows], place[rows])
        for rows in (rows & known for rows in populations_of(held_out).values())
        if rows.any()
    ]
    thresholds = np.stack([calibrate(populations, bins.count, target, recipe.alpha) for target in recipe.targets])
    if not np.isfinite(thresholds).any():
        raise RuntimeError(
            "no threshold keeps the accepted errors below any target on every population of calibration runs; "
            "train longer, or raise targets or alpha"
        )
    gate = replace(gate, calibration=Calibration(bins, targets, thresholds, recipe.alpha, weights, X_MIN))
    accepted = known & (outcome.predicted < thresholds[:, place])
    test = runs("test")
    tested = judge(native, test, composition, weights)
    measured = {target: measure(tested, gate, test, target) for target in recipe.targets}
    model.meta |= {
        "accuracy": measured[_told(recipe.targets)],
        "coverage": {
            f"{target:g} dex": {
                name: {key: figures[key] for key in ("accepted", "violations", "accepted_p99", "accepted_max")}
                for name, figures in report.items()
            }
            for target, report in measured.items()
        },
        "box": {
            name: [float(low), float(high)]
            for name, low, high in zip(gate.box.names, gate.box.low, gate.box.high, strict=True)
        },
        "provenance": {
            **made_now("torch"),
            "recipe": recipe.as_dict(),
            **made_of,
        },
    }
    model.arrays |= gate.to_arrays()
    # The router's table is of what hosts have most: unusual gas is a guard's matter.
    common = held_out.kind != KINDS.index("unusual")
    model.arrays |= router_arrays(network, held_out.where(common), targets, accepted[:, common], recipe.seed)
    model.arrays |= cost_arrays(_served(model, gate), _told(recipe.targets))
    runs_of = recipe_of(read_provenance(data))
    model.arrays |= budget_arrays(native, gate, _told(recipe.targets), runs_of, recipe.seed)
    return model


def _folder(output: str | Path, checkpoint: str | Path | None) -> Path:
    output = Path(output)
    folder = Path(checkpoint) if checkpoint is not None else output.with_name(output.name + ".checkpoint")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _gated(
    surrogate: MultiClock | Jump,
    network: Network,
    pairs: Pairs,
    recipe: FitRecipe,
    given: Sources,
    output: str | Path,
    folder: Path,
    progress: bool,
    made_of: dict[str, Any],
) -> ModelFile:
    box = trained_box(network, recipe_of(read_provenance(given.data)))
    mapped = costly(pairs, recipe) if isinstance(recipe, JumpRecipe) else pairs
    gate = fit_verdict(
        surrogate, mapped, network, recipe, box, pairs, folder / "head.pt", progress, given.strays("train")
    )
    del pairs, mapped
    model = finish(surrogate, network, given.held_out, recipe, made_of, gate, given.held_out_strays())
    model.write(output)
    return model


def _known(gate: Gate, pairs: Pairs) -> NDArray[np.bool_]:
    """Which of the pairs start inside the box and not far from the training states."""
    cells = cells_of(pairs)
    return gate.box.contains(*cells) & ~gate.far(*cells)


def _served(model: ModelFile, gate: Gate) -> _native.Solver:
    """The native core with a model that is not finished yet, and a gate that it needs to be read."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "unfinished.pcs"
        ModelFile(model.arrays | gate.to_arrays(), model.meta).write(path)
        return _native.Solver.open(str(path))


def measure(outcome: Judged, gate: Gate, test: Pairs, target: float) -> dict[str, Any]:
    """Accuracy and coverage of an outcome on test runs at a target error, by population.

    Errors in dex over species with x > X_MIN (1e-13: traces). Raises ValueError for a gate that is not calibrated for
    the target.
    """
    calibration = gate.calibration
    by_bin = None if calibration is None else calibration.serving(target)
    if calibration is None or by_bin is None:
        raise ValueError(f"the gate is not calibrated for a target of {target} dex")
    cells = cells_of(test)
    inside, threshold = gate.box.contains(*cells), by_bin[calibration.bins.place(*cells)]
    predicted = np.where(_known(gate, test), outcome.predicted, np.inf)
    persistence = cell_error(cells[0], test.end.astype(np.float64), calibration.weights)
    report: dict[str, Any] = {}
    for name, rows in populations_of(test).items():
        figures = coverage(predicted[rows], outcome.error[rows], threshold[rows], target).as_dict()
        figures["persistence_median"] = float(np.median(persistence[rows]))
        figures["inside_box"] = float(inside[rows].mean())
        figures |= _traces(outcome, rows)
        report[name] = figures
    return report


def accuracy_table(accuracy: dict[str, Any]) -> str:
    """The measured figures as a table in Markdown: errors in dex, shares in per cent."""
    lines = [
        "| test runs | cells | persistence | median | p90 | p99 | accepted | accepted p99 | accepted max |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, f in accuracy.items():
        lines.append(
            f"| {name} | {f['cells']} | {f['persistence_median']:.3f} | {f['median']:.4f} | {f['p90']:.3f} | "
            f"{f['p99']:.3f} | {100 * f['accepted']:.1f} % | {f['accepted_p99']:.3f} | {f['accepted_max']:.2f} |"
        )
    return "\n".join(lines)


def _told(targets: tuple[float, ...]) -> float:
    """The target whose figures stand for the model: the largest up to 0.1 dex, or the smallest."""
    return max((target for target in targets if target <= 0.1), default=min(targets))


def _traces(outcome: Judged, rows: NDArray[np.bool_]) -> dict[str, float]:
    median, p99 = np.percentile(outcome.error_traces[rows], [50, 99])
    return {"traces_median": float(median), "traces_p99": float(p99)}


def trained_box(network: Network, truth: Recipe) -> Box:
    """The box that the sampler's ranges span."""
    ranges = truth.ranges
    return box_of_ranges(
        network.tables(),
        ranges.temperature,
        ranges.density,
        [YEAR_S * years for years in ranges.dt_years],
        ranges.conditions,
        ranges.ratios_of(network.tables()),
        _NET_CHARGE,
        ranges.density_per_zeta if "zeta" in ranges.conditions else None,
    )
