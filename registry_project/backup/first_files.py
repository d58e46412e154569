"""What `manage.py restore` needs before there are settings: the configuration, and the key that loading them makes."""

import os
from pathlib import Path

from registry_project.backup import files, folder
from registry_project.configuration import load, locate
from registry_project.configuration.locating import VARIABLE
from tokens.key_file import make_private_folder

CONFIGURATION = "config.yaml"
KEYS = "keys"
SECRET = "secret.key"  # noqa: S105 - the name of its file


def put_back(backup: Path, named: str | None) -> Path | None:
    """Restore both where they are missing; return the path of the configuration when it is one of them.

    The configuration is the file `named`, otherwise the one that a server here would read. Raises BackupError,
    ConfigurationError, OSError.
    """
    _, state = folder.complete(backup)
    wanted = _wanted(named)
    is_missing = not os.path.lexists(wanted) and (state / CONFIGURATION).exists()
    if is_missing:
        files.copy(state / CONFIGURATION, wanted, _nobody)
        files.sync_folder(wanted.parent)
    _put_back_secret(state, wanted)
    return wanted if is_missing else None


def _wanted(named: str | None) -> Path:
    given = named or os.environ.get(VARIABLE)
    return Path(given).absolute() if given else locate() or Path(CONFIGURATION).absolute()


def _put_back_secret(state: Path, wanted: Path) -> None:
    server = load(wanted if os.path.lexists(wanted) else None).server
    target, kept = server.data_directory / KEYS / SECRET, state / KEYS / SECRET
    if server.secret_key is None and kept.exists() and not target.exists():
        make_private_folder(target.parent)
        files.copy(kept, target, _nobody)
        files.sync_folder(target.parent)


def _nobody() -> None:
    """Watch nothing: these files are small."""
