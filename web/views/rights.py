"""Changes by a visitor: only who has the right, only by a form of a page, and each with a line in the log."""

import logging

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect

from acl.names import RepositoryName
from core.api.errors import RegistryError
from core.api.notes import ANONYMOUS_NAME
from distribution.models import Repository
from web.visitor import Visitor, visitor_of

logger = logging.getLogger(__name__)


def permitted(request: HttpRequest, name: str, action: str) -> tuple[Visitor, RepositoryName]:
    """Return the visitor and the name of a repository that he may pull and do `action` with.

    Raises Http404 for a repository that he may not pull, PermissionDenied otherwise.
    """
    visitor = visitor_of(request)
    parsed = visitor.pullable(name)
    if action not in visitor.rules.actions_on(parsed):
        raise PermissionDenied(f"No rule allows you to {action} {parsed}.")
    return visitor, parsed


def repository_of(name: RepositoryName) -> Repository:
    """Return the repository. Raises Http404."""
    found = Repository.objects.filter(name=name).first()
    if found is None:
        raise Http404
    return found


def log_change(request: HttpRequest, visitor: Visitor, message: str, **what: str) -> None:
    """Log a change as the API logs it."""
    about = {"account": visitor.identity.name or ANONYMOUS_NAME, "client": request.META.get("REMOTE_ADDR")}
    logger.info(message, extra={**what, **about})


def told(request: HttpRequest, message: str, where: str, *parts: str) -> HttpResponse:
    """Redirect to a page that shows the message."""
    messages.success(request, message)
    return redirect(f"web:{where}", *parts)


def refused(request: HttpRequest, error: RegistryError, where: str, *parts: str) -> HttpResponse:
    """Redirect to a page that shows why nothing was changed."""
    reason = error.detail.get("reason") if isinstance(error.detail, dict) else error.detail
    messages.error(request, f"Nothing was changed: {reason or error.message}.")
    return redirect(f"web:{where}", *parts)
