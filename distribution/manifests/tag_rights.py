"""The one check before tags are moved or deleted: `/v2/`, the pages and the API all end here.

A token and a page know the actions on a repository; rules with tags allow them for some tags, or deny them.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from acl.actions import DELETE
from acl.names import RepositoryName
from acl.rules import IdentityRules, TagRefusal
from audit.kinds import Kind
from audit.recording import record_alike
from core.api.errors import ErrorCode, RegistryError
from core.api.notes import ANONYMOUS_NAME, HasMeta
from core.metrics.catalog import DENIALS

RULE_KEY = "rule"
"""The key in the detail of a refusal by a rule."""

logger = logging.getLogger(__name__)

WhoMay = IdentityRules | None
"""The rules of who asks; None: an administrator in the admin, whom no rule limits."""


def require(rules: WhoMay, account: str, name: RepositoryName, action: str, tags: Iterable[str]) -> None:
    """Raise DENIED unless the rules allow `action` on each of `tags`."""
    if rules is not None and (refusal := rules.tag_refusal(name, action, tags)) is not None:
        raise _denied(account, name, action, refusal)


def require_deletion(rules: WhoMay, account: str, name: RepositoryName, tags: Callable[[], Iterable[str]]) -> None:
    """Raise DENIED unless the rules allow the deletion of a manifest with all its `tags`.

    Without a tag it needs a rule without tags: it may be somebody's signature, or pinned by its digest.
    """
    if rules is not None and rules.has_tags:
        refusal = rules.tag_refusal(name, DELETE, [*tags()] or [None])
        if refusal is not None:
            raise _denied(account, name, DELETE, refusal)


def require_whole(rules: WhoMay, account: str, name: RepositoryName, action: str = DELETE) -> None:
    """Raise DENIED unless the rules allow `action` whatever the tag, as for a blob or the whole repository."""
    if rules is not None and rules.has_tags and action not in rules.actions_on_every_tag(name):
        raise _denied(account, name, action, TagRefusal(None, tuple(rules.limits_of_tags(name))))


def _denied(account: str, name: RepositoryName, action: str, refusal: TagRefusal) -> RegistryError:
    what = f"{name}:{refusal.tag}" if refusal.tag is not None else f"what has no tag, or any tag, in {name}"
    said = f"{account or ANONYMOUS_NAME} may not {action} {what}"
    if refusal.is_denied:
        reason = f"denied by the rule '{refusal.rules[0]}'"
    elif refusal.rules:
        reason = f"the rule is '{refusal.rules[0]}'" + (" (and others)" if len(refusal.rules) > 1 else "")
    else:
        reason = "no rule allows it"
    # Clients print the message alone.
    message = f"{said}: {reason}"
    detail = {"reason": message, "tag": refusal.tag, RULE_KEY: list(refusal.rules)}
    return RegistryError(ErrorCode.DENIED, detail, message=message)


@contextmanager
def recorded(request: HasMeta, account: str, credential: str, name: RepositoryName) -> Iterator[None]:
    """Log and record a refusal of `require`, and raise it again."""
    try:
        yield
    except RegistryError as error:
        if isinstance(error.detail, dict) and RULE_KEY in error.detail:
            DENIALS.labels("account" if account else "anonymous").add()
            reason = error.message
            about = {"account": account or ANONYMOUS_NAME, "client": request.META.get("REMOTE_ADDR")}
            logger.info("access refused", extra={"repository": name, **about, "reason": reason})
            proof = {"account": account, "credential": credential}
            record_alike(Kind.DENIAL, request, **proof, alike=reason, detail=lambda: reason, repository=name)
        raise
