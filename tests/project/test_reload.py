"""SIGHUP imports users and rules while the server goes on; what it comes to is one line of the log."""

import http.client
import json
import os
import signal
import sys
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from startup.reload import Reload
from tests.policies.signatures.signers import KEY_PEM
from tests.project.conftest import database_of
from tests.project.starting import Running, serving
from tests.project.talk import until

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(10)).decode()
FILE = """\
server: {{workers: 2, watch_config: {watched}}}
users:
  admin: {{password: "{hash}", superuser: true}}
{users}
acl:
  - {{account: admin, name: "*", actions: {actions}}}
"""
LATE = f'  late: {{password: "{HASH}"}}'


def write(folder: Path, *, users: str = "", actions: str = "[pull]", watched: str = "false", more: str = "") -> None:
    """Write the configuration whole, as an editor that renames does."""
    new = folder / "new.yaml"
    new.write_text(FILE.format(hash=HASH, users=users, actions=actions, watched=watched) + more)
    new.rename(folder / "config.yaml")


def may_log_in(server: Running, name: str) -> bool:
    """Log in with the one password of all."""
    login = b64encode(f"{name}:secret".encode()).decode()
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        connection.request("GET", "/v2/token", headers={"Authorization": f"Basic {login}"})
        return connection.getresponse().status == 200


def outcomes(folder: Path) -> list[dict[str, Any]]:
    """Return what was logged of reloads."""
    # Up to the last end of a line: what follows is being written.
    whole = (folder / "stderr").read_text().rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines() if '"logger": "startup.reload"' in line]


def reload(server: Running, folder: Path) -> dict[str, Any]:
    """Send SIGHUP and return the line that says how it ended."""
    before = len(outcomes(folder))
    server.process.send_signal(signal.SIGHUP)
    until(lambda: len(outcomes(folder)) > before)
    return outcomes(folder)[-1]


def workers(server: Running) -> set[str]:
    """Return the process ids of the server's children."""
    pid = server.process.pid
    return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reload")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Running]:
    write(folder)
    with serving(folder, more=database_of(folder)) as running:
        until(lambda: len(workers(running)) == 2)
        yield running
        # After all these reloads it still ends as it should.
        assert running.stop() == 0


def test_a_user_whom_the_file_has_since_logs_in_and_no_worker_is_replaced(server: Running, folder: Path) -> None:
    # Whichever test of the file was the last before this one.
    write(folder, users=LATE)
    reload(server, folder)
    before = workers(server)
    assert not may_log_in(server, "later")

    write(folder, users=f"{LATE}\n{LATE.replace('late', 'later')}")
    said = reload(server, folder)

    assert may_log_in(server, "later")
    assert (said["changes"], said["level"]) == (["+ user later"], "info")
    assert workers(server) == before


def test_a_broken_file_changes_nothing_and_is_told_with_line_and_key(server: Running, folder: Path) -> None:
    write(folder, users=LATE)
    reload(server, folder)

    write(folder, actions='["pul"]')
    said = reload(server, folder)

    assert said["level"] == "error"
    assert 'config.yaml:6: acl[0].actions: found "pul"' in said["message"]
    assert may_log_in(server, "late")


def test_a_file_of_keys_is_read_again(server: Running, folder: Path) -> None:
    keys, more = folder / "cosign.pub", 'policies: {signatures: [{repositories: "prod/*", keys: "cosign.pub"}]}\n'
    keys.write_text(KEY_PEM)
    write(folder, more=more)
    reload(server, folder)

    keys.write_text(f"{KEY_PEM}\n{KEY_PEM}")
    changed = reload(server, folder)
    keys.write_text("")
    refused = reload(server, folder)

    assert changed["changes"] == [
        "~ signature policy images of prod/* need a signature by a trusted key, of 2 public keys"
    ]
    assert (refused["level"], "a file without usable keys" in refused["message"]) == ("error", True)


def test_a_file_that_is_gone_changes_nothing(server: Running, folder: Path) -> None:
    write(folder, users=LATE)
    reload(server, folder)

    (folder / "config.yaml").unlink()
    said = reload(server, folder)

    assert "no such file" in said["message"]
    assert may_log_in(server, "late")


def test_what_only_a_restart_brings_into_effect_is_named(server: Running, folder: Path) -> None:
    write(folder, more='auth: {realm: "another"}\ngarbage_collector: {enabled: false}\n')

    said = reload(server, folder)

    assert said["level"] == "warning"
    assert said["needs_restart"] == ["garbage_collector.enabled", "auth.realm"]


