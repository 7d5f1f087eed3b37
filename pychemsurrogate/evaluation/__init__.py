"""Metrics and plots: what was computed, judged and shown."""
