"""A start that is refused for its keys leaves nothing that hinders the right one."""

from pathlib import Path
from typing import Any

import pytest

from tests.clients.server import Server


class Replica(Server):
    """A server whose signing keys lie in the folder `keys`, or, once taken over, in the database."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.auth: dict[str, Any] = {}
        self.keys = folder / "keys"

    def configuration(self) -> dict[str, object]:
        """Return what config.yaml says."""
        auth = {"private_key": str(self.keys / "registry.key"), **self.auth}
        server = {"addr": self.host, "secret_key": "one secret for all replicas, of enough characters"}
        return super().configuration() | {"auth": auth, "server": server}


def test_keys_of_a_refused_start_are_not_stored(tmp_path: Path) -> None:
    replica = Replica(tmp_path)
    if replica.database_url.startswith("sqlite"):
        replica.stop()
        pytest.skip("SQLite belongs to one machine")
    try:
        replica.start()
        token = {"Authorization": f"Bearer {replica.token('alice', 'repository:alice/app:pull')}"}
        replica.end()
        replica.auth, right = {"keys": "database"}, replica.keys
        # Another machine, whose folder is empty.
        replica.keys = tmp_path / "empty"
        with pytest.raises(AssertionError, match="not the signing key that other servers"):
            replica.start()
        replica.keys = right

        replica.start()

        assert replica.request("GET", "/v2/alice/app/tags/list", more=token).status == 404
    finally:
        replica.stop()
