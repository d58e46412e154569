"""The files of the private keys, and their rotation.

    registry.key                     active: signs                       the configured private key
    registry.pub                     its public half, for other services that verify tokens
    registry.next.key                next: published, signs after the next rotation
    registry.retiring-<kid>.pub      retiring: verifies the tokens it signed until they expire

Every change is an atomic rename: a process that reads between two renames verifies all tokens that others sign.
"""

import fcntl
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from core import private_files
from core.private_files import KeyFileError
from tokens.keys.signing_key import SigningKey, from_private_pem, from_public_pem, new_private_pem, public_pem

DEFAULT_STEM = "registry"


@dataclass(frozen=True, eq=False)
class KeyFolder:
    """The paths of the keys; `keep_seconds` is the lifetime of a retiring key, `signing_method` that of new keys."""

    private: Path
    public: Path
    keep_seconds: float
    signing_method: str

    @property
    def next(self) -> Path:
        return self.private.with_name(f"{self.private.stem}.next{self.private.suffix}")

    @cached_property
    def _watched(self) -> tuple[str, str]:
        # As strings: every request makes these `stat` calls, and converting a Path takes longer than the call.
        return str(self.private.parent), str(self.private)

    def stamp(self) -> tuple[int, int]:
        """Return a value that changes with any of the keys. Raises OSError."""
        folder, file = self._watched
        return os.stat(folder).st_mtime_ns, os.stat(file).st_mtime_ns  # noqa: PTH116 - as above

    def prepare(self) -> None:
        """Create missing keys. Raises KeyFileError.

        A read-only folder, such as a mounted secret, needs no next key.
        """
        active = from_private_pem(self.private, private_files.read_or_create(self.private, self._new_pem))
        with suppress(KeyFileError):
            private_files.read_or_create(self.next, self._new_pem)
        self._keep_public(active)

    def active(self) -> SigningKey:
        """Return the signing key. Raises KeyFileError, OSError."""
        return from_private_pem(self.private, private_files.read(self.private))

    def others(self) -> Iterator[SigningKey]:
        """Yield the keys that only verify: next and retiring. Raises KeyFileError, OSError."""
        if self.next.exists():
            yield from_private_pem(self.next, private_files.read(self.next))
        for path in self._retiring():
            if self._expiry(path) >= time.time():
                yield from_public_pem(path, path.read_bytes())

    def next_expiry(self) -> float:
        """Return the Unix time when the next retiring key expires, infinity without one."""
        now = time.time()
        return min((expiry for expiry in map(self._expiry, self._retiring()) if expiry >= now), default=math.inf)

    def files(self) -> dict[str, Path]:
        """Return the existing files by their default names."""
        retiring = [f"{DEFAULT_STEM}{path.name.removeprefix(self.private.stem)}" for path in self._retiring()]
        names = [f"{DEFAULT_STEM}.key", f"{DEFAULT_STEM}.next.key", f"{DEFAULT_STEM}.pub", *retiring]
        return {name: path for name in names if (path := self.file_of(name)).exists()}

    def file_of(self, name: str) -> Path:
        """Return the path of the file with this default name."""
        if name == f"{DEFAULT_STEM}.key":
            return self.private
        if name == f"{DEFAULT_STEM}.pub":
            return self.public
        if name == f"{DEFAULT_STEM}.next.key":
            return self.next
        return self.private.with_name(f"{self.private.stem}{name.removeprefix(DEFAULT_STEM)}")

    def rotate(self) -> None:
        """Activate the next key, retire the active one and delete expired ones. Raises KeyFileError."""
        try:
            with self.locked():
                self._rotate()
        except OSError as error:
            raise KeyFileError(f"{self.private.parent}: {error.strerror}; the folder must be writable") from error

    def _rotate(self) -> None:
        private_files.read_or_create(self.next, self._new_pem)
        retiring = self.active()
        _write_public(self._retiring_path(retiring), retiring)
        self.next.replace(self.private)
        _write_public(self.public, self.active())
        private_files.read_or_create(self.next, self._new_pem)
        for path in self._retiring():
            if self._expiry(path) < time.time():
                path.unlink()

    def _new_pem(self) -> bytes:
        return new_private_pem(self.signing_method)

    def _keep_public(self, active: SigningKey) -> None:
        """Write the public key if it is missing, or stale after an interrupted rotation.

        The server does not need the file, so it may be missing in a read-only folder of the private key.
        """
        try:
            if self.public.exists():
                found = from_public_pem(self.public, self.public.read_bytes())
                if found.kid == active.kid:
                    return
                if not self._retiring_path(found).exists():
                    raise KeyFileError(
                        f"{self.public}: does not belong to the private key {self.private}; "
                        "remove it, it is written anew at start"
                    )
            _write_public(self.public, active)
        except OSError as error:
            if self.public.parent == self.private.parent and not self.public.exists():
                return
            raise KeyFileError(f"{self.public}: {error.strerror}; make it readable and its folder writable") from error

    def _retiring_path(self, key: SigningKey) -> Path:
        return self.private.with_name(f"{self.private.stem}.retiring-{key.kid}.pub")

    def _retiring(self) -> list[Path]:
        return sorted(self.private.parent.glob(f"{self.private.stem}.retiring-*.pub"))

    def _expiry(self, path: Path) -> float:
        return path.stat().st_mtime + self.keep_seconds

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder against a rotation; the lock ends with the process. Raises OSError."""
        descriptor = os.open(self.private.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _write_public(path: Path, key: SigningKey) -> None:
    private_files.make_private_folder(path.parent)
    private_files.atomic_write(path, public_pem(key), mode=0o644)
