"""Ports for servers that tests start, also while another run of the tests starts its own.

A port that the system chooses is one that it may give to somebody's outgoing connection before the server has it.
"""

import itertools
import socket
from functools import cache

# Below those that the system gives to outgoing connections, from 32768 on (ip_local_port_range).
FIRST_PORT = 20_000
BLOCKS = 24
BLOCK_PORTS = 500

_claims: list[socket.socket] = []


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nothing listens on, and that no other process gets from here."""
    return next(port for port in itertools.islice(_ports(), BLOCK_PORTS) if _is_free(port))


@cache
def _ports() -> "itertools.cycle[int]":
    first = FIRST_PORT + _block() * BLOCK_PORTS
    return itertools.cycle(range(first, first + BLOCK_PORTS))


def _block() -> int:
    """Return the number of a block that is this process's until it ends."""
    for number in range(BLOCKS):
        claim = socket.socket(socket.AF_UNIX)
        try:
            # A name without a file, which nobody else can take.
            claim.bind(f"\0registry-tests-ports-{number}")
        except OSError:
            claim.close()
        else:
            _claims.append(claim)
            return number
    raise AssertionError(f"{BLOCKS} test runs have all the ports there are for them")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
