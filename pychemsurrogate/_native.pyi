"""Types of the compiled core (bindings/python/native.cpp)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

class Solver:
    def __init__(self, tables: Mapping[str, Any]) -> None: ...
    @staticmethod
    def open(path: str) -> Solver: ...
    @property
    def species(self) -> list[str]: ...
    @property
    def conditions(self) -> list[str]: ...
    def set_option(self, key: str, value: str) -> None: ...
    def step(
        self,
        n: NDArray[np.float64],
        dt: NDArray[np.float64],
        temperature: NDArray[np.float64],
        conditions: NDArray[np.float64],
        status: NDArray[np.int8],
        mask: NDArray[np.int8] | None = ...,
        counts: NDArray[np.int32] | None = ...,
    ) -> dict[str, float]: ...
    def equilibrium(
        self,
        n: NDArray[np.float64],
        temperature: NDArray[np.float64],
        conditions: NDArray[np.float64],
        status: NDArray[np.int8],
        tolerance: float,
        duration: float,
        mask: NDArray[np.int8] | None = ...,
        counts: NDArray[np.int32] | None = ...,
    ) -> dict[str, float]: ...
    def trajectory(
        self,
        n: NDArray[np.float64],
        temperature: NDArray[np.float64],
        conditions: NDArray[np.float64],
        times: NDArray[np.float64],
        out: NDArray[np.float64],
        status: NDArray[np.int8],
        mode: str,
        conserve: bool,
        mask: NDArray[np.int8] | None = ...,
    ) -> dict[str, float]: ...
    @property
    def has_code(self) -> bool: ...
    def generate_code(self) -> str: ...
    def object_path(self, isa: str) -> str: ...
    def use_object(self, path: str) -> None: ...
    @property
    def has_surrogate(self) -> bool: ...
    @property
    def workspace_bytes(self) -> int: ...
    def trace(
        self,
        n: NDArray[np.float64],
        dt: NDArray[np.float64],
        temperature: NDArray[np.float64],
        conditions: NDArray[np.float64],
    ) -> dict[str, NDArray[np.float64]]: ...
    def rhs(
        self, n: NDArray[np.float64], temperature: float, conditions: NDArray[np.float64]
    ) -> NDArray[np.float64]: ...

def status_list() -> list[tuple[str, int]]: ...
def limits() -> dict[str, float]: ...
def status_message(status: int) -> str: ...
def object_flags(isa: str) -> list[str]: ...
def isa() -> str: ...
