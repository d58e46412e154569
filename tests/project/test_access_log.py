"""The access log of a real server: a line for each request, whatever became of it."""

import http.client
import json
import os
import re
import select
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jwt
import pytest

from core.api import notes
from server.access_log import json_line, text_line
from tests import documents
from tests.clients.server import basic, started
from tests.images import digest_of
from tests.project.talk import SmallServer, Talk, bearer, has_connections, until

LARGE = bytes(32 * 1024 * 1024)
SLOW_BUFFER_BYTES = 16 * 1024


class LoggingServer(SmallServer):
    """A server that logs in the form of `access_log`, and believes `proxies`."""

    access_log: str | None = None
    proxies: tuple[str, ...] = ()

    def configuration(self) -> dict[str, object]:
        """Return what config.yaml says."""
        configuration = super().configuration()
        more = {"access_log": self.access_log} if self.access_log else {}
        configuration["server"] |= more | {"trusted_proxies": list(self.proxies)}  # type: ignore[operator]
        return configuration

    def lines(self) -> list[dict[str, Any]]:
        """Return what was logged of requests."""
        # Up to the last end of a line: what follows is being written.
        whole = self.log_file.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines() if '"logger": "access"' in line]

    def line_of(self, answer: http.client.HTTPResponse) -> dict[str, Any]:
        """Return the line of the request that was answered so."""
        request_id = answer.headers["X-Request-Id"]
        assert re.fullmatch("[0-9a-f]{18}", request_id)
        return self.line(request=request_id)

    def line(self, **values: object) -> dict[str, Any]:
        """Wait for the line with these values, and return it."""
        found: list[dict[str, Any]] = []

        def is_there() -> bool:
            found[:] = [line for line in self.lines() if values.items() <= line.items()]
            return bool(found)

        until(is_there)
        assert len(found) == 1
        return found[0]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoggingServer]:
    """Run a server for the tests of this file, as it is configured by default."""
    with started(LoggingServer(tmp_path_factory.mktemp("json"))) as logging:
        yield logging


@pytest.fixture(scope="module")
def blob(server: LoggingServer) -> str:
    """Push a large blob and return its path."""
    digest = digest_of(LARGE)
    with Talk(server) as talk:
        path = f"/v2/alice/app/blobs/uploads/?digest={digest}"
        assert talk.ask("POST", path, bearer(server), f"Content-Length: {len(LARGE)}", body=LARGE).status == 201
    return f"/v2/alice/app/blobs/{digest}"


def test_a_line_says_who_asked_for_what_and_what_was_sent(server: LoggingServer, blob: str) -> None:
    authorization = bearer(server)
    with Talk(server) as talk:
        answer = talk.ask("GET", blob, authorization, "User-Agent: docker/24.0", "Range: bytes=0-99999")

    line = server.line_of(answer)
    token = jwt.decode(authorization.split()[-1], options={"verify_signature": False})
    told = ("level", "method", "path", "route", "repository", "reference", "status", "bytes", "account", "client")
    assert [line[key] for key in told] == [
        "info", "GET", blob, "blob", "alice/app", digest_of(LARGE), 206, 100_000, "alice", "127.0.0.1",
    ]  # fmt: skip
    assert (line["token"], line["agent"]) == (token["jti"], "docker/24.0")
    assert 0 < line["seconds"] < 60
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["at"])
    assert "aborted" not in line
    assert [*line] == [*json.loads(documents.block("docs/deployment.md", "log: json"))]


def test_an_anonymous_token_is_nobodys(server: LoggingServer) -> None:
    token = json.loads(server.request("GET", "/v2/token?scope=repository:public/app:pull").body)["token"]
    with Talk(server) as talk:
        line = server.line_of(talk.ask("GET", "/v2/public/app/manifests/v1", f"Authorization: Bearer {token}"))

    assert (line["account"], line["status"], line["reference"]) == ("anonymous", 404, "v1")


