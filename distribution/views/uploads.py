"""`POST /v2/<name>/blobs/uploads/`: open an upload session, mount a blob, or send one whole."""

from django.http import HttpRequest, HttpResponse

from accounts.identity import Identity
from accounts.throttling.throttle import network_of
from acl.actions import Access
from acl.names import InvalidNameError, RepositoryName, parse_name
from core.api.body import Body
from core.api.errors import ErrorCode, RegistryError, quoted
from distribution import blobs
from distribution.protocol.digest import ALGORITHMS, Digest, parse_digest
from distribution.uploads import sessions
from distribution.views.repository import PULL, PULL_PUSH, RepositoryView
from distribution.views.upload import created, session_accepted


class UploadsView(RepositoryView):
    """Begin."""

    actions = {"POST": PULL_PUSH}

    def post(self, request: HttpRequest) -> HttpResponse:
        """Answer 201 with a blob that was mounted or came with the request, else 202 with a session."""
        mounted = self._mounted(request)
        if mounted is not None:
            return created(self.name, mounted)
        digest = request.GET.get("digest")
        if digest is not None:
            return self._whole(request, parse_digest(digest))
        identity = self.bearer.identity
        upload = sessions.start(self.name, identity, _algorithm(request), _counted_with(identity, request))
        return session_accepted(upload, 202)

    def also_wanted(self, request: HttpRequest) -> tuple[Access, ...]:
        """Return the pull of a mount's source: a client that asks for both at once needs not ask again."""
        source = _named_source(request) if "mount" in request.GET else None
        return (Access("repository", source, PULL),) if source not in (None, self.name) else ()

    def _mounted(self, request: HttpRequest) -> Digest | None:
        """Return the digest when the mount worked. No right, no blob and nonsense all go on as an upload."""
        try:
            digest = parse_digest(request.GET.get("mount", ""))
        except RegistryError:
            return None
        source = self._source(request, digest)
        return digest if source is not None and blobs.mount(self.name, digest, source) else None

    def _source(self, request: HttpRequest, digest: Digest) -> RepositoryName | None:
        """Return the repository to mount from, as far as the client may pull it.

        Of one that it names the token has to allow that too. Where it names none, what the account may pull now
        counts, as in the catalog: a token can only be asked for repositories that the client knows.
        """
        if "from" not in request.GET:
            return blobs.source_of(digest, self.bearer.rules)
        source = _named_source(request)
        return source if source is not None and self.bearer.may(source, PULL) else None

    def _whole(self, request: HttpRequest, digest: Digest) -> HttpResponse:
        identity = self.bearer.identity
        sessions.receive_whole(self.name, identity, Body(request), digest, _counted_with(identity, request))
        return created(self.name, digest)


def _named_source(request: HttpRequest) -> RepositoryName | None:
    try:
        return parse_name(request.GET.get("from", ""))
    except InvalidNameError:
        return None


def _counted_with(identity: Identity, request: HttpRequest) -> str:
    """Return the network whose sessions count together: an account's count as its own, wherever it is."""
    return network_of(request) if identity.is_anonymous else ""


def _algorithm(request: HttpRequest) -> str:
    algorithm = request.GET.get("digest-algorithm", ALGORITHMS[0])
    if algorithm not in ALGORITHMS:
        raise RegistryError(ErrorCode.DIGEST_INVALID, f"{quoted(algorithm)} is not one of {', '.join(ALGORITHMS)}")
    return algorithm
