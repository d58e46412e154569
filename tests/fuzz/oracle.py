"""What an independent parser, h11, makes of what a client and a server have sent."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import h11

from core.api.errors import quoted

_CHALLENGED = re.compile(rb'scope="repository:([^:"]+):')
_LARGEST_EVENT = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Seen:
    """A request, whole."""

    method: bytes
    target: bytes
    body: bytes
    is_last: bool
    """Whether the client says that no other follows."""
    is_chunked: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """The whole requests of a stream, and what is behind them."""

    seen: Sequence[Seen]
    begun: bytes = b""
    """The rest of the stream, when that is no whole request."""
    has_head: bool = False
    """Whether at least the head of that is good."""

    def is_head(self, position: int) -> bool:
        """Tell whether the answer at `position` has no body."""
        if position < len(self.seen):
            return self.seen[position].method == b"HEAD"
        return self.begun.lstrip().startswith(b"HEAD ")


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer."""

    status: int
    is_last: bool
    repository: bytes | None
    """Whose it is, if it says so."""
    detail: str
    range: bytes | None = None
    """What an upload has, if it says so."""


def requests_in(stream: bytes) -> Reading:
    """Read what a client has sent before it closed its side."""
    seen: list[Seen] = []
    rest = stream
    # RFC 9112, 2.2: an empty line before a request line is passed over, which h11 does not.
    while rest := rest.removeprefix(b"\r\n"):
        connection = h11.Connection(h11.SERVER, _LARGEST_EVENT)
        has_head = False
        try:
            connection.receive_data(rest)
            connection.receive_data(b"")
            request: Any = connection.next_event()
            if not isinstance(request, h11.Request):
                return Reading(seen, rest)
            has_head = True
            body = bytearray()
            while isinstance(event := connection.next_event(), h11.Data):
                body += event.data
        except h11.RemoteProtocolError:
            return Reading(seen, rest, has_head)
        seen.append(Seen(request.method, request.target, bytes(body), _is_last(request), _is_chunked(request)))
        if seen[-1].is_last:
            break
        rest = connection.trailing_data[0]
    return Reading(seen)


def _is_last(request: Any) -> bool:
    options = {
        option.strip().lower()
        for name, value in request.headers
        if name == b"connection"
        for option in value.split(b",")
    }
    is_old = request.http_version < b"1.1"
    return request.method == b"CONNECT" or b"close" in options or (is_old and b"keep-alive" not in options)


def _is_chunked(request: Any) -> bool:
    return any(name == b"transfer-encoding" for name, _ in request.headers)


def answers_in(output: bytes, reading: Reading) -> list[Answered]:
    """Read what a server has answered to that; AssertionError for what h11 does not take."""
    answers: list[Answered] = []
    while output:
        found, rest = _answer(output, b"HEAD" if reading.is_head(len(answers)) else b"GET")
        if rest and not rest.startswith(b"HTTP/") and found.is_last:
            # Where the request line is malformed, the server can't know that it is HEAD.
            found, rest = _answer(output, b"GET")
        answers.append(found)
        output = rest
    return answers


def _answer(output: bytes, method: bytes) -> tuple[Answered, bytes]:
    connection = h11.Connection(h11.CLIENT, _LARGEST_EVENT)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(output)
    connection.receive_data(b"")
    body = bytearray()
    try:
        while isinstance(response := connection.next_event(), h11.InformationalResponse):
            assert response.status_code == 100
        assert isinstance(response, h11.Response), f"no answer: {output[:200]!r}"
        while isinstance(event := connection.next_event(), h11.Data):
            body += event.data
    except h11.RemoteProtocolError as error:
        raise AssertionError(f"{error}: {output[:200]!r}") from error
    fields = dict(response.headers)
    found = _CHALLENGED.search(fields.get(b"www-authenticate", b""))
    is_json = body and fields.get(b"content-type") == b"application/json"
    first = json.loads(body).get("errors", [{}])[0] if is_json else {}
    is_last = fields.get(b"connection") == b"close"
    repository, detail = found[1] if found else None, str(first.get("detail"))
    answered = Answered(response.status_code, is_last, repository, detail, fields.get(b"range"))
    return answered, connection.trailing_data[0]


def judge(reading: Reading, answers: Sequence[Answered]) -> None:
    """Raise AssertionError when these are not the answers to those requests."""
    at_most = len(reading.seen) + bool(reading.begun)
    assert len(answers) <= at_most, f"{len(answers)} answers to {at_most} requests"
    for position, answer in enumerate(answers):
        assert answer.status < 500 or answer.status == 501, f"answer {position} is {answer.status}"
        assert not answer.is_last or position == len(answers) - 1, "there is an answer after the last"
        if position < len(reading.seen):
            _judge_one(reading.seen[position], answer)
        else:
            assert not answer.detail.startswith("grant_type is "), "a body that was not whole was used"
            assert reading.has_head or (answer.repository is None and answer.status >= 400), "no request was answered"
    # h11 takes extensions of chunks that are none, so a connection may end behind a body that nobody read.
    may_end = answers and (answers[-1].is_last or any(seen.is_chunked for seen in reading.seen[len(answers) - 1 :][:1]))
    assert may_end or len(answers) >= len(reading.seen), f"{len(answers)} answers to {len(reading.seen)} requests"
    assert not any(request.is_last for request in reading.seen[: len(answers) - 1]), "what follows the last was read"


def judge_uploads(reading: Reading, answers: Sequence[Answered]) -> int:
    """Raise AssertionError when an upload, new before the first request, has not got what was sent.

    Return how many bodies were looked at.
    """
    size = 0
    for position, (seen, answer) in enumerate(zip(reading.seen, answers, strict=False)):
        if answer.status != 202:
            # How much of it was stored is not known.
            return position
        size += len(seen.body)
        assert answer.range == b"0-%d" % max(0, size - 1), f"{answer.range!r} instead of {size} bytes"
    return min(len(reading.seen), len(answers))


def _judge_one(request: Seen, answer: Answered) -> None:
    if answer.repository is not None:
        assert b"/v2/" + answer.repository + b"/" in request.target, f"{answer.repository!r} answers {request.target!r}"
    if answer.detail.startswith("grant_type is "):
        asked = parse_qs(request.body.decode("latin-1")).get("grant_type", [""])[0]
        assert answer.detail.startswith(f"grant_type is {quoted(asked)},"), f"{answer.detail} to {request.body!r}"
