"""The step on a torch device, on one page. native/include/pcs/step.hpp has the same verbs in the same order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pychemsurrogate import _native
from pychemsurrogate.gate.gate import Gate
from pychemsurrogate.model_file import ModelFile, ModelFileError
from pychemsurrogate.network import NetworkTables
from pychemsurrogate.solver.chance import AUDIT_SALT, REFRESH_SALT, chance
from pychemsurrogate.solver.ladder import Batch
from pychemsurrogate.status import Status
from pychemsurrogate.surrogates import surrogate as surrogates
from pychemsurrogate.surrogates.finish import Finished
from pychemsurrogate.surrogates.rates import Formulas

Figures = dict[str, Any]
# Advances packed cells on the host, n and status in place, and returns its figures.
Integrator = Callable[[Batch], Figures]
_COUNTS = (
    "refused_box",
    "refused_error",
    "refused_budget",
    "audited",
    "violations",
    "bins_tightened",
    "bins_closed",
    "steps",
    "rejected_steps",
    "second_try",
)
_FIGURES = ("seconds_surrogate", "seconds_exact", "defect_max")
_REFUSED = (Status.EXACT_BOX, Status.EXACT_ERROR, Status.EXACT_BUDGET)  # by one path: another may take it
_CONSERVED = 1e-12  # what a projected cell must reach, as in the native step


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
    gate: Gate
    exponents: Tensor
    native: _native.Solver
    kappa_edges: Tensor
    kappa: Tensor
    formulas: Formulas | None

    @classmethod
    def of(cls, model: ModelFile, device: str, native: _native.Solver, name: str = "") -> Learned:
        """One path of a model file. Raises ModelFileError if the file holds no surrogate."""
        model = model.of_path(name)
        model.require("surrogate/kind", "gate/box_names")
        network = model.network()
        tables, symmetry = network.tables(), network.symmetry
        if symmetry is None:
            raise ModelFileError(
                f"{model.label}: its network has no density symmetry, so its surrogate cannot be served"
            )
        surrogate = surrogates.from_arrays(model.arrays, tables).to(device).requires_grad_(False)
        exponents = torch.tensor([float(symmetry.exponents[name]) for name in network.conditions], device=device)
        gate = Gate.from_arrays(model.arrays, tables)
        edges = torch.tensor(model.arrays.get("budget/theta_edges", np.empty(0)), device=device)
        kappa = torch.tensor(model.arrays.get("budget/kappa", np.ones(1)), device=device)
        index = native.paths.index(name)
        formulas = Formulas(tables).to(device) if tables.expression_code.size else None
        return cls(name, index, surrogate, gate, exponents.double(), native, edges, kappa, formulas)

    def trusts(self) -> bool:
        """Whether the gate could trust the surrogate for the target error."""
        return self.gate.calibration is None or bool(self.thresholds())

    def thresholds(self) -> list[float]:
        """The thresholds of the gate's bins as the audit has left them; none where the target is not calibrated."""
        return [row[0] for row in self.native.audit_table(self.index)]

    def remains(self, theta: Tensor) -> Tensor:
        """The share of a cell's error that is left after theta (B)."""
        return self.kappa[torch.bucketize(theta, self.kappa_edges, right=True)]


@dataclass
class DeviceCells:
    """Cells on one device: n (B, S) [cm^-3], the host's own; dt [s], temperature [K], status (B); conditions (B, C).

    error_dex (B): the error that each cell carries [dex], None if the host keeps none; accepted: (rows, states) of the
    learned step, which wait until the integrator has done its part, so that a call that raises leaves n as it was.
    """

    n: Tensor
    dt: Tensor
    temperature: Tensor
    conditions: Tensor
    status: Tensor
    electron: int
    weights: Tensor
    composition: Tensor
    error_dex: Tensor | None = None
    accepted: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        n: Tensor,
        dt: NDArray[np.float64],
        temperature: NDArray[np.float64],
        conditions: NDArray[np.float64],
        tables: NetworkTables,
        error_dex: NDArray[np.float64] | None = None,
    ) -> DeviceCells:
        """Around the host's tensor n; dt, temperature (B or 1) and conditions (B or 1, C) come from the host."""

        def there(array: NDArray[np.float64]) -> Tensor:
            return torch.tensor(np.ascontiguousarray(array), device=n.device)

        count = len(n)
        return cls(
            n=n,
            dt=there(dt).expand(count),
            temperature=there(temperature).expand(count),
            conditions=there(conditions).expand(count, -1),
            status=torch.zeros(count, dtype=torch.int8, device=n.device),
            electron=tables.species.index("e-") if "e-" in tables.species else -1,
            weights=there(tables.scale_weights),
            composition=there(tables.composition),
            error_dex=None if error_dex is None else there(error_dex),
        )

    @property
    def waiting(self) -> Tensor:
        """Indices of the cells that no path has served yet."""
        return torch.nonzero(self.status >= Status.EXACT_REQUESTED)[:, 0]