def test_nothing_is_imported_into_another_database_than_the_servers(server: Running, folder: Path) -> None:
    write(folder, users=LATE.replace("late", "lost"), more='database: {url: "sqlite:////nowhere/else.sqlite3"}\n')

    said = reload(server, folder)

    assert "database.url" in said["message"]
    assert "else.sqlite3" not in json.dumps(said)
    assert not may_log_in(server, "lost")


def test_a_worker_goes_on_when_the_signal_is_sent_to_every_process(server: Running, folder: Path) -> None:
    before = workers(server)

    for worker in before:
        os.kill(int(worker), signal.SIGHUP)
    write(folder)
    reload(server, folder)

    assert workers(server) == before
    assert may_log_in(server, "admin")


def test_a_watched_file_is_imported_when_it_changes(tmp_path: Path, database: dict[str, str]) -> None:
    write(tmp_path, watched="true")
    with serving(tmp_path, more=database) as server:
        write(tmp_path, watched="true", users=LATE)
        until(lambda: bool(outcomes(tmp_path)))

        assert may_log_in(server, "late")
        assert server.stop() == 0


class Imports:
    """Imports by a program that says when it begins, and ends when it is told to."""

    def __init__(self, folder: Path, warnings: Sequence[str] = (), said: Sequence[str] = ()) -> None:
        self.begun, self.gate = folder / "begun", folder / "gate"
        os.mkfifo(self.gate)
        told = json.dumps(
            {"summary": "nothing", "superseded": "", "changes": [], "warnings": [*warnings], "needs_restart": []}
        )
        script = f"open({str(self.begun)!r}, 'a').write('x'); open({str(self.gate)!r}).read(); print({told!r})"
        self.reload = Reload([sys.executable, "-c", script], {}, said)

    def count(self) -> int:
        return len(self.begun.read_text()) if self.begun.exists() else 0

    def end_one(self) -> None:
        """Let the import end that is under way, and the master notice."""
        self.gate.write_text("")
        under_way = self.reload._import
        assert under_way is not None
        under_way.process.wait()
        self.reload.look()


def test_requests_during_an_import_lead_to_one_more(tmp_path: Path) -> None:
    imports = Imports(tmp_path)

    for _ in range(4):
        imports.reload.start()
    until(lambda: imports.count() == 1)
    imports.end_one()
    until(lambda: imports.count() == 2)
    imports.end_one()

    assert imports.reload._import is None
    assert imports.count() == 2


def test_an_outcome_is_told_also_when_gunicorn_collected_the_exit_status(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    imports = Imports(tmp_path)
    imports.reload.start()

    imports.gate.write_text("")
    assert imports.reload._import is not None
    os.waitpid(imports.reload._import.process.pid, 0)
    imports.reload.look()

    assert caplog.messages == ["configuration reloaded: nothing"]


def test_an_import_that_dies_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    imports = Imports(tmp_path)
    imports.reload.start()

    imports.reload.stop()
    assert imports.reload._import is not None
    imports.reload._import.process.wait()
    imports.reload.look()

    assert caplog.messages[0].endswith("the import exited without output (signal 15, SIGTERM)")


def test_an_import_goes_on_when_the_signal_is_sent_to_every_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    imports = Imports(tmp_path)
    imports.reload.start()

    assert imports.reload._import is not None
    imports.reload._import.process.send_signal(signal.SIGHUP)
    imports.end_one()

    assert caplog.messages == ["configuration reloaded: nothing"]


def test_only_warnings_that_were_not_said_yet_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    imports = Imports(tmp_path, warnings=["old", "new"], said=["old"])

    for _ in range(2):
        imports.reload.start()
        imports.end_one()

    told = [(record.levelname, vars(record)["warnings"]) for record in caplog.records]
    assert told == [("WARNING", ["new"]), ("INFO", [])]


def test_a_warning_of_the_start_is_not_said_again(tmp_path: Path, database: dict[str, str]) -> None:
    weak = f'  weak: {{password: "{bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()}"}}'
    write(tmp_path, users=weak)
    with serving(tmp_path, more=database) as server:
        said = reload(server, tmp_path)

    assert "weak" in (tmp_path / "stderr").read_text()
    assert (said["level"], said["warnings"]) == ("info", [])


def test_an_import_that_can_not_be_started_is_told_and_the_next_one_is_tried(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reload = Reload([str(tmp_path / "missing")], {})

    reload.start()
    reload.start()

    assert [message.rpartition(": ")[2] for message in caplog.messages] == ["No such file or directory"] * 2
