"""Secrets in files: made once, whole, and readable by their owner only."""

import os
import secrets
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


class KeyFileError(Exception):
    """A key file can't be used; the text says which, why and what to do."""


def read_or_create(path: Path, make: Callable[[], bytes]) -> bytes:
    """Return the bytes of `path`; when it does not exist, first fill it with `make()`.

    The file appears whole or not at all (written beside, fsynced, then linked), 0600 in a 0700 folder:
    of processes that start at once one makes it and all read the same. Raises KeyFileError.
    """
    try:
        if not path.exists():
            _create(path, make())
        return read(path)
    except OSError as error:
        raise KeyFileError(
            f"{path}: {error.strerror}; make it readable and its folder writable for {_user()}"
        ) from error


def read(path: Path) -> bytes:
    """Return the bytes of the secret at `path`. Raises KeyFileError when it is none or others may read it, OSError."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise KeyFileError(f"{path}: a folder, where a key belongs; remove it, the key is made at start")
    if mode & 0o077:
        raise KeyFileError(f"{path}: other users may read or write this key; run: chmod 600 {path}")
    content = path.read_bytes()
    if not content:
        raise KeyFileError(f"{path}: the file is empty; remove it, the key is made anew at start")
    return content


def random_text() -> bytes:
    """Return 384 random bits as text of 64 characters; Django warns of a secret below 50."""
    return secrets.token_urlsafe(48).encode("ascii")


def make_private_folder(path: Path) -> None:
    """Make the folder, and those above it, for this user only. Raises OSError."""
    if not path.parent.exists():
        make_private_folder(path.parent)
    if not path.is_dir():
        path.mkdir(mode=0o700, exist_ok=True)
        give_to_owner(path.parent, path)


def give_to_owner(folder: Path, made: int | Path) -> None:
    """Give what root made in `folder` to the folder's owner: the server, which is seldom root, has to read it.

    `made` is an open file, or a folder. Where the system knows no owners, nothing happens.
    """
    if os.geteuid() != 0:
        return
    with suppress(OSError):
        owner = folder.stat()
        if isinstance(made, int):
            os.fchown(made, owner.st_uid, owner.st_gid)
        else:
            os.chown(made, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _create(path: Path, content: bytes) -> None:
    make_private_folder(path.parent)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            give_to_owner(path.parent, file.fileno())
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _link(temporary, path)
    finally:
        Path(temporary).unlink()


def _link(temporary: str, path: Path) -> None:
    try:
        os.link(temporary, path)
    except FileExistsError:
        return  # another process was first, and its key is the one
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _user() -> str:
    return f"user id {os.geteuid()}"
