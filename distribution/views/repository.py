"""The view of everything that belongs to one repository: its name and the right to it come first."""

import logging
from collections.abc import Mapping
from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from acl.actions import Access
from acl.names import InvalidNameError, RepositoryName, parse_name
from core.api.errors import ErrorCode, RegistryError
from core.api.notes import ANONYMOUS_NAME
from core.api.view import RegistryView
from tokens.bearer import bearer_of, unauthorized
from tokens.verify import Bearer

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
        if method not in self.actions:
            # A handler that forgot to say what it needs must not answer everybody.
            self.http_method_not_allowed(request)
        self.bearer = self._require(request, method)
        return super().answer(request, *args, **kwargs)

    def outlives(self, bearer: Bearer) -> bool:
        """Tell whether `bearer`, whose token has expired, may go on all the same."""
        return False

    def also_wanted(self, request: HttpRequest) -> tuple[Access, ...]:
        """Return what a challenge asks for beside the access to this repository."""
        return ()

    def log_change(self, request: HttpRequest, message: str, **what: str) -> None:
        """Log what was pushed or deleted, by whom and from where."""
        about = {"account": self.bearer.identity.name or ANONYMOUS_NAME, "client": request.META.get("REMOTE_ADDR")}
        logger.info(message, extra={"repository": self.name, **what, **about})

    def _require(self, request: HttpRequest, method: str) -> Bearer:
        """Return who is asking, when token and rules allow the method; raises UNAUTHORIZED otherwise, never DENIED.

        Clients read a 401 as "ask for a token with this scope".
        """
        needed = self.actions[method]
        wanted = (Access("repository", self.name, self.challenged.get(method, needed)), *self.also_wanted(request))
        bearer = bearer_of(request, wanted, self.outlives)
        if not bearer.may(self.name, needed):
            raise _refused(request, bearer, self.name, needed, wanted)
        return bearer


def repository_name(text: str) -> RepositoryName:
    """Return `text` as a name. Raises NAME_INVALID."""
    try:
        return parse_name(text)
    except InvalidNameError as error:
        raise RegistryError(ErrorCode.NAME_INVALID, str(error)) from error


def _refused(
    request: HttpRequest,
    bearer: Bearer,
    name: RepositoryName,
    needed: frozenset[str],
    wanted: tuple[Access, ...],
) -> RegistryError:
    who = bearer.identity.name or ANONYMOUS_NAME
    missing = ",".join(action for action in sorted(needed) if not bearer.may(name, frozenset({action})))
    logger.info(
        "access refused",
        extra={"account": who, "repository": name, "actions": missing, "rules": bearer.rules.matching(name)},
    )
    return unauthorized(request, wanted, "insufficient_scope", f"{who} may not {missing} {name}")


def empty(status: int, headers: Mapping[str, str]) -> HttpResponse:
    """Return an answer without a body."""
    response = HttpResponse(status=status, headers=headers)
    del response.headers["Content-Type"]
    return response


def has_already(request: HttpRequest, digest: str) -> bool:
    """Tell whether the client has these bytes; its If-None-Match is a list, of quoted, weak or bare digests."""
    header = request.META.get("HTTP_IF_NONE_MATCH")
    if not header:
        return False
    known = {part.strip().removeprefix("W/").strip('"') for part in header.split(",")}
    return digest in known or "*" in known
