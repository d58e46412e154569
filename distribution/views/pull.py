"""The base view of what can be pulled: GET and HEAD as `distribution.pull` answers them."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase

from acl.names import RepositoryName
from distribution.protocol.spec import CONTENT_DIGEST_HEADER
from distribution.pull import Pulled
from distribution.views.repository import RepositoryView, empty
from tokens.verify import Bearer
from upstreams import compiled
from upstreams.models import Proxy
from webhooks import pulls
from webhooks.kinds import EventKind


class BlobResponse(FileResponse):
    """A file that gunicorn sends with `sendfile`, with headers from the view only.

    Django's own headers would name the storage key in a Content-Disposition.
    """

    # Of an object in a cloud, which has no descriptor.
    block_size = 64 * 1024

    def set_headers(self, filelike: object) -> None:
        pass


class PullView(RepositoryView):
    """Serve a manifest or a blob, for requests that `registry_project.short_path` leaves to Django."""

    pull_event: ClassVar[EventKind]

    @classmethod
    def announce(
        cls, pulled: Pulled, name: RepositoryName, text: str, method: str, *, bearer: Bearer, meta: Mapping[str, Any]
    ) -> None:
        """Tell webhooks of a GET that was answered with content."""
        if method == "GET" and pulled.status != 304:
            about = {"account": bearer.identity.name, "version": bearer.version}
            digest = pulled.headers.get(CONTENT_DIGEST_HEADER, "")
            pulls.add(cls.pull_event, name, text, digest=digest, meta=meta, **about)

    @staticmethod
    def pull(name: RepositoryName, text: str, method: str, meta: Mapping[str, Any]) -> Pulled:
        """Return the response to GET or HEAD of the reference or digest `text`. Raises RegistryError."""
        raise NotImplementedError

    @staticmethod
    def is_due(name: str, text: str, proxy: Proxy) -> bool:  # noqa: ARG004 - as that of manifests
        """Tell whether an upstream has to be asked about what is here."""
        return False

    def pull_through(self, text: str, method: str, meta: Mapping[str, Any], proxy: Proxy) -> Pulled:
        """Do what `pull` does, with the upstream of a proxied repository. Raises RegistryError."""
        raise NotImplementedError

    def get(self, request: HttpRequest, **reference: str) -> HttpResponseBase:
        """Answer with what `pull` returns for the reference or digest, the only argument."""
        (text,) = reference.values()
        proxy = compiled.of(self.name, self.bearer.version)
        if proxy is None:
            pulled = self.pull(self.name, text, request.method or "", request.META)
        else:
            pulled = self.pull_through(text, request.method or "", request.META, proxy)
        self.announce(pulled, self.name, text, request.method or "", bearer=self.bearer, meta=request.META)
        if pulled.file is not None:
            return BlobResponse(pulled.file, status=pulled.status, headers=pulled.headers)
        if pulled.status == 304:
            return empty(304, pulled.headers)
        return HttpResponse(pulled.payload, status=pulled.status, headers=pulled.headers)
