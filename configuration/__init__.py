"""`config.yaml`: find, read and check the YAML file, and return its values. It needs no Django settings.

`locating`, `loading`  find the file; load the configuration of the process
`document`, `element`  strict YAML to nodes; a node with its place
`section`, `models`    the sections and keys for pydantic; problems of several keys together
`converters`           single values
`values`               the result, with all defaults
`secret`, `text_file`  secrets and where they are read from
`restart`              the keys that changed since the start
`first_run`            the first file of a new installation
"""

from configuration.errors import ConfigurationError
from configuration.loading import in_force, load
from configuration.locating import locate
from configuration.values import Configuration

__all__ = ["Configuration", "ConfigurationError", "in_force", "load", "locate"]
