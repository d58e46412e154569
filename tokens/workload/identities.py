"""The identity of a workload: an account, or a member of one group without an account."""

import hashlib
from functools import lru_cache

from accounts.identity import WORKLOAD_SEPARATOR, AccessLimit, Identity, identity_of
from acl.glob import compile_glob
from configuration.identities import ClaimMapping
from tokens.workload.token import RefusedError, WorkloadToken, issuer_named

# What other tables store of an account's name.
MAX_NAME_CHARACTERS = 128
_DIGEST_CHARACTERS = 16

_matcher = lru_cache(maxsize=1000)(compile_glob)


def identity_by(token: WorkloadToken, version: str) -> Identity:
    """Return the identity that the first matching mapping names, at `version`. Raises RefusedError."""
    mapping = next((each for each in token.issuer.mapping if _is_matched(each, token)), None)
    if mapping is None:
        names = dict.fromkeys(name for each in token.issuer.mapping for name, _ in each.when)
        found = ", ".join(f"{name}: {str(token.claims.get(name))[:200]!a}" for name in names)
        raise RefusedError(f"no mapping matches its claims: {found}")
    issuer = token.issuer.issuer
    limit = AccessLimit(0, token.subject, (), token.expires_at, issuer)
    if mapping.group is not None:
        return _member(issuer, token.subject, mapping.group).limited(limit)
    identity = identity_of(mapping.account or "", version)
    if identity is None or identity.is_anonymous:
        raise RefusedError(f"the account {mapping.account} of the mapping does not exist, or is not active")
    return identity.limited(limit)


def identity_again(name: str, workload: tuple[str, str, str], expires_at: int, version: str) -> Identity | None:
    """Return the identity of a bearer token at `version`, None once the configuration has no such mapping."""
    issuer_name, subject, group = workload
    issuer = issuer_named(issuer_name)
    mapped = {(each.account or "", each.group or "") for each in issuer.mapping} if issuer is not None else set()
    limit = AccessLimit(0, subject, (), expires_at, issuer_name)
    if group:
        return _member(issuer_name, subject, group).limited(limit) if ("", group) in mapped else None
    identity = identity_of(name, version) if (name, "") in mapped else None
    return identity.limited(limit) if identity is not None else None


def _is_matched(mapping: ClaimMapping, token: WorkloadToken) -> bool:
    """Tell whether each claim is a string that its pattern matches."""
    given = ((token.claims.get(name), pattern) for name, pattern in mapping.when)
    return all(isinstance(value, str) and _matcher(pattern)(value) for value, pattern in given)


def _member(issuer: str, subject: str, group: str) -> Identity:
    """Return the identity of a workload without an account.

    Its number is below those of accounts and of anonymous, so that its uploads are its own.
    """
    name = f"{issuer.removeprefix('https://')}{WORKLOAD_SEPARATOR}{subject}"
    digest = hashlib.sha256(f"{issuer}\0{subject}".encode("utf-8", "surrogatepass")).digest()
    if len(name) > MAX_NAME_CHARACTERS:
        kept = MAX_NAME_CHARACTERS - _DIGEST_CHARACTERS - 2
        name = f"{WORKLOAD_SEPARATOR}{name[-kept:]}~{digest.hex()[:_DIGEST_CHARACTERS]}"
    return Identity(name, frozenset({group}), -(int.from_bytes(digest[:7]) + 1))
