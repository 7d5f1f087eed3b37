"""Which states of a step are kept for training to learn from (docs/surrogate.md, "The log")."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pychemsurrogate.network import Network
from pychemsurrogate.solver.ladder import Batch
from pychemsurrogate.state_log import States, append_states, open_log
from pychemsurrogate.status import Status

MOST_A_CALL: Final = 1000
_KEPT: Final = (Status.EXACT_BOX, Status.EXACT_DISTANCE, Status.EXACT_ERROR, Status.EXACT_AUDIT)


@dataclass
class StateLog:
    """Appends to the HDF5 file `path`, at most MOST_A_CALL cells a call, spread evenly over those that qualify.

    Raises LogError if the file is there but holds something else.
    """

    path: Path
    network: Network

    def __post_init__(self) -> None:
        open_log(self.path, self.network)

    def append(self, given: Batch, status: NDArray[np.int8]) -> None:
        """Keep the states of `given`, as they were before the step, that the gate refused or that were audited."""
        rows = np.flatnonzero(np.isin(status, _KEPT))
        if not len(rows):
            return
        rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_A_CALL)).astype(np.intp)]
        cells = given.rows(rows, given.n[rows])
        count = len(rows)
        density = cells.n @ self.network.tables().scale_weights
        states = States(
            start=cells.n / density[:, None],
            density=density,
            temperature=np.broadcast_to(cells.temperature, count),
            conditions=np.broadcast_to(cells.conditions, (count, cells.conditions.shape[1])),
            dt=np.broadcast_to(cells.dt, count),
            status=status[rows],
        )
        append_states(self.path, states)
