"""The list of events in the admin, its export, and the searches behind it."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from itertools import count as counter
from typing import Any
from urllib.parse import quote

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit import queries, rows
from audit.models import PROCESSES, Event, first_key
from audit.queries import Search
from core.db import clock
from tests.admin.browser import Browser, staff
from tests.admin.conftest import admin, manager, root  # noqa: F401 - fixtures
from tests.caller import content

LIST = "/admin/audit/event/"
DIGEST = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32
_NUMBERS = counter()


def add(count: int = 1, *, ago: timedelta = timedelta(0), **columns: str) -> None:
    """Add events, as the queue writes them."""
    # Distinct, also where the clock of the database has milliseconds.
    newest = first_key(clock.now() - ago) + next(_NUMBERS) % PROCESSES
    values = rows.Values(**({"kind": "login"} | columns))
    for first in range(0, count, 500):
        numbers = range(first, min(first + 500, count))
        rows.insert([(newest - number * PROCESSES, values, 1) for number in numbers])


def lines(browser: Browser, query: str = "") -> list[dict[str, Any]]:
    """Return what the export of the list has."""
    response = browser.get(f"{LIST}export/jsonl/?{query}")
    assert response.status_code == 200
    return [json.loads(line) for line in content(response).splitlines()]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["1", "2", "3"]),
        ("kind__exact=denial", ["1"]),
        ("account__exact=bob", ["1", "2"]),
        ("repository__exact=alice/app", ["1"]),
        ("address__exact=192.0.2.7", ["3"]),
        ("q=bob", ["1", "2"]),
        ("q=alice/app", ["1"]),
        ("q=192.0.2.7", ["3"]),
        ("q=2001:DB8:0::1", ["2"]),
        ("q=abababab", ["1"]),
        (f"q={DIGEST[:20]}", ["1"]),
        ("q=anonymous", ["3"]),
        ("q=bo", []),
        ("q=%00", ["1", "2", "3"]),
        ("day=nonsense", ["1", "2", "3"]),
        ("day=0001-01-01", []),
        ("kind__exact=denial&q=bob", ["1"]),
    ],
)
def test_a_search(admin: Browser, query: str, found: list[str]) -> None:  # noqa: F811
    add(kind="denial", account="bob", repository="alice/app", digest=DIGEST, reference="1", address="192.0.2.1")
    add(kind="tag_pushed", account="bob", digest=OTHER, reference="2", address="2001:db8::1")
    add(reference="3", address="192.0.2.7")

    assert sorted(event["reference"] for event in lines(admin, query)) == found


def test_a_day_has_its_events(admin: Browser) -> None:  # noqa: F811
    add(account="today")
    add(account="before", ago=timedelta(days=3))
    day = (clock.now() - timedelta(days=3)).date()

    assert [event["account"] for event in lines(admin, f"day={day}")] == ["before"]


def test_pages_follow_each_other_by_key_and_nothing_is_counted(admin: Browser) -> None:  # noqa: F811
    add(120, account="alice")
    with CaptureQueriesContext(
        connection,
    ) as captured:
        first = admin.get(LIST, account__exact="alice")
    seen = [event.pk for event in first.context["cl"].result_list]
    page = first
    while len(seen) < 120 and (older := page.context["cl"].older) is not None:
        assert f"before={older}" in page.content.decode()
        page = admin.get(LIST, account__exact="alice", before=str(older))
        seen += [event.pk for event in page.context["cl"].result_list]

    assert seen == list(Event.objects.order_by("-id").values_list("id", flat=True))
    assert not [query for query in captured.captured_queries if "COUNT(" in query["sql"] and "audit" in query["sql"]]


@pytest.mark.parametrize("key", ["x", "-1", "9" * 19, "9" * 30])
def test_a_key_that_is_none_shows_the_newest(admin: Browser, key: str) -> None:  # noqa: F811
    add()

    assert admin.get(LIST, before=key).context["cl"].result_count == 1


def test_the_list_shows_who_what_and_when(admin: Browser) -> None:  # noqa: F811
    add(
        kind="denial",
        account="bob",
        address="192.0.2.1",
        repository="alice/app",
        detail="<b>no</b>",
        credential="token 1",
    )

    page = admin.text(LIST)
    assert all(shown in page for shown in ("access refused", "bob", "192.0.2.1", "alice/app"))
    assert "token 1" in admin.text(f"{LIST}{Event.objects.get().pk}/change/")
    assert "&lt;b&gt;no&lt;/b&gt;" in page
    assert "export/csv/?" in page
    assert "bob" in admin.text(f"{LIST}{Event.objects.get().pk}/change/")


def test_only_who_may_view_events_sees_and_exports_them(manager: Browser) -> None:  # noqa: F811
    viewer = staff("viewer", "view_event")
    for path in (LIST, f"{LIST}export/csv/"):
        assert manager.get(path).status_code == 403
        assert viewer.get(path).status_code == 200
    assert viewer.get(f"{LIST}add/").status_code == 403
    assert viewer.get(f"{LIST}export/exe/").status_code == 403


def test_nobody_changes_or_deletes_events(admin: Browser) -> None:  # noqa: F811
    add()
    page = f"{LIST}{Event.objects.get().pk}"

    assert admin.get(f"{page}/delete/").status_code == 403
    assert admin.post(f"{page}/change/", {"account": "mallory"}).status_code == 403
    assert admin.post(LIST, {"action": "delete_selected", "_selected_action": "1"}).status_code in (200, 302)
    assert Event.objects.get().account == ""


def test_a_hidden_column_is_no_filter(admin: Browser) -> None:  # noqa: F811
    assert admin.get(LIST, detail__startswith="x").status_code == 400


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@sum", "\tx", "\rx"])
def test_no_cell_of_the_csv_is_a_formula(admin: Browser, cell: str) -> None:  # noqa: F811
    add(account="alice", detail=cell, reference='a "quoted", one')

    response = admin.get(f"{LIST}export/csv/")
    names, event = csv.reader(io.StringIO(content(response).decode(), newline=""))
    row = dict(zip(names, event, strict=True))
    assert row["detail"] == f"'{cell}"
    assert row["reference"] == 'a "quoted", one'
    assert response["Content-Disposition"].startswith('attachment; filename="audit-')
    assert int(row["id"]) == Event.objects.get().pk


def test_an_export_reads_in_batches_and_has_every_row(admin: Browser) -> None:  # noqa: F811
    add(1234, account="alice")
    add(10, account="bob")

    with CaptureQueriesContext(connection) as captured:
        found = lines(admin, "account__exact=alice")

    assert len({event["id"] for event in found}) == 1234
    limited = [query["sql"] for query in captured.captured_queries if f"LIMIT {queries.BATCH}" in query["sql"]]
    assert len(limited) == 4


@pytest.mark.parametrize(
    "search",
    [
        Search(),
        Search(kind="denial"),
        Search(account="bob"),
        Search(repository="alice/app"),
        Search(address="192.0.2.1"),
        Search(since=datetime(2026, 1, 2, tzinfo=UTC), account="bob"),
    ],
)
@pytest.mark.django_db
def test_a_search_sorts_nothing(search: Search) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # An empty table is read whole otherwise.
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_bitmapscan = off")
        plan = queries.find(search)[:50].explain()

    assert "TEMP B-TREE" not in plan
    assert "Sort" not in plan
    assert "USING INDEX audit_by" in plan or "Index Scan" in plan or search == Search()


@pytest.mark.django_db
def test_a_page_is_older_than_a_key() -> None:
    add(5, account="bob")
    add(5, account="alice")
    first = queries.page(Search(account="bob"), 3)
    second = queries.page(Search(account="bob"), 3, before=first[-1].pk)

    assert [event.account for event in (*first, *second)] == ["bob"] * 5
    assert first[-1].pk > second[0].pk


@pytest.mark.django_db
def test_the_latest_denials_and_refused_logins() -> None:
    add(3, kind="denial", account="bob")
    add(2, kind="login_refused", account="eve")
    add(5)

    assert [event.account for event in queries.latest_denials(2)] == ["bob"] * 2
    assert [event.account for event in queries.latest_refused_logins(9)] == ["eve"] * 2


@pytest.mark.django_db
def test_the_command_prints_events(capsys: pytest.CaptureFixture[str]) -> None:
    add(kind="denial", account="bob", repository="alice/app", detail="no\x1b[31m rule", address="192.0.2.1")
    add(account="bob", ago=timedelta(days=3))
    add(account="alice")

    call_command("audit", account="bob", skip_checks=True)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("Z  access refused  bob  from 192.0.2.1  alice/app  no?[31m rule")
    call_command("audit", "--account", "bob", "--since", "7d", "--json", skip_checks=True)
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["kind"] for event in found] == ["login", "denial"]
    assert quote(found[1]["repository"]) == "alice/app"


def test_an_event_is_opened_from_the_list(admin: Browser) -> None:  # noqa: F811
    add(account="bob", detail="a detail")
    pk = Event.objects.get().pk

    assert f'href="{LIST}{pk}/change/' in admin.text(LIST)
    assert "a detail" in admin.text(f"{LIST}{pk}/change/")


@pytest.mark.parametrize("term", ["sha256:", "sha256:ababab", "sha512:", "ababab"])
def test_a_digest_is_searched_by_seven_digits_or_more(admin: Browser, term: str) -> None:  # noqa: F811
    add(digest=DIGEST)

    assert lines(admin, f"q={quote(term)}") == []
    assert len(lines(admin, f"q={quote(DIGEST[:14])}")) == 1
