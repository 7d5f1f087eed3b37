"""Straight-line kernels for a user's own network: written by the package, compiled on the user's machine, kept."""

from __future__ import annotations

import errno
import fcntl
import os
import shlex
import stat
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from pychemsurrogate import _native


class CompileError(RuntimeError):
    """Kernels could not be compiled; the message says why and what to do."""


def compile_kernels(solver: _native.Solver, isa: str | None = None) -> Path:
    """The shared object with straight-line kernels for the solver's network, compiled unless it is there already.

    isa: "sse2", "avx2" or "avx512"; None: that of this process. The compiler is $CXX, or c++ if that is not set; the
    object goes into $PCS_KERNEL_CACHE, else $XDG_CACHE_HOME/pychemsurrogate, else ~/.cache/pychemsurrogate.
    Raises CompileError without a compiler or where it fails, ValueError for a network that is too large for it.
    """
    path = Path(solver.object_path(isa or _native.isa()))
    if path.exists():
        return path
    code = solver.generate_code()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _require_private(path.parent, path.parent.stat())
        with _lock(path.with_suffix(".lock")) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # many processes may want the same kernels at once: one compiles
            if not path.exists():
                _compile(code, path, _native.object_flags(isa or _native.isa()))
    except OSError as error:
        advice = "set PCS_KERNEL_CACHE to a folder that can be written, of a local disk where locks fail"
        raise CompileError(f"{error}: {advice}") from None
    return path


def _require_private(path: Path, found: os.stat_result) -> None:
    """Raise CompileError where others could put a file of theirs, or have; the core asks the same before it loads."""
    if found.st_uid not in (os.geteuid(), 0):
        raise CompileError(f"{path} belongs to another user: set PCS_KERNEL_CACHE to a folder of your own")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise CompileError(f"{path} could be changed by other users: chmod go-w {path}")


def _lock(path: Path) -> IO[str]:
    """The file that is locked while one process compiles, never through a link. Locks on NFS need its lock service."""
    try:
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise CompileError(f"{path} is a link or a pipe, not a file: remove it") from None
        raise
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise CompileError(f"{path} is not a file: remove it")
    return os.fdopen(opened, "r+")


def choose_kernels(solver: _native.Solver, kernels: str) -> None:
    """Set the option `kernels` ("auto", "tables" or "compiled") and compile what it needs first.

    Raises ValueError for an unknown choice and for an object that cannot be trusted, else as compile_kernels.
    """
    if kernels == "compiled" and not solver.has_code:
        compile_kernels(solver)
    solver.set_option("kernels", kernels)


def _compile(code: str, path: Path, flags: list[str]) -> None:
    compiler = shlex.split(os.environ.get("CXX", "")) or ["c++"]
    sources = Path(_native.__file__).parent / "native"
    with TemporaryDirectory(dir=path.parent) as folder:
        generated = Path(folder) / "pcs_generated" / "network.inc"
        generated.parent.mkdir()
        generated.write_text(code, encoding="utf-8")
        target = Path(folder) / path.name
        command = [*compiler, *flags, f"-I{sources / 'include'}", f"-I{folder}", str(sources / "kernels.cpp")]
        try:
            result = subprocess.run([*command, "-o", str(target)], capture_output=True, text=True, check=False)
        except OSError as error:
            raise CompileError(
                f"no C++ compiler: {error}; install one (such as g++) or set CXX, or use kernels='auto'"
            ) from None
        if result.returncode != 0:
            raise CompileError(f"{shlex.join(command)} failed:\n{result.stderr.strip()[-2000:]}")
        target.chmod(0o755)  # whatever the umask: what others could write is not loaded
        target.replace(path)
