"""A fit's loop: Muon for matrices, AdamW for biases, warm-up, a cosine to zero, checkpoints."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import trange

from pychemsurrogate.training.muon import Muon

_SAVE_EVERY = 1000  # steps between checkpoints
_WARM_UP = 0.02


class CheckpointError(ValueError):
    """A checkpoint of another recipe or data set; the message says what to do."""


@dataclass(frozen=True)
class Schedule:
    """steps; peak learning rates of Muon and AdamW; seed of the batches."""

    steps: int
    muon_rate: float
    adam_rate: float
    seed: int

    def rate(self, step: int) -> float:
        """The share of the peak rates at a step: up over the first 2 %, then a cosine to zero."""
        return min(1.0, (step + 1) / (_WARM_UP * self.steps)) * 0.5 * (1.0 + math.cos(math.pi * step / self.steps))


def minimise(
    nets: torch.nn.Module,
    loss: Callable[[Tensor, float], Tensor],
    draw: Callable[[torch.Generator], Tensor],
    schedule: Schedule,
    identity: dict[str, Any],
    checkpoint: Path | None,
    label: str | None,
) -> None:
    """Minimise loss(rows, share done) over the batches of rows that `draw` draws, the weights of `nets` in place.

    Continues from `checkpoint` if that file exists; identity: what it must have been made for. label: of the progress
    bar; None: no bar. Raises CheckpointError, FloatingPointError.
    """
    parameters = list(nets.named_parameters())
    matrices = [p for name, p in parameters if "bias" not in name]
    vectors = [p for name, p in parameters if "bias" in name]
    optimisers: list[torch.optim.Optimizer] = [
        Muon(matrices, lr=schedule.muon_rate),
        torch.optim.AdamW(vectors, lr=schedule.adam_rate, weight_decay=0.0),
    ]
    peaks = [schedule.muon_rate, schedule.adam_rate]
    random = torch.Generator().manual_seed(schedule.seed)
    first = 0
    if checkpoint is not None and checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        if saved["identity"] != identity:
            raise CheckpointError(
                f"{checkpoint}: belongs to another recipe or data set; delete it, or name another file"
            )
        nets.load_state_dict(saved["nets"])
        for optimiser, state in zip(optimisers, saved["optimisers"], strict=True):
            optimiser.load_state_dict(state)
        random.set_state(saved["random"])
        first = saved["step"]

    def save(step: int) -> None:
        if checkpoint is None:
            return
        state = {
            "identity": identity,
            "nets": nets.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in optimisers],
            "random": random.get_state(),
            "step": step,
        }
        temporary = checkpoint.with_name(checkpoint.name + ".tmp")
        torch.save(state, temporary)
        temporary.replace(checkpoint)

    mean_loss = math.nan
    with trange(first, schedule.steps, initial=first, total=schedule.steps, desc=label, disable=label is None) as bar:
        for step in bar:
            for optimiser, peak in zip(optimisers, peaks, strict=True):
                optimiser.param_groups[0]["lr"] = peak * schedule.rate(step)
                optimiser.zero_grad()
            value = loss(draw(random), step / schedule.steps)
            value.backward()
            for optimiser in optimisers:
                optimiser.step()
            if step % 50 == 0:
                current = float(value.detach())
                if not math.isfinite(current):
                    raise FloatingPointError(
                        f"the loss of the {label or 'fit'} is {current} at step {step}; lower muon_rate"
                    )
                mean_loss = current if math.isnan(mean_loss) else 0.9 * mean_loss + 0.1 * current
                bar.set_postfix(loss=f"{mean_loss:.5f}")
            if (step + 1) % _SAVE_EVERY == 0:
                save(step + 1)
    if first < schedule.steps:
        save(schedule.steps)
