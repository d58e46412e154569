"""Find a signature of a manifest by a trusted key.

A signature that was found counts as long as one statement finds it again, in every process; without one, the answer
counts as long as the candidates are the same. So neither a deleted nor a new signature waits for a cache.
"""

import hashlib
import logging
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from django.db import Error as DatabaseFault

from configuration.policies.trusted_keys import TrustedKeys
from core.api.errors import RegistryError
from core.caches import TTLCache
from distribution.queries import FoundManifest
from distribution.signatures import content, rows
from distribution.signatures.rows import Candidate, Signed
from policies.signatures import artifact
from policies.signatures.cosign import RefusedError

logger = logging.getLogger(__name__)

MAX_READS = 100
"""Payloads of signatures that are read for one verdict."""

PROOF_SECONDS = 300
REFUSAL_SECONDS = 60
NONE = "it has no signature in the repository"
_SHOWN = 200


class _Proof(NamedTuple):
    """A signature of a manifest, itself or an index that lists it; it counts `until` a time."""

    signed: int
    signature: Candidate
    until: float


# By the primary key of the manifest and the fingerprint of the keys.
_proofs: TTLCache[_Proof] = TTLCache(PROOF_SECONDS, name="signatures")
_refusals: TTLCache[tuple[bytes, str]] = TTLCache(REFUSAL_SECONDS, name="signatures")


def is_proven(found: FoundManifest, keys: TrustedKeys) -> bool:
    """Tell whether a signature that was found before still counts."""
    proof = _proofs.get((found.pk, keys.fingerprint))
    return proof is not None and time.time() < proof.until and rows.stands(proof.signed, proof.signature)


def lack_of(name: str, found: FoundManifest, keys: TrustedKeys) -> str:
    """Return why no signature counts, "" when one does, which is then proven. Raises UNAVAILABLE."""
    key, signed = (found.pk, keys.fingerprint), rows.all_signed(found.pk, found.digest)
    # Certificates become valid with time, hence REFUSAL_SECONDS.
    state = hashlib.sha256(repr(signed).encode()).digest()
    refusal = _refusals.get(key)
    if refusal is not None and refusal[0] == state:
        return refusal[1]
    read = _Reader(name)
    result = _verify(read, signed, keys)
    if isinstance(result, _Proof):
        _proofs.put(key, result)
        return ""
    # A blob that was lost is pushed again, which changes no candidate.
    if not read.is_missing:
        _refusals.put(key, (state, result))
    return result


class _Reader:
    """Reads at most MAX_READS blobs of a repository; `fault` is what the storage said if it did not answer."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.fault: RegistryError | None = None
        self.is_missing = False
        self._left = MAX_READS

    def __call__(self, digest: str, limit: int) -> bytes | None:
        if not self._left:
            raise RefusedError(f"more than {MAX_READS} signatures are not read")
        self._left -= 1
        try:
            found = content.whole(self.name, digest, limit)
        except RegistryError as error:
            self.fault, found = error, None
        self.is_missing = self.is_missing or found is None
        return found


def _verify(read: _Reader, signed: Iterable[Signed], keys: TrustedKeys) -> _Proof | str:
    """Return the first signature that counts, or what is wrong with the newest. Raises UNAVAILABLE."""
    now, refusals = datetime.now(UTC), list[str]()
    for one in signed:
        for candidate in one.candidates:
            payload = rows.payload(candidate.pk)
            if payload is None:
                continue
            try:
                until = artifact.verify(payload, read, one.digest, keys, now)
                return _Proof(one.pk, candidate, until.timestamp())
            except RefusedError as error:
                refusals.append(str(error))
            except DatabaseFault:
                raise
            except Exception:
                # Any exception of a parser means no signature: otherwise a malformed one would hide those that count.
                logger.exception("a signature can't be read", extra={"repository": read.name, "digest": one.digest})
                refusals.append("it can't be read")
    if read.fault is not None:
        raise read.fault
    return _printable(refusals) if refusals else NONE


def _printable(refusals: list[str]) -> str:
    """Return the reason of the first, of bytes that others chose, as a header and a terminal take it."""
    reason = "".join(each if " " <= each <= "~" and each not in '"\\' else "?" for each in refusals[0][:_SHOWN])
    if len(refusals) > 1:
        return f"of its {len(refusals)} signatures none counts; the newest: {reason}"
    return f"its signature does not count: {reason}"
