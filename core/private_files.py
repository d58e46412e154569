"""Secret files: created atomically, once, and readable by their owner only."""

import errno
import fcntl
import logging
import os
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

logger = logging.getLogger(__name__)

# Errors of file systems without hard links: vfat, some of FUSE and CIFS.
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class KeyFileError(Exception):
    """A key file can't be used; the message says which, why and what to do."""


def read_or_create(path: Path, make: Callable[[], bytes]) -> bytes:
    """Return the bytes of `path`; if it is missing, first write `make()` to it, 0600 in a 0700 folder.

    Of several processes that start at the same time, one creates it and all read the same. Raises KeyFileError.
    """
    try:
        if not path.exists():
            make_private_folder(path.parent)
            create(path, make())
        return read(path)
    except OSError as error:
        raise KeyFileError(
            f"{path}: {error.strerror}; make it readable and its folder writable for user id {os.geteuid()}"
        ) from error


def read(path: Path) -> bytes:
    """Return the bytes of the secret at `path`.

    Raises OSError, and KeyFileError if it is empty or others may read it.
    """
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise KeyFileError(f"{path}: a folder, where a key belongs; remove it, the key is made at start")
    if mode & 0o077 and not _is_mounted_secret(path, mode):
        raise KeyFileError(f"{path}: other users may read or write this key; run: chmod 600 {path}")
    content = path.read_bytes()
    if not content:
        raise KeyFileError(f"{path}: the file is empty; remove it, the key is made anew at start")
    return content


def random_text() -> bytes:
    """Return 384 random bits as 64 characters; Django warns of a secret below 50."""
    return secrets.token_urlsafe(48).encode("ascii")


def make_private_folder(path: Path) -> None:
    """Make the folder, and missing parents, for this user only. Raises OSError."""
    if not path.parent.exists():
        make_private_folder(path.parent)
    if not path.is_dir():
        path.mkdir(mode=0o700, exist_ok=True)
        give_to_owner(path.parent, path)


def give_to_owner(folder: str | Path, made: int | str | Path) -> None:
    """Change the owner of a file that root made in `folder` to the folder's owner, as whom the server runs.

    `made` is a descriptor or a path. Without file owners, as on vfat, nothing happens.
    """
    if os.geteuid() != 0:
        return
    with suppress(OSError):
        owner = os.stat(folder)  # noqa: PTH116 - for each blob that root stores
        if isinstance(made, int):
            os.fchown(made, owner.st_uid, owner.st_gid)
        else:
            os.chown(made, owner.st_uid, owner.st_gid, follow_symlinks=False)


def create(path: Path, content: bytes) -> bool:
    """Make a private file at `path`, whole or not at all; return False when there is one already. Raises OSError."""
    with _written_beside(path, content) as temporary:
        is_first = publish(temporary, path)
    if is_first:
        sync_folder(path.parent)
    return is_first


def atomic_write(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace `path`, which has the old or the new content after any crash. Raises OSError."""
    with _written_beside(path, content) as temporary:
        temporary.chmod(mode)
        temporary.replace(path)
    sync_folder(path.parent)


@contextmanager
def _written_beside(path: Path, content: bytes) -> Iterator[Path]:
    # A random name: a predictable one could be a link to another user's file.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            give_to_owner(path.parent, file.fileno())
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def publish(temporary: Path, path: Path) -> bool:
    """Give the file the name `path` besides; False when that is taken. Raises OSError.

    Without hard links, it loses its other name.
    """
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _rename_alone(temporary, path)
    return True


def _rename_alone(temporary: Path, path: Path) -> bool:
    """Rename, under a lock on the folder since a rename replaces; for file systems without hard links."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        if path.exists():
            return False
        temporary.rename(path)
        return True
    finally:
        os.close(folder)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable. Raises OSError."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _is_mounted_secret(path: Path, mode: int) -> bool:
    """Return whether others may only read the key and this process can't write its folder; log a warning if so.

    Orchestrators mount secrets this way (swarm: 0444, Kubernetes: 0644). The folder's permissions decide, not a
    read-only file system: to a server that is not root, a folder of root is as good.
    """
    may_write_others = mode & 0o033
    if may_write_others or os.access(path.parent, os.W_OK):
        return False
    _warn_of_readers(path)
    return True


@cache
def _warn_of_readers(path: Path) -> None:
    """Log once per process, though keys are read again after each change of their folder."""
    logger.warning("%s: other users of this system may read this key; mount it with mode 0400 if you can", path)
