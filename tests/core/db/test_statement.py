"""A question that was cut off is asked again on another connection, and nothing else is."""

from collections.abc import Iterator

import psycopg
import pytest
from django.db import OperationalError, connection, transaction

from accounts.models import Account
from core.db.statement import Statement, database_of_thread

pytestmark = pytest.mark.django_db(transaction=True)

_ASK = Statement("SELECT count(*) FROM accounts_account")
_CHANGE = Statement("UPDATE accounts_account SET is_active = TRUE")


@pytest.fixture(autouse=True)
def _postgresql(db: None) -> Iterator[None]:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no connection that could be lost")
    yield
    connection.close()


def cut() -> None:
    """End the connection of this thread, as a restart of the server does."""
    connection.ensure_connection()
    pid = database_of_thread().connection.info.backend_pid
    values = connection.settings_dict
    where = {"host": values["HOST"], "port": values["PORT"], "user": values["USER"], "dbname": values["NAME"]}
    with psycopg.connect(**where, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])


def test_a_select_is_retried_on_a_new_connection() -> None:
    cut()

    assert _ASK.value() == Account.objects.count()


def test_an_update_is_not_retried() -> None:
    cut()

    with pytest.raises(OperationalError):
        _CHANGE.run()


def test_a_select_inside_a_transaction_is_not_retried() -> None:
    @transaction.atomic
    def half() -> None:
        Account.objects.create(name="half")
        cut()
        _ASK.value()

    with pytest.raises(OperationalError):
        half()

    connection.close()
    assert not Account.objects.filter(name="half").exists()
