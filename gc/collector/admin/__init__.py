"""The pages of collections."""

from collector.admin import runs

__all__ = ["runs"]
