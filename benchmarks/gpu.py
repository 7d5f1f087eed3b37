#!/usr/bin/env python3
"""Everything on a GPU, beside one core and all cores in the same run: one command, every row.

Usage: python benchmarks/gpu.py [--quick] [--only SECTION ...] [--device cuda] [--output FILE]

Needs libpcs_cuda (-DPCS_CUDA=ON), torch with CUDA, and CuPy for the rates of the card. Where no GPU is, the CPU columns
are measured and the others say so. Rows come as they are measured and are kept in FILE and beside it as JSON at once. A
section that fails prints its traceback and a FAILED row, the others go on, and the exit code is 1.

GPU: CUDA events around a call whose arrays lie on the device, median of the repeats after two calls that are not
counted; latencies are the host's clock around a call and a wait. CPU: the host's clock, median. Cells are some 1e4 made
by the CPU, repeated to fill the batch; they are restored before every call, outside of the timing. Layout: species by
species (strides 1 and cells), as a hydro code has fields, unless a row says otherwise.

The floor of a learned step is the larger of two times: the bytes that must move (states in and out, dt, temperature,
conditions, status) at the measured copy bandwidth, and the products of the nets' matrices at the measured rate of
single precision without tensor cores. Rates of reactions, implicit steps, projections and logarithms are not counted:
the share reached is understated.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from machine import Table, describe_machine
from numpy.typing import NDArray
from step_paths import hydro_like
from workload import Workload, cell_errors, dex_errors, workload

from pychemsurrogate.integrators import NativeRosenbrock
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.network import Network, load_network
from pychemsurrogate.solver import Solver
from pychemsurrogate.status import Status

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
FloatArray = NDArray[np.float64]

MODEL = "osu_09_2008"
PATHS = ("fast", "accurate")
# A router that sees the integrator as dear sends every cell to the learned paths, on all machines alike.
LEARNED_FIRST = (1e6, 1e6, 0.0, 1.0, 1.0)
NO_GPU = "not measured: no GPU"
SECONDS_A_ROW = 3.0  # that repeats may take on the GPU
HYDRO_STEPS = 10
FLOOR = 1e-12  # n / n_H above which a species' error counts


@dataclass
class Bench:
    """What a run measures with, and the rows it has."""

    say: Table
    device: str  # "" without a GPU
    quick: bool
    output: Path
    umist: Path | None
    rows: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, float] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    @cached_property
    def network(self) -> Network:
        """The shipped network."""
        return load_network(MODEL)

    @property
    def cells(self) -> int:
        """Of a full batch."""
        return 1 << 16 if self.quick else 1 << 22

    @property
    def unique(self) -> int:
        """Of the cells that the CPU makes."""
        return 2048 if self.quick else 16384

    @property
    def repeats(self) -> int:
        """Of a row, at least."""
        return 3 if self.quick else 5

    @cached_property
    def hydro_like(self) -> Workload:
        """Relaxed cells in a hydro run."""
        return hydro_like(self.network, self.unique, 1)

    @cached_property
    def arbitrary(self) -> Workload:
        """The workload of the integrator's benchmarks."""
        return workload(self.network, self.unique, 1)

    def head(self, text: str) -> None:
        """A section's line, and the columns."""
        self.say("", text, f"  {'':56s} {'unit':10s} {'GPU':>22s} {'one core':>10s} {'all cores':>10s}  target")
        self.keep()

    def row(
        self,
        name: str,
        unit: str,
        gpu: float | None = None,
        one: float | None = None,
        every: float | None = None,
        *,
        at_least: float | None = None,
        at_most: float | None = None,
        note: str = "",
    ) -> None:
        """One line: None where nothing was measured."""
        target, met = "", None
        bound = at_least if at_least is not None else at_most
        if bound is not None:
            target = f"{'>=' if at_least is not None else '<='} {bound:.4g}"
            if gpu is not None:
                met = gpu >= bound if at_least is not None else gpu <= bound
                target += " met" if met else " MISSED"

        def shown(value: float | None) -> str:
            return "-" if value is None else f"{value:.4g}"

        on_gpu = shown(gpu) if self.device else NO_GPU
        self.say(
            f"  {name:56s} {unit:10s} {on_gpu:>22s} {shown(one):>10s} {shown(every):>10s}  "
            f"{target}{'; ' if target and note else ''}{note}".rstrip()
        )
        self.rows.append(
            {"row": name, "unit": unit, "gpu": gpu, "one_core": one, "all_cores": every, "target": target, "met": met,
             "note": note}
        )  # fmt: skip
        self.keep()

    def keep(self) -> None:
        """Write what is known so far."""
        self.say.keep(self.output)
        text = json.dumps({"facts": self.facts, "rows": self.rows, "failed": self.failed}, indent=1)
        self.output.with_suffix(".json").write_text(text + "\n", encoding="utf-8")