def test_a_login_is_its_accounts_and_a_refused_one_nobodys(server: LoggingServer) -> None:
    with Talk(server) as talk:
        right = server.line_of(talk.ask("GET", "/v2/token", f"Authorization: {basic('alice')}"))
        api = server.line_of(talk.ask("GET", "/api/v1/whoami", f"Authorization: {basic('bob')}"))
        wrong = server.line_of(talk.ask("GET", "/v2/token", "Authorization: Basic YWxpY2U6d3Jvbmc="))

    assert (right["account"], api["account"], wrong["account"]) == ("alice", "bob", None)
    assert (right["status"], api["status"], wrong["status"]) == (200, 200, 401)


@pytest.mark.parametrize(
    ("request_text", "status", "method", "path"),
    [
        ("nonsense\r\n\r\n", 400, None, None),
        ("GET /v2/ HTTP/1.1\r\nHost: x\r\nbad header: 1\r\n\r\n", 400, "GET", "/v2/"),
        (f"GET /v2/{'x' * 20_000} HTTP/1.1\r\nHost: x\r\n\r\n", 414, None, None),
        (f"GET /v2/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {'x' * 20_000}\r\n\r\n", 431, "GET", "/v2/"),
        ("PATCH /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: one\r\n\r\n", 400, "PATCH", "/v2/"),
        ("PATCH /v2/ HTTP/1.1\r\nHost: x\r\nExpect: more\r\n\r\n", 417, "PATCH", "/v2/"),
    ],
    ids=["no request", "header", "long line", "long header", "length", "expectation"],
)
def test_what_the_application_never_sees_is_logged(
    server: LoggingServer, request_text: str, status: int, method: str | None, path: str | None
) -> None:
    with Talk(server) as talk:
        talk.sock.sendall(request_text.encode())
        answer = talk.answer()

    line = server.line_of(answer)
    assert (line["status"], line["method"], line["path"], line["client"]) == (status, method, path, "127.0.0.1")
    assert line["bytes"] == int(answer.headers["Content-Length"])


def test_a_download_that_is_cut_says_how_far_it_came(server: LoggingServer, blob: str) -> None:
    authorization = bearer(server)
    with Talk(server, receive_buffer=SLOW_BUFFER_BYTES) as talk:
        talk.send("GET", blob, authorization, "User-Agent: cut")
        assert talk.sock.recv(1)
        # A reset: what is on its way is for nobody.
        talk.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    line = server.line(agent="cut")
    assert line["aborted"]
    assert line["status"] == 200
    assert 0 < line["bytes"] < len(LARGE)


def test_a_client_that_leaves_in_the_middle_of_its_request_is_logged_without_a_status(server: LoggingServer) -> None:
    with Talk(server) as talk:
        talk.sock.sendall(b"GET /v2/left/in/the/middle HTTP/1.1\r\nHost: x\r\n")

    line = server.line(path="/v2/left/in/the/middle")
    assert (line["status"], line["bytes"], line["aborted"]) == (None, 0, True)


def test_a_connection_without_a_request_is_no_line(server: LoggingServer) -> None:
    with Talk(server):
        pass
    until(lambda: not has_connections(server))
    with Talk(server) as talk:
        server.line_of(talk.ask("GET", "/v2/"))

    assert [line for line in server.lines() if (line["path"], line["status"]) == (None, None)] == []


def test_a_probe_is_logged_only_when_something_is_wrong(server: LoggingServer) -> None:
    with Talk(server) as talk:
        good, wrong = talk.ask("GET", "/health"), talk.ask("POST", "/health", "Content-Length: 0")
        assert server.line_of(wrong)["status"] == 405

    assert good.status == 200
    assert good.headers["X-Request-Id"] not in server.log_file.read_text()


def test_a_probe_by_head_leaves_no_line(server: LoggingServer) -> None:
    for path in ("/health", "/readyz", "/livez"):
        answer = server.request("HEAD", path)
        assert (answer.status, answer.body) == (200, b"")
    with Talk(server) as talk:
        server.line_of(talk.ask("GET", "/nothing-there"))

    assert "gunicorn.http.wsgi" not in server.log_file.read_text()


