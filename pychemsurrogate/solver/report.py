"""What a step tells about itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from threading import Lock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pychemsurrogate.status import STATUS_MESSAGES, Status

_TOLD: Final = (
    "refused_box",
    "refused_distance",
    "refused_error",
    "refused_budget",
    "audited",
    "violations",
    "bins_tightened",
    "bins_closed",
    "second_try",
    "repaired",
    "steps",
    "rejected_steps",
    "seconds",
    "seconds_surrogate",
    "seconds_exact",
    "defect_max",
)

_POSITIVE: Final = max(Status) + 1

# The columns of the native core's counts.
_PER_CELL: Final = ("steps_per_cell", "rejected_per_cell", "factorisations_per_cell")


@dataclass(frozen=True)
class Report:
    """Status per cell (cells,) int8, and the counts and timings of one step.

    Of a trajectory: status (cells, times), and what is said of cells below is said of (cell, time) pairs.

    surrogate, exact, unchanged, masked, failed: cells by path (they add up to the number of cells);
    by_path: cells by the name of the learned path that served them ("": the one path of a model that names none);
    routed: cells that the exact integrator served at once, since it was expected to cost less than a learned path;
    refused_box, refused_distance, refused_error: cells that the gate handed to the exact integrator, by reason;
    refused_budget: cells that it would have trusted, but whose error budget was spent, or that exact_every took;
    audited, violations: trusted cells that were solved exactly all the same, and those whose error was above the
    target; bins_tightened, bins_closed: what follows from them (`Solver.audit`);
    second_try, scipy: cells that needed these rungs of the ladder; repaired: cells whose input was mended;
    steps, rejected_steps: of the native exact integrator; seconds, seconds_surrogate, seconds_exact: wall time;
    defect_max: largest relative defect in elements and charge before the projection;
    steps_per_cell, rejected_per_cell, factorisations_per_cell: (cells,) int32 of the native exact integrator, all its
    tries together, 0 for cells that never met it; None unless the call asked for statistics.
    """

    status: NDArray[np.int8]
    surrogate: int
    exact: int
    unchanged: int
    masked: int
    failed: int
    refused_box: int
    refused_distance: int
    refused_error: int
    refused_budget: int
    routed: int
    audited: int
    violations: int
    bins_tightened: int
    bins_closed: int
    second_try: int
    scipy: int
    repaired: int
    steps: int
    rejected_steps: int
    seconds: float
    seconds_surrogate: float
    seconds_exact: float
    defect_max: float
    steps_per_cell: NDArray[np.int32] | None = None
    rejected_per_cell: NDArray[np.int32] | None = None
    factorisations_per_cell: NDArray[np.int32] | None = None
    by_path: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls, status: NDArray[np.int8], figures: Mapping[str, Any], counts: NDArray[np.int32] | None = None
    ) -> Report:
        """From the statuses, which tell most counts, the figures that they do not tell, and counts (cells, 3)."""
        tally = np.bincount(
            status.view(np.uint8).ravel(), minlength=_POSITIVE
        ).tolist()  # negative ones come last, from 128
        return cls(
            status=status,
            surrogate=tally[Status.SURROGATE],
            exact=sum(tally[Status.EXACT_REQUESTED : 128]),
            unchanged=tally[Status.UNCHANGED],
            masked=tally[Status.MASKED],
            failed=sum(tally[128:]),
            scipy=tally[Status.EXACT_SCIPY],
            routed=tally[Status.EXACT_ROUTED],
            by_path=figures["by_path"],
            **{name: figures[name] for name in _TOLD},
            **({} if counts is None else dict(zip(_PER_CELL, counts.T, strict=True))),
        )

    @staticmethod
    def later(fetch: Callable[[], Report], status_on_device: Any) -> Report:
        """A report whose fields `fetch` brings at the first access to one of them; the host may wait for it then."""
        return _Later(fetch, status_on_device)

    @property
    def status_on_device(self) -> Any:
        """The statuses where the step left them: of a solver on a GPU an array there, and nothing is waited for."""
        return self.status

    @property
    def cells(self) -> int:
        """Number of cells of the call."""
        return self.status.size

    @property
    def ok(self) -> bool:
        """Whether every cell was served."""
        return self.failed == 0

    def advice(self) -> str:
        """One line for each kind of failure: how many cells, why, and what to do. Empty when all went well."""
        counts = Counter(self.status[self.status < 0].tolist())
        return "\n".join(f"{count} cells: {STATUS_MESSAGES[Status(code)]}" for code, count in sorted(counts.items()))

    def __str__(self) -> str:
        lines = [
            f"{self.cells} cells: {self.surrogate} surrogate, {self.exact} exact, {self.unchanged} unchanged, "
            f"{self.masked} masked, {self.failed} failed in {self.seconds:.3g} s"
        ]
        if len(self.by_path) > 1:
            lines.append("surrogate: " + ", ".join(f"{count} {path}" for path, count in self.by_path.items()))
        if self.refused_box or self.refused_distance or self.refused_error or self.refused_budget:
            lines.append(
                f"refused: {self.refused_box} outside the box, {self.refused_distance} too far from the training "
                f"states, {self.refused_error} predicted error, "
                f"{self.refused_budget} error budget or exact_every"
            )
        if self.audited:
            lines.append(
                f"audited: {self.audited}, above the target: {self.violations}; "
                f"bins tightened: {self.bins_tightened}, closed: {self.bins_closed}"
            )
        return "\n".join([*lines, *filter(None, [self.advice()])])


class _Later(Report):
    """A report that is still on its way."""

    def __init__(self, fetch: Callable[[], Report], status_on_device: Any) -> None:
        self.__dict__.update(_fetch=fetch, _status_on_device=status_on_device, _lock=Lock())

    def __getattribute__(self, name: str) -> Any:
        if name in _FIELDS:
            own = super().__getattribute__("__dict__")
            with own["_lock"]:
                if own["_fetch"] is not None:
                    own.update(vars(own["_fetch"]()))
                    own["_fetch"] = None
        return super().__getattribute__(name)

    @property
    def status_on_device(self) -> Any:
        return self.__dict__["_status_on_device"]


_FIELDS: Final = frozenset(each.name for each in fields(Report))
