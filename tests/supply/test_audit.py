"""The audit, with a database of vulnerabilities that is ours."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from supply import audit
from tests.ports import free_port

DJANGO = {
    "id": "TEST-2026-1",
    "aliases": [],
    "summary": "made up",
    "affected": [
        {
            "package": {"name": "django", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.1"}]}],
        }
    ],
}


@contextmanager
def database(*vulnerabilities: dict[str, Any]) -> Iterator[list[str]]:
    """Serve these as osv.dev does; yield the options that name the place."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["package"]["name"]
            found = [one for one in vulnerabilities if one["affected"][0]["package"]["name"] == asked]
            body = json.dumps({"vulns": found} if found else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield ["--vulnerability-service=osv", f"--osv-url=http://127.0.0.1:{server.server_port}/v1/query"]
        finally:
            server.shutdown()
            thread.join()


def test_a_known_vulnerability_fails(capfd: pytest.CaptureFixture[str]) -> None:
    with database(DJANGO) as options:
        status = audit.main(options)

    assert status == 1
    assert "TEST-2026-1, mended in 99.1" in capfd.readouterr().err


def test_nothing_known_passes(capfd: pytest.CaptureFixture[str]) -> None:
    status = audit.report([{"name": "a", "version": "1", "vulns": []}])

    assert status == 0
    assert capfd.readouterr() == ("1 of 1 locked packages audited, 0 vulnerabilities\n", "")


def test_a_database_that_is_not_there_is_said_loudly(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REGISTRY_REQUIRE_AUDIT", raising=False)

    status = audit.main(["--vulnerability-service=osv", f"--osv-url=http://127.0.0.1:{free_port()}/v1/query"])

    assert status == 0
    said = capfd.readouterr()
    assert "NOT AUDITED for known vulnerabilities: all packages" in said.err
    assert said.out == ""


def test_what_the_database_does_not_know_is_not_audited(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    packages: list[dict[str, Any]] = [
        {"name": "a", "version": "1", "vulns": []},
        {"name": "b", "skip_reason": "not found"},
    ]
    monkeypatch.setenv("REGISTRY_REQUIRE_AUDIT", "1")

    status = audit.report(packages)

    assert status == 1
    said = capfd.readouterr()
    assert "1 of 2 locked packages audited" in said.out
    assert "NOT AUDITED for known vulnerabilities: b\nnot found" in said.err


def test_an_audit_that_fails_for_another_reason_fails(capfd: pytest.CaptureFixture[str]) -> None:
    status = audit.main(["--vulnerability-service=nobody"])

    assert status == 1
    assert "nobody" in capfd.readouterr().err


def test_what_is_asked_of_the_tool_itself_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(["--version"]) == 0

    assert capsys.readouterr().out.startswith("pip-audit ")
