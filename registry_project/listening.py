"""The address that the server listens on, and how long its connections may stand still."""

import errno
import os
import socket
import struct
from collections.abc import Iterable
from typing import Protocol

from registry_project.configuration.values import Configuration, Server
from registry_project.start_error import StartError

READ_SECONDS = 30
WRITE_SECONDS = 60
# What the kernel keeps of an answer that was not sent yet. It would keep 4 MiB for a client that takes nothing: 738 MiB
# for two hundred, which no process shows as its memory.
UNSENT_BYTES = 512 * 1024

_REASONS = {
    errno.EADDRINUSE: "is in use; stop what listens there, or set another server.addr",
    errno.EACCES: "needs more rights than this user has; set a server.addr with a port above 1023",
    errno.EADDRNOTAVAIL: "is no address of this machine; set another server.addr",
}


class Listener(Protocol):
    """What gunicorn has for a listening socket."""

    def setsockopt(self, level: int, option: int, value: bytes, /) -> None:
        """Set an option of the socket."""
        ...


def bind_address(server: Server) -> str:
    """Return `server.addr` as gunicorn writes it; no host is every address, of IPv6 and of IPv4."""
    host = server.host or ("::" if _takes_both_families() else "0.0.0.0")  # noqa: S104 - what `:5000` asks for
    return f"[{host}]:{server.port}" if ":" in host else f"{host}:{server.port}"


def _takes_both_families() -> bool:
    """Tell whether a socket on `::` also takes IPv4; without IPv6 in the kernel there is no such socket."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
            return probe.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 0
    except OSError:
        return False


def check_free(addresses: Iterable[object], configuration: Configuration) -> None:
    """Raise StartError when one of gunicorn's `addresses` can't be listened on.

    gunicorn itself tries five times and writes eleven lines. Sockets that it inherits (systemd, a running
    server that it replaces) are not its to bind, and neither are file sockets.
    """
    if {"GUNICORN_FD", "LISTEN_FDS"} & set(os.environ):
        return
    for address in addresses:
        if isinstance(address, tuple):
            host, port = address
            _check_free(host, port, configuration)


def _check_free(host: str, port: int, configuration: Configuration) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, f"can't be listened on ({error.strerror}); set another server.addr")
        shown = f"port {port}" + (f" of {host}" if configuration.server.host else "")
        raise StartError(f"server.addr: {shown} {reason} in {configuration.path or 'config.yaml'}") from error


def limit_standstill(listeners: Iterable[Listener]) -> None:
    """Let no connection wait for its client for ever: without this a half-open one blocks its thread.

    Linux hands a listener's options on to each connection. A read that takes longer raises BlockingIOError
    in the thread that serves the connection. A write raises BlockingIOError or, where it waits in a selector
    as `socket.sendfile` does, TimeoutError: then the kernel has ended the connection.
    """
    for listener in listeners:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", READ_SECONDS, 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", WRITE_SECONDS, 0))
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, struct.pack("i", WRITE_SECONDS * 1000))
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, struct.pack("i", UNSENT_BYTES))
