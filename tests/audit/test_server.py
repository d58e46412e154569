"""Events of a real server: written when it stops, and when a command ends."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.clients.server import ROOT, Server, basic, started
from tests.postgresql import cluster
from tests.unwritable import until


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with started(Server(tmp_path_factory.mktemp("audited"))) as server:
        yield server


def test_a_server_that_stops_writes_its_events_and_commands_write_theirs(server: Server) -> None:
    headers = {"X-Request-ID": "build-4711", "X-Forwarded-For": "198.51.100.1"}
    answers = [
        server.request("GET", "/v2/token?service=Docker%20Registry", authorization=basic("alice"), more=headers)
        for _ in range(20)
    ]
    server.end()

    assert {answer.status for answer in answers} == {200}
    query = "SELECT kind, account, address, credential, request_id, SUM(count) FROM audit_event WHERE kind = 'login'"
    (login,) = server.rows(f"{query} GROUP BY kind, account, address, credential, request_id")
    # No trusted proxy: the header of the client does not count. Each worker counts for itself.
    assert tuple(login) == ("login", "alice", "127.0.0.1", "password", "build-4711", 20)
    (imported,) = server.rows("SELECT credential, reference, detail FROM audit_event WHERE kind = 'import'")
    assert imported[:2] == ("file", str(server.folder / "config.yaml"))
    assert imported[2].startswith("13 added, 0 changed, 0 removed; + user admin")
    assert "$2b$" not in imported[2]

    command = [sys.executable, "manage.py", "rotatekey"]
    subprocess.run(command, cwd=ROOT, env=server.environment(), check=True, capture_output=True, timeout=120)
    command = [sys.executable, "manage.py", "audit", "--json"]
    done = subprocess.run(
        command, cwd=ROOT, env=server.environment(), check=True, capture_output=True, timeout=120, text=True
    )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["kind"] == "key_rotated"
    assert {"import", "login", "token", "key_rotated"} == {event["kind"] for event in events}


def test_events_wait_for_a_database_that_is_down(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not os.environ.get("REGISTRY_DATABASE_URL", "").startswith("postgres"):
        pytest.skip("SQLite has no server")
    with cluster() as postgresql:
        monkeypatch.setenv("REGISTRY_DATABASE_URL", f"{postgresql.url}/postgres")
        with started(Server(tmp_path_factory.mktemp("down"))) as server:
            for account in ("alice", "bob", "charlie"):
                server.token(account)
            # Within half a second, or some may be written already.
            postgresql.stop()
            assert server.request("GET", "/livez").status == 200
            postgresql.start()
            query = "SELECT DISTINCT account FROM audit_event WHERE kind = 'login'"
            until(lambda: {row[0] for row in server.rows(query)} == {"alice", "bob", "charlie"})
            assert server.rows("SELECT count(*) FROM audit_event WHERE kind = 'login'")[0][0] == 3
