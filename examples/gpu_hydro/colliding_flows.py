"""Two turbulent streams of C+ rich gas collide, on a CPU or with all fields on a GPU, by one argument (README.md)."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

sys.path.append(str(Path(__file__).resolve().parent))
from hydro import GHOSTS, Gas, X, hydro_step, stable_time_step

from pychemsurrogate import Solver
from pychemsurrogate.status import STATUS_MESSAGES, Status

PARSEC_CM, KM_CM, KYR_S = 3.0856775814913673e18, 1e5, 3.15576e10
LENGTH_PC = 1.0  # of the box, -0.5 .. 0.5 in x and y
N_STREAM = 500.0  # cm^-3, median of the H nuclei in the streams
SPEED_KM_S, TURBULENCE_KM_S, LN_CONTRAST, DISPLACEMENT_PC = 2.0, 0.5, 0.4, 0.1
ZETA_PER_S, AGE_KYR = 1e-16, 30.0
CFL = 0.4
ABUNDANCES = {"H2": 0.5, "O": 2e-4, "C+": 1e-4, "e-": 1e-4}  # per H nucleus, before the gas has aged


class WaveField:
    """A random field of mean 0 and deviation 1, periodic over the box: plane waves, the same numbers as in Fortran."""

    def __init__(self, seed: int, device: str, *, along_y_only: bool = False, largest: int = 6) -> None:
        state = 1 + seed * 7919 % 2147483646
        for _ in range(12):  # the first numbers of neighbouring seeds are alike
            state = 48271 * state % 2147483647
        waves = []
        for a in range(1 if along_y_only else largest + 1):
            for b in range(1 if a == 0 else -largest, largest + 1):
                if a**2 + b**2 <= largest**2:
                    state = 48271 * state % 2147483647  # minimal standard generator (Park & Miller 1988)
                    waves.append((a, b, state / 2147483647, (a**2 + b**2) ** -0.5))
        kx, ky, phase, amplitude = torch.tensor(waves, dtype=torch.float64, device=device).T
        turn = 2 * np.pi
        length = LENGTH_PC * PARSEC_CM
        self.kx, self.ky, self.phase = turn * kx / length, turn * ky / length, turn * phase
        self.amplitude = amplitude / (0.5 * (amplitude**2).sum()).sqrt()

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """At all pairs of x and y [cm], (x, y): cos(a + b) as two products of matrices."""
        a, b = x[:, None] * self.kx + self.phase, y[:, None] * self.ky
        return (self.amplitude * a.cos()) @ b.cos().T - (self.amplitude * a.sin()) @ b.sin().T


class Streams:
    """The gas that flows in, and the box at time 0."""

    def __init__(self, gas: Gas, chemistry: Solver, cells: int, device: str) -> None:
        self.gas, self.cells, self.width = gas, cells, LENGTH_PC * PARSEC_CM / cells
        self.density, self.vx, self.vy = (WaveField(seed, device) for seed in (1, 2, 3))
        self.surface = WaveField(4, device, along_y_only=True)
        self.log_n_h, self.table = (values.to(device) for values in aged_composition(gas, chemistry))
        self.y = self.centres(torch.arange(cells, device=device))

    def centres(self, i: Tensor) -> Tensor:
        """Of the cells' centres [cm], x and y alike."""
        return (i.double() + 0.5) * self.width - 0.5 * LENGTH_PC * PARSEC_CM

    def __call__(self, i: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
        """u and n of the undisturbed streams in the columns i at the time `now` [s]. Patterns move along."""
        x = self.centres(i)
        meeting = DISPLACEMENT_PC * PARSEC_CM * self.surface(x, self.y)
        n_h, vx, vy = torch.where(x[:, None] <= meeting, self._stream(x, now, 1), self._stream(x, now, -1))
        rho = n_h * self.gas.mass_per_h
        u = self.gas.conserved(torch.stack([rho, vx, vy, self.gas.pressure(rho)]))
        return u, n_h * self._composition(n_h)

    def _stream(self, x: Tensor, now: Tensor, direction: int) -> Tensor:
        speed = direction * SPEED_KM_S * KM_CM
        start = x - speed * now
        n_h = N_STREAM * (LN_CONTRAST * self.density(start, self.y)).exp()
        vx, vy = (TURBULENCE_KM_S * KM_CM * field(start, self.y) for field in (self.vx, self.vy))
        return torch.stack([n_h, vx + speed, vy])

    def _composition(self, n_h: Tensor) -> Tensor:
        """n / n_H (species, x, y), linear between the table's densities, so that elements keep their sums."""
        place = (n_h.log10() - self.log_n_h[0]) / (self.log_n_h[1] - self.log_n_h[0])
        place = place.clamp(0, len(self.log_n_h) - 1)
        low = place.long().clamp_max(len(self.log_n_h) - 2)
        return torch.lerp(self.table[:, low], self.table[:, low + 1], place - low)

    def ghosts(
        self, u: Tensor, n: Tensor, dim: int, now: Tensor
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Streams on both sides in x, the other end of the box in y."""
        if dim == X:
            layers = torch.arange(GHOSTS, device=u.device)
            return self(layers - GHOSTS, now), self(layers + self.cells, now)
        return (u[..., -GHOSTS:], n[..., -GHOSTS:]), (u[..., :GHOSTS], n[..., :GHOSTS])


def aged_composition(gas: Gas, chemistry: Solver) -> tuple[Tensor, Tensor]:
    """log10 n_H, eight a decade, and n / n_H (species, density) of gas that has reacted for AGE_KYR; on the CPU."""
    log_n_h = 1 + torch.arange(49, dtype=torch.float64) / 8
    n_h = 10**log_n_h
    n = np.zeros((len(n_h), len(chemistry.species)))
    for name, abundance in ABUNDANCES.items():
        n[:, chemistry.index(name)] = abundance * n_h.numpy()
    _, report = chemistry.step(n, AGE_KYR * KYR_S, gas.balance(n_h).numpy(), zeta=ZETA_PER_S, out=n)
    if not report.ok:
        raise RuntimeError(report.advice())
    return log_n_h, torch.from_numpy(n).T / n_h


class Clock:
    """Times of a device between marks: events on a stream, so that nothing waits before `seconds` asks."""

    def __init__(self, device: str) -> None:
        self.on_gpu = torch.device(device).type == "cuda"
        self.marks: list[Any] = []

    def mark(self) -> None:
        """Note the time."""
        if self.on_gpu:
            self.marks.append(torch.cuda.Event(enable_timing=True))
            self.marks[-1].record()
        else:
            self.marks.append(time.perf_counter())

    def seconds(self, per_step: int) -> np.ndarray:
        """Between the marks of each step, (step, per_step - 1)."""
        if self.on_gpu:
            self.marks[-1].synchronize()
            marks = [self.marks[0].elapsed_time(mark) / 1e3 for mark in self.marks]
        else:
            marks = self.marks
        return np.diff(np.reshape(marks, (-1, per_step)), axis=1)


def run(
    device: str = "cpu",
    n: int = 512,
    steps: int = 20,
    *,
    model: str = "osu_09_2008",
    mode: str = "auto",
    progress: bool = False,
    **options: Any,
) -> dict[str, Any]:
    """Simulate n x n cells for some steps; options are those of `Solver.load`.

    Returns the fields at the end, on the CPU: n_H, temperature_K (x, y), n (species, x, y), learned (x, y: how many
    steps a surrogate served), and figures: counts (cell steps by status), time_s, and of the steps after the first (in
    which costs are measured and code is loaded) seconds_gas, seconds_chemistry, chemistry_share and cell_steps_per_s.
    """
    gas = Gas()
    solver = Solver.load(model, mode=mode, device=device, **options)
    streams = Streams(gas, Solver.load(model, mode="exact"), n, device)
    now = torch.zeros((), dtype=torch.float64, device=device)
    u, densities = (field.contiguous() for field in streams(torch.arange(n, device=device), now))
    cells = densities.reshape(len(solver.species), -1).T  # n[cell, species]: a view, nothing is copied
    codes = torch.tensor([int(code) for code in Status], dtype=torch.int8, device=device)
    counts = torch.zeros(len(codes), dtype=torch.int64, device=device)
    learned = torch.zeros(n * n, dtype=torch.int32, device=device)
    clock = Clock(device)
    for step in range(steps):
        clock.mark()
        dt = stable_time_step(u, streams.width, CFL, gas)
        hydro_step(u, densities, dt, now, streams.width, gas, streams.ghosts)
        now += dt
        kelvin = gas.temperature(u).ravel()
        clock.mark()
        _, report = solver.step(cells, dt, kelvin, zeta=ZETA_PER_S, out=cells)
        clock.mark()
        status = torch.as_tensor(report.status_on_device, device=device)
        counts += (status == codes[:, None]).sum(1)
        learned += status == Status.SURROGATE
        if progress and step % 20 == 0:
            print(f"step {step}: {float(now) / KYR_S:.2f} kyr", flush=True)
    seconds = clock.seconds(3)[min(1, steps - 1) :].sum(axis=0)
    by_status = {
        Status(code): count for code, count in zip(codes.tolist(), counts.tolist(), strict=True) if count
    }  # the first time that the host asks the device for anything
    return {
        "device": device,
        "species": solver.species,
        "n_H": (u[0] / gas.mass_per_h).cpu().numpy(),
        "temperature_K": gas.temperature(u).cpu().numpy(),
        "n": densities.cpu().numpy(),
        "learned": learned.reshape(n, n).cpu().numpy(),
        "counts": by_status,
        "time_s": float(now),
        "steps": steps,
        "seconds_gas": float(seconds[0]),
        "seconds_chemistry": float(seconds[1]),
        "chemistry_share": float(seconds[1] / seconds.sum()),
        "cell_steps_per_s": n * n * max(steps - 1, 1) / float(seconds.sum()),
    }


def main() -> None:
    """Run by options, print the figures and save the fields."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:1")
    parser.add_argument("--engine", help="native or torch (default: the solver's choice)")
    parser.add_argument("--cells", type=int, default=128, help="along each side")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--model", default="osu_09_2008")
    parser.add_argument("--mode", default="auto", help="auto, surrogate or exact")
    parser.add_argument("--output", default="colliding_flows.npz")
    asked = parser.parse_args()
    done = run(
        asked.device, asked.cells, asked.steps, model=asked.model, mode=asked.mode, engine=asked.engine, progress=True
    )
    for status, count in done["counts"].items():
        print(f"{count / sum(done['counts'].values()):9.4%} of the cell steps: {STATUS_MESSAGES[status]}")
    micro = 1e6 / (asked.cells**2 * max(asked.steps - 1, 1))
    print(
        f"{done['time_s'] / KYR_S:.1f} kyr; a cell and step: gas {micro * done['seconds_gas']:.3g} us, chemistry "
        f"{micro * done['seconds_chemistry']:.3g} us, {done['chemistry_share']:.0%} of the step"
    )
    for name in ("C", "C+", "CO", "e-", "H2O"):
        print(f"mean {name}/H {done['n'][done['species'].index(name)].sum() / done['n_H'].sum():.4e}")
    half = LENGTH_PC / 2
    np.savez_compressed(
        asked.output,
        **{name: done[name] for name in ("n_H", "temperature_K", "n", "learned")},
        species=np.array(done["species"]),
        calls=asked.steps,
        time_kyr=round(done["time_s"] / KYR_S, 1),
        extent_pc=np.array([-half, half, -half, half]),
    )


if __name__ == "__main__":
    main()
