"""The wire, fuzzed: a real server answers what clients send, and h11 says what that was.

A request that h11 does not take is never carried out, and nothing behind it is taken for a request. `make fuzz` does
it for longer. What once failed is a line of `seeds`, which are always played again.
"""

import json
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random, SystemRandom

import pytest

from tests.clients.server import started
from tests.fuzz.generate import case
from tests.fuzz.oracle import answers_in, judge, requests_in
from tests.project.talk import PATIENCE_SECONDS, SmallServer

SEEDS = Path(__file__).with_name("seeds")
# The wire is the same on both databases.
_ON_POSTGRESQL = os.environ.get("REGISTRY_DATABASE_URL", "").startswith("postgres")
_IN_CHECK = "REGISTRY_REQUIRE_CLIENTS" in os.environ
CASES = int(os.environ.get("REGISTRY_FUZZ_CASES", "5000" if _IN_CHECK and not _ON_POSTGRESQL else "500"))
SEED = os.environ.get("REGISTRY_FUZZ_SEED") or f"{SystemRandom().getrandbits(32):08x}"
KEEPS_FAILURES = os.environ.get("REGISTRY_FUZZ_KEEP") == "1"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallServer]:
    """Run a server with few threads for the tests of this file."""
    small = SmallServer(tmp_path_factory.mktemp("fuzz"))
    with started(small):
        yield small


def play(server: SmallServer, pieces: Sequence[bytes], pause_seconds: float = 0.0) -> None:
    """Send the pieces and judge what is answered."""
    reading = requests_in(b"".join(pieces))
    judge(reading, answers_in(conversation(server, pieces, pause_seconds), reading))


def conversation(server: SmallServer, pieces: Sequence[bytes], pause_seconds: float) -> bytes:
    """Send the pieces, say that nothing more comes, and return all that is answered."""
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE_SECONDS) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A server that has answered its last need not take the rest.
        with suppress(BrokenPipeError, ConnectionResetError):
            for piece in pieces:
                sock.sendall(piece)
                if pause_seconds:
                    time.sleep(pause_seconds)
            sock.shutdown(socket.SHUT_WR)
        output = bytearray()
        # A server that has waited for the client's end long enough closes the connection with what is still unread.
        with suppress(ConnectionResetError):
            while data := sock.recv(1 << 16):
                output += data
        return bytes(output)


def kept_seeds() -> list[list[bytes]]:
    """Return the pieces of what failed before."""
    lines = SEEDS.read_text().splitlines()
    return [[piece.encode("latin-1") for piece in json.loads(line)] for line in lines if line.startswith("[")]


@pytest.mark.parametrize("pieces", kept_seeds())
def test_what_failed_before_is_answered(server: SmallServer, pieces: list[bytes]) -> None:
    play(server, pieces)


def test_whatever_clients_send_is_answered_as_an_independent_parser_reads_it(server: SmallServer) -> None:
    workers = server.workers()
    print(f"REGISTRY_FUZZ_SEED={SEED}")  # noqa: T201 - shown when it fails, and by `pytest -s`
    for number in range(CASES):
        random = Random(f"{SEED}:{number}")
        pieces = case(random, f"c{number}")
        try:
            play(server, pieces, random.choice([0.0] * 9 + [0.001]))
        except Exception as error:
            if KEEPS_FAILURES:
                line = json.dumps([piece.decode("latin-1") for piece in pieces])
                with SEEDS.open("a") as seeds:
                    seeds.write(f"# {SEED}:{number}: {str(error)!a}\n{line}\n")
            raise AssertionError(f"{error}\nCase {number} of REGISTRY_FUZZ_SEED={SEED}") from error

    assert server.is_healthy()
    assert server.workers() == workers
    assert "Traceback" not in server.log_file.read_text()
