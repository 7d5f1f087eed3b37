"""The ranks of an MPI run: the same bits for any number of them, how unequal they are, mistakes that end the run."""

from __future__ import annotations

import sys
from pathlib import Path

import clouds
import native_build
import numpy as np
import pytest
import ranks as mpi
from joined import joined_model

from pychemsurrogate.evaluation.hydro import read_run
from pychemsurrogate.network import Network
from pychemsurrogate.status import Status

pytestmark = pytest.mark.skipif(not (mpi.has_mpi() and native_build.has_fortran()), reason="no MPI, or no gfortran")

MODEL = native_build.MODEL
CASES = native_build.ROOT / "fortran_example" / "cases"
FIXED = '"audit=0"'  # no threshold moves; this model has no router, hence no costs
# Both shipped paths route. Costs that make steps dear send the cells to its learned paths.
RUNS = {
    "exact": ("exact", MODEL, FIXED),
    "auto": ("auto", MODEL, FIXED),
    "routed": ("auto", Path(joined_model()), '"audit=0", "costs=1,3,1,2,4"'),
}


def small_collision(options: str = FIXED) -> str:
    """24 x 25 cells: no number of ranks but 5 divides the rows."""
    case = (CASES / "small_collision.nml").read_text(encoding="utf-8").replace("grid%ny = 24", "grid%ny = 25")
    return case.replace("&case", f"&case\n  chemistry%options = {options}")


@pytest.fixture(scope="module")
def serial_program() -> Path:
    return native_build.cloud_hydro()


@pytest.fixture(scope="module")
def mpi_program(serial_program: Path) -> Path:
    return native_build.cloud_hydro(mpi=True)


def command(program: Path, folder: Path, case: str, mode: str = "auto", model: Path = MODEL) -> list[object]:
    folder.mkdir(parents=True)
    (folder / "case.nml").write_text(case, encoding="utf-8")
    return [program, folder / "case.nml", "--model", model, "--mode", mode, "--output", folder]


def run_of(name: str, program: Path, folder: Path) -> list[object]:
    """The command of one of RUNS."""
    mode, model, options = RUNS[name]
    return command(program, folder, small_collision(options), mode, model)


def answers(folder: Path) -> dict[str, bytes]:
    """All that a run wrote, apart from speeds and what only many ranks have."""
    files = {path.name: path.read_bytes() for path in folder.glob("snapshot_*")}
    lines = (folder / "summary.txt").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not any(word in line for word in ("_per_s", "_seconds ", "ranks", "imbalance"))]
    return {**files, "summary": "\n".join(kept).encode()}


def figures(folder: Path) -> dict[str, float]:
    lines = [line.split() for line in (folder / "summary.txt").read_text(encoding="utf-8").splitlines()]
    return {name: float(value) for name, value in lines if name != "mode"}


