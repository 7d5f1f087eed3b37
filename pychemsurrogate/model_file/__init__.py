"""The one artefact that Python, C and Fortran open alike: network, weights, scaling, gate and provenance."""

from __future__ import annotations

from pychemsurrogate.model_file.file import ModelFile, shipped_model_path, shipped_models
from pychemsurrogate.model_file.layout import ModelFileError

__all__ = ["ModelFile", "ModelFileError", "shipped_model_path", "shipped_models"]
