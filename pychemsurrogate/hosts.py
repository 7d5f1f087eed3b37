"""Where libpcs and all that C, C++ and Fortran hosts build against lie in this installation, and the flags for it.

Imports neither numpy nor the compiled core, so that a makefile can ask in a moment. Use: docs/hosts/linking.md.
"""

from __future__ import annotations

import shlex
from importlib.util import find_spec
from pathlib import Path

__all__ = [
    "HostsError",
    "cflags",
    "cmake_dir",
    "fortran_source",
    "include_dir",
    "library_dir",
    "libs",
    "pkg_config_dir",
]


class HostsError(RuntimeError):
    """This installation has no libpcs."""


def _tree() -> Path:
    """The folder that holds lib, include and share: the package's own, in an editable installation that of _native."""
    spec = find_spec("pychemsurrogate._native")
    tree = Path(spec.origin).parent if spec and spec.origin else Path(__file__).parent
    if not (tree / "lib" / "libpcs.so").is_file():
        if (tree.parent / "CMakeLists.txt").is_file():
            raise HostsError(f"{tree} is the source tree, which holds no libpcs: run this from another folder")
        raise HostsError(
            f"{tree} has no lib/libpcs.so: the package was built with PCS_LIBRARY=OFF; install it again: "
            "python -m pip install --force-reinstall pychemsurrogate"
        )
    return tree


def library_dir() -> Path:
    """The folder of libpcs.so."""
    return _tree() / "lib"


def include_dir() -> Path:
    """The folder of pcs.h."""
    return _tree() / "include"


def fortran_source() -> Path:
    """The source of the Fortran module, which a host compiles with its own compiler (a .mod file fits one alone)."""
    return _tree() / "share" / "pychemsurrogate" / "fortran" / "pychemsurrogate.f90"


def cmake_dir() -> Path:
    """The folder of the CMake package: -Dpychemsurrogate_DIR=... or a part of CMAKE_PREFIX_PATH."""
    return library_dir() / "cmake" / "pychemsurrogate"


def pkg_config_dir() -> Path:
    """The folder of pcs.pc: a part of PKG_CONFIG_PATH."""
    return library_dir() / "pkgconfig"


def cflags() -> str:
    """The C and C++ compilers' flags, quoted for the shell where a path needs it."""
    return shlex.quote(f"-I{include_dir()}")


def libs() -> str:
    """The linker's flags, with the library's folder as run path, quoted for the shell where a path needs it."""
    folder = library_dir()
    return " ".join(map(shlex.quote, [f"-L{folder}", "-lpcs", f"-Wl,-rpath,{folder}"]))
