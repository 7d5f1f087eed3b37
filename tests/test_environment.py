"""What a host process may be like: forked, and unable to start all threads that were asked for."""

from __future__ import annotations

import multiprocessing
import os
import resource
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

from pychemsurrogate import Solver

_PROGRAM = """
import sys
import numpy as np
from pychemsurrogate import Solver
solver = Solver.load("osu_09_2008", mode="exact", threads=int(sys.argv[1]))
n = np.full((4000, 29), 1e-8)
n[:, solver.index("H2")] = 1e3
print(solver.step(n, 1e10, 20.0, zeta=1e-17)[1].ok)
"""


def _stepped(cells: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    solver = Solver.load("osu_09_2008", mode="exact", threads=2)
    n = np.full((cells, 29), 1e-8)
    n[:, solver.index("H2")] = 1e3
    result: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = solver.step(n, 1e10, 20.0, zeta=1e-17)[0]
    return result


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_workers_step() -> None:
    """As multiprocessing's default start does before Python 3.14, and pools with it."""
    expected = _stepped(4000)
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as pool:
        for made in pool.map_async(_stepped, [4000, 4000]).get(timeout=60):
            np.testing.assert_array_equal(made, expected)
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        np.testing.assert_array_equal(executor.submit(_stepped, 4000).result(timeout=60), expected)


@pytest.mark.parametrize(
    ("threads", "environment", "memory"),
    [
        ("4096", {}, 4 << 30),
        ("0", {"OMP_NUM_THREADS": "40000"}, None),
        ("0", {"OMP_STACKSIZE": "100G"}, 4 << 30),
        ("16", {"OMP_STACKSIZE": "500M"}, 4 << 30),
    ],
)
def test_a_team_is_no_larger_than_the_process_can_start(
    threads: str, environment: dict[str, str], memory: int | None
) -> None:
    def limit() -> None:
        if memory is not None:
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))

    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, threads],
        env=os.environ | environment,
        preexec_fn=limit,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout == "True\n", done.stderr
