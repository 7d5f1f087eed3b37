"""The precision of float32 products on GPUs, which torch has as a setting of the process: it is the host's, and stays.

Where the host's setting is what a call needs, as torch's own default is for "float32", nothing is touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition
from typing import Final

import torch

PRECISIONS: Final = ("float32", "tf32", "float64")  # of a solver's nets
_NAMES: Final = {"float32": "ieee", "tf32": "tf32"}  # torch's, of products; "none": as the setting above says


class _Setting:
    """torch.backends.cuda.matmul.fp32_precision, lent to calls; those that need different ones wait for each other."""

    def __init__(self) -> None:
        self._free = Condition()
        self._holders = 0
        self._held = ""
        self._hosts = ""

    def take(self, wanted: str) -> None:
        """Until `release`, products are of that precision."""
        with self._free:
            self._free.wait_for(lambda: not self._holders or self._held == wanted)
            if not self._holders:
                self._hosts = torch.backends.cuda.matmul.fp32_precision
                now = torch.backends.fp32_precision if self._hosts == "none" else self._hosts
                if wanted != ("ieee" if now == "none" else now):
                    torch.backends.cuda.matmul.fp32_precision = wanted
            self._holders += 1
            self._held = wanted

    def release(self) -> None:
        """The last one gives the host's value back."""
        with self._free:
            self._holders -= 1
            if not self._holders:
                if torch.backends.cuda.matmul.fp32_precision != self._hosts:
                    torch.backends.cuda.matmul.fp32_precision = self._hosts
                self._free.notify_all()


_SETTING: Final = _Setting()


@contextmanager
def matmuls_in(precision: str, device_type: str) -> Iterator[None]:
    """While a call's products are enqueued for a GPU, they are of that precision."""
    if device_type != "cuda" or precision not in _NAMES:
        yield
        return
    _SETTING.take(_NAMES[precision])
    try:
        yield
    finally:
        _SETTING.release()
