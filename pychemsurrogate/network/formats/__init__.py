"""Readers of network files: one module a format, each with read(path) -> Network."""
