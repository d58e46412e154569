"""The one YAML file: found, read, checked, and handed on as values. Needs no Django settings."""

from registry_project.configuration.errors import ConfigurationError
from registry_project.configuration.loading import in_force, load
from registry_project.configuration.locating import locate
from registry_project.configuration.values import Configuration

__all__ = ["Configuration", "ConfigurationError", "in_force", "load", "locate"]
