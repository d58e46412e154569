"""The address to listen on, and the patience of connections."""

import socket
import struct
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from configuration.values import Admin, Configuration, Server
from server.listener import (
    READ_SECONDS,
    UNSENT_BYTES,
    WRITE_SECONDS,
    admin_listener,
    bind_addresses,
    set_timeouts,
)
from tests.ports import free_port


@pytest.mark.parametrize(
    ("host", "expected"), [("127.0.0.1", "127.0.0.1:5000"), ("::1", "[::1]:5000"), ("localhost", "localhost:5000")]
)
def test_a_host_is_listened_on_as_it_is_named(host: str, expected: str) -> None:
    assert bind_addresses(Configuration(server=Server(host=host))) == [expected]


def test_no_host_is_every_address_of_both_families() -> None:
    assert bind_addresses(Configuration()) in (["[::]:5000"], ["0.0.0.0:5000"])


def test_an_admin_with_an_address_of_its_own_is_listened_for() -> None:
    configuration = Configuration(server=Server(host="127.0.0.1"), admin=Admin(host="::1", port=5001))

    assert bind_addresses(configuration) == ["127.0.0.1:5000", "[::1]:5001"]
    assert bind_addresses(replace(configuration, admin=Admin(is_enabled=False, port=5001))) == ["127.0.0.1:5000"]


@pytest.mark.parametrize("host", ["", "127.0.0.1", "localhost", "::1", "0:0::1"])
def test_the_admins_listener_is_known_by_the_name_of_its_socket(host: str) -> None:
    port = free_port()
    (_, address) = bind_addresses(Configuration(admin=Admin(host=host, port=port)))
    family = socket.AF_INET6 if "[" in address else socket.AF_INET

    with socket.socket(family) as listener:
        listener.bind((address.rpartition(":")[0].strip("[]"), port))

        assert admin_listener(Admin(host=host, port=port)) == listener.getsockname()


def test_a_unix_socket_has_no_options_of_tcp_to_set(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "registry.sock"))

        set_timeouts([listener])

        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16) == struct.pack("ll", READ_SECONDS, 0)


def test_the_kernel_keeps_little_for_a_client_that_takes_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        set_timeouts([listener])
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
            client.connect(listener.getsockname())
            connection, _ = listener.accept()
            with connection:
                taken = kept_of(connection)

    assert taken <= 2 * UNSENT_BYTES


def kept_of(connection: socket.socket) -> int:
    """Return how much the kernel takes of an answer that nobody reads."""
    connection.setblocking(False)
    taken = 0
    with suppress(BlockingIOError):
        while True:
            taken += connection.send(bytes(64 * 1024))
    return taken


def test_a_connection_does_not_wait_for_its_client_for_ever() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        set_timeouts([listener])
        with socket.create_connection(listener.getsockname()):
            connection, _ = listener.accept()
            with connection:
                reading = connection.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16)
                writing = connection.getsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, 16)
                untaken = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)

    assert struct.unpack("ll", reading) == (READ_SECONDS, 0)
    assert struct.unpack("ll", writing) == (WRITE_SECONDS, 0)
    assert untaken == WRITE_SECONDS * 1000
