"""Where the configuration file is."""

import os
from pathlib import Path

from configuration.errors import ConfigurationError, Problem

VARIABLE = "CONFIG_PATH"
SYSTEM_WIDE = Path("/etc/registry/config.yaml")


def locate() -> Path | None:
    """Return the absolute path of the file: CONFIG_PATH, else ./config.yaml, else /etc/registry/config.yaml.

    None: there is no file. Raises ConfigurationError when CONFIG_PATH names a file that does not exist: the
    next file in the row would be another configuration than the one that was meant.
    """
    named = os.environ.get(VARIABLE)
    if named is None:
        return next(filter(_exists, (Path("config.yaml").absolute(), SYSTEM_WIDE)), None)
    if not named or not _exists(Path(named)):
        found = f'"{named}", which does not exist' if named else "an empty value"
        expected = f"the path of a configuration file, or {VARIABLE} not set"
        raise ConfigurationError([Problem(None, 0, VARIABLE, found, expected)])
    return Path(named).absolute()


def _exists(path: Path) -> bool:
    """Say whether there is something at `path`; what can't be looked at is, and `load` says why it can't."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
