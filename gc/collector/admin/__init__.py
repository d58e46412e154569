"""The admin of runs, findings and the scrub."""

from collector.admin import runs

__all__ = ["runs"]