def inspect(cells: DeviceCells, mask: Tensor | None, repair: str) -> tuple[Tensor, int]:
    """Every cell's status before anything is computed; returns the mended states (B, S) and how many were mended."""
    limits: Mapping[str, float] = _native.limits()
    n, dt, T = cells.n, cells.dt, cells.temperature
    kept = n.clamp(min=0.0)
    n_H = kept @ cells.weights
    charge = cells.composition[-1].clone()
    charge[cells.electron] = 0.0
    ions, size = kept @ charge, kept @ charge.abs()
    good = (n.isfinite().all(1)) & dt.isfinite() & (dt >= 0) & T.isfinite() & (T > 0)
    good &= (cells.conditions.isfinite() & (cells.conditions >= 0)).all(1)
    if cells.error_dex is not None:
        good &= cells.error_dex.isfinite() & (cells.error_dex >= 0)
    lowest = n.amin(1)
    mended = lowest < 0
    good &= ~mended | (lowest >= -limits["small_negative"] * n_H) if "floor" in repair else ~mended
    if "electrons" in repair:
        good &= ions >= 0
        mended |= (n[:, cells.electron] - ions).abs() > limits["round_off"] * size
        kept = kept.clone()
        kept[:, cells.electron] = ions
    known = (limits["lowest_T"] <= T) & (limits["highest_T"] >= T) & (dt <= limits["longest_dt"])
    known &= (n_H >= limits["lowest_n_H"]) & (n_H <= limits["highest_n_H"])
    known &= kept.amax(1) <= limits["largest_fraction"] * n_H
    cells.status.fill_(Status.EXACT_REQUESTED)
    cells.status[~known] = Status.UNSUPPORTED
    cells.status[dt == 0] = Status.UNCHANGED
    cells.status[~good] = Status.BAD_INPUT
    if mask is not None:
        cells.status[~mask] = Status.MASKED
    return kept, int((mended & (cells.status == Status.EXACT_REQUESTED)).sum())


def step(
    cells: DeviceCells,
    learned: Sequence[Learned],
    integrator: Integrator,
    *,
    mode: str = "auto",
    mask: Tensor | None = None,
    repair: str = "none",
) -> Figures:
    """Advance every cell by its dt, in place. A cell's answer depends on that cell only.

    learned: cheapest first; what the gate of one refuses meets the next, and what all refuse the integrator.
    """
    start = perf_counter()
    state, repaired = inspect(cells, mask, repair)
    figures = _figures(learned, repaired)
    audits = []
    rows = cells.waiting
    for path in _asked(learned, mode):
        if rows.numel():
            audits.append((path, _learned_step(path, cells, state[rows], rows, mode, figures)))
            rows = rows[torch.isin(cells.status[rows], torch.tensor(_REFUSED, device=rows.device))]
            figures["seconds_surrogate"] = perf_counter() - start
    figures["refused_box"] = int((cells.status == Status.EXACT_BOX).sum())
    figures["refused_error"] = int((cells.status == Status.EXACT_ERROR).sum())
    taken = (cells.status == Status.EXACT_BUDGET) | (cells.status == Status.EXACT_REFRESH)
    figures["refused_budget"] = int(taken.sum())

    rows = cells.waiting
    packed = outcome = None
    if rows.numel():
        columns = (cells.dt, cells.temperature, cells.conditions, cells.status)
        packed = Batch(state[rows].cpu().numpy(), *(column[rows].cpu().numpy() for column in columns))
        outcome = integrator(packed)
    for trusted, moved in cells.accepted:
        cells.n[trusted] = moved
    if packed is not None and outcome is not None:
        served = torch.as_tensor(packed.status >= 0, device=rows.device)
        cells.n[rows[served]] = torch.as_tensor(packed.n, device=rows.device)[served]
        cells.status[rows] = torch.as_tensor(packed.status, device=rows.device)
        for key in ("steps", "rejected_steps", "second_try", "seconds_exact"):
            figures[key] = outcome[key]
        figures["defect_max"] = max(figures["defect_max"], outcome["defect_max"])
    for path, audit in audits:
        _compare(audit, cells, path, figures)
    exact = cells.status >= Status.EXACT_REQUESTED
    if learned and cells.error_dex is not None and exact.any():
        theta = (cells.n[exact] @ cells.weights) * cells.dt[exact]
        cells.error_dex[exact] *= learned[0].remains(theta)
    figures["seconds"] = perf_counter() - start
    return figures


