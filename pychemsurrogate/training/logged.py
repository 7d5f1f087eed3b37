"""Pairs from the states that a host's runs refused or audited (docs/surrogate.md, "The log")."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from tqdm import tqdm

from pychemsurrogate.gate.box import Box
from pychemsurrogate.network import Network
from pychemsurrogate.state_log import LogError, States, read_states
from pychemsurrogate.training.truth import KINDS, SPLITS, Pairs, Recipe, Truth

# Splits by block of neighbouring states, repeated.
_SPLITS: Final = (
    *("train", "calibration", "train", "train", "test"),
    *("train", "calibration", "train", "test", "train"),
)
_FEWEST_BLOCKS: Final = 20
_FEWEST: Final = 100  # states that are worth learning from
_FIRST_RUN: Final = 1 << 56  # beyond the runs of data sets and visits
_CHUNK: Final = 16384


def logged_pairs(
    logs: Sequence[str | Path], network: Network, truth: Recipe, box: Box, block_rows: int, progress: bool = True
) -> tuple[Pairs, dict[str, int]]:
    """Pairs of the kind "logged" that end in the recipe's truth; how many states were used or left out, and why.

    Left out are states that are there already, that lie outside the box, or that the integrator gave up. The log does
    not know runs: blocks of block_rows neighbours (fewer, if there were fewer than 20 blocks) stand for them, and each
    is in one split. Raises LogError for a file that is no log of the network, and for too few states.
    """
    parts = [read_states(log, network) for log in logs]
    states = States(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in vars(parts[0])})
    counts = {"states": len(states)}

    given = np.column_stack([states.start, states.density, states.temperature, states.conditions, states.dt])
    first = np.sort(np.unique(given, axis=0, return_index=True)[1])
    states = _rows(states, first)
    counts["repeated"] = counts["states"] - len(states)

    inside = box.contains(states.start, states.density, states.dt, states.temperature, states.conditions)
    states = _rows(states, np.flatnonzero(inside))
    counts["outside the box"] = int(np.count_nonzero(~inside))

    pairs, solved = _integrated(states, Truth(network, truth.rtol, truth.atol, truth.loose_rtol), progress)
    counts["given up by the integrator"] = int(np.count_nonzero(~solved))
    counts["used"] = int(np.count_nonzero(solved))
    if counts["used"] < _FEWEST:
        raise LogError(f"{', '.join(map(str, logs))}: {told(counts)}; {_FEWEST} are the fewest to learn from")
    pairs = pairs.where(solved)
    block = np.arange(len(pairs)) // min(block_rows, max(1, len(pairs) // _FEWEST_BLOCKS))
    split_of_block = np.array([SPLITS.index(split) for split in _SPLITS], dtype=np.uint8)
    pairs.split[:] = split_of_block[block % len(_SPLITS)]
    pairs.run[:] = _FIRST_RUN + block
    return pairs, counts


def told(counts: dict[str, int]) -> str:
    """The counts of `logged_pairs` in words."""
    left_out = ", ".join(f"{count} {why}" for why, count in counts.items() if why not in ("states", "used"))
    return f"{counts['used']} of {counts['states']} logged states are used (left out: {left_out})"


def _integrated(
    states: States, truth: Truth, progress: bool
) -> tuple[Pairs, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    count = len(states)
    end = np.empty(states.start.shape, dtype=np.float32)
    steps, solved = np.zeros(count, dtype=np.int32), np.zeros(count, dtype=np.bool_)
    with tqdm(total=count, desc="truth", unit="state", disable=not progress) as bar:
        for begin in range(0, count, _CHUNK):
            rows = slice(begin, begin + _CHUNK)
            at = states.temperature[rows], states.density[rows], states.conditions[rows], states.dt[rows]
            end[rows], solved[rows] = truth.advance(states.start[rows], *at)
            steps[rows] = truth.steps(states.start[rows], *at)
            bar.update(len(steps[rows]))
    pairs = Pairs(
        start=states.start,
        end=end,
        temperature=states.temperature,
        density=states.density,
        conditions=states.conditions,
        dt=states.dt,
        steps=steps,
        kind=np.full(count, KINDS.index("logged"), dtype=np.uint8),
        begin=np.zeros(count, dtype=np.uint8),
        split=np.zeros(count, dtype=np.uint8),
        run=np.zeros(count, dtype=np.int64),
    )
    return pairs, solved


def _rows(states: States, rows: np.ndarray[tuple[int], np.dtype[np.intp]]) -> States:
    return States(**{name: values[rows] for name, values in vars(states).items()})
