"""A request to the browser's part."""

from django.core.handlers.wsgi import WSGIRequest

from core.api.host import host_of


class BrowserRequest(WSGIRequest):
    """Is at home at every host that the registry is: also at one with an underscore in its name."""

    def get_host(self) -> str:
        """Return host and port. Raises DisallowedHost."""
        return host_of(self)
