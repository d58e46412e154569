"""Bodies of uploads, fuzzed: what is stored is what h11 reads, and nothing of one is taken for a request."""

import select
from collections.abc import Iterator
from contextlib import suppress
from random import Random

import pytest

from tests.clients.server import started
from tests.fuzz.generate import SMUGGLED, append_head, framing, upload_case
from tests.fuzz.oracle import answers_in, judge, judge_uploads, requests_in
from tests.fuzz.test_wire import CASES, SEED, conversation
from tests.project.talk import PATIENCE_SECONDS, SmallServer, Talk, bearer, open_upload, talks, until

UPLOADS = CASES // 100
ROUNDS = max(2, CASES // 1000)


class RoomyServer(SmallServer):
    """One that lets an account have all uploads open which a run of `make fuzz` opens."""

    def configuration(self) -> dict[str, object]:
        server = super().configuration()["server"]
        assert isinstance(server, dict)
        return super().configuration() | {"server": server | {"limits": {"uploads_per_account": 100_000}}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallServer]:
    """Run a server that waits for four slow clients."""
    small = RoomyServer(tmp_path_factory.mktemp("uploads"))
    with started(small):
        yield small


def test_an_upload_has_what_an_independent_parser_reads(server: SmallServer) -> None:
    authorization = bearer(server)
    print(f"REGISTRY_FUZZ_SEED={SEED}")  # noqa: T201 - shown when it fails, and by `pytest -s`
    compared = 0
    for number in range(UPLOADS):
        random = Random(f"{SEED}:upload:{number}")
        pieces = upload_case(random, open_upload(server, authorization), authorization)
        reading = requests_in(b"".join(pieces))
        answers = answers_in(conversation(server, pieces, random.choice([0.0] * 9 + [0.001])), reading)
        try:
            judge(reading, answers)
            compared += judge_uploads(reading, answers)
        except AssertionError as error:
            raise AssertionError(f"{error}\nUpload {number} of REGISTRY_FUZZ_SEED={SEED}: {pieces}") from error

    assert compared > UPLOADS // 4
    assert "Traceback" not in server.log_file.read_text()


@pytest.mark.parametrize("number", range(ROUNDS))
def test_the_rest_of_a_body_whose_place_was_taken_is_no_request(server: SmallServer, number: int) -> None:
    random = Random(f"{SEED}:evicted:{number}")
    print(f"REGISTRY_FUZZ_SEED={SEED}")  # noqa: T201 - shown when it fails, and by `pytest -s`
    alice, admin = bearer(server), f"Authorization: Bearer {server.token('admin', 'repository:admin/x:pull,push')}"
    before = server.stored_bytes()
    rests = []
    with talks(server, server.max_slow_clients) as crowd, Talk(server) as other:
        for talk in crowd:
            field, framed = framing(random, body := b"x" * random.randint(1, 100) + SMUGGLED * random.randint(1, 3))
            cut = framed.index(SMUGGLED[:1])
            talk.sock.sendall(append_head(open_upload(server, alice), alice, field) + framed[:cut])
            rests.append((framed[cut:], len(body)))
        until(lambda: server.stored_bytes() >= before + server.max_slow_clients)
        other.send("PATCH", open_upload(server, admin, "admin/x"), admin, "Content-Length: 5", body=b"hell")
        # One of the crowd is told.
        assert select.select([talk.sock for talk in crowd], [], [], PATIENCE_SECONDS)[0]
        for talk, (rest, _) in zip(crowd, rests, strict=True):
            with suppress(BrokenPipeError, ConnectionResetError):
                talk.sock.sendall(rest)

        answers = [talk.answer() for talk in crowd]
        other.sock.sendall(b"o")
        assert other.answer().headers["Range"] == "0-4"
        for talk, answer, (_, size) in zip(crowd, answers, rests, strict=True):
            if answer.status == 202:
                assert answer.headers["Range"] == f"0-{size - 1}"
            else:
                assert (answer.status, answer.headers["Connection"]) == (503, "close")
                assert talk.is_ended()
    assert [answer.status for answer in answers].count(503) == 1
