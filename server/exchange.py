"""A request and what is sent in answer to it, for whoever has to say what became of it."""

import socket
import time
from collections.abc import MutableMapping
from typing import Any

from core.api.notes import REQUEST_ID
from server.reader import Incoming
from server.response import Outgoing


class Exchange:
    """One request of a connection, whether or not it can be parsed, and its answer, whoever gives it."""

    __slots__ = ("_incoming", "_own_id", "began", "client", "environ", "refusal", "response", "sent", "sock")

    def __init__(self, sock: socket.socket, client: Any, incoming: Incoming, request_id: str) -> None:
        """Begin with a client that speaks."""
        self.began = time.monotonic()
        self.sock = sock
        self.client = client
        self._incoming = incoming
        self._own_id = request_id
        self.environ: MutableMapping[str, Any] = {}
        self.response: Outgoing | None = None
        self.refusal: int | None = None
        """The status of what is sent in place of the application's answer, if that is so."""
        self.sent = 0

    @property
    def request_id(self) -> str:
        """The id of the request: a trusted proxy's, or its own."""
        request_id: str = self.environ.get(REQUEST_ID, self._own_id)
        return request_id

    @property
    def request(self) -> Any:
        """Gunicorn's request, as far as it was parsed; None before its first byte."""
        return self._incoming.request

    @property
    def is_answered(self) -> bool:
        """Tell whether anything of an answer is out, so that nothing else can be sent in its place."""
        return self.refusal is not None or (self.response is not None and self.response.has_begun)

    @property
    def is_one(self) -> bool:
        """Tell whether there was a request: a connection also ends without another one."""
        request = self.request
        return self.refusal is not None or (request is not None and request.method is not None)

    def outcome(self) -> tuple[int | None, int, bool]:
        """Return the status, the bytes of the body that the kernel took, and whether the client did not get all.

        The status is None for a client that went away before there was one.
        """
        if self.refusal is not None:
            return self.refusal, self.sent, False
        response = self.response
        if response is None:
            return None, 0, True
        return response.status_code, response.sent, not response.is_complete
