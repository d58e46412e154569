"""`backup.json`: the complete backup of a folder."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from backup.errors import BackupError
from core.private_files import atomic_write

NAME = "backup.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """One complete backup.

    `state` is the folder of the database; `storage` is "filesystem", or the cloud that keeps the objects.
    """

    state: str
    made_at: str
    registry: str
    storage: str
    database: str
    database_bytes: int
    database_sha256: str
    list_sha256: str
    objects: int
    object_bytes: int
    migrations: list[str]
    format: int = FORMAT

    @property
    def has_objects(self) -> bool:
        """Whether the objects are in the backup."""
        return self.storage == "filesystem"

    def write(self, folder: Path) -> None:
        """Make this the complete backup of `folder`. Raises OSError."""
        atomic_write(folder / NAME, (json.dumps(asdict(self), indent=2) + "\n").encode())


def read(folder: Path) -> Manifest | None:
    """Return the complete backup in `folder`; None means that there is none yet. Raises BackupError, OSError."""
    path = folder / NAME
    try:
        values = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise BackupError(f"{path}: not what a backup wrote ({error}); take another copy of this backup") from error
    if values.get("format") != FORMAT:
        raise BackupError(f"{path}: made by another version of the registry; use that version, or a newer one")
    try:
        return Manifest(**values)
    except TypeError as error:
        raise BackupError(f"{path}: not what a backup wrote ({error}); take another copy of this backup") from error
