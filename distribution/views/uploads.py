"""`POST /v2/<name>/blobs/uploads/`: open an upload session, mount a blob, or send one whole."""

from django.http import HttpRequest, HttpResponse

from acl.names import InvalidNameError, parse_name
from distribution import blobs, uploads
from distribution.digest import ALGORITHMS, Digest, parse_digest
from distribution.views.repository import PULL, PULL_PUSH, RepositoryView
from distribution.views.upload import created, session_accepted
from tokens.body import Body
from tokens.errors import ErrorCode, RegistryError, quoted


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
        return session_accepted(uploads.start(self.name, self.bearer.identity.name, _algorithm(request)), 202)

    def _mounted(self, request: HttpRequest) -> Digest | None:
        """Return the digest when the mount worked. No right, no blob and nonsense all go on as an upload."""
        try:
            digest = parse_digest(request.GET.get("mount", ""))
            source = parse_name(request.GET.get("from", ""))
        except (RegistryError, InvalidNameError):
            return None
        if not self.bearer.may(source, PULL) or not blobs.mount(self.name, digest, source):
            return None
        return digest

    def _whole(self, request: HttpRequest, digest: Digest) -> HttpResponse:
        uploads.receive_whole(self.name, self.bearer.identity.name, Body(request), digest)
        return created(self.name, digest)


def _algorithm(request: HttpRequest) -> str:
    algorithm = request.GET.get("digest-algorithm", ALGORITHMS[0])
    if algorithm not in ALGORITHMS:
        raise RegistryError(ErrorCode.DIGEST_INVALID, f"{quoted(algorithm)} is not one of {', '.join(ALGORITHMS)}")
    return algorithm