# --- measuring ------------------------------------------------------------------------------------------------------


def on_cpu(call: Callable[[], Any], repeats: int) -> float:
    """Median of the wall times [s] after one call that is not counted."""
    call()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def on_gpu(call: Callable[[], Any], restore: Callable[[], Any] = lambda: None, least: int = 3) -> float:
    """Median of the device's times [s] between events around the call, after two calls that are not counted."""
    import torch

    def once() -> float:
        restore()
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        stop.record()
        stop.synchronize()
        return float(start.elapsed_time(stop)) / 1e3

    once()
    expected = once()
    repeats = max(least, min(25, int(SECONDS_A_ROW / max(expected, 1e-6))))
    return float(np.median([once() for _ in range(repeats)]))


def latency(call: Callable[[], Any], repeats: int = 200) -> float:
    """Median of the host's times [s] of a call and a wait for its end."""
    import torch

    for _ in range(10):
        call()
    torch.cuda.synchronize()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


@dataclass
class OnGpu:
    """A batch on the device: n (cells, species), one value a cell else; `start` restores n."""

    n: Any
    dt: Any
    temperature: Any
    conditions: dict[str, Any]
    start: Any

    @classmethod
    def of(cls, cells: Workload, count: int, device: str, *, by_cell: bool = False) -> OnGpu:
        """The cells repeated to `count`; by_cell: every cell's species side by side."""
        import torch

        times = -(-count // len(cells))

        def column(values: FloatArray) -> Any:
            return torch.as_tensor(np.broadcast_to(values, len(cells)).copy(), device=device).repeat(times)[:count]

        start = torch.as_tensor(np.ascontiguousarray(cells.n.T), device=device).repeat(1, times)[:, :count]
        start = start.T.contiguous() if by_cell else start.contiguous().T
        conditions = {name: column(values) for name, values in cells.conditions.items()}
        return cls(start.clone(), column(cells.dt), column(cells.temperature), conditions, start)

    def restore(self) -> None:
        """The states as they were."""
        self.n.copy_(self.start)

    def step(self, solver: Solver) -> Any:
        """One step in place; the report."""
        return solver.step(self.n, self.dt, self.temperature, out=self.n, **self.conditions)[1]


def cpu_rates(load: Callable[[int], Solver], cells: Workload, repeats: int) -> tuple[float, float]:
    """Cells a second in place on one core and on all."""
    rates = []
    for threads in (1, 0):
        solver, n = load(threads), cells.n.copy()

        def call(solver: Solver = solver, n: FloatArray = n) -> None:
            np.copyto(n, cells.n)
            solver.step(n, cells.dt, cells.temperature, out=n, **cells.conditions)

        rates.append(len(cells) / on_cpu(call, repeats))
    return rates[0], rates[1]


def trusted(cells: Workload, path: str) -> Workload:
    """The cells that the path's gate trusts, by the CPU's verdict."""
    _, report = learned(path, "cpu").step(cells.n, cells.dt, cells.temperature, **cells.conditions)
    return cells[np.flatnonzero(report.status == Status.SURROGATE)]


def learned(path: str, device: str, **options: Any) -> Solver:
    """Gate, learned step, conservation; the exact path for what the gate refuses, and for nothing else."""
    given = {"mode": "auto", "costs": LEARNED_FIRST, "exact_every": 0, "audit": 0.0, "engine": "native"} | options
    return Solver.load(MODEL, path=path, device=device, **given)


def net_flops(path: str) -> int:
    """Of the products of the nets' matrices for one cell: one expert, and the head."""
    flops = 0
    for name, array in ModelFile.read(MODEL).of_path(path).arrays.items():
        if name.startswith("surrogate/expert_w"):
            flops += 2 * int(array[0].size)
        elif name.startswith("surrogate/head_w"):
            flops += 2 * int(array.size)
    return flops


def bytes_a_cell(network: Network) -> int:
    """That a step in place must move."""
    return 8 * (2 * network.n_species + 2 + len(network.conditions)) + 1


# --- sections -------------------------------------------------------------------------------------------------------

FMA = """
extern "C" __global__ void fma_rate(REAL* out, int rounds) {
    REAL a[8];
    for (int k = 0; k < 8; ++k) a[k] = (REAL)(threadIdx.x + k);
    const REAL x = (REAL)0.999, y = (REAL)0.001;
    for (int round = 0; round < rounds; ++round)
        for (int k = 0; k < 8; ++k) a[k] = a[k] * x + y;
    REAL sum = 0;
    for (int k = 0; k < 8; ++k) sum += a[k];
    out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}
"""


def card(bench: Bench) -> None:
    """What the card can do, measured here."""
    bench.head("the card")
    size = 1 << (22 if bench.quick else 27)
    source, target = np.ones(min(size, 1 << 25)), np.zeros(min(size, 1 << 25))
    copied = 2 * source.nbytes / on_cpu(lambda: np.copyto(target, source), 3)
    if not bench.device:
        bench.row("copy bandwidth, read + written", "B/s", None, copied)
        bench.row("products of matrices", "FLOP/s")
        return
    import torch

    a = torch.ones(size, dtype=torch.float64, device=bench.device)
    b = torch.empty_like(a)
    bench.facts["bandwidth"] = 2 * a.nbytes / on_gpu(lambda: b.copy_(a))
    bench.row("copy bandwidth, read + written", "B/s", bench.facts["bandwidth"], copied)
    n = 1024 if bench.quick else 8192
    for name, kind, tf32 in (
        ("float64", torch.float64, False),
        ("float32", torch.float32, False),
        ("float32 as tf32", torch.float32, True),
        ("bfloat16", torch.bfloat16, False),
    ):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        x, y = (torch.randn(n, n, device=bench.device).to(kind) for _ in range(2))
        out = torch.empty_like(x)
        rate = 2 * n**3 / on_gpu(lambda x=x, y=y, out=out: torch.matmul(x, y, out=out))
        bench.facts[f"matrix {name}"] = rate
        bench.row(f"product of matrices, {name}, n = {n}", "FLOP/s", rate)
    torch.backends.cuda.matmul.allow_tf32 = False
    import cupy

    processors = torch.cuda.get_device_properties(bench.device).multi_processor_count
    rounds = 1024 if bench.quick else 16384
    for real, name in (("float", "float32"), ("double", "float64")):
        kernel = cupy.RawKernel(FMA.replace("REAL", real), "fma_rate")
        blocks, threads = 8 * processors, 256
        out = cupy.empty(blocks * threads, dtype=name)
        given = (out, np.int32(rounds))
        seconds = on_gpu(lambda run=kernel, b=blocks, t=threads, g=given: run((b,), (t,), g))
        rate = 2 * 8 * rounds * blocks * threads / seconds
        bench.facts[f"fma {name}"] = rate
        bench.row(f"multiply-adds in registers, {name}", "FLOP/s", rate)


def surrogate(bench: Bench) -> None:
    """The learned step with gate and conservation, cells that the gate trusts; then as a host has it."""
    network = bench.network
    for path, target in zip(PATHS, (5e8, 1.5e8), strict=True):
        bench.head(f"learned step, {path}: gate, net, conservation; {bench.cells} cells that the gate trusts, one step")
        cells = trusted(bench.hydro_like, path)
        one, every = cpu_rates(lambda threads, path=path: learned(path, "cpu", threads=threads), cells, bench.repeats)
        flops, moved = net_flops(path), bytes_a_cell(network)
        bench.say(f"  {moved} bytes and {flops / 1e3:.1f} kFLOP of the nets' matrices a cell; CPU: {len(cells)} cells")
        if not bench.device:
            bench.row(f"{path}, native", "cells/s", None, one, every, at_least=target)
            bench.row(f"{path}, native, share of the floor", "", at_least=0.4)
            bench.row(f"{path}, torch engine", "cells/s")
            continue
        batch = OnGpu.of(cells, bench.cells, bench.device)
        solver = learned(path, bench.device)
        bench.say(f"  {solver!r}")
        rate = bench.cells / on_gpu(lambda b=batch, s=solver: b.step(s), batch.restore, bench.repeats)
        batch.restore()
        report = batch.step(solver)
        bench.row(f"{path}, native", "cells/s", rate, one, every, at_least=target,
                  note=f"{report.surrogate} of {report.cells} by the surrogate")  # fmt: skip
        rates = bench.facts.get("fma float32", bench.facts.get("matrix float32"))
        if rates and "bandwidth" in bench.facts:
            by_bytes, by_flops = bench.facts["bandwidth"] / moved, rates / flops
            floor = min(by_bytes, by_flops)
            bench.row(f"{path}, native, share of the floor", "", rate / floor, at_least=0.4,
                      note=f"floor {floor:.3g} cells/s: bytes {by_bytes:.3g}, matrices {by_flops:.3g}")  # fmt: skip
        rows = OnGpu.of(cells, bench.cells, bench.device, by_cell=True)
        bench.row(f"{path}, native, species side by side", "cells/s",
                  bench.cells / on_gpu(lambda b=rows, s=solver: b.step(s), rows.restore, bench.repeats))  # fmt: skip
        del rows
        host = learned(path, bench.device, exact_every=100, audit=0.001)
        all_kinds = OnGpu.of(bench.hydro_like, bench.cells, bench.device)
        seconds = on_gpu(lambda b=all_kinds, s=host: b.step(s), all_kinds.restore, bench.repeats)
        all_kinds.restore()
        report = all_kinds.step(host)
        bench.row(f"{path}, native, all hydro-like cells, defaults", "cells/s", bench.cells / seconds,
                  note=f"exact: {100 * report.exact / report.cells:.2f} %")  # fmt: skip
        del all_kinds
        other = learned(path, bench.device, engine="torch")
        bench.row(f"{path}, torch engine", "cells/s",
                  bench.cells / on_gpu(lambda b=batch, s=other: b.step(s), batch.restore, bench.repeats))  # fmt: skip


def seed(bench: Bench) -> None:
    """The seed paper's linear model: 100 outputs a trajectory."""
    from pychemsurrogate.training.seed.data import ELAPSED, TEMPERATURE, ZETA, initial_states

    batch = 1000 if bench.quick else 100_000
    bench.head(f"the seed paper's linear model, {len(ELAPSED)} outputs a trajectory, batch {batch}")
    n = initial_states(bench.network, "published", batch, seed=7)

    def cpu(threads: int, count: int, conserve: bool) -> float:
        solver = Solver.load("seed-linear", mode="surrogate", threads=threads)
        out = np.zeros((count, len(ELAPSED), n.shape[1]))

        def call() -> None:
            solver.trajectory(n[:count], ELAPSED, TEMPERATURE, zeta=ZETA, conserve=conserve, out=out)

        return on_cpu(call, bench.repeats) / count

    few = min(batch, 10_000)
    for conserve, what in ((False, "nets alone"), (True, "with projection")):
        one, every = (len(ELAPSED) / cpu(threads, few, conserve) for threads in (1, 0))
        single = 1e6 * cpu(1, 1, conserve)
        rates: list[tuple[str, float | None, float | None]] = [("native", None, None)]
        if bench.device:
            rates = [(engine, *seed_on_gpu(bench, engine, n, conserve)) for engine in ("native", "torch")]
        for engine, rate, micro in rates:
            native = engine == "native"
            bench.row(f"{engine}, {what}", "outputs/s", rate, one if native else None, every if native else None,
                      at_least=1e9 if native and not conserve else None)  # fmt: skip
            bench.row(f"{engine}, {what}, batch 1, latency", "us", micro, single if native else None,
                      at_most=50 if native and not conserve else None,
                      note="paper: 450 us (RTX 2080 Ti)" if native and not conserve else "")  # fmt: skip


def seed_on_gpu(bench: Bench, engine: str, n: FloatArray, conserve: bool) -> tuple[float, float]:
    """Outputs a second of the batch, and microseconds of one trajectory."""
    import torch

    from pychemsurrogate.training.seed.data import ELAPSED, TEMPERATURE, ZETA

    solver = Solver.load("seed-linear", mode="surrogate", device=bench.device, engine=engine)
    states = torch.as_tensor(n, device=bench.device)
    single = states[:1].clone()
    results: dict[int, Any] = {}
    if engine == "native":
        for count in (len(n), 1):
            results[count] = torch.empty((count, len(ELAPSED), n.shape[1]), dtype=torch.float64, device=bench.device)

    def call(given: Any) -> None:
        solver.trajectory(given, ELAPSED, TEMPERATURE, zeta=ZETA, conserve=conserve, out=results.get(len(given)))

    rate = len(n) * len(ELAPSED) / on_gpu(lambda: call(states), least=bench.repeats)
    micro = 1e6 * latency(lambda: call(single))
    if engine == "native":
        replay = 1e6 * latency(recorded(lambda: call(single)).replay)
        what = "with projection" if conserve else "nets alone"
        bench.row(f"{engine}, {what}, batch 1 as a CUDA graph, latency", "us", replay)
    return rate, micro


def recorded(call: Callable[[], Any]) -> Any:
    """The call as a CUDA graph."""
    import torch

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            call()
    side.synchronize()
    made = torch.cuda.CUDAGraph()
    with torch.cuda.graph(made, stream=side):
        call()
    return made


def exact(bench: Bench) -> None:
    """Mode exact on the integrator's workload at rtol 1e-2."""
    cells = bench.arbitrary
    bench.head(f"exact integrator, workload.py, rtol 1e-2, atol 1e-15; {bench.cells} cells, CPU {len(cells)}")
    truth, _ = NativeRosenbrock(bench.network, rtol=1e-9, atol=1e-22, max_steps=100_000).advance(*cells[:4096].given)
    weights = bench.network.tables().scale_weights

    def load(threads: int, device: str = "cpu", **options: Any) -> Solver:
        given = {"rtol": 1e-2, "atol": 1e-15, "threads": threads, "device": device, "engine": "native"} | options
        return Solver.load(MODEL, mode="exact", **given)

    one, every = cpu_rates(load, cells, bench.repeats)
    moved, _ = load(0).step(*cells[:4096].given[:3], **cells[:4096].conditions)
    p99_cpu = float(np.quantile(cell_errors(moved, truth, weights), 0.99))
    for kernels in ("auto", "tables"):
        rate = p99 = None
        note = ""
        if bench.device:
            batch = OnGpu.of(cells, bench.cells, bench.device)
            solver = load(0, bench.device, kernels=kernels)
            rate = bench.cells / on_gpu(lambda b=batch, s=solver: b.step(s), batch.restore, bench.repeats)
            batch.restore()
            report = batch.step(solver)
            note = f"{report.steps / report.cells:.2f} steps a cell, {report.failed} failed"
            p99 = float(np.quantile(cell_errors(batch.n[: len(truth)].cpu().numpy(), truth, weights), 0.99))
        straight = kernels == "auto"
        name = "straight-line kernels" if straight else "table-driven kernels"
        bench.row(f"{name}", "cells/s", rate, one if straight else None, every if straight else None,
                  at_least=5e6 if straight else None, note=note)  # fmt: skip
        bench.row(f"{name}, cell p99", "dex", p99, p99_cpu if straight else None, at_most=0.015)


def umist(bench: Bench) -> None:
    """A network of the size of UMIST's: a cell to a block."""
    from large_networks import workload as large_workload

    if bench.umist is None:
        bench.head("network of UMIST's size: not run, --umist names the rate file of UMIST RATE22 (.gz will do)")
        return
    with tempfile.TemporaryDirectory() as folder:
        rates = bench.umist
        if rates.suffix == ".gz":
            rates = Path(folder) / "umist.rates"
            rates.write_bytes(gzip.decompress(bench.umist.read_bytes()))
        network = load_network(rates, "umist").restricted()
        model = Path(folder) / "umist.pcs"
        ModelFile.from_network(network).write(model)
        unique = 16 if bench.quick else 128
        cells = large_workload(network, unique, np.random.default_rng(1), hydro_like=False)
        bench.head(f"network of {network.n_species} species (UMIST), rtol 1e-2, {unique} different cells")

        def load(threads: int, device: str = "cpu") -> Solver:
            return Solver.load(model, mode="exact", rtol=1e-2, threads=threads, device=device, engine="native")

        one, every = cpu_rates(load, cells, 1)
        if not bench.device:
            bench.row("exact", "cells/s", None, one, every)
            bench.row("exact, against one core", "x", at_least=10)
            return
        solver, count = load(0, bench.device), unique
        batch = OnGpu.of(cells, count, bench.device)
        batch.step(solver)
        batch.restore()
        pilot = count / on_gpu(lambda: batch.step(solver), batch.restore, 1)
        count = unique if bench.quick else int(min(32768, max(2048, pilot)))
        batch = OnGpu.of(cells, count, bench.device)
        rate = count / on_gpu(lambda: batch.step(solver), batch.restore, 2)
        batch.restore()
        report = batch.step(solver)
        bench.row("exact", "cells/s", rate, one, every, note=f"batch {count}, {report.failed} failed")
        bench.row("exact, against one core", "x", rate / one, at_least=10)
        answer, _ = load(0).step(*cells.given[:3], **cells.conditions)
        error = dex_errors(batch.n[:unique].cpu().numpy(), answer, network.tables().scale_weights, FLOOR)
        bench.row("exact, against the CPU at the same tolerance, max", "dex", float(np.nanmax(error)))


def hydro(bench: Bench) -> None:
    """The 2-D example, all fields on the device, routed."""
    side, of_cpu = (64, 64) if bench.quick else (2048, 256)
    bench.head(f"2-D hydro example, routed: GPU {side} x {side}, two cores {of_cpu} x {of_cpu}, {HYDRO_STEPS} steps")
    cpu = hydro_run("cpu", of_cpu, cores=2)
    bench.say(
        f"  two cores: {cpu['cell_steps_per_s']:.4g} cell steps/s, chemistry {cpu['chemistry_share']:.1%} of them"
    )
    for engine in ("native", "torch"):
        found = hydro_run(bench.device, side, engine=engine) if bench.device else {}
        rate = found.get("cell_steps_per_s")
        native = engine == "native"
        bench.row(f"{engine}, whole step", "cells/s", rate, note=f"two cores: {cpu['cell_steps_per_s']:.4g}")
        bench.row(f"{engine}, chemistry's share of the step", "", found.get("chemistry_share"),
                  note=f"two cores: {cpu['chemistry_share']:.3f}")  # fmt: skip
        bench.row(f"{engine}, against two cores", "x", rate and rate / cpu["cell_steps_per_s"],
                  at_least=20 if native else None)  # fmt: skip


def hydro_run(device: str, side: int, *, engine: str | None = None, cores: int = 0) -> dict[str, Any]:
    """The example's figures, from a process of its own that may use so many cores (0: all)."""
    program = (
        "import json, os, sys\n"
        f"sys.path.insert(0, {str(ROOT / 'examples' / 'gpu_hydro')!r})\n"
        f"cores = sorted(os.sched_getaffinity(0))[:{cores} or None]\n"
        "os.sched_setaffinity(0, cores)\n"
        "os.environ['OMP_NUM_THREADS'] = str(len(cores))\n"
        "from colliding_flows import run\n"
        f"found = run({device!r}, {side}, {HYDRO_STEPS}, engine={engine!r})\n"
        "print(json.dumps({k: v for k, v in found.items() if isinstance(v, (int, float, str))}))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=HERE)
    if done.returncode:
        raise RuntimeError(f"the example failed on {device}:\n{done.stderr}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def agreement(bench: Bench) -> None:
    """The GPU's answers against the CPU's."""
    bench.head(f"agreement with the CPU, {2 * bench.unique} cells (hydro-like and arbitrary)")
    rows = (("surrogate, fast", 1e-5), ("surrogate, accurate", 1e-5), ("exact, rtol 1e-2", None))
    if not bench.device:
        for name, bound in rows:
            bench.row(f"{name}: max", "dex", at_most=bound)
            bench.row(f"{name}: equal statuses", "", at_least=0.9999)
            bench.row(f"{name}: largest defect in elements and charge", "", at_most=1e-12)
        bench.row("routed, defaults: equal statuses", "", at_least=0.9999)
        return
    hydro, other = bench.hydro_like, bench.arbitrary
    cells = Workload(
        *(np.concatenate([getattr(hydro, name), getattr(other, name)]) for name in ("n", "dt", "temperature")),
        {"zeta": np.concatenate([hydro.zeta, other.zeta])},
    )
    options: dict[str, dict[str, Any]] = {
        "surrogate, fast": {"path": "fast", "mode": "surrogate"},
        "surrogate, accurate": {"path": "accurate", "mode": "surrogate"},
        "exact, rtol 1e-2": {"mode": "exact", "rtol": 1e-2},
    }
    tables = bench.network.tables()
    for name, bound in rows:
        here, there, statuses = both(bench, cells, **options[name])
        good = (statuses[0] >= 0) & (statuses[1] >= 0)
        error = dex_errors(there[good], here[good], tables.scale_weights, FLOOR)
        middle = np.nanquantile(error, 0.99)
        bench.row(f"{name}: max", "dex", float(np.nanmax(error)), at_most=bound, note=f"p99 {middle:.1e}")
        bench.row(f"{name}: equal statuses", "", float((statuses[0] == statuses[1]).mean()), at_least=0.9999)
        bench.row(f"{name}: largest defect in elements and charge", "",
                  defect(there[good], cells.n[good], tables.composition), at_most=1e-12)  # fmt: skip
    costs = (0.1, 4.0, 0.5, 1.0, 2.5)
    _, _, statuses = both(bench, cells, mode="auto", costs=costs)
    bench.row("routed, defaults: equal statuses", "", float((statuses[0] == statuses[1]).mean()), at_least=0.9999)


def both(bench: Bench, cells: Workload, **options: Any) -> tuple[FloatArray, FloatArray, list[NDArray[np.int8]]]:
    """The answers of CPU and GPU, and their statuses."""
    answers, statuses = [], []
    for device in ("cpu", bench.device):
        solver = Solver.load(MODEL, device=device, engine="native", **options)
        if device == "cpu":
            n, report = solver.step(cells.n, cells.dt, cells.temperature, **cells.conditions)
        else:
            batch = OnGpu.of(cells, len(cells), device)
            report = batch.step(solver)
            n = batch.n.cpu().numpy()
        answers.append(n)
        statuses.append(report.status)
    return answers[0], answers[1], statuses


def defect(after: FloatArray, before: FloatArray, composition: FloatArray) -> float:
    """The largest relative defect in elements and charge."""
    size = np.maximum(after, before) @ np.abs(composition).T
    return float((np.abs((after - before) @ composition.T) / size).max())


def graph(bench: Bench) -> None:
    """Small batches: a call from Python against its replay as a CUDA graph."""
    size = 16384
    bench.head(f"CUDA graph, fast, {size} cells that the gate trusts")
    if not bench.device:
        bench.row("call from Python, latency", "us")
        bench.row("replay, latency", "us")
        return
    import torch

    batch = OnGpu.of(trusted(bench.hydro_like, "fast"), size, bench.device)
    solver = learned("fast", bench.device)
    bench.row("call from Python, latency", "us", 1e6 * latency(lambda: batch.step(solver)))
    one = OnGpu.of(trusted(bench.hydro_like[:64], "fast"), 1, bench.device)
    bench.row("call from Python, one cell, latency", "us", 1e6 * latency(lambda: one.step(solver)))
    replayable = recorded(lambda: batch.step(solver))
    bench.row("replay, latency", "us", 1e6 * latency(replayable.replay))
    batch.restore()
    replayable.replay()
    torch.cuda.synchronize()
    replayed = batch.n.clone()
    batch.restore()
    batch.step(solver)
    bench.row(
        "replay against the call, cells with other bits", "", float((replayed != batch.n).any(1).sum()), at_most=0
    )


def staged(bench: Bench) -> None:
    """Host arrays that are copied there and back."""
    cells = trusted(bench.hydro_like, "fast")
    count = min(bench.cells, 1 << 20)
    bench.head(f"arrays of the host, copied to the device and back, fast, {count} cells")
    if not bench.device:
        bench.row("fast, staged", "cells/s")
        return
    times = -(-count // len(cells))
    many = Workload(
        np.tile(cells.n, (times, 1))[:count],
        np.tile(cells.dt, times)[:count],
        np.tile(cells.temperature, times)[:count],
        {name: np.tile(values, times)[:count] for name, values in cells.conditions.items()},
    )
    solver, n = learned("fast", bench.device), many.n.copy()
    call = lambda: solver.step(n, many.dt, many.temperature, out=n, **many.conditions)  # noqa: E731
    bench.row("fast, staged", "cells/s", count / on_cpu(call, bench.repeats))


SECTIONS: dict[str, Callable[[Bench], None]] = {
    "card": card,
    "surrogate": surrogate,
    "seed": seed,
    "exact": exact,
    "agreement": agreement,
    "umist": umist,
    "hydro": hydro,
    "graph": graph,
    "staged": staged,
}


def find_gpu(device: str) -> tuple[str, list[str]]:
    """The device if there is a GPU, else "", and lines that say what it is."""
    try:
        import torch
    except ImportError:
        return "", ["GPU: none (torch is not installed)"]
    if not torch.cuda.is_available():
        return "", [f"GPU: none (torch {torch.__version__})"]
    query = [
        "nvidia-smi",
        "--query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit",
        "--format=csv,noheader",
    ]
    found = subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip() or "no nvidia-smi"
    return device, [f"GPU: {found}; torch {torch.__version__}, CUDA {torch.version.cuda}"]


def main() -> int:
    """Run the sections, print and keep the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small batches, to see that everything runs")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="SECTION")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--umist", type=Path, help="the rate file of UMIST RATE22, as it is or as .gz")
    parser.add_argument("--output", type=Path, default=HERE / "results" / "gpu.txt")
    options = parser.parse_args()
    device, lines = find_gpu(options.device)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    say = Table()
    bench = Bench(say, device, options.quick, options.output, options.umist)
    say("steps on a GPU beside the CPU, one run" + (", quick" if options.quick else ""), *lines, *describe_machine())
    say(f"all cores: {len(os.sched_getaffinity(0))}")
    start = time.perf_counter()
    for name in options.only:
        began = time.perf_counter()
        try:
            SECTIONS[name](bench)
        except Exception:
            bench.failed.append(name)
            say("", traceback.format_exc().rstrip(), f"  FAILED: {name}")
        say(f"  [{name}: {time.perf_counter() - began:.1f} s]")
        bench.keep()
        if device:
            import torch

            torch.cuda.empty_cache()
    missed = [row["row"] for row in bench.rows if row["met"] is False]
    say("", f"{time.perf_counter() - start:.0f} s; failed sections: {', '.join(bench.failed) or 'none'}")
    say(f"targets missed: {'; '.join(missed) or 'none'}" if device else "no target was measured: no GPU")
    say.write(options.output)
    bench.keep()
    return 1 if bench.failed else 0


if __name__ == "__main__":
    sys.exit(main())
