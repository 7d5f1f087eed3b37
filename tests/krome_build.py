"""libkrome as a host's owner would make it: generated, then built by its makefile; and clients linked to it."""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from native_build import ROOT, STRICT, NativeBuild, run
from numpy.typing import NDArray
from workload import Workload

from pychemsurrogate.krome.spelling import krome_order
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.network import Network

CLIENTS = ROOT / "tests" / "krome"
STRICT_MODULES = "-std=f2008 -Wall -Wextra -Werror -O2"
STRICT_HEADER = "-std=c99 -Wall -Wextra -Wpedantic -Werror -O2"
# Hosts are of their own style (real*8): -Wall is what they must pass. They trap floating-point exceptions, too.
CLIENT = ["-Wall", "-Werror", "-O1", "-fopenmp", "-ffpe-trap=invalid,zero,overflow"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Krome:
    """A folder that `pychemsurrogate krome` has written and make has built, and what it was made of."""

    folder: Path
    libpcs: NativeBuild
    network: Network
    extra: tuple[str, ...] = ()  # flags of compilers and linker

    @property
    def order(self) -> list[int]:
        """KROME's i-th species is the network's order[i]-th."""
        return krome_order(self.network)

    @property
    def link(self) -> list[object]:
        libraries = (self.folder, self.libpcs.libraries)
        return [*(f"-L{d}" for d in libraries), *(f"-Wl,-rpath,{d}" for d in libraries), "-lkrome", "-lpcs"]

    def fortran(self, name: str, folder: Path, *flags: str) -> Path:
        """Compile and link tests/krome/<name>.f90."""
        sources = [CLIENTS / "cells.f90", CLIENTS / f"{name}.f90"]
        build = ["gfortran", *CLIENT, *flags, *self.extra, f"-I{self.folder}", f"-J{folder}"]
        run([*build, *sources, "-o", folder / name, *self.link])
        return folder / name

    def c(self, name: str, folder: Path) -> Path:
        """Compile and link tests/krome/<name>.c, strict C99."""
        build = ["gcc", "-std=c99", *STRICT, "-O1", *self.extra, f"-I{self.folder}"]
        run([*build, CLIENTS / f"{name}.c", "-o", folder / name, *self.link, "-lm"])
        return folder / name

    def records(self, path: Path) -> Records:
        """What a client has recorded."""
        values = np.fromfile(path).reshape(-1, 3 + 2 * self.network.n_species)
        before, after = np.split(values[:, 3:], 2, axis=1)
        back = np.argsort(self.order)
        return Records(*values[:, :3].T, before[:, back], after[:, back])


@dataclass(frozen=True)
class Records:
    """A client's steps: T [K], ionisation rate [1/s], dt [s] (steps,); n before and after (steps, S), in our order."""

    temperature: FloatArray
    crate: FloatArray
    dt: FloatArray
    before: FloatArray
    after: FloatArray


def generate(source: object, folder: Path, *options: str) -> None:
    """`pychemsurrogate krome`."""
    run([sys.executable, "-m", "pychemsurrogate", "krome", source, "-o", folder, *options])


def build(folder: Path, libpcs: NativeBuild, extra: tuple[str, ...] = ()) -> None:
    """Make in the folder, with every warning an error."""
    flags = " ".join(extra)
    settings = [f"FFLAGS={STRICT_MODULES} {flags}", f"CFLAGS={STRICT_HEADER} {flags}", f"LDFLAGS={flags}"]
    run(["make", "-s", "-C", folder, *settings, f"PCS_LIBS=-L{libpcs.libraries} -lpcs"])


def write_cells(path: Path, cells: Workload, order: list[int]) -> Path:
    """The input of the clients (tests/krome/cells.f90)."""
    with path.open("wb") as file:
        for n, dt, temperature, zeta in zip(cells.n, cells.dt, cells.temperature, cells.zeta, strict=True):
            file.write(struct.pack("<3d", temperature, zeta, dt) + n[order].tobytes())
    return path


def write_model(network: Network, path: Path) -> None:
    """A model that holds a network alone."""
    ModelFile.from_network(network).write(path)