def _learned_step(
    learned: Learned, cells: DeviceCells, state: Tensor, rows: Tensor, mode: str, figures: Figures
) -> _Audit:
    """The cells `rows` with the mended states (len(rows), S) by one learned path; returns those to be compared."""
    surrogate, gate = learned.surrogate, learned.gate
    T, dt = cells.temperature[rows], cells.dt[rows]
    n_H = state @ cells.weights
    x, theta = state / n_H[:, None], n_H * dt
    reduced = cells.conditions[rows] / n_H[:, None] ** learned.exponents

    scaled = surrogate.scale(x, T, reduced, theta)  # dimensionless, symmetry-reduced
    latent = surrogate.encode(scaled.features)
    made = _span(surrogate, latent, scaled, x, theta)
    moved = made.moved

    inputs = (x, n_H, dt, T, cells.conditions[rows])
    conserved = _defect(moved, x, cells.composition) <= _CONSERVED  # false for NaN
    bins = _bins(gate, inputs)
    verdict = _verdict(learned, mode, inputs, made.predicted, conserved, bins)
    carried = None
    if cells.error_dex is not None and made.predicted is not None:
        carried = learned.remains(theta) * cells.error_dex[rows] + 10.0 ** made.predicted.double()
    if mode == "auto" and gate.calibration is not None:
        _take_from_surrogate(verdict, cells, rows, carried, learned.native.options())
    trusted, chosen = verdict == Status.SURROGATE, verdict == Status.EXACT_AUDIT
    if carried is not None and cells.error_dex is not None:
        cells.error_dex[rows[trusted]] = carried[trusted]
    cells.accepted.append((rows[trusted], (moved * n_H[:, None])[trusted]))
    cells.status[rows] = verdict  # refused cells are still untouched: the integrator starts from the true state
    figures["by_path"][learned.name] += int(trusted.sum())
    figures["audited"] += int(chosen.sum())
    if trusted.any():
        defect = float(made.defect(x, cells.composition)[trusted].max())
        figures["defect_max"] = max(figures["defect_max"], defect)
    return _Audit(rows[chosen], moved[chosen], bins[chosen.cpu().numpy()])


def _asked(learned: Sequence[Learned], mode: str) -> Sequence[Learned]:
    """The paths that a mode asks: those that their gates could trust for the target; else the most accurate one."""
    return [path for path in learned if path.trusts()] if mode == "auto" else learned[-1:]


def _figures(learned: Sequence[Learned], repaired: int) -> Figures:
    figures: Figures = dict.fromkeys(_COUNTS, 0) | dict.fromkeys(_FIGURES, 0.0)
    return figures | {"repaired": repaired, "by_path": {path.name: 0 for path in learned}}


@dataclass(frozen=True)
class _Audit:
    """Trusted cells that are solved exactly to be compared: rows (A), what the surrogate says x (A, S), bins (A)."""

    rows: Tensor
    x: Tensor
    bins: NDArray[np.intp]


def _take_from_surrogate(
    verdict: Tensor, cells: DeviceCells, rows: Tensor, carried: Tensor | None, options: Mapping[str, float]
) -> None:
    """Of the trusted cells, those that exact_every, the error budget or the audit send to the integrator; in place.

    As in the native step, exact_every comes before the verdict on the predicted error, the others after it.
    """
    given = (cells.n[rows], cells.temperature[rows], cells.conditions[rows], cells.dt[rows])
    if carried is not None:
        verdict[(verdict == Status.SURROGATE) & ~(carried <= options["error_budget_dex"])] = Status.EXACT_BUDGET
    elif options["exact_every"] > 0:
        refreshed = chance(*given, REFRESH_SALT) < 1.0 / options["exact_every"]
        verdict[(verdict != Status.EXACT_BOX) & refreshed] = Status.EXACT_REFRESH
    audited = chance(*given, AUDIT_SALT) < options["audit"]
    verdict[(verdict == Status.SURROGATE) & audited] = Status.EXACT_AUDIT


def _compare(audit: _Audit, cells: DeviceCells, learned: Learned, figures: Figures) -> None:
    """Count the audited cells that were solved."""
    calibration = learned.gate.calibration
    solved = cells.status[audit.rows] >= 0
    if calibration is None or not solved.any():
        return
    n = cells.n[audit.rows[solved]]
    truth = n / (n @ cells.weights)[:, None]
    weights = torch.tensor(calibration.weights, device=n.device)
    error = weights * (audit.x[solved] / truth).log10().abs()
    worst = torch.where(truth > calibration.x_min, error, 0.0).amax(1)
    violated = (worst > learned.native.options()["target_error_dex"]).tolist()
    tightened, closed = learned.native.merge_audit(audit.bins[solved.cpu().numpy()].tolist(), violated, learned.index)
    figures["violations"] += sum(violated)
    figures["bins_tightened"] += tightened
    figures["bins_closed"] += closed


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


