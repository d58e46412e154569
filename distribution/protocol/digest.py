"""Digests: content addresses."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Protocol, Self

from core.api.errors import ErrorCode, RegistryError, quoted

ALGORITHMS = ("sha256", "sha512")

# [0-9] rather than \d, which takes the digits of every script.
_DIGEST = re.compile(r"(sha256):([0-9a-f]{64})|(sha512):([0-9a-f]{128})")


class RunningHash(Protocol):
    """The part of a hashlib object that uploads use."""

    def update(self, payload: bytes | bytearray | memoryview, /) -> None:
        """Add bytes."""

    def hexdigest(self) -> str:
        """Return the hash of all bytes added so far, in lowercase hexadecimal."""


@dataclass(frozen=True, slots=True)
class Digest:
    """`algorithm:encoded`. Made by `parse_digest` or from content, never from unchecked strings."""

    algorithm: str
    encoded: str

    @classmethod
    def of(cls, payload: bytes, algorithm: str = "sha256") -> Self:
        running = new_hash(algorithm)
        running.update(payload)
        return cls(algorithm, running.hexdigest())

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.encoded}"

    def mismatch(self, actual: Self) -> RegistryError:
        """Return the error for bytes whose digest is `actual` instead of this one."""
        return RegistryError(ErrorCode.DIGEST_INVALID, {"expected": str(self), "actual": str(actual)})


def new_hash(algorithm: str = "sha256") -> RunningHash:
    """Return an empty running hash for one of ALGORITHMS."""
    if algorithm not in ALGORITHMS:
        raise ValueError(f"{algorithm} is not one of {', '.join(ALGORITHMS)}")
    return hashlib.new(algorithm)


def parse_digest(text: str) -> Digest:
    """Return `text` as a digest: sha256 or sha512, lowercase hexadecimal of the full length.

    Raises RegistryError DIGEST_INVALID. Source: OCI Image Specification, "Digests".
    """
    match = _DIGEST.fullmatch(text)
    if match is None:
        raise RegistryError(
            ErrorCode.DIGEST_INVALID,
            f"{quoted(text)} is not a digest: sha256 and 64 or sha512 and 128 lowercase hexadecimal digits",
        )
    return Digest(match[1] or match[3], match[2] or match[4])
