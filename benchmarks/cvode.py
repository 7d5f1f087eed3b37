"""CVODE on a network of any size: compiles cvode_driver.cpp, hands the network over and runs it."""

from __future__ import annotations

import ctypes
import functools
import re
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from workload import Answer, Workload

from pychemsurrogate.network import Network

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent / "build" / "benchmarks"
SUNDIALS = ["sundials_cvode", "sundials_nvecserial", "sundials_sunlinsolklu", "sundials_sunlinsoldense"]
SUNDIALS += ["sundials_sunmatrixsparse", "sundials_sunmatrixdense"]
FLAGS = ["-std=c++20", "-O3", "-march=native", "-shared", "-fPIC"]
KLU_ORDERINGS = {"AMD": 0, "COLAMD": 1, "natural": 2, "Markowitz": 2}  # the last permutes the unknowns


class NetworkArrays(ctypes.Structure):
    """What cvode_network.hpp calls so; keeps the arrays alive that it points at."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("n_species", "n_reactions", "n_products", "n_conditions")),
        *((name, ctypes.c_void_p) for name in ("reactants", "products", "law", "law_conditions")),
        *((name, ctypes.c_void_p) for name in ("parameters", "scale_weights", "order")),
    )

    def __init__(self, network: Network, order: NDArray[np.int32]) -> None:
        tables = network.tables()
        self.arrays = [tables.reactants, tables.products, tables.law, tables.law_conditions]
        self.arrays += [tables.parameters, tables.scale_weights, order]
        self.arrays = [np.ascontiguousarray(array) for array in self.arrays]
        sizes = network.n_species, network.n_reactions, tables.products.shape[1], len(network.conditions)
        super().__init__(*sizes, *(array.ctypes.data for array in self.arrays))


def sundials_version() -> str:
    """The version of the installed SUNDIALS."""
    header = Path("/usr/include/sundials/sundials_config.h").read_text(encoding="utf-8")
    return re.findall(r'SUNDIALS_VERSION "(.*?)"', header)[0]


@functools.cache
def compile_driver() -> ctypes.CDLL:
    """Compile cvode_driver.cpp and load it; SystemExit if SUNDIALS is not there."""
    if not Path("/usr/include/cvode/cvode.h").exists():
        raise SystemExit("SUNDIALS is not installed: run `make bench`, or apt-get install libsundials-dev")
    BUILD.mkdir(parents=True, exist_ok=True)
    library = BUILD / "libcvode_driver.so"
    link = [f"-l{name}" for name in SUNDIALS]
    command = ["g++", *FLAGS, "-I/usr/include/suitesparse", HERE / "cvode_driver.cpp", "-o", library, *link]
    subprocess.run(command, check=True)
    driver = ctypes.CDLL(str(library))
    driver.cvode_network.restype = ctypes.c_void_p
    return driver


def markowitz_order(network: Network) -> NDArray[np.int32]:
    """The species (S,) in the order that makes least fill at every step, diagonal pivots alone (Markowitz 1957)."""
    rng = np.random.default_rng(0)
    pattern = network.jacobian(rng.uniform(1, 2, network.n_species), rng.uniform(1, 2, network.n_reactions)) != 0
    np.fill_diagonal(pattern, True)
    left, order = np.ones(network.n_species, dtype=bool), []
    for _ in range(network.n_species):
        fill = (pattern[:, left].sum(axis=1) - 1) * (pattern[left].sum(axis=0) - 1)
        pivot = int(np.argmin(np.where(left, fill, fill.max() + 1)))
        order.append(pivot)
        left[pivot] = False
        pattern[np.ix_(left & pattern[:, pivot], left & pattern[pivot])] = True
    return np.array(order, dtype=np.int32)


class Cvode:
    """CVODE's BDF on one network, with KLU in one of KLU_ORDERINGS, with or without block triangular form."""

    def __init__(self, network: Network, ordering: str = "Markowitz", btf: bool = False) -> None:
        self._driver = compile_driver()
        self._names, self._ordering, self._btf = network.conditions, KLU_ORDERINGS[ordering], btf
        natural = np.arange(network.n_species, dtype=np.int32)
        self._arrays = NetworkArrays(network, markowitz_order(network) if ordering == "Markowitz" else natural)
        self._network = ctypes.c_void_p(self._driver.cvode_network(ctypes.byref(self._arrays)))
        if not self._network:
            raise RuntimeError("CVODE's driver cannot serve this network")

    def advance(self, cells: Workload, rtol: float, atol: float, dense: bool = False) -> Answer:
        """Advance every cell by its dt; dense: a dense matrix and LU instead of KLU."""
        n, counts = cells.n.copy(), (ctypes.c_int64 * 4)()
        conditions = np.stack([cells.conditions[name] for name in self._names], axis=1)
        pointers = [ctypes.c_void_p(array.ctypes.data) for array in (n, cells.dt, cells.temperature, conditions)]
        tolerances = ctypes.c_double(rtol), ctypes.c_double(atol)
        linear = int(dense), self._ordering, int(self._btf)
        if self._driver.cvode_advance(self._network, ctypes.c_int64(len(n)), *pointers, *tolerances, *linear, counts):
            raise RuntimeError("CVODE could not be set up")
        return Answer(n, *counts)
