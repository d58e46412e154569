"""The version of the registry: `manage.py version`, `/health` and the package tell this one."""

VERSION = "0.1.0"
