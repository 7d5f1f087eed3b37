"""Training pairs without end: blocks of units, computed in the background while training uses the one before."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import ExitStack, closing
from itertools import count, islice
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from pychemsurrogate.training.dataset import load, save
from pychemsurrogate.training.truth import UNITS_PER_BLOCK, Pairs, Recipe, compute_unit, unit_split


def stream(
    recipe: Recipe, split: str = "train", first: int = 0, executor: Executor | None = None
) -> Generator[tuple[int, Pairs], None, None]:
    """Yield (block number, pairs) for ever: blocks of UNITS_PER_BLOCK units of one split, one of them ahead.

    Every kind of run is in every block; its pairs are shuffled, and no pair comes twice. `first` is the number from
    which to go on: the last number that was used plus one continues a stream, and recipe.units / UNITS_PER_BLOCK
    begins behind a data set of the recipe. A block's pairs depend on the recipe and its number alone.
    executor: any concurrent.futures.Executor; None: one process of its own, which ends with the iterator.
    Raises ValueError for a split that has no units without end.
    """
    if split not in ("train", "calibration", "test"):
        raise ValueError(f'no stream of the split "{split}"; give train, calibration or test')
    numbers = _blocks(split, first)
    with ExitStack() as stack:
        if executor is None:
            # A fresh interpreter: forking a process that runs threads (OpenMP, torch) may hang.
            executor = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
            stack.callback(executor.shutdown, wait=True, cancel_futures=True)
        number = next(numbers)
        ahead = _submit(recipe, number, executor)
        while True:
            current, pending = number, ahead
            number = next(numbers)
            ahead = _submit(recipe, number, executor)
            yield current, _shuffled(recipe, current, pending)


def fresh_pairs(recipe: Recipe, skip: int, blocks: int, keep: Callable[[Pairs], Pairs], path: Path) -> Pairs:
    """What `keep` keeps of so many blocks of training pairs: those behind a data set of the recipe and `skip` blocks.

    The pairs are stored in the HDF5 file `path`, and read from there if it exists.
    """
    if not path.exists():
        first = next(islice(_blocks("train", -(-recipe.units // UNITS_PER_BLOCK)), skip, None))
        with closing(stream(recipe, first=first)) as made:
            save(Pairs.concatenate([keep(pairs) for _, pairs in islice(made, blocks)]), path, recipe)
    return load(path)


def _blocks(split: str, first: int) -> Iterator[int]:
    """The numbers of a split's blocks, from `first` on."""
    return (number for number in count(first) if unit_split(number * UNITS_PER_BLOCK) == split)


def _submit(recipe: Recipe, number: int, executor: Executor) -> list[Future[tuple[Pairs, int]]]:
    units = range(number * UNITS_PER_BLOCK, (number + 1) * UNITS_PER_BLOCK)
    return [executor.submit(compute_unit, recipe, unit) for unit in units]


def _shuffled(recipe: Recipe, number: int, units: list[Future[tuple[Pairs, int]]]) -> Pairs:
    pairs = Pairs.concatenate([unit.result()[0] for unit in units])
    return pairs.where(np.random.default_rng([recipe.seed, number]).permutation(len(pairs)))
