#!/usr/bin/env python3
"""Which form of the flow map buys most accuracy for its cost? The same data, the same time to train, three seeds.

Usage: python benchmarks/map_forms.py [--seconds 12] [--seeds 3] [--pairs 120000] [--folder DIR] [--quick]
                                      [--output FILE]

Every form sees the same costly pairs (>= 3 exact steps, and 12 % of the others) for the same processor time, on one
thread, with the same loss, optimiser and batch. Errors are those of the torch step with conservation on test runs, in
dex over x > 1e-10: the median and p99 of cells, the share of cells below 0.1 dex, and the share of the exact
integrator's steps that those cells would have taken (an upper bound of what a gate can save). "kFLOP": of the nets, per
cell; "solves": implicit steps of the real chemistry (IE: one factorisation and solve, about 0.5 us on the machine of
learned_step.txt; R3: 0.7 us). A second call goes on where the first one ended.

multi-clock     latent, linear in clocks: the seed paper's idea, generalised
gated           residual, y0 + phi net(y0, conditions, dt), phi -> 0 as dt -> 0
physics inputs  gated, which also reads log P/L and log L dt from one evaluation of the rates
experts         physics inputs, 16 nets of the same size, picked by the pattern of log L dt
student         physics inputs, trained on a teacher 20 times its size instead of on the truth, same pairs
IE, experts     experts behind one or three implicit steps, whose state they read and mend: the jump
no net          implicit steps alone
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import Table, describe_machine

from pychemsurrogate.network import Network, load_network
from pychemsurrogate.surrogates.finish import Finish
from pychemsurrogate.surrogates.jump import Jump
from pychemsurrogate.surrogates.multiclock import MultiClock
from pychemsurrogate.surrogates.reduced import ReducedMap
from pychemsurrogate.training.dataset import generate, load
from pychemsurrogate.training.fit import sharp_loss
from pychemsurrogate.training.fit_jump import Pool, costly, new_jump, standardise
from pychemsurrogate.training.fit_multiclock import new_multi_clock
from pychemsurrogate.training.muon import Muon
from pychemsurrogate.training.populations import cell_error
from pychemsurrogate.training.prepare import prepare, prepare_jumps, step_of
from pychemsurrogate.training.recipe import JumpRecipe, MultiClockRecipe
from pychemsurrogate.training.truth import KINDS, Pairs, Recipe

HERE = Path(__file__).resolve().parent
POPULATIONS = ("arbitrary", "mixed")
FINISHES: tuple[tuple[float, int] | None, ...] = (None, (0.3, 1), (0.6, 2))
Loss = Callable[[torch.Tensor, float], torch.Tensor]
Draw = Callable[[torch.Generator], torch.Tensor]


@dataclass(frozen=True)
class Form:
    """One form of the map. shares: of the implicit steps; blind: without physics inputs; trained: False for no net."""

    name: str
    experts: int = 1
    widths: tuple[int, ...] = (60, 60)
    shares: tuple[float, ...] = ()
    blind: bool = False
    multi_clock: bool = False
    taught: bool = False
    trained: bool = True


ONE, THREE = (1.0,), (0.08, 0.23, 0.69)
FORMS = (
    Form("multi-clock", multi_clock=True),
    Form("gated", blind=True),
    Form("physics inputs"),
    Form("student", taught=True),
    Form("experts", experts=16),
    Form("1 IE, experts", experts=16, shares=ONE),
    Form("3 IE, experts", experts=16, shares=THREE),
    Form("3 IE, larger", experts=6, widths=(200, 200, 200), shares=THREE),
    Form("3 IE, no net", shares=THREE, trained=False),
    Form("10 IE, no net", shares=tuple(2.0**k / 1023.0 for k in range(10)), trained=False),
)
TEACHER = Form("teacher", widths=(320, 320, 320))


def jump_of(form: Form, network: Network, seed: int, pairs: Pairs) -> tuple[Jump, Pool, JumpRecipe]:
    """A fresh map of a form, and its prepared pairs."""
    recipe = JumpRecipe(experts=form.experts, widths=form.widths, shares=form.shares, seed=seed, finish_fraction=0.0)
    surrogate = new_jump(network, recipe)
    with torch.no_grad():
        data = prepare_jumps(pairs, surrogate, network)
    standardise(surrogate, data)
    if form.blind:  # neither q, c nor what follows the implicit steps: their features become 0
        species = network.n_species
        surrogate.feature_std[species : 3 * species] = 1e30
        surrogate.feature_std[surrogate.feature_std.numel() - 2 * species :] = 1e30
    return surrogate, Pool.of(data, pairs, surrogate, recipe), recipe


def train(nets: torch.nn.Module, loss: Loss, draw: Draw, seconds: float, seed: int) -> int:
    """Minimise for so many seconds of processor time; returns the number of steps."""
    named = list(nets.named_parameters())
    optimisers: list[torch.optim.Optimizer] = [
        Muon([p for name, p in named if "bias" not in name], lr=0.04),
        torch.optim.AdamW([p for name, p in named if "bias" in name], lr=2e-3, weight_decay=0.0),
    ]
    peaks = [group["lr"] for optimiser in optimisers for group in optimiser.param_groups]
    random, begin, steps = torch.Generator().manual_seed(seed), time.process_time(), 0
    while (done := (time.process_time() - begin) / seconds) < 1.0:
        rate = min(1.0, done / 0.02 + 0.01) * 0.5 * (1.0 + np.cos(np.pi * done))
        for optimiser, peak in zip(optimisers, peaks, strict=True):
            optimiser.param_groups[0]["lr"] = peak * rate
            optimiser.zero_grad()
        loss(draw(random), done).backward()
        for optimiser in optimisers:
            optimiser.step()
        steps += 1
    return steps


def fitted(form: Form, network: Network, pairs: Pairs, seconds: float, seed: int) -> ReducedMap:
    """The map of a form, trained."""
    if form.multi_clock:
        recipe = MultiClockRecipe(latent=12, clocks=4, encoder=(48,), decoder=(48,), seed=seed, traces=(-12.0, -10.0))
        multi = new_multi_clock(network, recipe)
        return fitted_multi_clock(multi, recipe, network, pairs, seconds, seed)
    surrogate, pool, jump_recipe = jump_of(form, network, seed, pairs)
    if form.taught:
        teacher, teachers_pool, _ = jump_of(TEACHER, network, seed, pairs)
        train(
            teacher.experts,
            teachers_pool.loss(teacher, jump_recipe),
            teachers_pool.draw(teacher, jump_recipe),
            seconds,
            seed,
        )
        with torch.no_grad():
            said = torch.cat([teacher.experts(part[None])[0] for part in teachers_pool.data.features.split(8192)])
        taught = replace(pool.data, target=pool.data.base + pool.data.phi * said)
        pool = replace(pool, data=taught)
    if form.trained:
        draw = pool.draw(surrogate, jump_recipe)
        train(surrogate.experts, pool.loss(surrogate, jump_recipe), draw, seconds, seed)
    return surrogate


def fitted_multi_clock(
    surrogate: MultiClock, recipe: MultiClockRecipe, network: Network, pairs: Pairs, seconds: float, seed: int
) -> MultiClock:
    """The multi-clock map on the same pairs, drawn in proportion to the root of their steps as well."""
    with torch.no_grad():
        data = prepare(pairs, surrogate, network)
    surrogate.feature_mean.copy_(data.features.mean(dim=0))
    surrogate.feature_std.copy_(data.features.std(dim=0).clamp(min=1e-3))
    features = (data.features - surrogate.feature_mean) / surrogate.feature_std
    total = torch.cumsum(torch.as_tensor(pairs.steps).double().sqrt(), dim=0)

    def draw(random: torch.Generator) -> torch.Tensor:
        where = torch.rand(8192, generator=random, dtype=torch.float64) * total[-1]
        return torch.searchsorted(total, where).clamp(max=len(total) - 1)

    def loss(rows: torch.Tensor, done: float) -> torch.Tensor:
        latent = surrogate.encode(features[rows])
        z = latent.z0 + torch.einsum("bk,bkz->bz", data.clocks[rows], latent.directions)
        change = data.phi[rows] * surrogate.decoder(torch.cat([z, data.depth[rows]], dim=1))
        target = data.target[rows]
        return sharp_loss(data.base[rows] + change - target, target, done, recipe)

    train(torch.nn.ModuleList([surrogate.encoder, surrogate.decoder]), loss, draw, seconds, seed)
    return surrogate


def kflop(surrogate: ReducedMap) -> float:
    """Of the matrices of the nets, per cell."""
    if isinstance(surrogate, Jump):
        return sum(2.0 * weight[0].numel() for weight in surrogate.experts.weights) / 1e3
    assert isinstance(surrogate, MultiClock)
    nets = (*surrogate.encoder.parameters(), *surrogate.decoder.parameters())
    return sum(2.0 * weight.numel() for weight in nets if weight.ndim == 2) / 1e3


def judged(surrogate: ReducedMap, tests: dict[str, Pairs], network: Network) -> dict[str, list[float]]:
    """[median, p99, share below 0.1 dex, saved] by population and finish."""
    found = {}
    for finish in FINISHES:
        surrogate.finish = Finish(surrogate.rates, *finish) if finish else None
        for name, pairs in tests.items():
            errors = []
            for first in range(0, len(pairs), 1024):
                part = pairs.where(np.arange(first, min(first + 1024, len(pairs))))
                step = step_of(part, network)
                with torch.no_grad():
                    moved = surrogate(step.x, step.temperature, step.conditions, step.theta)[0].numpy()
                errors.append(cell_error(moved, part.end.astype(np.float64)))
            error = np.concatenate(errors)
            error[~np.isfinite(error)] = 10.0
            good = error < 0.1
            saved = pairs.steps[good].sum() / pairs.steps.sum()
            told = [np.median(error), np.percentile(error, 99), good.mean(), saved]
            label = f"f = {finish[0]:g}, {finish[1]} R3" if finish else "no finish"
            found[f"{name} | {label}"] = [float(value) for value in told]
    return found


def table(say: Table, results: dict[str, list[dict[str, Any]]]) -> None:
    """Means over the seeds, and the spread of the share that is saved."""
    say(
        f"{'form':16s} {'kFLOP':>6s} {'IE':>3s} {'finish':16s} {'cells':10s} {'median':>8s} {'p99':>7s} {'< 0.1':>7s} "
        f"{'saved':>7s} {'spread':>7s}"
    )
    for form in FORMS:
        runs = results[form.name]
        for key in runs[0]["found"]:
            population, finish = key.split(" | ")
            rows = np.array([run["found"][key] for run in runs])
            median, p99, good, saved = rows.mean(axis=0)
            size = runs[0]["kflop"] if form.trained else 0.0
            say(
                f"{form.name:16s} {size:6.1f} {len(form.shares):3d} {finish:16s} {population:10s} {median:8.4f} "
                f"{p99:7.3f} {100 * good:6.1f}% {100 * saved:6.1f}% {100 * np.ptp(rows[:, 3]):6.1f}%"
            )


def test_sets(pairs: Pairs, cells: int) -> dict[str, Pairs]:
    """Cells of each population."""
    tracks = pairs.kind == KINDS.index("tracks")
    masks = {"arbitrary": tracks & (pairs.begin == 0), "mixed": tracks & ((pairs.begin == 1) | (pairs.begin == 2))}
    rng = np.random.default_rng(0)
    return {name: pairs.where(rng.permutation(np.flatnonzero(masks[name]))[:cells]) for name in POPULATIONS}


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=120_000)
    parser.add_argument("--folder", type=Path, default=HERE.parent / "build" / "map_forms")
    parser.add_argument("--quick", action="store_true", help="a second a form and few pairs, for a test")
    parser.add_argument("--output", type=Path, default=HERE / "results" / "map_forms.txt")
    options = parser.parse_args(arguments)
    seconds, seeds, count, cells = options.seconds, options.seeds, options.pairs, 3000
    runs_per_unit = 256
    if options.quick:
        seconds, seeds, count, cells, runs_per_unit = 1.0, 1, 4000, 300, 16
    options.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    recipe = Recipe(units=100, runs_per_unit=runs_per_unit, splits=("train", "test"))
    path = generate(recipe, options.folder / "pairs.h5")
    network, every = load_network(recipe.network), load(path, "train")
    worth = costly(every, JumpRecipe())
    pairs = worth.where(np.random.default_rng(1).permutation(len(worth))[:count])
    tests = test_sets(load(path, "test"), cells)

    say = Table()
    say(f"forms of the flow map, {seconds:g} s of one thread each, {len(pairs)} pairs, {seeds} seeds: means over seeds")
    say(*describe_machine(), "")
    results: dict[str, list[dict[str, Any]]] = {form.name: [] for form in FORMS}
    for seed in range(1, seeds + 1):
        for form in FORMS:
            kept = options.folder / f"{form.name.replace(' ', '_').replace(',', '')}_{seed}_{seconds:g}_{count}.json"
            if not kept.exists():
                surrogate = fitted(form, network, pairs, seconds, seed)
                result = {"kflop": kflop(surrogate), "found": judged(surrogate, tests, network)}
                kept.write_text(json.dumps(result), encoding="utf-8")
            results[form.name].append(json.loads(kept.read_text(encoding="utf-8")))
    table(say, results)
    say.write(options.output)


if __name__ == "__main__":
    main()