def trajectory(
    cells: DeviceCells,
    times: NDArray[np.float64],
    learned: Sequence[Learned],
    *,
    mode: str = "auto",
    conserve: bool = True,
    repair: str = "none",
) -> Pairs:
    """The most accurate learned step at many times [s] from given states, which are encoded once. Refused pairs wait.

    Raises ValueError for times out of range or order.
    """
    start = perf_counter()
    if not ((times >= 0.0) & (times <= _native.limits()["longest_dt"])).all() or (np.diff(times) <= 0.0).any():
        raise ValueError("times are elapsed seconds, at least 0, at most 1e20, each later than the one before")
    state, repaired = inspect(cells, None, repair)
    figures = _figures(learned, repaired)
    pairs = Pairs(cells.n.new_zeros(len(cells.n), len(times), cells.n.shape[1]), cells.n.new_zeros(0), figures)
    pairs.status = cells.status[:, None].repeat(1, len(times))
    rows = cells.waiting
    for path in _asked(learned, mode)[-1:] if rows.numel() else ():
        surrogate, gate = path.surrogate, path.gate
        T, n_H = cells.temperature[rows], state[rows] @ cells.weights
        x = state[rows] / n_H[:, None]
        reduced = cells.conditions[rows] / n_H[:, None] ** path.exponents

        scaled = surrogate.scale(x, T, reduced, n_H)
        latent = surrogate.encode(scaled.features)
        for k, time in enumerate(times.tolist()):
            if time == 0.0:
                continue
            made = _span(surrogate, latent, scaled, x, n_H * time, conserve)
            moved = made.moved
            served = _defect(moved, x, cells.composition) <= _CONSERVED if conserve else moved.isfinite().all(1)
            inputs = (x, n_H, torch.full_like(n_H, time), T, cells.conditions[rows])
            verdict = _verdict(path, mode, inputs, made.predicted, served, _bins(gate, inputs))
            trusted = verdict == Status.SURROGATE
            pairs.n[rows[trusted], k] = (moved * n_H[:, None])[trusted]
            pairs.status[rows, k] = verdict
            figures["by_path"][path.name] += int(trusted.sum())
            if conserve and trusted.any():
                defect = float(made.defect(x, cells.composition)[trusted].max())
                figures["defect_max"] = max(figures["defect_max"], defect)
    if len(times) and times[0] == 0.0:
        pairs.status[cells.status >= Status.EXACT_REQUESTED, 0] = Status.UNCHANGED
    figures["refused_box"] = int((pairs.status == Status.EXACT_BOX).sum())
    figures["refused_error"] = int((pairs.status == Status.EXACT_ERROR).sum())
    figures["seconds"] = figures["seconds_surrogate"] = perf_counter() - start
    return pairs


def _bins(gate: Gate, inputs: tuple[Tensor, ...]) -> NDArray[np.intp]:
    """The bin (B) of cells with the inputs of `Box.contains`."""
    if gate.calibration is None:
        return np.zeros(len(inputs[0]), dtype=np.intp)
    return gate.calibration.bins.place(*(tensor.cpu().numpy() for tensor in inputs))


def _verdict(
    learned: Learned,
    mode: str,
    inputs: tuple[Tensor, ...],
    predicted: Tensor | None,
    served: Tensor,
    bins: NDArray[np.intp],
) -> Tensor:
    """Status (B) of cells with the inputs of `Box.contains`; served (B): those that came through; bins (B)."""
    verdict = torch.full_like(served, Status.SURROGATE, dtype=torch.int8)
    if mode == "auto":
        gate = learned.gate
        inside = gate.box.contains(*(tensor.cpu().numpy() for tensor in inputs))
        error = None if predicted is None else predicted.cpu().numpy()
        threshold = None
        if gate.calibration is not None:
            threshold = np.array(learned.thresholds())[bins]
        verdict = torch.as_tensor(gate.verdict(inside, error, threshold), device=served.device)
    failure = Status.EXACT_ERROR if mode == "auto" else Status.NON_FINITE
    verdict[~served & (verdict == Status.SURROGATE)] = failure
    if learned.formulas is not None:  # no path takes a cell in which a formula gives no rate
        _, n_H, _, T, conditions = inputs
        absent = learned.formulas.absent(T, conditions / n_H[:, None] ** learned.exponents)
        verdict[absent] = Status.UNSUPPORTED
    return verdict


def _defect(after: Tensor, before: Tensor, composition: Tensor) -> Tensor:
    size = (torch.maximum(after, before) @ composition.abs().T).clamp(min=1e-300)
    return (((after - before) @ composition.T).abs() / size).amax(1)
