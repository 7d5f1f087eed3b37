"""From a data set to a model file: fit, calibrate, measure, write."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pychemsurrogate import _native
from pychemsurrogate.gate import Bins, Calibration, Gate, Population, calibrate, coverage
from pychemsurrogate.gate.box import Box, box_of_ranges
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.network import Network, load_network
from pychemsurrogate.surrogates.jump import Jump
from pychemsurrogate.surrogates.multiclock import MultiClock
from pychemsurrogate.training.budget import budget_arrays
from pychemsurrogate.training.dataset import DatasetError, load, read_provenance, recipe_of
from pychemsurrogate.training.fit import fit_head
from pychemsurrogate.training.fit_jump import costly, fit_jump, new_jump
from pychemsurrogate.training.fit_multiclock import fit_multi_clock, new_multi_clock
from pychemsurrogate.training.populations import X_MIN, cell_error, cells_of, populations_of
from pychemsurrogate.training.provenance import made_now
from pychemsurrogate.training.recipe import FitRecipe, JumpRecipe, MultiClockRecipe
from pychemsurrogate.training.routing import router_arrays
from pychemsurrogate.training.sampling import YEAR_S
from pychemsurrogate.training.served import Judged, judge
from pychemsurrogate.training.truth import SPLITS, Pairs, Recipe

# Net charge, relative to the electrons, that round-off of a host may leave.
_NET_CHARGE = 1e-6


def train(
    data: str | Path,
    output: str | Path,
    recipe: FitRecipe,
    checkpoint: str | Path | None = None,
    progress: bool = True,
    held_out: str | Path | None = None,
) -> ModelFile:
    """Fit a surrogate to the data set `data`, calibrate its gate, measure both, and write the model file `output`.

    held_out: the data set with the calibration and test runs (default: data).
    checkpoint: folder for checkpoints (default: "<output>.checkpoint"); a second call with the same recipe and data
    continues an interrupted fit. Raises DatasetError, CheckpointError.
    """
    output = Path(output)
    folder = Path(checkpoint) if checkpoint is not None else output.with_name(output.name + ".checkpoint")
    origin = read_provenance(data)
    network = load_network(origin["recipe"]["network"])
    if network.hash != origin["network_hash"]:
        raise DatasetError(f"{data}: was made for another version of the network {network.name}; make it again")
    folder.mkdir(parents=True, exist_ok=True)

    pairs = load(data, "train")
    surrogate: MultiClock | Jump
    if isinstance(recipe, JumpRecipe):
        surrogate = new_jump(network, recipe)
        fit_jump(surrogate, pairs, network, recipe, recipe_of(origin), folder, progress)
        pairs = costly(pairs, recipe)
    elif isinstance(recipe, MultiClockRecipe):
        surrogate = new_multi_clock(network, recipe)
        fit_multi_clock(surrogate, pairs, network, recipe, folder / "map.pt", progress)
    else:
        raise TypeError(f"no fit for a {type(recipe).__name__}")
    fit_head(surrogate, pairs, network, recipe, folder / "head.pt", progress)
    del pairs
    made_of = {"data": origin} if held_out is None else {"data": origin, "held_out": read_provenance(held_out)}
    model = finish(surrogate, network, data if held_out is None else held_out, recipe, made_of)
    model.write(output)
    return model


def finish(
    surrogate: MultiClock | Jump,
    network: Network,
    data: str | Path,
    recipe: FitRecipe,
    made_of: dict[str, Any],
    logged: Pairs | None = None,
) -> ModelFile:
    """Calibrate the gate of a fitted surrogate, measure it on the test runs, and make the model (not yet written).

    data: the data set with the calibration and test runs; logged: pairs whose calibration and test splits join them;
    made_of: what the provenance tells beside recipe, command, date and versions.
    """

    def runs(split: str) -> Pairs:
        parts = [load(data, split)]
        if logged is not None:
            parts.append(logged.where(logged.split == SPLITS.index(split)))
        return Pairs.concatenate(parts)

    held_out = runs("calibration")
    weights = recipe.species_weights(network)
    bins = Bins(
        tuple(name for name, _ in recipe.bins), tuple(np.array(edges) for _, edges in recipe.bins), network.tables()
    )
    box = trained_box(network, recipe_of(read_provenance(data)))
    cells = cells_of(held_out)
    place, inside = bins.place(*cells), box.contains(*cells)
    targets = np.array(recipe.targets)
    model = ModelFile.from_network(network)
    model.arrays |= surrogate.to_arrays()
    native = _served(model, Gate(box, Calibration.open(bins, targets, recipe.alpha, weights, X_MIN)))
    composition = network.tables().composition
    outcome = judge(native, held_out, composition, weights)
    populations = [
        Population(outcome.predicted[rows], outcome.error[rows], held_out.run[rows], place[rows])
        for rows in populations_of(held_out).values()
    ]
    thresholds = np.stack([calibrate(populations, bins.count, target, recipe.alpha) for target in recipe.targets])
    if not np.isfinite(thresholds).any():
        raise RuntimeError(
            "no threshold keeps the accepted errors below any target on every population of calibration runs; "
            "train longer, or raise targets or alpha"
        )
    gate = Gate(box, Calibration(bins, targets, thresholds, recipe.alpha, weights, X_MIN))
    accepted = inside & (outcome.predicted < thresholds[:, place])
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
    model.arrays |= router_arrays(network, held_out, targets, accepted, recipe.seed)
    runs_of = recipe_of(read_provenance(data))
    model.arrays |= budget_arrays(native, gate, _told(recipe.targets), runs_of, recipe.seed)
    return model


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
    predicted = np.where(inside, outcome.predicted, np.inf)
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
