"""Back up and restore the keys and the configuration file."""

import os
from pathlib import Path

from django.conf import settings

from backup import files
from backup.files import Watch
from backup.first_files import CONFIGURATION, KEYS, SECRET
from core.private_files import make_private_folder, sync_folder
from tokens.keys import ring


def folders() -> set[Path]:
    """Return the folders of the keys."""
    folder = ring.key_folder()
    return {_secret().parent, folder.private.parent, folder.public.parent}


def back_up(state: Path, watch: Watch) -> None:
    """Copy keys and configuration into `state`. Raises OSError, and what `watch` raises."""
    (state / KEYS).mkdir(mode=0o700)
    folder = ring.key_folder()
    if folder.private.parent.is_dir():
        # Otherwise a key rotation between two copies leaves a pair that does not match.
        with folder.locked():
            for name, path in folder.files().items():
                _copy(path, state / KEYS / name, watch)
    if _secret().exists():
        _copy(_secret(), state / KEYS / SECRET, watch)
    if settings.REGISTRY.path is not None:
        files.copy(settings.REGISTRY.path, state / CONFIGURATION, watch)


def restore(state: Path, watch: Watch) -> bool:
    """Copy the signing keys of `state` to the configured paths; False means that existing keys stay.

    Raises OSError, and what `watch` raises.
    """
    folder = ring.key_folder()
    if folder.private.exists():
        return False
    for path in sorted((state / KEYS).iterdir()):
        target = folder.file_of(path.name)
        if path.name == SECRET or target.exists():
            continue
        make_private_folder(target.parent)
        _copy(path, target, watch)
        # Other services read the public keys to verify tokens.
        target.chmod(0o644 if target.suffix == ".pub" else 0o600)
        sync_folder(target.parent)
    return True


def _copy(source: Path, target: Path, watch: Watch) -> None:
    files.copy(source, target, watch)
    # The modification time tells when a key was retired.
    times = source.stat()
    os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))


def _secret() -> Path:
    return settings.REGISTRY.server.data_directory / "keys" / SECRET
