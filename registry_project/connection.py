"""A client's connection: its parser and its source of bytes."""

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

from gunicorn import util
from gunicorn.config import Config
from gunicorn.http.body import LengthReader
from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser
from gunicorn.workers.gthread import TConn

from registry_project.incoming import Incoming
from registry_project.pool import CrowdedError, Pool


def frozen(cfg: Config) -> Any:
    """Return gunicorn's settings as plain attributes: each request asks for some thirty of them."""
    values = {name: setting.get() for name, setting in cfg.settings.items()}
    return SimpleNamespace(**values, is_ssl=False, forwarded_allow_networks=cfg.forwarded_allow_networks)


class PlainRequest(Request):
    """A request of a peer that gunicorn believes nothing: `registry_project.proxies` decides whom to believe."""

    def _peer_trusted_for_forwarded(self) -> tuple[dict[str, str], list[str]]:
        return {}, []


class Parser(RequestParser):
    """gunicorn's parser, which does not read again a body that was read."""

    mesg_class = PlainRequest

    def finish_body(self, deadline: float | None = None, max_bytes: int | None = None) -> Any:
        """Drop what is left of the body; False when that can't be done, so that the connection has to end."""
        body: Any = self.mesg.body if self.mesg is not None else None
        finish: Callable[..., Any] = super().finish_body
        return body is None or _is_read(body) or bool(finish(deadline, max_bytes))


class Connection(TConn):
    """A connection that one thread at a time serves, and that only its thread closes."""

    def __init__(self, cfg: Any, sock: socket.socket, client: Any, server: Any, pool: Pool[Any]) -> None:
        """Serve `client` on `sock` with the `frozen` settings."""
        super().__init__(cfg, sock, client, server)
        sock.setblocking(True)
        self.incoming = Incoming(sock, pool)
        self.parser: Any = Parser(cfg, sock, client)
        self.parser.unreader = self.incoming
        self.quiet_since: float | None = time.monotonic()
        self._pool = pool

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self.sock.fileno()

    def end(self) -> None:
        """Let the thread that serves it, or the next one, find the end of the stream."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def close(self, graceful: bool = True) -> None:
        """Close; the client has time to read the last answer."""
        self._pool.forget(self)
        try:
            if graceful:
                with self._pool.lent():
                    util.close_graceful(self.sock)
        except CrowdedError:
            pass
        finally:
            util.close(self.sock)


def _is_read(body: Any) -> bool:
    reader = body.reader
    return isinstance(reader, LengthReader) and not reader.length and not body.buf.tell()