def test_no_line_holds_a_secret(server: LoggingServer) -> None:
    authorization, secret = bearer(server), "s3cr3t"
    form = f"grant_type=refresh_token&refresh_token={secret}".encode()
    with Talk(server) as talk:
        talk.ask("GET", f"/v2/token?password={secret}", f"Authorization: {basic('alice')}")
        with Talk(server) as refused:
            refused.ask("GET", f"http://alice:{secret}@{server.host}/v2/", authorization)
        talk.ask("GET", f"//alice:{secret}@{server.host}/v2/", authorization)
        talk.ask("GET", f"/x//alice:{secret}@{server.host}/v2/", authorization)
        talk.ask("GET", f"/admin/?token={secret}", f"Cookie: registry_login={secret}", f"Referer: http://x/{secret}")
        answer = talk.ask("POST", "/v2/token", f"Content-Length: {len(form)}", body=form)
        server.line_of(answer)

    text = server.log_file.read_text()
    assert secret not in text
    assert authorization.split()[-1] not in text
    assert basic("alice").split()[-1] not in text


def test_control_characters_forge_no_line(server: LoggingServer) -> None:
    with Talk(server) as talk:
        talk.sock.sendall(b'GET /v2/%0A%22x HTTP/1.1\r\nHost: x\r\nUser-Agent: "\\\xff\t\x80"\r\n\r\n')
        line = server.line_of(talk.answer())

    assert (line["path"], line["agent"]) == ("/v2/%0A%22x", '"\\\xff\t\x80"')


@pytest.mark.parametrize("character", ["\xff", '"', "x"], ids=["not ASCII", "quote", "plain"])
def test_the_longest_line_is_written_in_one_piece(server: LoggingServer, character: str) -> None:
    long = character * 4000
    with Talk(server) as talk:
        request = f"GET /v2/{'x' * 4000} HTTP/1.1\r\nHost: x\r\nUser-Agent: {long}\r\n\r\n"
        talk.sock.sendall(request.encode("latin-1"))
        line = server.line_of(talk.answer())

    (text,) = [text for text in server.log_file.read_bytes().splitlines() if line["request"].encode() in text]
    assert len(text) < select.PIPE_BUF
    assert set(line["agent"]) == {character}


def test_a_line_whose_every_value_is_long_is_written_in_one_piece() -> None:
    long = "\xff" * 4000
    named = SimpleNamespace(url_name="manifest", kwargs={"name": long, "reference": long})
    environ = {notes.ROUTE: named, notes.ACCOUNT: long, notes.JTI: long, "HTTP_USER_AGENT": long, "REMOTE_ADDR": long}
    exchange: Any = SimpleNamespace(
        environ=environ,
        request=SimpleNamespace(method=long, path=long),
        request_id=long,
        began=0.0,
        outcome=lambda: (206, 10**18, True),
    )

    for line in (json_line(exchange), text_line(exchange)):
        assert len(line.encode()) < select.PIPE_BUF
    assert json.loads(json_line(exchange))["repository"] == "\xff" * 42


def test_a_client_may_name_its_request(server: LoggingServer) -> None:
    with Talk(server) as talk:
        answer = talk.ask("GET", "/v2/", "X-Request-Id: mine-4711")

    assert answer.headers["X-Request-Id"] == "mine-4711"
    assert server.line(request="mine-4711")["client"] == "127.0.0.1"


@pytest.mark.parametrize("name", ["a b", 'a"b', "a" * 129, "\xe4"])
def test_a_name_that_does_not_fit_is_replaced(server: LoggingServer, name: str) -> None:
    with Talk(server) as talk:
        answer = talk.ask("GET", "/v2/", f"X-Request-Id: {name}")

    assert server.line_of(answer)["client"] == "127.0.0.1"


def test_each_line_about_a_request_has_its_id(server: LoggingServer) -> None:
    with Talk(server) as talk:
        talk.ask("GET", "/v2/token", "Authorization: Basic Ym9iOndyb25n", "X-Request-Id: guess-1")

    def is_logged() -> bool:
        lines = [json.loads(line) for line in server.log_file.read_text().splitlines() if '"guess-1"' in line]
        return [line["message"] for line in lines if line["logger"] != "access"] == ["login refused"]

    until(is_logged)


