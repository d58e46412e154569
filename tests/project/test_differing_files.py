"""Two servers on one database with different configuration files: the file that was imported last stays in force."""

import signal
from collections.abc import Iterator
from pathlib import Path
from socket import gethostname

import pytest

from tests.clients.server import Server, basic, hash_of, started
from tests.databases import drop_database
from tests.project.talk import until

GONE = "charlie"


class Replica(Server):
    """A server whose file may name charlie; beside `other`, on all that it has."""

    def __init__(self, folder: Path, *names: str, other: Server | None = None) -> None:
        folder.mkdir()
        super().__init__(folder)
        self.names = names
        if other is not None:
            drop_database(self.database_url)
            self.database_url, self.data = other.database_url, other.data

    def configuration(self) -> dict[str, object]:
        """Return what config.yaml says."""
        said = super().configuration()
        users = {name: {"password": hash_of(name)} for name in self.names}
        return said | {"server": {"addr": self.host, "workers": 1}, "users": users, "acl": []}

    def begin_log(self) -> None:
        """Forget what was logged."""
        self.log_file.write_text("")

    def logs(self, *words: str) -> bool:
        """Tell whether a line of the log has all of these."""
        return any(all(word in line for word in words) for line in self.log_file.read_text().splitlines())

    def lets_in(self, account: str) -> bool:
        """Tell whether the account may log in."""
        return self.request("GET", "/v2/token?service=Docker+Registry", authorization=basic(account)).status == 200


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[tuple[Replica, Replica]]:
    """Start a server with charlie, and then one without."""
    with started(Replica(tmp_path / "old", "alice", GONE)) as old:
        assert old.lets_in(GONE)
        new = Replica(tmp_path / "new", "alice", other=old)
        try:
            new.start()
            yield old, new
        finally:
            new.end()


def test_a_replica_with_an_old_file_changes_nothing_when_it_restarts_or_reloads(
    replicas: tuple[Replica, Replica],
) -> None:
    old, new = replicas
    names_both = (f"not imported from {file_of(old)} (fingerprint ", f"{file_of(new)} (fingerprint ")
    assert new.logs("0 added, 0 changed, 1 removed; replaces ", f"{file_of(old)} (fingerprint ")

    old.end()
    old.begin_log()
    old.start()
    assert old.logs(*names_both)
    old.begin_log()
    assert old.process is not None
    old.process.send_signal(signal.SIGHUP)
    until(lambda: old.logs("configuration reloaded: users and rules are ", *names_both, '"level": "warning"'))

    assert not old.lets_in(GONE)
    assert not new.lets_in(GONE)


def file_of(replica: Replica) -> str:
    """Return what the log calls the file of a replica."""
    return f"{gethostname()}:{replica.folder}/config.yaml"
