"""`POST /v2/<name>/blobs/uploads/`: open an upload session, mount a blob, or send one whole."""

from typing import Any

from django.http import HttpRequest, HttpResponse

from accounts.throttling.throttle import network_of
from acl.actions import Access
from acl.names import InvalidNameError, RepositoryName, parse_name
from audit.kinds import Kind
from core.api.body import Body
from core.api.errors import ErrorCode, RegistryError, quoted
from distribution import blobs
from distribution.protocol.digest import ALGORITHMS, Digest, parse_digest
from distribution.uploads import sessions
from distribution.usage.quotas import Room
from distribution.views.repository import PULL, PULL_PUSH, RepositoryView
from distribution.views.upload import created, session_accepted


class UploadsView(RepositoryView):
    actions = {"POST": PULL_PUSH}

    def post(self, request: HttpRequest) -> HttpResponse:
        """Answer 201 for a blob that was mounted or is in the body, otherwise 202 with a session."""
        mounted = self._mounted(request)
        if mounted is not None:
            return created(self.name, mounted)
        body = Body(request)
        room = Room.of(self.name, self.bearer.version)
        digest = request.GET.get("digest")
        identity = self.bearer.identity
        # An account's sessions count together wherever it is, anonymous ones by network.
        network = network_of(request) if identity.is_anonymous else ""
        if digest is not None:
            parsed = parse_digest(digest)
            by: Any = {"version": self.bearer.version, "origin": self.origin(request)}
            room.require_some_bytes(body.length or 0, parsed)
            return created(self.name, parsed, sessions.receive_whole(self.name, identity, body, parsed, network, **by))
        room.require_some_bytes(0)
        algorithm = request.GET.get("digest-algorithm", ALGORITHMS[0])
        if algorithm not in ALGORITHMS:
            raise RegistryError(ErrorCode.DIGEST_INVALID, f"{quoted(algorithm)} is not one of {', '.join(ALGORITHMS)}")
        return session_accepted(sessions.start(self.name, identity, algorithm, network), 202, room)

    def also_wanted(self, request: HttpRequest) -> tuple[Access, ...]:
        """Return pull of a mount's source, so that the client needs only one token request."""
        source = _named_source(request) if "mount" in request.GET else None
        return (Access("repository", source, PULL),) if source not in (None, self.name) else ()

    def _mounted(self, request: HttpRequest) -> Digest | None:
        """Return the digest if the mount succeeded; otherwise the client uploads the blob, whatever the reason.

        The client must be allowed to pull the source. One that it names needs the token's permission too. Without one,
        the account's rules decide, as in the catalog: a client can request a token only for repositories that it knows.
        """
        try:
            digest = parse_digest(request.GET.get("mount", ""))
        except RegistryError:
            return None
        if "from" not in request.GET:
            source = blobs.source_of(digest, self.bearer.rules)
        else:
            source = _named_source(request)
            if source is not None and not self.bearer.may(source, PULL):
                return None
        by: Any = {"account": self.bearer.identity.name, "version": self.bearer.version}
        if source is None or not blobs.mount(self.name, digest, source, origin=self.origin(request), **by):
            return None
        self.log_change(request, Kind.BLOB_MOUNTED, digest=str(digest), detail=f"from {source}")
        return digest


def _named_source(request: HttpRequest) -> RepositoryName | None:
    try:
        return parse_name(request.GET.get("from", ""))
    except InvalidNameError:
        return None
