"""The one YAML file: found, read, checked, and handed on as values. Needs no Django settings."""

from configuration.errors import ConfigurationError
from configuration.loading import in_force, load
from configuration.locating import locate
from configuration.values import Configuration

__all__ = ["Configuration", "ConfigurationError", "in_force", "load", "locate"]
