"""Straight-line kernels against the tables that they were written from, in the library and compiled by its user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import DECAY_CHAIN
from native_build import MODEL, NativeBuild, run
from test_c import SOURCES, read_result, write_cells
from test_isa import available
from workload import YEAR_S, Workload, cell_errors, workload

from pychemsurrogate import Solver, _native
from pychemsurrogate.cli import main
from pychemsurrogate.integrators import CompileError, NativeRosenbrock, compile_kernels, open_network
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.network import Network, parse_network


def changed(network: Network, reaction: str, old: str, new: str) -> Network:
    """The network with another text in one reaction's line."""
    text = network.text()
    line = next(line for line in text.splitlines() if line.startswith(reaction))
    assert old in line
    return parse_network(text.replace(line, line.replace(old, new)))


@pytest.fixture(scope="module")
def own(osu: Network) -> Network:
    """A network for which the library has no code."""
    return changed(osu, "CH+ + H -> C+ + H2", "C+ + H2", "C+ + H + H")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache for the tests of this file; whatever is compiled there once serves all of them."""
    folder = tmp_path_factory.mktemp("kernels") / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PCS_KERNEL_CACHE", str(folder))
        yield folder


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PCS_KERNEL_CACHE", str(tmp_path / "empty"))
    return tmp_path / "empty"


@pytest.fixture(scope="module")
def cells(osu: Network) -> Workload:
    return workload(osu, 400, seed=21)


@pytest.fixture(scope="module", params=["in the library", "compiled by the user"])
def network(request: pytest.FixtureRequest, osu: Network, own: Network, cache: Path) -> Network:
    return osu if request.param == "in the library" else own


def pair(network: Network, **options: float) -> tuple[NativeRosenbrock, NativeRosenbrock]:
    """The same integrator on straight-line code and on tables."""
    code = NativeRosenbrock(network, **options, kernels="compiled")
    assert code._solver.has_code
    return code, NativeRosenbrock(network, **options, kernels="tables")


def test_the_shipped_network_has_code_and_others_do_not(osu: Network, own: Network, decay_chain: Network) -> None:
    def has_code(network: Network) -> bool:
        return open_network(network).has_code

    assert has_code(osu)
    assert not has_code(decay_chain)
    # Other rate coefficients are no other structure; another product is.
    assert has_code(changed(osu, "CH+ + H -> C+ + H2", "7.5e-10", "7.6e-10"))
    assert not has_code(own)


def test_one_step_is_the_same_to_round_off(network: Network, cells: Workload) -> None:
    code, tables = pair(network)
    n, status = code.advance(cells.n, 1e-3 * YEAR_S, cells.temperature, cells.conditions)
    n_tables, status_tables = tables.advance(cells.n, 1e-3 * YEAR_S, cells.temperature, cells.conditions)
    assert np.array_equal(status, status_tables)
    scale = np.maximum(n_tables, 1e-15 * n_tables.sum(1, keepdims=True))
    assert np.max(np.abs(n - n_tables) / scale) <= 1e-11


@pytest.mark.parametrize("rtol", [1e-2, 1e-4])
def test_integrations_agree_within_a_tenth_of_the_tolerance(network: Network, cells: Workload, rtol: float) -> None:
    code, tables = pair(network, rtol=rtol)
    n, _ = code.advance(cells.n, cells.dt, cells.temperature, cells.conditions)
    n_tables, _ = tables.advance(cells.n, cells.dt, cells.temperature, cells.conditions)
    error = cell_errors(n, n_tables, network.tables().scale_weights)
    assert np.quantile(error, 0.99) <= 0.1 * rtol / np.log(10)


def test_unknown_kernels() -> None:
    with pytest.raises(ValueError, match="auto, tables, compiled"):
        _native.Solver.open(str(MODEL)).set_option("kernels", "fast")


# --- compiled by the user ---------------------------------------------------------------------------------------------

SAME_BITS = """
import sys
import numpy as np
from pychemsurrogate import _native
from pychemsurrogate.integrators import NativeRosenbrock, compile_kernels
from pychemsurrogate.network import load_network
cells = np.load(sys.argv[1])
library, own = (NativeRosenbrock(load_network("osu_09_2008")) for _ in range(2))
path = compile_kernels(own._solver)
own._solver.use_object(str(path))
(n, status), (n_own, status_own) = (
    i.advance(cells["n"], cells["dt"], cells["temperature"], {"zeta": cells["zeta"]}) for i in (library, own)
)
assert (status > 0).all() and np.array_equal(status, status_own)
assert np.array_equal(n.view(np.int64), n_own.view(np.int64))
print(path.name.partition("-")[2].partition("-")[2], _native.isa())
"""


@pytest.mark.parametrize(
    "isa", ["avx2", pytest.param("avx512", marks=pytest.mark.long), pytest.param("sse2", marks=pytest.mark.long)]
)
def test_same_bits_as_in_the_library(isa: str, cells: Workload, cache: Path, tmp_path: Path) -> None:
    """The shipped network's kernels, compiled by the user's compiler (here that of the library)."""
    if not available(isa):
        pytest.skip(f"the processor lacks {isa}")
    np.savez(tmp_path / "cells.npz", n=cells.n, dt=cells.dt, temperature=cells.temperature, zeta=cells.zeta)
    output = run([sys.executable, "-c", SAME_BITS, tmp_path / "cells.npz"], {"PCS_ISA": isa})
    assert output.split() == [f"{isa}.so", isa]


def test_solver_compiles_at_first_use(own: Network, cells: Workload, cache: Path, tmp_path: Path) -> None:
    ModelFile.from_network(own).write(tmp_path / "own.pcs")
    result = CliRunner().invoke(main, ["model", "compile", str(tmp_path / "own.pcs")])
    assert result.exit_code == 0, result.output
    assert result.output.startswith(str(cache))
    part = cells[:40]
    n, report = Solver.load(tmp_path / "own.pcs", kernels="compiled").step(
        part.n, part.dt, part.temperature, zeta=part.zeta
    )
    assert report.ok
    code, _ = pair(own)
    assert np.array_equal(n, code.advance(part.n, part.dt, part.temperature, part.conditions)[0])
    again = CliRunner().invoke(main, ["model", "compile", str(tmp_path / "own.pcs")])
    assert "compiled before" in again.output


def test_processes_that_start_together_compile_once(empty_cache: Path, tmp_path: Path) -> None:
    (tmp_path / "chain.network").write_text(DECAY_CHAIN, encoding="utf-8")
    compiler = tmp_path / "compiler"
    compiler.write_text(f'#!/bin/sh\necho called >> "{tmp_path}/calls"\nexec c++ "$@"\n', encoding="utf-8")
    compiler.chmod(0o755)
    command = [sys.executable, "-m", "pychemsurrogate", "model", "compile", tmp_path / "chain.network"]
    environment = {**os.environ, "CXX": str(compiler)}
    started = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    answers = {process.communicate()[0].split()[0] for process in started}
    assert [process.returncode for process in started] == [0, 0, 0]
    assert len(answers) == 1
    assert Path(answers.pop()).parent == empty_cache
    assert (tmp_path / "calls").read_text(encoding="utf-8") == "called\n"


def test_nothing_to_compile_for_the_shipped_network() -> None:
    result = CliRunner().invoke(main, ["model", "compile", "osu_09_2008"])
    assert result.exit_code == 0
    assert "part of the library" in result.output


@pytest.mark.parametrize(
    ("compiler", "message"), [("no-such-compiler", "no C\\+\\+ compiler.*set CXX"), ("false", "false .* failed")]
)
def test_without_a_compiler(
    own: Network, empty_cache: Path, monkeypatch: pytest.MonkeyPatch, compiler: str, message: str
) -> None:
    monkeypatch.setenv("CXX", compiler)
    with pytest.raises(CompileError, match=message):
        NativeRosenbrock(own, kernels="compiled")
    assert not list(empty_cache.glob("*.so"))


def test_folder_that_cannot_be_made(own: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PCS_KERNEL_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(CompileError, match="set PCS_KERNEL_CACHE"):
        NativeRosenbrock(own, kernels="compiled")


def test_learned_step_on_code_and_on_tables(cells: Workload, osu: Network) -> None:
    code, tables = (
        Solver.load("osu_09_2008-multiclock", mode="surrogate", kernels=kernels).step(
            cells.n, cells.dt, cells.temperature, zeta=cells.zeta
        )
        for kernels in ("auto", "tables")
    )
    assert np.array_equal(code[1].status, tables[1].status)
    assert not np.array_equal(code[0], tables[0])  # sums in another order: it is other code
    assert cell_errors(code[0], tables[0], osu.tables().scale_weights).max() <= 1e-5


def test_large_networks_are_left_to_the_tables(empty_cache: Path) -> None:
    names = [f"A{i}" for i in range(60)]  # every matrix entry is there: 60^3 / 3 multiplications
    reactions = [f"{a} -> {b} | arrhenius | 1e-9 0 0" for a in names for b in names if a != b]
    head = ["pychemsurrogate network 1", "name: dense", "source: made for this test", f"species: {' '.join(names)}"]
    define = [f"define: {name} X=1 charge=0 mass_g=1e-24" for name in names]
    dense = parse_network("\n".join([*head, *define, "reactions:", *reactions]) + "\n")
    with pytest.raises(ValueError, match=r"too large for straight-line code: .* 70210 multiplications"):
        NativeRosenbrock(dense, kernels="compiled")
    assert not empty_cache.exists()


def test_where_objects_go(own: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    solver = open_network(own)
    monkeypatch.setenv("PCS_KERNEL_CACHE", "/mine")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    monkeypatch.setenv("HOME", "/home/me")
    assert Path(solver.object_path("avx2")).parent == Path("/mine")
    monkeypatch.delenv("PCS_KERNEL_CACHE")
    assert Path(solver.object_path("avx2")).parent == Path("/xdg/pychemsurrogate")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert Path(solver.object_path("avx2")).parent == Path("/home/me/.cache/pychemsurrogate")
    monkeypatch.delenv("HOME")
    with pytest.raises(ValueError, match="set PCS_KERNEL_CACHE"):
        solver.object_path("avx2")
    with pytest.raises(ValueError, match="one of sse2, avx2, avx512"):
        solver.object_path("neon")


def test_auto_leaves_the_cache_alone(own: Network, cache: Path) -> None:
    """What a host has not asked for it does not get: other bits on a machine where a file happens to lie."""
    compile_kernels(open_network(own))
    solver = open_network(own)
    solver.set_option("kernels", "auto")
    assert not solver.has_code


def test_no_lock_is_opened_through_a_link_or_in_a_folder_of_others(
    own: Network, empty_cache: Path, tmp_path: Path
) -> None:
    solver = open_network(own)
    lock = Path(solver.object_path(_native.isa())).with_suffix(".lock")
    victim = tmp_path / "victim"
    victim.write_text("kept", encoding="utf-8")
    empty_cache.mkdir(mode=0o700)
    lock.symlink_to(victim)
    with pytest.raises(CompileError, match="is a link or a pipe"):
        compile_kernels(solver)
    lock.unlink()
    os.mkfifo(lock)
    with pytest.raises(CompileError, match="is not a file"):
        compile_kernels(solver)
    lock.unlink()
    empty_cache.chmod(0o777)
    lock.symlink_to(victim)
    with pytest.raises(CompileError, match="could be changed by other users"):
        compile_kernels(solver)
    assert victim.read_text(encoding="utf-8") == "kept"
    assert not list(empty_cache.glob("*.so"))


def test_objects_that_are_refused(own: Network, decay_chain: Network, cache: Path, tmp_path: Path) -> None:
    folder = tmp_path / "objects"
    folder.mkdir(mode=0o700)
    good = Path(shutil.copy(compile_kernels(open_network(own)), folder))
    solver, other = open_network(own), open_network(decay_chain)

    def refused(message: str, name: str = good.name, network: _native.Solver = solver) -> None:
        with pytest.raises(ValueError, match=message):
            network.use_object(str(folder / name))

    content, interface = good.read_bytes(), bytes.fromhex(good.name.split("-")[1])[::-1]
    assert content.count(interface) == 1
    for name, bytes_of in {
        "text.so": b"no object",
        "other_version.so": content.replace(interface, b"12345678"),
    }.items():
        (folder / name).write_bytes(bytes_of)
        (folder / name).chmod(0o644)
    run(["c++", "-shared", "-x", "c++", os.devnull, "-o", folder / "foreign.so"])
    (folder / "link.so").symlink_to(good)
    refused("cannot be loaded", "text.so")
    refused("another version", "other_version.so")
    refused("none of pychemsurrogate's", "foreign.so")
    refused("not a file", "link.so")
    refused("another network", network=other)
    refused("`pychemsurrogate model compile MODEL`", "absent.so")
    good.chmod(0o775)
    refused("could be changed by other users: chmod go-w")
    good.chmod(0o755)
    folder.chmod(0o777)
    refused("could be changed by other users: chmod go-w")
    folder.chmod(0o700)
    solver.use_object(str(good))
    assert solver.has_code
    if os.geteuid() == 0:
        os.chown(good, 1000, 1000)
        refused("belong to another user")


def test_libpcs_loads_and_never_compiles(
    libpcs: NativeBuild, own: Network, cells: Workload, cache: Path, tmp_path: Path
) -> None:
    ModelFile.from_network(own).write(tmp_path / "own.pcs")
    compile_kernels(open_network(own))
    part = cells[:40]
    program = libpcs.compile_c([SOURCES / "steps.c"], tmp_path / "steps")
    write_cells(tmp_path / "cells.bin", part)
    arguments = [program, tmp_path / "own.pcs", tmp_path / "cells.bin", tmp_path / "out", "compiled"]
    assert run(arguments) == "ok\n"
    code, _ = pair(own)
    n, status = code.advance(part.n, part.dt, part.temperature, part.conditions)
    assert read_result(tmp_path / "out", part) == (n.tobytes(), status.tolist())
    with pytest.raises(AssertionError, match=r"are not there: run `pychemsurrogate model compile MODEL`"):
        run(arguments, {"PCS_KERNEL_CACHE": str(tmp_path / "empty")})
    assert not (tmp_path / "empty").exists()
