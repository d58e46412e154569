"""Sessions that an earlier version has opened, by the name of an account, belong to its row."""

from collections.abc import Iterator

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils.timezone import now

from accounts.identity import ANONYMOUS, Identity
from accounts.models import Account
from acl.names import RepositoryName
from core.api.errors import RegistryError
from distribution.uploads import sessions

BEFORE = [("distribution", "0005_upload_network")]
NAME = RepositoryName("alice/app")


@pytest.fixture
def migrated_back(transactional_db: None) -> Iterator[None]:
    """Have the tables of before, and of this version in the end."""
    migrate(BEFORE)
    yield
    migrate_forward()


def migrate(targets: list[tuple[str, str]]) -> None:
    MigrationExecutor(connection).migrate(targets)


def migrate_forward() -> None:
    migrate(MigrationExecutor(connection).loader.graph.leaf_nodes("distribution"))


def test_a_session_of_before_is_of_the_account_that_has_its_name_now(migrated_back: None) -> None:
    old = MigrationExecutor(connection).loader.project_state(BEFORE).apps
    repository = old.get_model("distribution", "Repository").objects.create(name=NAME)
    rows = old.get_model("distribution", "Upload").objects
    alice = Account.objects.create(name="alice")
    of_alice, of_nobody, of_anybody = (
        rows.create(repository=repository, account=account, active_at=now(), offset=7).pk
        for account in ("alice", "gone", "")
    )

    migrate_forward()

    identity = Identity("alice", account_pk=alice.pk)
    assert sessions.find(NAME, of_alice, identity).offset == 7
    assert sessions.find(NAME, of_anybody, ANONYMOUS).offset == 7
    for owner in (ANONYMOUS, identity):
        with pytest.raises(RegistryError):
            sessions.find(NAME, of_nobody, owner)