def test_the_log_goes_on_after_a_reload(server: LoggingServer) -> None:
    assert server.process is not None
    server.process.send_signal(signal.SIGHUP)
    until(lambda: '"logger": "startup.reload"' in server.log_file.read_text())

    server.request("GET", "/v2/token", authorization=basic("developer"))

    until(lambda: '"message": "login", "account": "developer"' in server.log_file.read_text())


def test_a_listed_proxy_names_client_and_request(tmp_path: Path) -> None:
    proxied = LoggingServer(tmp_path)
    proxied.proxies = ("127.0.0.1",)
    with started(proxied), Talk(proxied) as talk:
        answer = talk.ask("GET", "/v2/", "X-Request-Id: a-1", 'Forwarded: for="[2001:db8::1]:4711"')
        insane = talk.ask("GET", "/v2/", 'X-Request-Id: a"b', "X-Forwarded-For: 192.0.2.9:80")

        assert answer.headers["X-Request-Id"] == "a-1"
        assert proxied.line(request="a-1")["client"] == "2001:db8::1"
        assert proxied.line_of(insane)["client"] == "192.0.2.9"


COMBINED = re.compile(
    r'(\S+) - (\S+) \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\] "([^"]*)" (\S+) (\d+) "-" "((?:[^"\\]|\\.)*)" '
    r"(\d+\.\d{6}) (\S+) (\S+)( aborted)?"
)


def test_the_text_is_the_combined_format(tmp_path: Path) -> None:
    text = LoggingServer(tmp_path)
    text.access_log = "text"
    with started(text), Talk(text) as talk:
        answer = talk.ask("GET", "/v2/?password=x", bearer(text), 'User-Agent: a "\t" b')
        ended = talk.ask("NONSENSE", "/v2/", "bad header: 1")

        until(lambda: ended.headers["X-Request-Id"] in text.log_file.read_text())
        lines = [
            found.groups() for line in text.log_file.read_text().splitlines() if (found := COMBINED.fullmatch(line))
        ]
    (line,) = [line for line in lines if line[-2] == answer.headers["X-Request-Id"]]
    (other,) = [line for line in lines if line[-2] == ended.headers["X-Request-Id"]]
    assert line[:6] == ("127.0.0.1", "alice", "GET /v2/ HTTP/1.1", "200", "2", r"a \"\t\" b")
    assert other[:4] == ("127.0.0.1", "-", "NONSENSE /v2/ HTTP/1.1", "400")


def test_there_may_be_no_access_log(tmp_path: Path) -> None:
    silent = LoggingServer(tmp_path)
    silent.access_log = "off"
    with started(silent), Talk(silent) as talk:
        answer = talk.ask("GET", "/v2/token", f"Authorization: {basic('alice')}")

        until(lambda: '"message": "login"' in silent.log_file.read_text())
    logged = silent.log_file.read_text()
    assert '"logger": "access"' not in logged
    # The line of the login names the request all the same.
    assert answer.headers["X-Request-Id"] in logged


def test_a_log_that_nobody_reads_stops_no_request(tmp_path: Path) -> None:
    unread = LoggingServer(tmp_path)
    os.mkfifo(unread.log_file)
    reader = os.open(unread.log_file, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with started(unread), Talk(unread) as talk:
            capacity = 64 * 1024
            wrong = f"Authorization: Basic {'YWxpY2U6d3Jvbmc='}"
            # Lines of both kinds: of requests, and of logins by the logging framework.
            for _ in range(capacity // 200):
                assert talk.ask("GET", "/v2/").status == 401
            for _ in range(20):
                assert talk.ask("GET", "/v2/token", wrong).status in (401, 429)

            text = _read_all(reader)
            talk.ask("GET", "/v2/")
            until(lambda: _has_notice(text, reader))
    finally:
        os.close(reader)


def _read_all(reader: int) -> bytearray:
    text = bytearray()
    while True:
        try:
            data = os.read(reader, 1 << 20)
        except BlockingIOError:
            return text
        if not data:
            return text
        text += data


def _has_notice(text: bytearray, reader: int) -> bool:
    text += _read_all(reader)
    return b"log lines are missing" in text
