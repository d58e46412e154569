"""The files of the RSA keys, and their rotation.

    registry.key                     active: signs                       the configured private key
    registry.pub                     its public half, for whoever verifies tokens elsewhere
    registry.next.key                next: published, signs after the next rotation
    registry.retiring-<kid>.pub      retiring: verifies the tokens it signed until they have run out

Every change is a rename, so each moment is whole: a process that reads between two of them finds keys that
verify what the others sign.
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
    """Where the keys lie; `keep_seconds` is how long a retiring key is needed."""

    private: Path
    public: Path
    keep_seconds: float

    @property
    def next(self) -> Path:
        """The file of the next key."""
        return self.private.with_name(f"{self.private.stem}.next{self.private.suffix}")

    @cached_property
    def _watched(self) -> tuple[str, str]:
        # As texts: a Path costs more than the call it is for, at every request.
        return str(self.private.parent), str(self.private)

    def stamp(self) -> tuple[int, int]:
        """Return what differs after a change of any of the keys. Raises OSError."""
        folder, file = self._watched
        return os.stat(folder).st_mtime_ns, os.stat(file).st_mtime_ns  # noqa: PTH116 - as above

    def prepare(self) -> None:
        """Make what does not exist yet. Raises KeyFileError.

        A folder that can't be written, as of a mounted secret, has no next key and is served all the same.
        """
        active = from_private_pem(self.private, private_files.read_or_create(self.private, new_private_pem))
        with suppress(KeyFileError):
            private_files.read_or_create(self.next, new_private_pem)
        self._keep_public(active)

    def active(self) -> SigningKey:
        """Return the key that signs. Raises KeyFileError, OSError."""
        return from_private_pem(self.private, private_files.read(self.private))

    def others(self) -> Iterator[SigningKey]:
        """Give the keys that only verify: the next one, and those that are retiring. Raises KeyFileError, OSError."""
        if self.next.exists():
            yield from_private_pem(self.next, private_files.read(self.next))
        for path in self._retiring():
            if not self._is_over(path):
                yield from_public_pem(path, path.read_bytes())

    def next_end(self) -> float:
        """Return when the next of the retiring keys is over, as `time.time` counts; infinity without any."""
        now = time.time()
        return min((end for end in map(self._end, self._retiring()) if end >= now), default=math.inf)

    def files(self) -> dict[str, Path]:
        """Return the files that there are, by the names that they have in a folder of the defaults."""
        retiring = [f"{DEFAULT_STEM}{path.name.removeprefix(self.private.stem)}" for path in self._retiring()]
        names = [f"{DEFAULT_STEM}.key", f"{DEFAULT_STEM}.next.key", f"{DEFAULT_STEM}.pub", *retiring]
        return {name: path for name in names if (path := self.file_of(name)).exists()}

    def file_of(self, name: str) -> Path:
        """Return the file that has this name in a folder of the defaults."""
        if name == f"{DEFAULT_STEM}.key":
            return self.private
        if name == f"{DEFAULT_STEM}.pub":
            return self.public
        if name == f"{DEFAULT_STEM}.next.key":
            return self.next
        return self.private.with_name(f"{self.private.stem}{name.removeprefix(DEFAULT_STEM)}")

    def rotate(self) -> None:
        """Let the next key sign and the active one retire; remove those that have retired. Raises KeyFileError."""
        try:
            with self.locked():
                self._rotate()
        except OSError as error:
            raise KeyFileError(f"{self.private.parent}: {error.strerror}; the folder must be writable") from error

    def _rotate(self) -> None:
        private_files.read_or_create(self.next, new_private_pem)
        retiring = self.active()
        _write_public(self._retiring_path(retiring), retiring)
        self.next.replace(self.private)
        _write_public(self.public, self.active())
        private_files.read_or_create(self.next, new_private_pem)
        for path in self._retiring():
            if self._is_over(path):
                path.unlink()

    def _keep_public(self, active: SigningKey) -> None:
        """Write the public key when it is missing, or left from before a rotation that was cut short.

        Nothing here reads it: beside a private key in a folder that can't be written it may be missing.
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

    def _is_over(self, path: Path) -> bool:
        return self._end(path) < time.time()

    def _end(self, path: Path) -> float:
        return path.stat().st_mtime + self.keep_seconds

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a rotation waiting; the lock goes with the process. Raises OSError."""
        descriptor = os.open(self.private.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _write_public(path: Path, key: SigningKey) -> None:
    private_files.make_private_folder(path.parent)
    private_files.atomic_write(path, public_pem(key), mode=0o644)
