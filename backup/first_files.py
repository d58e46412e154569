"""What `manage.py restore` needs before there are settings: the configuration, and the key that loading them makes."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from backup import files, folder
from configuration import load, locate
from configuration.locating import VARIABLE
from core.private_files import make_private_folder, sync_folder

CONFIGURATION = "config.yaml"
KEYS = "keys"
SECRET = "secret.key"  # noqa: S105 - the name of its file


@contextmanager
def put_back(backup: Path, named: str | None) -> Iterator[Path | None]:
    """Restore both where they are missing; yield the path of the configuration when it is one of them.

    The configuration is the file `named`, otherwise the one that a server here would read. When the block fails,
    what was made is removed again. Raises BackupError, ConfigurationError, OSError.
    """
    _, state = folder.complete(backup)
    wanted = _wanted(named)
    with ExitStack() as undo:
        is_missing = not os.path.lexists(wanted) and (state / CONFIGURATION).exists()
        if is_missing:
            undo.callback(wanted.unlink, missing_ok=True)
            files.copy(state / CONFIGURATION, wanted, _nobody)
            sync_folder(wanted.parent)
        _put_back_secret(state, wanted, undo)
        yield wanted if is_missing else None
        undo.pop_all()


def _wanted(named: str | None) -> Path:
    given = named or os.environ.get(VARIABLE)
    return Path(given).absolute() if given else locate() or Path(CONFIGURATION).absolute()


def _put_back_secret(state: Path, wanted: Path, undo: ExitStack) -> None:
    server = load(wanted if os.path.lexists(wanted) else None).server
    target, kept = server.data_directory / KEYS / SECRET, state / KEYS / SECRET
    if server.secret_key is None and kept.exists() and not target.exists():
        # Undone in the opposite order.
        for path in reversed([target.parent, *target.parent.parents]):
            if not path.exists():
                undo.callback(_remove_folder, path)
        undo.callback(target.unlink, missing_ok=True)
        make_private_folder(target.parent)
        files.copy(kept, target, _nobody)
        sync_folder(target.parent)


def _remove_folder(path: Path) -> None:
    """Remove a folder unless something else has come into it."""
    with suppress(OSError):
        path.rmdir()


def _nobody() -> None:
    """Watch nothing: these files are small."""
