"""A request and its response, as the access log and the error responses see them."""

import socket
import time
from collections.abc import MutableMapping
from typing import Any

from core.api.notes import REQUEST_ID, ROUTE
from core.metrics import cells, requests
from server.reader import Reader
from server.response import RegistryResponse


class Exchange:
    """One request, parsed or not, and its response, from the application or not."""

    __slots__ = (
        *("_own_id", "_reader", "_received_before"),
        *("began", "client", "environ", "refusal", "response", "sent", "sock"),
    )

    def __init__(self, sock: socket.socket, client: Any, reader: Reader, request_id: str) -> None:
        self.began = time.monotonic()
        self.sock = sock
        self.client = client
        self._reader = reader
        self._received_before = reader.received
        self._own_id = request_id
        self.environ: MutableMapping[str, Any] = {}
        self.response: RegistryResponse | None = None
        self.refusal: int | None = None
        """The status of an error response by this server; None means that the application responds."""
        self.sent = 0

    @property
    def request_id(self) -> str:
        """The request id that the client or a proxy gave, otherwise the server's own."""
        request_id: str = self.environ.get(REQUEST_ID, self._own_id)
        return request_id

    @property
    def request(self) -> Any:
        """Gunicorn's request, as far as it is parsed; None before the first byte."""
        return self._reader.request

    @property
    def is_answered(self) -> bool:
        """Tell whether a byte of a response was sent, so that no other can follow."""
        return self.refusal is not None or (self.response is not None and self.response.has_begun)

    def outcome(self) -> tuple[int | None, int, bool]:
        """Return the status, the bytes of the body sent, and whether the response was aborted.

        A status of None means that the client disconnected before there was one.
        """
        if self.refusal is not None:
            return self.refusal, self.sent, False
        response = self.response
        if response is None:
            return None, 0, True
        return response.status_code, response.sent, not response.is_complete

    def count(self) -> None:
        """Count the exchange in the metrics, if there are any."""
        if cells.folder() is None:
            return
        request, environ, response = self._reader.request, self.environ, self.response
        method = None if request is None else request.method
        status, sent = self.refusal, self.sent
        if status is None and method is None:
            # The connection ended without a request.
            return
        if status is None and response is not None:
            status, sent = response.status_code, response.sent
        match = environ.get(ROUTE)
        if match is not None:
            route = match.url_name or "unknown"
        else:
            route = requests.route_of(environ["PATH_INFO"]) if environ else "malformed"
        received = self._reader.received - self._received_before
        requests.count(route, method, status, seconds=time.monotonic() - self.began, received=received, sent=sent)
