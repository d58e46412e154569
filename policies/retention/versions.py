"""Semantic versions of tags: `1.4.2`, `v1.4.2`, `1.4.2-rc.1`; a tag has no `+`, so builds have none here."""

import re
from collections.abc import Iterable
from functools import total_ordering
from typing import NamedTuple

_NUMBER = r"(0|[1-9][0-9]{0,17})"
_VERSION = re.compile(rf"v?{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-([0-9A-Za-z.-]+))?")
_SHORTER = re.compile(rf"v?{_NUMBER}(?:\.{_NUMBER})?")


@total_ordering
class _Identifier:
    """A part of a pre-release: numbers come before words, and are compared as numbers."""

    def __init__(self, text: str) -> None:
        self._key = (0, int(text), "") if text.isdecimal() else (1, 0, text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identifier) and self._key == other._key

    def __lt__(self, other: "_Identifier") -> bool:
        return self._key < other._key

    def __hash__(self) -> int:
        return hash(self._key)


class Version(NamedTuple):
    """A version in its order; a pre-release comes before its release (SemVer 2.0.0, section 11)."""

    minor: tuple[int, int]
    patch: int
    is_release: bool
    pre_release: tuple[_Identifier, ...]


def version_of(tag: str) -> Version | None:
    """Return the version that the tag names, if it names a whole one."""
    found = _VERSION.fullmatch(tag)
    if found is None:
        return None
    major, minor, patch, pre_release = found.groups()
    parts = pre_release.split(".") if pre_release else []
    if "" in parts or any(len(part) > 18 for part in parts if part.isdecimal()):
        return None
    return Version((int(major), int(minor)), int(patch), not parts, tuple(map(_Identifier, parts)))


def is_shortened(tag: str) -> bool:
    """Tell whether the tag is the beginning of a version, as `1` or `v1.4`, which moves to each newer one."""
    return _SHORTER.fullmatch(tag) is not None


def kept_of(versions: Iterable[Version], minors: int, patches: int | None) -> frozenset[Version]:
    """Return the versions of the newest `minors`, of each at most `patches`; None: all.

    Pre-releases of a kept minor version stay as long as their release is missing, and so do those of a newer one.
    """
    found = set(versions)
    releases = sorted((one for one in found if one.is_release), reverse=True)
    by_minor: dict[tuple[int, int], list[Version]] = {}
    for one in releases:
        by_minor.setdefault(one.minor, []).append(one)
    newest = list(by_minor)[:minors]
    kept = {one for minor in newest for one in by_minor[minor][:patches]}
    among_newest = frozenset(newest)
    released = {(one.minor, one.patch) for one in releases}
    for one in found - set(releases):
        is_ahead = not newest or one.minor > newest[0]
        if (one.minor, one.patch) not in released and (is_ahead or one.minor in among_newest):
            kept.add(one)
    return frozenset(kept)
