"""Tags, and references: a tag or a digest."""

from __future__ import annotations

import re
from typing import NewType

from core.api.errors import ErrorCode, RegistryError, quoted
from distribution.protocol.digest import Digest, parse_digest

Tag = NewType("Tag", str)

_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")


def parse_tag(text: str) -> Tag:
    """Return `text` as a tag; tags are case-sensitive.

    Raises RegistryError TAG_INVALID. Source: OCI Distribution Specification v1.1, "Pulling manifests".
    """
    if _TAG.fullmatch(text) is None:
        raise RegistryError(
            ErrorCode.TAG_INVALID,
            f"{quoted(text)} is not a tag: 1 to 128 letters, digits, dots, dashes and underscores, "
            "not starting with a dot or a dash",
        )
    return Tag(text)


def parse_reference(text: str) -> Digest | Tag:
    """Return `text` as a digest if it has a colon, which no tag has, otherwise as a tag.

    Raises RegistryError DIGEST_INVALID or TAG_INVALID; a view that only reads answers the latter with 404.
    """
    if ":" in text:
        return parse_digest(text)
    return parse_tag(text)
