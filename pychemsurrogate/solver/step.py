"""The step on a torch device, on one page. native/include/pcs/step.hpp has the same verbs in the same order.

Nothing here makes the host wait for a GPU: no shape and no branch depends on what a tensor holds. `parts` is where the
CPU, on which looking costs nothing, goes another way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pychemsurrogate import _native
from pychemsurrogate.gate.gate import Gate
from pychemsurrogate.gate.on_device import GateOnDevice
from pychemsurrogate.model_file import ModelFile, ModelFileError
from pychemsurrogate.network import NetworkTables
from pychemsurrogate.solver.chance import AUDIT_SALT, REFRESH_SALT, chance
from pychemsurrogate.status import Status
from pychemsurrogate.surrogates import surrogate as surrogates
from pychemsurrogate.surrogates.finish import Finished
from pychemsurrogate.surrogates.rates import Formulas

Figures = dict[str, Any]  # by the names of a report: numbers, or tensors of one number
Rows: TypeAlias = Tensor | slice
# By one path: another may take it.
_REFUSED = (Status.EXACT_BOX, Status.EXACT_DISTANCE, Status.EXACT_ERROR, Status.EXACT_BUDGET)
_CONSERVED = 1e-12  # what a projected cell must reach, as in the native step
_PART_BYTES = 1 << 32  # of what the learned step of a part of the cells may need on a GPU, about


@dataclass(frozen=True)
class Constants:
    """What a network's cells need on their device: weights (S) of n_H, composition (E + 1, S), charges (S) but e-'s."""

    electron: int
    weights: Tensor
    composition: Tensor
    charges: Tensor

    @classmethod
    def of(cls, tables: NetworkTables, device: str) -> Constants:
        """From the tables of a network."""
        electron = tables.species.index("e-") if "e-" in tables.species else -1
        charges = np.array(tables.composition[-1])
        charges[electron] = 0.0

        def there(array: NDArray[np.float64]) -> Tensor:
            return torch.tensor(np.array(array), device=device)

        return cls(electron, there(tables.scale_weights), there(tables.composition), there(charges))


@dataclass(frozen=True)
class Learned:
    """A learned path: a surrogate on its device, its gate, and the powers of n_H (C) that reduce the conditions.

    native: the handle whose options count, and which keeps the audit; name, index: the path's there; kappa_edges,
    kappa: the share of a cell's error that is left after a step, by theta (one more than the edges); formulas: the
    network's rates that are formulas, None without any.
    """

    name: str
    index: int
    surrogate: surrogates.Surrogate
    gate: GateOnDevice
    exponents: Tensor
    native: _native.Solver
    kappa_edges: Tensor
    kappa: Tensor
    formulas: Formulas | None

    @classmethod
    def of(
        cls,
        model: ModelFile,
        device: str,
        native: _native.Solver,
        name: str = "",
        *,
        free_running: bool = False,
        double: bool = False,
    ) -> Learned:
        """One path of a model file. Raises ModelFileError if the file holds no surrogate.

        free_running: as `surrogates.free_running`, for a device that the host shall not wait for; double: the nets work
        in double precision.
        """
        model = model.of_path(name)
        model.require("surrogate/kind", "gate/box_names")
        network = model.network()
        tables, symmetry = network.tables(), network.symmetry
        if symmetry is None:
            raise ModelFileError(
                f"{model.label}: its network has no density symmetry, so its surrogate cannot be served"
            )
        surrogate = surrogates.from_arrays(model.arrays, tables).requires_grad_(False)
        if free_running:
            surrogates.free_running(surrogate)
        surrogate = (surrogate.double() if double else surrogate).to(device)
        exponents = torch.tensor([float(symmetry.exponents[name]) for name in network.conditions], device=device)
        gate = GateOnDevice.of(Gate.from_arrays(model.arrays, tables), tables, device)
        edges = torch.tensor(model.arrays.get("budget/theta_edges", np.empty(0)), device=device)
        kappa = torch.tensor(model.arrays.get("budget/kappa", np.ones(1)), device=device)
        index = native.paths.index(name)
        formulas = Formulas(tables).to(device) if tables.expression_code.size else None
        return cls(name, index, surrogate, gate, exponents.double(), native, edges, kappa, formulas)

    @property
    def calibrated(self) -> bool:
        """Whether the gate compares a predicted error with thresholds."""
        return self.gate.gate.calibration is not None

    def trusts(self) -> bool:
        """Whether the gate could trust the surrogate for the target error."""
        return not self.calibrated or bool(self.thresholds())

    def thresholds(self) -> list[float]:
        """The thresholds of the gate's bins as the audit has left them; none where the target is not calibrated."""
        return [row[0] for row in self.native.audit_table(self.index)]

    def remains(self, theta: Tensor) -> Tensor:
        """The share of a cell's error that is left after theta (B)."""
        return self.kappa[torch.bucketize(theta, self.kappa_edges, right=True)]


