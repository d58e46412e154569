"""The address to listen on, and the patience of connections."""

import socket
import struct

import pytest

from registry_project.configuration.values import Server
from registry_project.listening import READ_SECONDS, WRITE_SECONDS, bind_address, limit_standstill


@pytest.mark.parametrize(
    ("host", "expected"), [("127.0.0.1", "127.0.0.1:5000"), ("::1", "[::1]:5000"), ("localhost", "localhost:5000")]
)
def test_a_host_is_listened_on_as_it_is_named(host: str, expected: str) -> None:
    assert bind_address(Server(host=host)) == expected


def test_no_host_is_every_address_of_both_families() -> None:
    assert bind_address(Server()) in ("[::]:5000", "0.0.0.0:5000")


def test_a_connection_does_not_wait_for_its_client_for_ever() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        limit_standstill([listener])
        with socket.create_connection(listener.getsockname()):
            connection, _ = listener.accept()
            options = (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO)
            found = [struct.unpack("ll", connection.getsockopt(socket.SOL_SOCKET, option, 16))[0] for option in options]
            connection.close()

    assert found == [READ_SECONDS, WRITE_SECONDS]
