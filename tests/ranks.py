"""Programs under mpirun, as root and with more ranks than cores if need be."""

from __future__ import annotations

import os
import shutil
import subprocess

from native_build import PATH

# Open MPI's own switches: root is allowed, ranks may share cores, waiting ranks leave them to others, and a container
# without ptrace copies through shared memory.
OPEN_MPI = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMPI_MCA_mpi_yield_when_idle": "1",
    "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
}


def has_mpi() -> bool:
    """Whether MPI and its compilers are here."""
    return shutil.which("mpirun") is not None and shutil.which("mpifort") is not None


def start(ranks: int, command: list[object], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """What became of a command on so many ranks; after two minutes it is ended."""
    return subprocess.run(
        ["mpirun", "-n", str(ranks), "--bind-to", "none", *map(str, command)],
        env={**os.environ, "PATH": PATH, **OPEN_MPI, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def mpirun(ranks: int, command: list[object], threads: int = 1) -> str:
    """Run a command on so many ranks of so many threads; return what it printed. A failure shows all of it."""
    result = start(ranks, command, {"OMP_NUM_THREADS": str(threads)})
    assert result.returncode == 0, f"{command}\nexit code {result.returncode}\n{result.stdout}{result.stderr}"
    return result.stdout