@dataclass
class DeviceCells:
    """Cells on one device: n (B, S) [cm^-3], the host's own; dt [s], temperature [K], status (B); conditions (B, C).

    error_dex (B): the error that each cell carries [dex], None if the host keeps none; compact: whether the host may
    look which cells are concerned, so that work is done for these alone (`parts`).
    """

    n: Tensor
    dt: Tensor
    temperature: Tensor
    conditions: Tensor
    status: Tensor
    constants: Constants
    error_dex: Tensor | None = None
    compact: bool = True

    @classmethod
    def of(
        cls,
        n: Tensor,
        dt: Tensor,
        temperature: Tensor,
        conditions: Tensor,
        constants: Constants,
        error_dex: Tensor | None = None,
        compact: bool = True,
    ) -> DeviceCells:
        """Around the host's tensor n; dt, temperature (B or 1), conditions (B or 1, C) and error_dex on its device."""
        count = len(n)
        return cls(
            n=n,
            dt=dt.expand(count),
            temperature=temperature.expand(count),
            conditions=conditions.expand(count, -1),
            status=torch.zeros(count, dtype=torch.int8, device=n.device),
            constants=constants,
            error_dex=error_dex,
            compact=compact,
        )

    @property
    def waiting(self) -> Tensor:
        """Which cells (B) no path has served yet."""
        return self.status >= Status.EXACT_REQUESTED

    def parts(self, mask: Tensor) -> Iterator[tuple[Rows, Tensor]]:
        """Rows that hold the cells of the mask (B) among them, a part of them at a time, and the mask of these rows.

        compact: these cells alone, packed. Else all cells: to count them would make the host wait, so everything is
        computed for all, and `put` writes where the mask is true.
        """
        species = self.n.shape[1]
        size = max(1024, _PART_BYTES // (64 * species * species))
        if self.compact:
            rows = torch.nonzero(mask)[:, 0]
            for part in rows.split(size) if len(rows) else ():
                yield part, mask[part]
        else:
            for first in range(0, len(mask), size):
                yield slice(first, first + size), mask[first : first + size]


def put(target: Tensor, rows: Rows, here: Tensor, values: Tensor) -> None:
    """target[rows] = values where the mask `here` of `DeviceCells.parts` says so."""
    if isinstance(rows, slice):
        here = here if values.ndim == 1 else here[:, None]
        values = torch.where(here, values, target[rows])
    target[rows] = values


class Exact(Protocol):
    """The exact integrator for the cells that wait; waits: whether the host waits for the device meanwhile."""

    waits: bool

    def __call__(self, cells: DeviceCells, state: Tensor) -> Callable[[], Figures]:
        """Advance state (B, S) [cm^-3] by dt in place where cells.status says EXACT_..., and set the status.

        Cells that fail may leave anything in state. A reason why a cell is here stays its status unless a rung of the
        ladder has its own. Returns what tells, later, figures of a report, such as steps and defect_max.
        """
        ...


@dataclass
class Course:
    """One call: its cells, its options, and what is made on the way.

    learned: all paths, cheapest first; thresholds: of their gates' bins on the device, for mode "auto", None where
    there is no calibration; options: those of the native handle.

    state (B, S) [cm^-3]: as repaired, then of the exact integrator; made (B, S) [cm^-3]: of the learned steps; carried
    (B) [dex]; bins, served_by (B): bin and path of the cells that a path accepts; tallies: cells compared, violations
    and gross errors (3, bins) of each path. The caller's n and error_dex change in the last verb alone, so that a call
    that raises leaves them as they were.
    """

    cells: DeviceCells
    learned: Sequence[Learned]
    thresholds: Sequence[Tensor | None]
    mode: str
    repair: str
    options: Mapping[str, float]
    mask: Tensor | None = None
    figures: Figures = field(default_factory=dict)
    tallies: dict[int, Tensor] = field(default_factory=dict)
    state: Tensor = field(init=False)
    made: Tensor = field(init=False)
    carried: Tensor | None = field(init=False, default=None)
    audited: Tensor | None = field(init=False, default=None)
    bins: Tensor = field(init=False)
    served_by: Tensor = field(init=False)

    @property
    def asked(self) -> list[int]:
        """The paths that a mode asks: those that their gates could trust for the target; else the most accurate."""
        if self.mode == "auto":
            return [k for k, path in enumerate(self.learned) if path.trusts()]
        return [len(self.learned) - 1] if self.learned else []


def step(course: Course, exact: Exact) -> None:
    """Advance every cell by its dt, in place. A cell's answer depends on that cell only.

    What the gate of one path refuses meets the next, and what all refuse the integrator.
    """
    by_learned_paths(course)
    exact(course.cells, course.state)
    audit(course, exact)
    write(course)


def by_learned_paths(course: Course) -> None:
    """The learned part of a step: cells.status says afterwards who is served and who waits for the integrator."""
    cells, figures = course.cells, course.figures
    course.state, repaired = inspect(cells, course.mask, course.repair)
    zero = torch.zeros_like(repaired)
    figures.update(
        repaired=repaired,
        audited=zero,
        violations=zero,
        defect_max=torch.zeros_like(repaired, dtype=torch.float64),
        by_path={path.name: zero for path in course.learned},
    )
    course.made = torch.empty_like(course.state)
    course.carried = None if cells.error_dex is None else cells.error_dex.clone()
    watched = course.mode == "auto" and course.options["audit"] > 0
    if watched:
        course.bins = torch.zeros_like(cells.status, dtype=torch.int64)
        course.served_by = torch.zeros_like(cells.status)
    waiting = cells.waiting
    for k in course.asked:
        for rows, here in cells.parts(waiting):
            _learned_step(course, k, rows, here)
        waiting = _is_any(cells.status, _REFUSED)
    course.audited = cells.status == Status.EXACT_AUDIT if watched else None
    figures |= {name: (cells.status == code).sum() for name, code in _TOLD_BY_STATUS.items()}
    figures["refused_budget"] = _is_any(cells.status, (Status.EXACT_BUDGET, Status.EXACT_REFRESH)).sum()


def compare(course: Course) -> Tensor | None:
    """Compare the audited cells, which were solved. The mask (B) of accepted cells that must be solved after all.

    Those of every bin in which the learned step was grossly wrong. They count as refused. None without an audit.
    """
    cells, figures = course.cells, course.figures
    if course.audited is None:
        return None
    for rows, here in cells.parts(course.audited & cells.waiting):
        _compare(course, rows, here)
    withdrawn = torch.zeros_like(course.audited)
    for k, tally in course.tallies.items():
        served = (cells.status == Status.SURROGATE) & (course.served_by == k)
        mine = served & (tally[2] > 0)[course.bins.clamp(max=tally.shape[1] - 1)]
        name = course.learned[k].name
        figures["by_path"][name] = figures["by_path"][name] - mine.sum()
        withdrawn = withdrawn | mine
    figures["refused_error"] = figures["refused_error"] + withdrawn.sum()
    cells.status.masked_fill_(withdrawn, Status.EXACT_ERROR)
    if course.carried is not None and cells.error_dex is not None:
        course.carried = torch.where(withdrawn, cells.error_dex, course.carried)
    return withdrawn


def audit(course: Course, exact: Exact) -> Callable[[], Figures]:
    """`compare`, and the integrator for the cells that it withdraws; returns what `exact` does."""
    withdrawn, cells = compare(course), course.cells
    if withdrawn is None or (cells.compact and not withdrawn.any()):
        return dict
    return solve_withdrawn(course, withdrawn, exact)


def solve_withdrawn(course: Course, withdrawn: Tensor, exact: Exact) -> Callable[[], Figures]:
    """The integrator for the cells of the mask (B) alone; returns what `exact` does."""
    cells = course.cells
    alone = replace(cells, status=cells.status.masked_fill(~withdrawn, Status.UNCHANGED))
    told = exact(alone, course.state)
    cells.status.copy_(torch.where(withdrawn, alone.status, cells.status))
    return told


def write(course: Course) -> None:
    """The last part of a step: results go to the caller's n and error_dex."""
    cells = course.cells
    for rows, here in cells.parts(cells.status == Status.SURROGATE):
        put(cells.n, rows, here, course.made[rows])
    exact = cells.waiting
    for rows, here in cells.parts(exact):
        put(cells.n, rows, here, course.state[rows])
    if course.carried is not None and cells.error_dex is not None:
        for rows, here in cells.parts(exact) if course.learned else ():
            theta = (course.state[rows] @ cells.constants.weights) * cells.dt[rows]
            put(course.carried, rows, here, course.carried[rows] * course.learned[0].remains(theta))
        cells.error_dex.copy_(course.carried)


def inspect(cells: DeviceCells, mask: Tensor | None, repair: str) -> tuple[Tensor, Tensor]:
    """Every cell's status before anything is computed; returns the mended states (B, S) and how many were mended."""
    limits: Mapping[str, float] = _native.limits()
    constants, n, dt, T = cells.constants, cells.n, cells.dt, cells.temperature
    kept = n.clamp(min=0.0)
    n_H = kept @ constants.weights
    ions, size = kept @ constants.charges, kept @ constants.charges.abs()
    good = (n.isfinite().all(1)) & dt.isfinite() & (dt >= 0) & T.isfinite() & (T > 0)
    good &= (cells.conditions.isfinite() & (cells.conditions >= 0)).all(1)
    if cells.error_dex is not None:
        good &= cells.error_dex.isfinite() & (cells.error_dex >= 0)
    lowest = n.amin(1)
    mended = lowest < 0
    good &= ~mended | (lowest >= -limits["small_negative"] * n_H) if "floor" in repair else ~mended
    if "electrons" in repair:
        good &= ions >= 0
        mended |= (n[:, constants.electron] - ions).abs() > limits["round_off"] * size
        kept[:, constants.electron] = ions
    known = (limits["lowest_T"] <= T) & (limits["highest_T"] >= T) & (dt <= limits["longest_dt"])
    known &= (n_H >= limits["lowest_n_H"]) & (n_H <= limits["highest_n_H"])
    known &= kept.amax(1) <= limits["largest_fraction"] * n_H
    cells.status.fill_(Status.EXACT_REQUESTED)
    cells.status.masked_fill_(~known, Status.UNSUPPORTED)
    cells.status.masked_fill_(dt == 0, Status.UNCHANGED)
    cells.status.masked_fill_(~good, Status.BAD_INPUT)
    if mask is not None:
        cells.status.masked_fill_(~mask, Status.MASKED)
    return kept, (mended & (cells.status == Status.EXACT_REQUESTED)).sum()


def _learned_step(course: Course, k: int, rows: Rows, here: Tensor) -> None:
    """The cells of `rows` where the mask `here` says so by the learned path k."""
    learned, cells, figures = course.learned[k], course.cells, course.figures
    surrogate, gate, state = learned.surrogate, learned.gate, course.state[rows]
    T, dt = cells.temperature[rows], cells.dt[rows]
    n_H = state @ cells.constants.weights
    x, theta = state / n_H[:, None], n_H * dt
    reduced = cells.conditions[rows] / n_H[:, None] ** learned.exponents

    scaled = surrogate.scale(x, T, reduced, theta)  # dimensionless, symmetry-reduced
    latent = surrogate.encode(scaled.features)
    made = _span(surrogate, latent, scaled, x, theta)
    moved = made.moved

    inputs = (x, n_H, dt, T, cells.conditions[rows])
    conserved = _defect(moved, x, cells.constants.composition) <= _CONSERVED  # false for NaN
    bins = gate.place(*inputs)
    verdict = _verdict(learned, course.mode, inputs, made.predicted, conserved, course.thresholds[k], bins)
    carried = None
    if cells.error_dex is not None and made.predicted is not None:
        carried = learned.remains(theta) * cells.error_dex[rows] + 10.0 ** made.predicted.double()
    if course.mode == "auto" and learned.calibrated:
        verdict = _take_from_surrogate(verdict, cells, rows, carried, course.options)
    trusted = here & (verdict == Status.SURROGATE)
    if carried is not None and course.carried is not None:
        put(course.carried, rows, here, torch.where(trusted, carried, course.carried[rows]))
    put(course.made, rows, here, moved * n_H[:, None])
    put(cells.status, rows, here, verdict)
    if course.mode == "auto" and course.options["audit"] > 0:
        put(course.bins, rows, here, bins)
        put(course.served_by, rows, here, torch.full_like(verdict, k))
        figures["audited"] = figures["audited"] + (here & (verdict == Status.EXACT_AUDIT)).sum()
    figures["by_path"][learned.name] = figures["by_path"][learned.name] + trusted.sum()
    defect = made.defect(x, cells.constants.composition).masked_fill(~trusted, 0.0).amax()
    figures["defect_max"] = torch.maximum(figures["defect_max"], defect)


def _take_from_surrogate(
    verdict: Tensor, cells: DeviceCells, rows: Rows, carried: Tensor | None, options: Mapping[str, float]
) -> Tensor:
    """Of the trusted cells, those that exact_every, the error budget or the audit send to the integrator.

    As in the native step, exact_every comes before the verdict on the predicted error, the others after it.
    """
    given = (cells.n[rows], cells.temperature[rows], cells.conditions[rows], cells.dt[rows])
    if carried is not None:
        spent = ~(carried <= options["error_budget_dex"])
        verdict = verdict.masked_fill((verdict == Status.SURROGATE) & spent, Status.EXACT_BUDGET)
    elif options["exact_every"] > 0:
        refreshed = chance(*given, REFRESH_SALT) < 1.0 / options["exact_every"]
        verdict = verdict.masked_fill((verdict != Status.EXACT_BOX) & refreshed, Status.EXACT_REFRESH)
    if options["audit"] > 0:
        audited = chance(*given, AUDIT_SALT) < options["audit"]
        verdict = verdict.masked_fill((verdict == Status.SURROGATE) & audited, Status.EXACT_AUDIT)
    return verdict


def _compare(course: Course, rows: Rows, here: Tensor) -> None:
    """Count the audited cells (`here`) of the rows, which were solved, and those whose error was above the target."""
    truth, x = (n / (n @ course.cells.constants.weights)[:, None] for n in (course.state[rows], course.made[rows]))
    served_by, bins = course.served_by[rows], course.bins[rows]
    for k in course.asked:
        path, thresholds = course.learned[k], course.thresholds[k]
        if not path.calibrated or thresholds is None:
            continue
        mine = here & (served_by == k)
        error, target = path.gate.errors(x, truth), course.options["target_error_dex"]
        wrong = mine & (error > target)
        gross = mine & (error > _native.limits()["gross_share"] * target)
        of = bins[:, None] == torch.arange(len(thresholds), device=bins.device)
        counts = torch.stack([(of & each[:, None]).sum(0) for each in (mine, wrong, gross)])
        course.tallies[k] = course.tallies.get(k, 0) + counts
        course.figures["violations"] = course.figures["violations"] + wrong.sum()


def _is_any(status: Tensor, codes: Sequence[int]) -> Tensor:
    found = status == codes[0]
    for code in codes[1:]:
        found = found | (status == code)
    return found


@dataclass(frozen=True)
class Spanned:
    """What the learned step makes of B encoded states: moved (B, S) n/n_H after theta; predicted (B) or None.

    projected: the states (B, S) that were projected on the way, as they were before; none without conservation.
    """

    moved: Tensor
    predicted: Tensor | None
    projected: list[Tensor]

    def defect(self, like: Tensor, composition: Tensor) -> Tensor:
        """The larger relative defect (B) before the projections."""
        return torch.stack([_defect(state, like, composition) for state in self.projected]).amax(0)


def _span(
    surrogate: surrogates.Surrogate, latent: Any, scaled: Any, x: Tensor, theta: Tensor, conserve: bool = True
) -> Spanned:
    """From the encoded states of x (B, S) to the states after theta (B)."""
    finish = surrogate.finish
    ahead = theta if finish is None else finish.ahead(theta)
    z = surrogate.advance(latent, ahead)  # linear in the clocks
    decoded = surrogate.decode(z, replace(scaled, theta=ahead))
    moved, multiplier, projected = decoded.guess, None, []
    if conserve:
        projected.append(moved)
        moved, multiplier = surrogate.conserve(moved, x)  # elements and charge of the input
    finished: Finished | None = None
    if finish is not None:  # the real chemistry takes the last part
        finished = finish(moved, scaled.coefficients, theta)
        moved = finished.x
        if conserve:
            projected.append(moved)
            moved, again = surrogate.conserve(moved, x)
            multiplier = multiplier + again
    predicted = None if multiplier is None else surrogate.predict_error(z, decoded, multiplier, finished)
    return Spanned(moved, predicted, projected)


@dataclass
class Pairs:
    """What `trajectory` makes of B cells at T times: n (B, T, S) [cm^-3], 0 where not served, and status (B, T)."""

    n: Tensor
    status: Tensor
    figures: Figures


def trajectory(course: Course, times: NDArray[np.float64], *, conserve: bool = True) -> Pairs:
    """The most accurate learned step at many times [s] from given states, which are encoded once. Refused pairs wait.

    Raises ValueError for times out of range or order.
    """
    if not ((times >= 0.0) & (times <= _native.limits()["longest_dt"])).all() or (np.diff(times) <= 0.0).any():
        raise ValueError("times are elapsed seconds, at least 0, at most 1e20, each later than the one before")
    cells, mode = course.cells, course.mode
    state, repaired = inspect(cells, None, course.repair)
    zero = torch.zeros_like(repaired)
    served_by = {path.name: zero for path in course.learned}
    defect_max = torch.zeros_like(repaired, dtype=torch.float64)
    n = cells.n.new_zeros(len(cells.n), len(times), cells.n.shape[1])
    status = cells.status[:, None].repeat(1, len(times))
    for path, thresholds in [(course.learned[k], course.thresholds[k]) for k in course.asked[-1:]]:
        surrogate, gate = path.surrogate, path.gate
        for rows, here in cells.parts(cells.waiting):
            T, n_H = cells.temperature[rows], state[rows] @ cells.constants.weights
            x = state[rows] / n_H[:, None]
            reduced = cells.conditions[rows] / n_H[:, None] ** path.exponents

            scaled = surrogate.scale(x, T, reduced, n_H)
            latent = surrogate.encode(scaled.features)
            for k, time in enumerate(times.tolist()):
                if time == 0.0:
                    continue
                made = _span(surrogate, latent, scaled, x, n_H * time, conserve)
                moved, composition = made.moved, cells.constants.composition
                served = _defect(moved, x, composition) <= _CONSERVED if conserve else moved.isfinite().all(1)
                inputs = (x, n_H, torch.full_like(n_H, time), T, cells.conditions[rows])
                verdict = _verdict(path, mode, inputs, made.predicted, served, thresholds, gate.place(*inputs))
                trusted = here & (verdict == Status.SURROGATE)
                moved = (moved * n_H[:, None]).masked_fill(~trusted[:, None], 0.0)
                put(n[:, k], rows, here, moved)
                put(status[:, k], rows, here, verdict)
                served_by[path.name] = served_by[path.name] + trusted.sum()
                if conserve:
                    defect = made.defect(x, composition).masked_fill(~trusted, 0.0).amax()
                    defect_max = torch.maximum(defect_max, defect)
    if len(times) and times[0] == 0.0:
        status[:, 0].masked_fill_(cells.waiting, Status.UNCHANGED)
    refused = {name: (status == code).sum() for name, code in _TOLD_BY_STATUS.items()}
    return Pairs(n, status, refused | {"repaired": repaired, "by_path": served_by, "defect_max": defect_max})


_TOLD_BY_STATUS = {
    "refused_box": Status.EXACT_BOX,
    "refused_distance": Status.EXACT_DISTANCE,
    "refused_error": Status.EXACT_ERROR,
}


def _verdict(
    learned: Learned,
    mode: str,
    inputs: tuple[Tensor, Tensor, Tensor, Tensor, Tensor],
    predicted: Tensor | None,
    served: Tensor,
    thresholds: Tensor | None,
    bins: Tensor,
) -> Tensor:
    """Status (B) of cells with the inputs of `Box.contains`; served (B): those that came through; bins (B)."""
    verdict = torch.full_like(served, Status.SURROGATE, dtype=torch.int8)
    if mode == "auto":
        threshold = None if thresholds is None else thresholds[bins]
        gate = learned.gate
        verdict = gate.verdict(gate.contains(*inputs), predicted, threshold, gate.far(*inputs))
    failure = Status.EXACT_ERROR if mode == "auto" else Status.NON_FINITE
    verdict = verdict.masked_fill(~served & (verdict == Status.SURROGATE), failure)
    if learned.formulas is not None:  # no path takes a cell in which a formula gives no rate
        _, n_H, _, T, conditions = inputs
        absent = learned.formulas.absent(T, conditions / n_H[:, None] ** learned.exponents)
        verdict = verdict.masked_fill(absent, Status.UNSUPPORTED)
    return verdict


def _defect(after: Tensor, before: Tensor, composition: Tensor) -> Tensor:
    size = (torch.maximum(after, before) @ composition.abs().T).clamp(min=1e-300)
    return (((after - before) @ composition.T).abs() / size).amax(1)
