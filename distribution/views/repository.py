"""The base view of every path of a repository: it checks the name and the token first."""

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict

from accounts import permissions_version
from acl import grants
from acl.actions import Access
from acl.names import InvalidNameError, RepositoryName, parse_name
from acl.rules import listed
from audit.kinds import Kind
from audit.recording import record, record_alike
from core.api.errors import ErrorCode, RegistryError, quoted
from core.api.notes import ANONYMOUS_NAME
from core.api.view import RegistryView
from core.metrics.catalog import DENIALS
from distribution.manifests import tag_rights
from policies import read_only
from tokens.bearer import bearer_of, unauthorized
from tokens.verify import Bearer
from upstreams import compiled
from webhooks.origin import Origin

logger = logging.getLogger(__name__)

PULL = frozenset({"pull"})
PUSH = frozenset({"push"})
PULL_PUSH = frozenset({"pull", "push"})
DELETE = frozenset({"delete"})
SCOPES_NAMED = 5


class RepositoryView(RegistryView):
    """Decide on access before any query: a private repository and a missing one get the same answer."""

    actions: ClassVar[Mapping[str, frozenset[str]]]
    """The actions that each method needs."""

    challenged: ClassVar[Mapping[str, frozenset[str]]] = {}
    """The actions in a method's challenge, if those are more than it needs."""

    bearer: Bearer
    name: RepositoryName

    def answer(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Check the name and the token, then call the handler without the name."""
        try:
            self.name = parse_name(kwargs.pop("name"))
        except InvalidNameError as error:
            raise RegistryError(ErrorCode.NAME_INVALID, str(error)) from error
        if "ns=" in request.META.get("QUERY_STRING", ""):
            self.name = _mirrored(self.name, query_of(request).get("ns", ""), request.META.get("HTTP_HOST", ""))
        # Django answers HEAD by a view's `get`: both need the same actions.
        method = "GET" if request.method == "HEAD" and "HEAD" not in self.actions else request.method or ""
        if method not in self.actions:
            # A handler that declares no actions must not answer everybody.
            self.http_method_not_allowed(request)
        self.bearer = self._require(request, method)
        if method in ("POST", "PATCH", "PUT"):
            # Before a body is read. Deletions are decided by their verbs.
            read_only.require_writable(self.name, self.bearer.version)
            _require_own(self.name, self.bearer.version)
        return super().answer(request, *args, **kwargs)

    def outlives(self, bearer: Bearer) -> bool:
        """Return whether `bearer` may continue although the token has expired."""
        return False

    def also_wanted(self, request: HttpRequest) -> tuple[Access, ...]:
        """Return further access for the challenge, besides that to this repository."""
        return ()

    def origin(self, request: HttpRequest) -> Origin:
        return Origin(request, self.bearer.version)

    def log_change(self, request: HttpRequest, kind: Kind, *, detail: str = "", **what: str) -> None:
        """Log and record a push or deletion with account and address; `what` are a tag, a digest, or both."""
        account = self.bearer.identity.name
        about = {"account": account or ANONYMOUS_NAME, "client": request.META.get("REMOTE_ADDR")}
        logger.info(kind.label, extra={"repository": self.name, **what, **about})
        record(
            kind,
            request,
            account=account,
            credential=f"token {self.bearer.claims.token_id}",
            repository=self.name,
            reference=what.get("tag") or what.get("digest", ""),
            digest=what.get("digest", ""),
            detail=detail,
        )

    def denials_recorded(self, request: HttpRequest) -> AbstractContextManager[None]:
        """Return a context that records what the rules about tags refuse in it."""
        credential = f"token {self.bearer.claims.token_id}"
        return tag_rights.recorded(request, self.bearer.identity.name, credential, self.name)

    def _require(self, request: HttpRequest, method: str) -> Bearer:
        """Return the bearer if token and rules allow the method. Raises UNAUTHORIZED, never DENIED.

        Clients read a 401 as "request a token with this scope".
        """
        needed = self.actions[method]
        wanted = (Access("repository", self.name, self.challenged.get(method, needed)), *self.also_wanted(request))
        bearer = bearer_of(request, wanted, self.outlives)
        if bearer.may(self.name, needed):
            return bearer
        DENIALS.labels("account" if bearer.identity.name else "anonymous").add()
        account = bearer.identity.name or ANONYMOUS_NAME
        missing = ",".join(action for action in sorted(needed) if not bearer.may(self.name, frozenset({action})))
        rules = bearer.rules.matching(self.name)
        about = {"account": account, "repository": self.name, "actions": missing, "rules": rules}
        lacking, said = needed - bearer.rules.actions_on(self.name), f"{account} may not {missing} {self.name}"
        limit = bearer.identity.limit
        if lacking and limit is not None and needed <= bearer.rules.unlimited_actions_on(self.name):
            scopes = "; ".join(f"{pattern}: {listed(actions)}" for pattern, actions in limit.scopes[:SCOPES_NAMED])
            reason = f"the access token {limit.name!r} is limited to {scopes}"
            # The rules allow it: none comes close.
            lacking, said = frozenset(), f"{said}: {reason}".replace('"', "'")
        elif lacking and (denying := bearer.rules.denying(self.name, lacking)):
            reason = f"denied by the rule {denying[0]!r}"
            lacking = frozenset()
        elif lacking:
            reason = f"no rule allows {account} to {listed(lacking, 'or')} {self.name}"
        else:
            reason = f"the token lacks the scope, which the rules allow: {self.name}:{missing}"
        logger.info("access refused", extra=about | {"reason": reason})
        record_alike(
            Kind.DENIAL,
            request,
            account=bearer.identity.name,
            credential=f"token {bearer.claims.token_id}",
            repository=self.name,
            alike=reason,
            detail=lambda: f"{reason}{_near(request, bearer, self.name, min(lacking))}" if lacking else reason,
        )
        raise unauthorized(request, wanted, "insufficient_scope", said)


def _near(request: HttpRequest, bearer: Bearer, name: RepositoryName, action: str) -> str:
    """Return the rules that come close, also those for others: administrators read them."""
    address = request.META.get("REMOTE_ADDR", "")
    rules = grants.explain(bearer.identity, name, action, bearer.version, address=address).rules
    return f"; these come close: {'; '.join(rules)}" if rules else "; no rule comes close"


def _mirrored(name: RepositoryName, namespace: str, host: str) -> RepositoryName:
    """Return the name here of a repository of another registry, which containerd names in `?ns=`.

    Raises NAME_UNKNOWN for one without a proxy, as a fallback would fetch the name of another registry: containerd asks
    its next host.
    """
    version = permissions_version.current()
    own = (settings.REGISTRY.server.public_url or "").partition("://")[2]
    if namespace in (own, host) or not compiled.all_of(version):
        return name
    proxy = compiled.of_namespace(namespace, version)
    if proxy is None:
        raise RegistryError(ErrorCode.NAME_UNKNOWN, f"no proxy here is for the registry {quoted(namespace)}")
    try:
        return parse_name(f"{proxy.prefix}{name}")
    except InvalidNameError as error:
        raise RegistryError(ErrorCode.NAME_INVALID, str(error)) from error


def _require_own(name: RepositoryName, version: str) -> None:
    """Raise DENIED, 405, for a repository that comes from an upstream alone; docker prints the message of a 4xx."""
    proxy = compiled.pushed_elsewhere(name, version)
    if proxy is not None:
        message = f"{name} is a copy of {proxy.url}: push there, or to a name that does not begin with {proxy.prefix}"
        raise RegistryError(ErrorCode.DENIED, message, status=405, message=message)


def empty(status: int, headers: Mapping[str, str]) -> HttpResponse:
    """Return an answer without a body."""
    response = HttpResponse(status=status, headers=headers)
    del response.headers["Content-Type"]
    return response


def query_of(request: HttpRequest) -> QueryDict:
    """Return the query parameters by RFC 3986: a `+` is a plus, which Django's form rules read as a space."""
    # WSGI passes bytes as Latin-1.
    return QueryDict(request.META.get("QUERY_STRING", "").encode("latin-1").replace(b"+", b"%2B"))
