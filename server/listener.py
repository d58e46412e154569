"""The addresses that the server listens on, and how long its connections may stand still."""

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
"""The name in a request's environment of the address that its connection was accepted on, as `getsockname` has it."""

READ_SECONDS = 30
WRITE_SECONDS = 60
# What the kernel keeps of an answer that was not sent yet. It would keep 4 MiB for a client that takes nothing: 738 MiB
# for two hundred, which no process shows as its memory.
UNSENT_BYTES = 512 * 1024

_REASONS = {
    errno.EADDRINUSE: "is in use; stop what listens there, or set another {key}",
    errno.EACCES: "needs more rights than this user has; set a {key} with a port above 1023",
    errno.EADDRNOTAVAIL: "is no address of this machine; set another {key}",
}


class Listener(Protocol):
    """What gunicorn has for a listening socket."""

    def getsockname(self) -> object:
        """Return the address of the socket."""
        ...

    def setsockopt(self, level: int, option: int, value: bytes, /) -> None:
        """Set an option of the socket."""
        ...


def bind_addresses(configuration: Configuration) -> list[str]:
    """Return `server.addr`, and `admin.addr` where there is one, as gunicorn writes addresses."""
    server, admin = configuration.server, configuration.admin
    addresses = [_bind_address(server.host, server.port)]
    if admin.is_enabled and admin.port is not None:
        addresses.append(_bind_address(admin.host, admin.port))
    return addresses


def _bind_address(host: str, port: int) -> str:
    host = host or _every_address()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@cache
def _every_address() -> str:
    """Return the host that stands for every address, of IPv6 and of IPv4."""
    return "::" if _takes_both_families() else "0.0.0.0"  # noqa: S104 - what `:5000` asks for


def admin_listener(admin: Admin) -> tuple[object, ...] | None:
    """Return the name that the socket of `admin.addr` has (LISTENER); None without such an address."""
    if not admin.is_enabled or admin.port is None:
        return None
    host = "127.0.0.1" if admin.host == "localhost" else str(ip_address(admin.host or _every_address()))
    return (host, admin.port, 0, 0) if ":" in host else (host, admin.port)


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
        is_admin = port == configuration.admin.port
        key, named = (
            ("admin.addr", configuration.admin.host) if is_admin else ("server.addr", configuration.server.host)
        )
        other = f"can't be listened on ({error.strerror}); set another {key}"
        reason = _REASONS.get(error.errno or 0, other).format(key=key)
        shown = f"port {port}" + (f" of {host}" if named else "")
        raise StartError(f"{key}: {shown} {reason} in {configuration.path or 'config.yaml'}") from error


def limit_standstill(listeners: Iterable[Listener]) -> None:
    """Let no connection wait for its client for ever: without this a half-open one blocks its thread.

    Linux hands a listener's options on to each connection. A read that takes longer raises BlockingIOError
    in the thread that serves the connection. A write raises BlockingIOError or, where it waits in a selector
    as `socket.sendfile` does, TimeoutError: then the kernel has ended the connection.
    """
    for listener in listeners:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", READ_SECONDS, 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", WRITE_SECONDS, 0))
        if not isinstance(listener.getsockname(), tuple):
            continue  # a unix socket: what reads from it is a proxy on this machine
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, struct.pack("i", WRITE_SECONDS * 1000))
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, struct.pack("i", UNSENT_BYTES))
