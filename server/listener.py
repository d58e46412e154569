"""The listening sockets: their addresses, and the timeouts that connections inherit from them."""

import errno
import os
import socket
import struct
from collections.abc import Iterable
from functools import cache
from ipaddress import ip_address
from typing import Protocol

from configuration.values import Admin, Configuration
from core.start_error import StartError

LISTENER = "registry.listener"
"""The key in the WSGI environment for the local address of the connection, as from `getsockname`."""

READ_SECONDS = 30
WRITE_SECONDS = 60
# The kernel's limit of unsent bytes per connection. Its default of 4 MiB made 738 MiB for two hundred stalled clients,
# which no process shows as its memory.
UNSENT_BYTES = 512 * 1024

_REASONS = {
    errno.EADDRINUSE: "is in use; stop what listens there, or set another {key}",
    errno.EACCES: "needs more rights than this user has; set a {key} with a port above 1023",
    errno.EADDRNOTAVAIL: "is no address of this machine; set another {key}",
}


class Listener(Protocol):
    """gunicorn's listening socket."""

    def getsockname(self) -> object:
        """Return the address of the socket."""
        ...

    def setsockopt(self, level: int, option: int, value: bytes, /) -> None:
        """Set an option of the socket."""
        ...


def bind_addresses(configuration: Configuration) -> list[str]:
    """Return `server.addr` and, if set, `admin.addr` in gunicorn's syntax."""
    server, admin = configuration.server, configuration.admin
    addresses = [(server.host or _every_address(), server.port)]
    if admin.is_enabled and admin.port is not None:
        addresses.append((admin.host or _every_address(), admin.port))
    return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in addresses]


@cache
def _every_address() -> str:
    """Return the wildcard address of IPv6 and IPv4, or of IPv4 alone."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
            is_dual = probe.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 0
    except OSError:
        is_dual = False  # the kernel is without IPv6
    return "::" if is_dual else "0.0.0.0"  # noqa: S104 - what `:5000` asks for


def admin_listener(admin: Admin) -> tuple[object, ...] | None:
    """Return `admin.addr` as `getsockname` reports it (LISTENER); None means it is not set."""
    if not admin.is_enabled or admin.port is None:
        return None
    host = "127.0.0.1" if admin.host == "localhost" else str(ip_address(admin.host or _every_address()))
    return (host, admin.port, 0, 0) if ":" in host else (host, admin.port)


def check_free(addresses: Iterable[object], configuration: Configuration) -> None:
    """Raise StartError if one of gunicorn's `addresses` can't be bound: gunicorn would retry and log eleven lines.

    Inherited sockets (systemd, a server being replaced) and unix sockets are not checked.
    """
    if {"GUNICORN_FD", "LISTEN_FDS"} & set(os.environ):
        return
    for address in addresses:
        if isinstance(address, tuple):
            host, port = address
            _check_free(host, port, configuration)


def check_not_serving(configuration: Configuration) -> None:
    """Raise StartError if the address of the configuration's server is in use, as by that server."""
    server = configuration.server
    check_free([(server.host or "0.0.0.0", server.port)], configuration)  # noqa: S104 - as `:5000` says


def _check_free(host: str, port: int, configuration: Configuration) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        is_admin = port == configuration.admin.port
        key, named = (
            ("admin.addr", configuration.admin.host) if is_admin else ("server.addr", configuration.server.host)
        )
        other = f"can't be listened on ({error.strerror}); set another {key}"
        reason = _REASONS.get(error.errno or 0, other).format(key=key)
        shown = f"port {port}" + (f" of {host}" if named else "")
        raise StartError(f"{key}: {shown} {reason} in {configuration.path or 'config.yaml'}") from error


def set_timeouts(listeners: Iterable[Listener]) -> None:
    """Set the read and write timeouts, otherwise a half-open connection blocks its thread forever.

    On Linux each connection inherits the options of its listener. A read beyond the timeout raises BlockingIOError. A
    write raises BlockingIOError, or TimeoutError once the kernel has closed the connection.
    """
    for listener in listeners:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", READ_SECONDS, 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", WRITE_SECONDS, 0))
        if not isinstance(listener.getsockname(), tuple):
            continue  # a unix socket, whose peer is a proxy on this machine
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, struct.pack("i", WRITE_SECONDS * 1000))
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, struct.pack("i", UNSENT_BYTES))
