"""A storage of objects behind a network: what a cloud has to do beyond Django's Storage."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import IO, Protocol

from django.core.files.storage import Storage


class Reader(Protocol):
    """A stream of bytes."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes; none at the end."""
        ...

    def readinto(self, view: memoryview, /) -> int | None:
        """Put at most `len(view)` bytes into `view` and return how many; 0 at the end."""
        ...


# A state of CloudError: nothing can be written, but read.
FULL = "full"


class CloudError(Exception):
    """The cloud did not do what it was asked; the message says why, for the operator.

    `state` is the reason in at most three words, which anybody may read.
    """

    def __init__(self, state: str, message: str) -> None:
        super().__init__(message)
        self.state = state


class KeyTakenError(Exception):
    """The key has an object already; the cloud said so after the bytes were read."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The first `size` bytes of the object under `key`."""

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of an object, from `first` up to `end`."""

    key: str
    first: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.first


@dataclass(frozen=True, slots=True)
class UnfinishedWrite:
    """A write that began at `begun_at`; its parts take space, and no object shows them."""

    key: str
    begun_at: datetime
    abort: Callable[[], None]


class CloudStorage(Storage):
    """A cloud. Every method raises CloudError, or FileNotFoundError for a missing object."""

    @abstractmethod
    def open_at(self, name: str, offset: int, size: int | None) -> IO[bytes]:
        """Return a stream of `size` bytes from `offset` on (None: all), which are not kept in memory."""

    @abstractmethod
    def join(self, pieces: list[Piece], name: str, on_step: Callable[[], None]) -> bool:
        """Store the pieces, one after the other, under a new key, without their bytes passing through here.

        `on_step` is called before each step, and what it raises leaves no object. False: this cloud can't.
        """

    @abstractmethod
    def redirect_url(self, name: str) -> str | None:
        """Return a temporary URL of the object for clients, None when they are not redirected."""

    @abstractmethod
    def has_objects(self) -> bool:
        """Return whether there is any object of an upload or blob."""

    @abstractmethod
    def sizes(self, path: str) -> dict[str, int]:
        """Return the size of each object in a folder by its name in it."""

    @abstractmethod
    def probe(self) -> None:
        """Ask for something cheap; raises unless the cloud answers and admits this registry."""

    @abstractmethod
    def unfinished_writes(self, age: timedelta) -> Iterator[UnfinishedWrite]:
        """Yield the writes that began at least `age` ago and did not end."""
