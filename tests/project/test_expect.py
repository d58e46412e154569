"""`Expect: 100-continue` on a real server: a refusal needs no body (RFC 9110, 10.1.1)."""

import http.client
import json
from collections.abc import Iterator

import pytest

from tests.clients.server import started
from tests.images import digest_of
from tests.project.talk import SmallServer, Talk, bearer, open_upload

EXPECT = "Expect: 100-continue"
FORM = b"grant_type=password&service=Docker+Registry&username=alice&password=alice-password"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallServer]:
    """Run a server with few threads for the tests of this file."""
    small = SmallServer(tmp_path_factory.mktemp("small"))
    with started(small):
        yield small


def answer_without_body(server: SmallServer, method: str, path: str, *lines: str) -> http.client.HTTPResponse:
    """Send the head of a request that announces a body, and return its answer, before which no other came."""
    with Talk(server) as talk:
        talk.send(method, path, *lines, EXPECT)
        assert not talk.is_continued()
        answer = talk.answer(method)
        assert answer.headers["Connection"] == "close"
        assert talk.is_ended()
        return answer


@pytest.mark.parametrize("length", ["Content-Length: 100000", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize(
    ("request_line", "authorization", "status"),
    [
        ("PATCH {upload}", "X-Nothing: 1", 401),
        ("PUT {upload}?digest=" + "sha256:" + "a" * 64, "Authorization: Bearer nonsense", 401),
        ("POST /v2/alice/app/blobs/uploads/?digest=sha256:" + "a" * 64, "X-Nothing: 1", 401),
        ("POST /v2/charlie/app/blobs/uploads/?digest=sha256:" + "a" * 64, "{bearer}", 401),
        ("POST /v2/alice/app/blobs/uploads/?digest=nonsense", "{bearer}", 400),
        ("PUT /v2/alice/app/manifests/v1", "X-Nothing: 1", 401),
        ("PUT /v2/charlie/app/manifests/v1", "{bearer}", 401),
        ("PUT /v2/ALICE/app/manifests/v1", "{bearer}", 400),
        ("PATCH /v2/alice/app/blobs/uploads/00000000-0000-4000-8000-000000000000", "{bearer}", 404),
        ("PUT {upload}?digest=nonsense", "{bearer}", 400),
        ("PUT /v2/alice/app/manifests/-", "{bearer}", 400),
        ("PATCH {upload}", "{bearer}\r\nContent-Range: 5-9", 416),
        ("POST /v2/alice/app/tags/list", "{bearer}", 405),
        ("POST /admin/login/", "X-Nothing: 1", 403),
    ],
)
def test_a_refusal_without_the_body_is_the_final_status(
    server: SmallServer, request_line: str, authorization: str, status: int, length: str
) -> None:
    good = bearer(server)
    upload = open_upload(server, good)

    method, path = request_line.format(upload=upload).split()
    lines = authorization.format(bearer=good).split("\r\n")
    answer = answer_without_body(server, method, path, *lines, length)

    assert answer.status == status


def test_a_manifest_that_is_too_large_is_refused_before_it_is_sent(server: SmallServer) -> None:
    lines = (bearer(server), f"Content-Length: {5 * 2**20}")

    answer = answer_without_body(server, "PUT", "/v2/alice/app/manifests/v1", *lines)

    assert answer.status == 413


def test_a_form_that_is_too_large_is_refused_before_it_is_sent(server: SmallServer) -> None:
    answer = answer_without_body(server, "POST", "/v2/token", "Content-Length: 1000000")

    assert answer.status == 413


@pytest.mark.parametrize("expectation", ["100-continue", "100-Continue", "100-CONTINUE"])
def test_an_accepted_body_gets_100_continue_once(server: SmallServer, expectation: str) -> None:
    authorization = bearer(server)
    path = f"{open_upload(server, authorization)}?digest={digest_of(b'hello')}"
    with Talk(server) as talk:
        talk.send("PUT", path, authorization, "Content-Length: 5", f"Expect: {expectation}")
        assert talk.is_continued()
        talk.sock.sendall(b"hel")
        talk.sock.sendall(b"lo")

        assert talk.answer().status == 201
        assert talk.ask("GET", "/health").status == 200


def test_a_chunked_body_gets_100_continue_once(server: SmallServer) -> None:
    authorization = bearer(server)
    with Talk(server) as talk:
        talk.send("PATCH", open_upload(server, authorization), authorization, "Transfer-Encoding: chunked", EXPECT)
        assert talk.is_continued()
        talk.sock.sendall(b"5\r\nhello\r\n")
        talk.sock.sendall(b"0\r\n\r\n")

        assert talk.answer().headers["Range"] == "0-4"
        assert talk.ask("GET", "/health").status == 200


@pytest.mark.parametrize(
    ("path", "lines", "body", "status"),
    [
        ("/v2/token", (), FORM, 200),
        ("/admin/login/", (f"Cookie: registry_form={'a' * 32}",), b"csrfmiddlewaretoken=" + b"a" * 32, 200),
    ],
    ids=["token", "admin"],
)
def test_a_form_gets_100_continue(
    server: SmallServer, path: str, lines: tuple[str, ...], body: bytes, status: int
) -> None:
    form = "Content-Type: application/x-www-form-urlencoded"
    with Talk(server) as talk:
        talk.send("POST", path, *lines, form, f"Content-Length: {len(body)}", EXPECT)
        assert talk.is_continued()
        talk.sock.sendall(body)

        assert talk.answer().status == status


def test_an_empty_body_gets_no_100_continue_and_keeps_the_connection(server: SmallServer) -> None:
    with Talk(server) as talk:
        talk.send("POST", "/v2/alice/app/blobs/uploads/", bearer(server), "Content-Length: 0", EXPECT)
        assert not talk.is_continued()

        assert talk.answer().status == 202
        assert talk.ask("GET", "/health").status == 200


def test_what_follows_a_refusal_is_no_request(server: SmallServer) -> None:
    """Whether it is the body, sent without waiting any longer, or the next request, nobody can tell."""
    upload = open_upload(server, bearer(server))
    with Talk(server) as talk:
        body = talk.head("GET", "/health")
        talk.send("PATCH", upload, f"Content-Length: {len(body)}", EXPECT, body=body)

        assert talk.answer().status == 401
        assert talk.is_ended()


def test_a_client_of_http_1_0_gets_no_100_continue(server: SmallServer) -> None:
    authorization = bearer(server)
    upload = open_upload(server, authorization)
    head = f"PATCH {upload} HTTP/1.0\r\n{authorization}\r\nContent-Length: 5\r\n{EXPECT}\r\n\r\n"
    with Talk(server) as talk:
        talk.sock.sendall(head.encode() + b"hello")

        assert not talk.is_continued()
        assert talk.answer().status == 202


def test_another_expectation_is_417(server: SmallServer) -> None:
    with Talk(server) as talk:
        answer = talk.ask("PATCH", "/v2/alice/app/blobs/uploads/x", "Content-Length: 5", "Expect: 200-ok")

        assert answer.status == 417
        assert json.loads(answer.content)["errors"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("end", ["zz\r\n", "5\r\nhelloXX"], ids=["size", "terminator"])
def test_a_malformed_chunk_is_named_and_ends_the_connection(server: SmallServer, end: str) -> None:
    authorization = bearer(server)
    with Talk(server) as talk:
        talk.send("PATCH", open_upload(server, authorization), authorization, "Transfer-Encoding: chunked")
        talk.sock.sendall(f"3\r\nabc\r\n{end}".encode())
        answer = talk.answer()

        assert (answer.status, answer.headers["Connection"]) == (400, "close")
        assert b"the chunked body is malformed" in answer.content  # type: ignore[attr-defined]
        assert talk.is_ended()


@pytest.mark.parametrize("authorization", ["X-Nothing: 1", "Authorization: Bearer nonsense"])
@pytest.mark.parametrize("body", [[b"zz\r\n"], [b"3\r\nabc\r\n", b"zz\r\n"], [b"0\r\nno field\r\n\r\n"]])
def test_a_malformed_chunk_behind_a_refusal_only_ends_the_connection(
    server: SmallServer, authorization: str, body: list[bytes]
) -> None:
    """There is one answer to one request."""
    with Talk(server) as talk:
        talk.send("PUT", "/v2/alice/app/manifests/v1", authorization, "Transfer-Encoding: chunked")
        answer = talk.answer()
        assert (answer.status, answer.headers["Connection"]) == (401, "keep-alive")
        for piece in body:
            talk.sock.sendall(piece)

        assert talk.is_ended()


def test_an_upload_of_tiny_chunks_with_extensions_is_answered(server: SmallServer) -> None:
    """What is read ahead is not copied again for each of them: this once took minutes."""
    authorization = bearer(server)
    plain = (b"10000\r\n" + b"x" * 65536 + b"\r\n") * 48
    with Talk(server) as talk:
        talk.send("PATCH", open_upload(server, authorization), authorization, "Transfer-Encoding: chunked")
        talk.sock.sendall(plain + b"1;a\r\ny\r\n" * 150_000 + b"0\r\n\r\n")

        assert talk.answer().headers["Range"] == f"0-{48 * 65536 + 150_000 - 1}"
