"""Require a signature of what is pulled, in repositories whose policy says so."""

import logging
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

from acl import grants
from acl.actions import PUSH
from acl.names import RepositoryName
from audit.kinds import Kind
from audit.recording import record_alike
from core.api.errors import ErrorCode, RegistryError
from core.api.notes import ANONYMOUS_NAME
from core.metrics.catalog import DENIALS
from distribution.queries import FoundManifest
from distribution.signatures import attachment, verdict
from policies import compiled
from policies.models import RequiredSignature
from tokens.verify import Bearer
from upstreams import compiled as upstreams

logger = logging.getLogger(__name__)

_REMEDY = "sign it with cosign or notation and push the signature to this repository, or ask an administrator"
_REMEDY_UPSTREAM = (
    "its upstream {} has to have the signature, which is fetched when a client asks for the referrers of the image or "
    "for cosign's tag; or ask an administrator"
)

# The permissions version without any such policy: most registries have none, and a pull shall not notice.
_none_at = ""


def check(name: RepositoryName, text: str, found: FoundManifest, bearer: Bearer, meta: Mapping[str, Any]) -> str:
    """Return the value of a header Warning, mostly "". Raises DENIED for what lacks a signature, UNAVAILABLE.

    Who may push whatever the tag is only warned: clients read an image before they sign it.
    """
    global _none_at  # noqa: PLW0603 - one version a process
    version = found.permissions_version
    if version == _none_at:
        return ""
    policies = compiled.of(RequiredSignature, name, version)
    if not policies and not compiled.all_of(RequiredSignature, version):
        _none_at = version
    lacking = [policy for policy in policies if not verdict.is_proven(found, policy.trusted)]
    return _decide(name, text, found, bearer, meta, lacking) if lacking else ""


def _decide(  # noqa: PLR0917 - what a pull has
    name: RepositoryName,
    text: str,
    found: FoundManifest,
    bearer: Bearer,
    meta: Mapping[str, Any],
    policies: Iterable[RequiredSignature],
) -> str:
    """Verify the signatures for `policies`, and return or raise what `check` does."""
    version, warning = found.permissions_version, ""
    proxy = upstreams.pushed_elsewhere(name, version)
    may_push = proxy is None and PUSH in grants.rules_of(bearer.identity, version).actions_on_every_tag(name)
    for policy in policies:
        is_enforced = policy.is_enforced and not may_push
        lack = _lack(name, text, found, policy, is_enforced=is_enforced)
        if not lack:
            continue
        message = f"{found.digest} of {name}: {lack}; {policy.description} (policy {policy.pk})"
        if is_enforced:
            if bearer.version == version:
                # Otherwise the short path leaves the request to the view, which decides again.
                _record(name, message, bearer, meta)
            detail = {"policy": policy.pk, "sentence": policy.description, "digest": found.digest, "reason": lack}
            remedy = _REMEDY if proxy is None else _REMEDY_UPSTREAM.format(proxy.url)
            raise RegistryError(ErrorCode.DENIED, detail, message=f"{message}; {remedy}")
        warning = warning or f'299 - "{message}"'
    return warning


def _lack(
    name: RepositoryName, text: str, found: FoundManifest, policy: RequiredSignature, *, is_enforced: bool
) -> str:
    """Return why the manifest may not be pulled, "" if it may. Raises UNAVAILABLE where that decides."""
    try:
        if attachment.is_attachment(name, text, found):
            return ""
        return verdict.lack_of(name, found, policy.trusted)
    except RegistryError:
        if is_enforced:
            raise
        return "its signature can't be read at the moment"


def _record(name: RepositoryName, reason: str, bearer: Bearer, meta: Mapping[str, Any]) -> None:
    account = bearer.identity.name
    DENIALS.labels("account" if account else "anonymous").add()
    about = {"account": account or ANONYMOUS_NAME, "client": meta.get("REMOTE_ADDR")}
    logger.info("unsigned image refused", extra={"repository": name, **about, "reason": reason})
    request: Any = SimpleNamespace(META=meta)
    who = {"account": account, "credential": f"token {bearer.claims.token_id}"}
    record_alike(Kind.DENIAL, request, **who, repository=name, alike=reason, detail=lambda: reason)
