"""Two servers on one PostgreSQL: with the same keys each accepts the tokens of the other, otherwise one is refused."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests import preloaded
from tests.clients.server import ROOT, Server
from tests.databases import drop_database, migrated_database
from tests.project.starting import start
from tests.project.talk import until

SECRET = "a secret key that both replicas have in common"
TAGS = "/v2/alice/app/tags/list"


class Replica(Server):
    """A server on a database that others use too."""

    has_known_keys = False

    def __init__(self, folder: Path, database_url: str, **auth: str) -> None:
        """Keep its own files, if it has any, in `folder`."""
        folder.mkdir()
        self.auth, self._shared = auth, database_url
        super().__init__(folder)
        drop_database(self.database_url)
        self.database_url = database_url

    def configuration(self) -> dict[str, object]:
        few = {"addr": self.host, "workers": 1, "data_directory": str(self.folder / "own")}
        if self.auth:
            few["secret_key"] = SECRET
        return super().configuration() | {"server": few, "auth": self.auth}

    def refused(self) -> str:
        """Start it, which it has to refuse, and return why."""
        (self.folder / "config.yaml").write_text(yaml.safe_dump(self.configuration()))
        ended = start(self.folder)
        assert ended.returncode == 1
        return ended.stderr

    def accepts(self, token: str) -> bool:
        """Return whether it takes a token; there is no such repository."""
        return self.request("GET", TAGS, authorization=f"Bearer {token}").status == 404

    def manage(self, *words: str) -> str:
        """Run `manage.py`."""
        command = [sys.executable, str(ROOT / "manage.py"), *words]
        return preloaded.run(command, env=self.environment(), check=True, timeout=120).stdout


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[str]:
    """Return the URL of a database for both."""
    url = migrated_database(tmp_path)
    if url.startswith("sqlite"):
        pytest.skip("SQLite belongs to one machine")
    try:
        yield url
    finally:
        drop_database(url)


def test_a_second_server_with_keys_of_its_own_is_refused(shared: str, tmp_path: Path) -> None:
    first, second = Replica(tmp_path / "1", shared), Replica(tmp_path / "2", shared)
    try:
        first.start()
        other_secret = second.refused()
        (second.folder / "own/keys/secret.key").write_bytes((first.folder / "own/keys/secret.key").read_bytes())
        other_key = second.refused()
        for path in (first.folder / "own/keys").iterdir():
            (second.folder / "own/keys" / path.name).write_bytes(path.read_bytes())
        second.start()

        assert "is not the secret that other servers on postgresql://" in other_secret
        assert "not the signing key that other servers on postgresql://" in other_key
        assert second.accepts(first.token("alice", "repository:alice/app:pull"))
    finally:
        second.end()
        first.end()


def test_keys_in_the_database_serve_all_without_a_data_folder(shared: str, tmp_path: Path) -> None:
    replicas = [Replica(tmp_path / name, shared, keys="database") for name in "12"]
    first, second = replicas
    scope = "repository:alice/app:pull"
    try:
        for replica in replicas:
            replica.start()
        before = first.token("alice", scope)
        accepted = second.accepts(before)
        said = first.manage("rotatekey")
        until(lambda: first.token("alice", scope).split(".")[0] != before.split(".")[0])
        after = first.token("alice", scope)

        assert accepted
        assert "uses it within 5 seconds" in said
        assert [replica.accepts(token) for replica in replicas for token in (before, after)] == [True] * 4
        assert not [replica for replica in replicas if (replica.folder / "own").exists()]
    finally:
        for replica in replicas:
            replica.end()
