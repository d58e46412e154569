"""A manifest on its way into the store."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from acl.names import RepositoryName
from distribution.protocol.digest import Digest
from distribution.protocol.manifest_parser import Descriptor, ParsedManifest, parse_manifest
from distribution.protocol.references import Tag as TagName
from distribution.storage import disk_reserve
from distribution.usage.quotas import Room
from webhooks.origin import Origin

FETCHED_BY = "proxy:"
"""Begins what stands for the account where nobody pushed; no account has such a name."""

SYNCED_BY = "sync:syncregistry"
"""Stands for the account of what an administrator has copied: unlike what clients happened to pull, it stays."""


def is_fetched_by(account: str | None) -> bool:
    """Tell whether a tag or manifest comes from an upstream."""
    return account is not None and account.startswith((FETCHED_BY, SYNCED_BY))


@dataclass(frozen=True, slots=True)
class Put:
    """A manifest that is being put, checked as far as its bytes alone tell.

    `children` and `blobs` are the digests that must be in the repository; of `optional_blobs`, which may be elsewhere,
    those that are there are referenced all the same. An empty `account` is anonymous. What `is_fetched` from an
    upstream may name what is not there yet.
    """

    name: RepositoryName
    account: str
    origin: Origin
    digest: str
    payload: bytes
    parsed: ParsedManifest
    tags: tuple[TagName, ...]
    subject: str | None
    children: frozenset[str]
    blobs: frozenset[str]
    optional_blobs: frozenset[str]
    room: Room
    is_fetched: bool = False


def incoming_put(
    name: RepositoryName,
    payload: bytes,
    content_type: str | None,
    digest: Digest | None,
    tags: Sequence[TagName],
    **about: Any,
) -> Put:
    """Return what is to be put, checked by its bytes; `digest` is the client's, None means the sha256 of the payload.

    Raises MANIFEST_INVALID, DIGEST_INVALID; DENIED when the disk of the database, which has the payloads, is full.
    """
    disk_reserve.check_rows()
    actual = Digest.of(payload, digest.algorithm if digest else "sha256")
    if digest is not None and digest != actual:
        raise digest.mismatch(actual)
    parsed = parse_manifest(payload, content_type)
    return Put(
        name,
        digest=str(actual),
        payload=payload,
        parsed=parsed,
        tags=tuple(dict.fromkeys(tags)),
        subject=str(parsed.subject.digest) if parsed.subject else None,
        children=_digests(parsed.children),
        blobs=_digests(parsed.blobs),
        optional_blobs=_digests(parsed.optional_blobs),
        **about,
    )


def _digests(descriptors: Iterable[Descriptor]) -> frozenset[str]:
    return frozenset(str(descriptor.digest) for descriptor in descriptors)
