"""The request class of pages and of the JSON API."""

from django.core.handlers.wsgi import WSGIRequest

from core.api.host import host_of


class BrowserRequest(WSGIRequest):
    """A request whose host may contain an underscore, as for `/v2/`."""

    def get_host(self) -> str:
        """Return host and port. Raises DisallowedHost."""
        return host_of(self)
