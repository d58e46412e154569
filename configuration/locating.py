"""Find the configuration file."""

import os
from pathlib import Path

from configuration.errors import ConfigurationError, Problem

VARIABLE = "CONFIG_PATH"
SYSTEM_WIDE = Path("/etc/registry/config.yaml")


def locate() -> Path | None:
    """Return the absolute path of the first file of CONFIG_PATH, ./config.yaml and /etc/registry/config.yaml.

    None means that there is no file. Raises ConfigurationError when CONFIG_PATH names a missing file: another file
    would not be the configuration that was meant.
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
    """Tell whether `path` exists; True for a path that can't be examined, so that `load` reports the reason."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
