"""The grammar of repository names."""

from __future__ import annotations

import re
from typing import NewType

RepositoryName = NewType("RepositoryName", str)

NAME_MAX_CHARACTERS = 255

# Separators and alphanumerics are disjoint, so every string matches in one way and linear time.
_COMPONENT = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_PART = re.compile(r"[a-z0-9._/-]+")


class InvalidNameError(ValueError):
    """The string is not a repository name."""


def parse_name(text: str) -> RepositoryName:
    """Return `text` as a repository name.

    Raises InvalidNameError. Source: OCI Distribution Specification v1.1, "Pulling manifests"; the length is
    the limit that the Docker registry v2 document sets.
    """
    if len(text) > NAME_MAX_CHARACTERS:
        raise InvalidNameError(f"a repository name has at most {NAME_MAX_CHARACTERS} characters, not {len(text)}")
    if _NAME.fullmatch(text) is None:
        raise InvalidNameError(
            f"{text!a} is not a repository name: lowercase letters and digits, parts joined by "
            "one of . _ __ or dashes, levels separated by /"
        )
    return RepositoryName(text)


def could_be_part(text: str) -> bool:
    """Tell whether `text` has only characters of names, so that a name may contain it."""
    return _PART.fullmatch(text) is not None
