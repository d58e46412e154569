"""Restore what the settings need: the configuration file, and the secret key that loading it would make."""

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
def restored(backup: Path, named: str | None) -> Iterator[Path | None]:
    """Restore both if missing; yield the path of the configuration if it was restored, otherwise None.

    The configuration is the file `named`, otherwise the one that a server would read here. If the block fails,
    the restored files are removed again. Raises BackupError, ConfigurationError, OSError.
    """
    _, state = folder.complete(backup)
    given = named or os.environ.get(VARIABLE)
    wanted = Path(given).absolute() if given else locate() or Path(CONFIGURATION).absolute()
    with ExitStack() as undo:
        is_missing = not os.path.lexists(wanted) and (state / CONFIGURATION).exists()
        if is_missing:
            undo.callback(wanted.unlink, missing_ok=True)
            files.copy(state / CONFIGURATION, wanted, lambda: None)
            sync_folder(wanted.parent)
        _restore_secret(state, wanted, undo)
        yield wanted if is_missing else None
        undo.pop_all()


def _restore_secret(state: Path, wanted: Path, undo: ExitStack) -> None:
    server = load(wanted if os.path.lexists(wanted) else None).server
    target, backed_up = server.data_directory / KEYS / SECRET, state / KEYS / SECRET
    if server.secret_key is None and backed_up.exists() and not target.exists():
        # An ExitStack undoes the last one first.
        for path in reversed([target.parent, *target.parent.parents]):
            if not path.exists():
                undo.callback(_remove_folder, path)
        undo.callback(target.unlink, missing_ok=True)
        make_private_folder(target.parent)
        files.copy(backed_up, target, lambda: None)
        sync_folder(target.parent)


def _remove_folder(path: Path) -> None:
    """Remove an empty folder; one that got other files stays."""
    with suppress(OSError):
        path.rmdir()
