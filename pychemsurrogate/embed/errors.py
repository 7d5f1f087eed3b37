"""Errors as the codes and messages of pcs.h."""

from __future__ import annotations

import traceback

from pychemsurrogate.model_file import ModelFileError
from pychemsurrogate.status import CallError


class HostError(ValueError):
    """A failure that the host is told as it is, without a traceback. code: a code of pcs.h."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def told(error: BaseException) -> tuple[int, str]:
    """The code and the message for the host: with the traceback, unless the error is one of ours that says it all."""
    code = getattr(error, "code", None)  # of HostError and of the native core's errors
    if isinstance(error, (ValueError, RuntimeError)) and isinstance(code, int):
        return code, str(error)
    if isinstance(error, ModelFileError):
        return CallError.FILE, str(error)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's, of its devices
        return CallError.MEMORY, f"out of memory: use smaller batches\n{error}".strip()
    return CallError.PYTHON, "".join(traceback.format_exception(type(error), error, error.__traceback__)).strip()
