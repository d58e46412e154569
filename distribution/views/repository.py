"""The view of everything that belongs to one repository: its name and the right to it come first."""

import logging
from collections.abc import Mapping
from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from acl.access import Access
from acl.names import InvalidNameError, RepositoryName, parse_name
from tokens.errors import ErrorCode, RegistryError
from tokens.verify import Bearer
from tokens.views.base import RegistryView, bearer_of, unauthorized

logger = logging.getLogger(__name__)

PULL = frozenset({"pull"})
PUSH = frozenset({"push"})
PULL_PUSH = frozenset({"pull", "push"})
DELETE = frozenset({"delete"})


class RepositoryView(RegistryView):
    """Decide on access before anything is looked up: a private repository and a missing one answer alike."""

    actions: ClassVar[Mapping[str, frozenset[str]]]
    """What each method needs."""

    challenged: ClassVar[Mapping[str, frozenset[str]]] = {}
    """What a challenge asks for, where that is more than the method needs."""

    bearer: Bearer
    name: RepositoryName

    def answer(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Check the name and the right, then call the handler without the name."""
        self.name = repository_name(kwargs.pop("name"))
        # Django answers HEAD by a view's `get`: what is needed for one is needed for the other.
        method = "GET" if request.method == "HEAD" and "HEAD" not in self.actions else request.method or ""
        needed = self.actions.get(method)
        if needed is not None:
            self.bearer = require(request, self.name, needed, self.challenged.get(method, needed))
        return super().answer(request, *args, **kwargs)


def repository_name(text: str) -> RepositoryName:
    """Return `text` as a name. Raises NAME_INVALID."""
    try:
        return parse_name(text)
    except InvalidNameError as error:
        raise RegistryError(ErrorCode.NAME_INVALID, str(error)) from error


def require(request: HttpRequest, name: RepositoryName, needed: frozenset[str], challenged: frozenset[str]) -> Bearer:
    """Return who is asking, when token and rules allow `needed`; raises UNAUTHORIZED otherwise, never DENIED.

    Clients read a 401 as "ask for a token with this scope".
    """
    wanted = (Access("repository", name, challenged),)
    bearer = bearer_of(request, wanted)
    if not bearer.may(name, needed):
        raise _refused(request, bearer, name, needed, wanted)
    return bearer


def _refused(
    request: HttpRequest,
    bearer: Bearer,
    name: RepositoryName,
    needed: frozenset[str],
    wanted: tuple[Access, ...],
) -> RegistryError:
    who = bearer.identity.name or "anonymous"
    missing = ",".join(sorted(needed))
    logger.info(
        "access refused",
        extra={"account": who, "repository": name, "actions": missing, "rules": bearer.explain(name)},
    )
    return unauthorized(request, wanted, "insufficient_scope", f"{who} may not {missing} {name}")


def empty(status: int, headers: Mapping[str, str]) -> HttpResponse:
    """Return an answer without a body."""
    response = HttpResponse(status=status, headers=headers)
    del response.headers["Content-Type"]
    return response
