"""Authorize, log and report changes on the pages."""

import logging
from contextlib import AbstractContextManager

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect

from acl.names import RepositoryName
from audit.kinds import Kind
from audit.recording import record, record_alike
from core.api.errors import RegistryError
from core.api.notes import ANONYMOUS_NAME
from distribution.manifests import tag_rights
from distribution.models import Repository
from web.visitor import Visitor, visitor_of

logger = logging.getLogger(__name__)


def permitted(
    request: HttpRequest, name: str, action: str, *, is_whole: bool = False
) -> tuple[Visitor, RepositoryName]:
    """Return the visitor and the name of a repository that he may pull and do `action` with.

    `is_whole`: whatever the tag, as for what concerns all of the repository.
    Raises Http404 for a repository that he may not pull, PermissionDenied otherwise.
    """
    visitor = visitor_of(request)
    parsed = visitor.pullable(name)
    if action not in visitor.rules.actions_on(parsed):
        account, reason = visitor.identity.name, f"no rule allows it to {action}"
        if denying := visitor.rules.denying(parsed, frozenset({action})):
            reason = f"denied by the rule {denying[0]!r}"
        about = {"account": account or ANONYMOUS_NAME, "client": request.META.get("REMOTE_ADDR")}
        logger.info("access refused", extra={"repository": parsed, **about, "reason": reason})
        proof = {"account": account, "credential": "session" if account else ""}
        record_alike(Kind.DENIAL, request, **proof, alike=reason, detail=lambda: reason, repository=parsed)
        raise PermissionDenied(f"No rule allows you to {action} {parsed}.")
    if is_whole:
        try:
            with denials_recorded(request, visitor, parsed):
                tag_rights.require_whole(visitor.rules, visitor.identity.name, parsed, action)
        except RegistryError as error:
            raise PermissionDenied(error.message) from error
    return visitor, parsed


def denials_recorded(request: HttpRequest, visitor: Visitor, name: RepositoryName) -> AbstractContextManager[None]:
    """Return a context that records what the rules about tags refuse in it."""
    account = visitor.identity.name
    return tag_rights.recorded(request, account, "session" if account else "", name)


def repository_of(name: RepositoryName) -> Repository:
    """Return the repository. Raises Http404."""
    found = Repository.objects.filter(name=name).first()
    if found is None:
        raise Http404
    return found


def log_change(
    request: HttpRequest,
    visitor: Visitor,
    kind: Kind,
    repository: str,
    *,
    tag: str = "",
    digest: str = "",
    detail: str = "",
) -> None:
    """Log and record a change as the API does."""
    account = visitor.identity.name
    what = {name: value for name, value in (("tag", tag), ("digest", digest)) if value}
    about = {"account": account or ANONYMOUS_NAME, "client": request.META.get("REMOTE_ADDR")}
    logger.info(kind.label, extra={"repository": repository, **what, **about})
    proof = {"account": account, "credential": "session"}
    record(kind, request, **proof, repository=repository, reference=tag or digest, digest=digest, detail=detail)


def told(request: HttpRequest, message: str, where: str, *parts: str) -> HttpResponse:
    """Redirect to a page that shows the message."""
    messages.success(request, message)
    return redirect(f"web:{where}", *parts)


def refused(request: HttpRequest, error: RegistryError, where: str, *parts: str) -> HttpResponse:
    """Redirect to a page that shows why nothing was changed."""
    reason = error.detail.get("reason") if isinstance(error.detail, dict) else error.detail
    messages.error(request, f"Nothing was changed: {reason or error.message}.")
    return redirect(f"web:{where}", *parts)