@pytest.fixture(scope="module")
def serial_runs(serial_program: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """RUNS in one process."""
    folders = {name: tmp_path_factory.mktemp("serial") / name for name in RUNS}
    for name, folder in folders.items():
        native_build.run(run_of(name, serial_program, folder), {"OMP_NUM_THREADS": "1"})
    assert [figures(folder)["surrogate_share"] > 0.9 for folder in folders.values()] == [False, True, True]
    return folders


def assert_same_run(serial: Path, name: str, program: Path, folder: Path, ranks: int, threads: int = 1) -> None:
    printed = mpi.mpirun(ranks, run_of(name, program, folder), threads)
    assert printed.count("Summary") == 1  # one rank speaks
    expected, found = answers(serial), answers(folder)
    assert len(expected) == 5
    assert found.keys() == expected.keys()
    for name, content in expected.items():
        assert found[name] == content, name


@pytest.mark.parametrize(("name", "threads"), [("exact", 1), ("auto", 2), ("routed", 1)])
def test_two_ranks_write_the_bits_of_one_process(
    serial_runs: dict[str, Path], mpi_program: Path, tmp_path: Path, name: str, threads: int
) -> None:
    assert_same_run(serial_runs[name], name, mpi_program, tmp_path / "run", 2, threads)


@pytest.mark.long
@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("ranks", [1, 3, 4, 12])  # 12: two or three rows each
def test_any_number_of_ranks_writes_the_same_bits(
    serial_runs: dict[str, Path], mpi_program: Path, tmp_path: Path, name: str, ranks: int
) -> None:
    assert_same_run(serial_runs[name], name, mpi_program, tmp_path / "run", ranks)


def test_imbalance_is_what_the_statuses_say(mpi_program: Path, tmp_path: Path) -> None:
    """One step, one cell of five integrated, chosen by its input: rows 1-12 and 13-25 have shares of their own."""
    case = small_collision(f'{FIXED}, "exact_every=5"').replace("max_steps = 10", "max_steps = 1")
    folder = tmp_path / "run"
    printed = mpi.mpirun(2, command(mpi_program, folder, case.replace("&case", "&case\n  run%progress_every = 1")))
    status = read_run(folder)[-1].fields["status"]
    served = np.isin(status, [Status.SURROGATE, Status.UNCHANGED])
    exact = np.array([np.count_nonzero(~rows) for rows in (served[:12], served[12:])])
    assert 0 < exact.min() < exact.max()
    found = figures(folder)
    assert found["ranks"] == 2
    assert found["imbalance_exact"] == found["imbalance_exact_worst"] == pytest.approx(exact.max() / exact.mean())
    assert 1 <= found["imbalance_seconds"] == found["imbalance_seconds_worst"] <= 2
    header, line = (line.split() for line in printed.splitlines()[1:3])
    assert header[-1] == "imbalance"
    assert float(line[-1]) == pytest.approx(found["imbalance_seconds"], abs=0.006)
    assert "chemistry seconds of the slowest rank" in printed


def test_imbalance_of_many_steps(serial_runs: dict[str, Path], mpi_program: Path, tmp_path: Path) -> None:
    mpi.mpirun(2, command(mpi_program, tmp_path / "run", small_collision(), "exact"))
    found = figures(tmp_path / "run")
    # Every cell is integrated: 13 rows of 25 on one rank.
    assert found["imbalance_exact"] == found["imbalance_exact_worst"] == pytest.approx(13 / 12.5)
    assert 1 <= found["imbalance_seconds"] <= found["imbalance_seconds_worst"] <= 2
    assert not any("imbalance" in name for name in figures(serial_runs["exact"]))


def test_audit_takes_the_same_cells_on_any_rank(serial_program: Path, mpi_program: Path, tmp_path: Path) -> None:
    """Audited cells are chosen by their own bits. Only a threshold that an audit moves is a rank's own matter."""
    case = small_collision('"audit=0.02"')
    native_build.run(command(serial_program, tmp_path / "one", case), {"OMP_NUM_THREADS": "1"})
    mpi.mpirun(2, command(mpi_program, tmp_path / "two", case))
    assert figures(tmp_path / "one")["audited_share"] > 0.01
    assert answers(tmp_path / "two") == answers(tmp_path / "one")


@pytest.mark.parametrize(
    ("change", "model", "message"),
    [
        (("grid%ny = 25", "grid%ny = 1"), MODEL, "1-D run has one row"),
        (("grid%ny = 25", "grid%ny = 4"), MODEL, "too many ranks"),
        (("audit=0", "audit"), MODEL, "must be of the form key=value"),
        (("audit=0", "audit=much"), MODEL, "audit"),
        (("react", "react"), "no_such_model", "no model named 'no_such_model'"),
        (("chemistry%options", "chemistry%devices = 2\n  chemistry%options"), MODEL, "device"),
    ],
)
def test_mistakes_end_the_run_on_all_ranks(
    mpi_program: Path, tmp_path: Path, change: tuple[str, str], model: object, message: str
) -> None:
    words = command(mpi_program, tmp_path / "run", small_collision().replace(*change))
    words[3] = model
    result = mpi.start(3, words, {"OMP_NUM_THREADS": "1"})
    assert result.returncode != 0
    assert message in result.stdout + result.stderr
    assert not (tmp_path / "run" / "summary.txt").exists()


def test_program_of_the_guide(osu: Network, tmp_path: Path) -> None:
    program = clouds.built("mpi", "clouds.f90", tmp_path)
    values = set()
    for ranks in (1, 2, 3):
        (line,) = mpi.mpirun(ranks, [program]).splitlines()
        _, _, value, _, imbalance = line.split()
        values.add(value)
        assert 1 <= float(imbalance) <= ranks
    (value,) = values
    assert float(value) == pytest.approx(clouds.mean_co(osu), rel=1e-12)


def test_python_host_writes_the_same_file(osu: Network, tmp_path: Path) -> None:
    pytest.importorskip("mpi4py")
    script = native_build.ROOT / "examples" / "mpi_python" / "clouds.py"
    fixed = ["--model", MODEL, "--audit", "0", "--cells", "301", "--steps", "3"]
    for ranks in (1, 2):
        words = [sys.executable, script, *fixed, "--output", tmp_path / f"{ranks}.npy"]
        seconds, exact = mpi.mpirun(ranks, words).splitlines()
        assert seconds.startswith(f"seconds: largest / mean over {ranks} ranks")
        assert 1 <= float(exact.split()[-1]) <= ranks
    assert (tmp_path / "2.npy").read_bytes() == (tmp_path / "1.npy").read_bytes()
    n = np.load(tmp_path / "1.npy")
    assert n.shape == (301, osu.n_species)
    assert (np.diff(n[:, osu.species_index("H2")]) > 0).all()  # in the order of their densities, as they were made


@pytest.mark.long
def test_a_short_run_of_the_benchmark(tmp_path: Path) -> None:
    script = native_build.ROOT / "benchmarks" / "mpi_scaling.py"
    options = ["--repeats", "1", "--steps", "2", "--prefix", native_build.install()]
    native_build.run([sys.executable, script, *options, "--output", tmp_path / "table.txt"])
    table = (tmp_path / "table.txt").read_text(encoding="utf-8")
    assert table.count("\n  process, 1 thread ") == table.count("\n  2 ranks, 1 thread each") == 2
