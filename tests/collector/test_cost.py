"""A run reads what is due, not what there is."""

import json
import re
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.db.models.sql.compiler import SQLCompiler
from django.test.utils import CaptureQueriesContext

from collector import batches
from collector.jobs import queue
from collector.models import Run
from distribution.models import Blob, Link, Manifest, ManifestBlob, ManifestChild, Repository, Tag, Trash, Upload
from tests.caller import Caller
from tests.collector.runs import DAY, collect, forecast, pass_time
from tests.images import Image, digest_of, index, put_manifest

Push = Callable[..., Image]
MANY = 2000
# The others have a row or two here, of which a whole scan is the best way.
LARGE = ("manifest", "manifestblob", "link", "blob", "tag")
_NAMES = f"distribution_({'|'.join(LARGE)})"
# What statements call them, Django's and those that are written by hand.
_ALIASES = rf"[TU]\d+|{'|'.join(LARGE)}|subject"


@pytest.fixture
def many(prepared: None) -> None:
    """Have many manifests, each of a blob of its own and one that all share; one is untagged."""
    here = Repository.objects.create(name="alice/app")
    digests = [digest_of(b"%d" % number) for number in range(MANY)]
    blobs = Blob.objects.bulk_create([Blob(digest=digest, size=1, key=digest[:70]) for digest in digests])
    links = Link.objects.bulk_create(
        [Link(repository=here, blob=b, last_used_at=Now(), is_unreferenced=False) for b in blobs]
    )
    values: dict[str, Any] = {"repository": here, "media_type": "x", "payload": b"{}", "size": 2, "last_used_at": Now()}
    rows = [Manifest(digest=digest, is_unreferenced=not number, **values) for number, digest in enumerate(digests)]
    manifests = Manifest.objects.bulk_create(rows)
    pairs = zip(manifests, links, strict=True)
    ManifestBlob.objects.bulk_create([ManifestBlob(manifest=manifest, link=link) for manifest, link in pairs])
    shared = Blob.objects.create(digest=digest_of(b"shared"), size=1, key="shared")
    everywhere = Link.objects.create(repository=here, blob=shared, last_used_at=Now(), is_unreferenced=False)
    ManifestBlob.objects.bulk_create([ManifestBlob(manifest=manifest, link=everywhere) for manifest in manifests])
    ManifestChild.objects.bulk_create([ManifestChild(parent=manifests[0], child=manifests[1])])
    tagged = manifests[2:]
    Tag.objects.bulk_create([Tag(repository=here, name=m.digest[7:], manifest=m, updated_at=Now()) for m in tagged])
    pass_time()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def test_a_run_reads_no_table_from_end_to_end(many: None) -> None:
    with CaptureQueriesContext(connection) as captured:
        report = collect()

    assert (report.total.manifests, report.total.blobs) == (2, 2)
    _check(captured)
    by_age = [q["sql"] for q in captured.captured_queries if re.search(r"WHERE[\s\S]*last_used_at\W* <", q["sql"])]
    assert by_age
    assert all("LIMIT" in sql for sql in by_age)


def test_no_query_is_built_for_a_row(push: Push, alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    # Retention policies are compiled at the first run.
    collect()
    built = [_queries_built(push, alice, images, monkeypatch) for images in (1, 5)]

    assert built[0] == built[1]


def _queries_built(push: Push, alice: Caller, images: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how many queries the ORM builds to collect so many images in an index each, then their bytes."""
    for number in range(images):
        image = push("alice/app", "v1", secrets.token_bytes(8))
        put_manifest(alice, "alice/app", f"index-{number}", index(image.payload))
        for tag in ("v1", f"index-{number}"):
            alice.delete(f"/v2/alice/app/manifests/{tag}")
    # All of one age: else what is let go comes up in another batch, each of which is a query.
    for rows in (Manifest.objects, Link.objects):
        rows.update(last_used_at=Now() - 2 * DAY)
    build, built = SQLCompiler.as_sql, 0

    def count(*arguments: Any, **options: Any) -> Any:
        nonlocal built
        built += 1
        return build(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(SQLCompiler, "as_sql", count)
        report = collect()
        Trash.objects.update(delete_after=Now())
        deleted = collect()
    assert (report.total.manifests, report.failures) == (2 * images, 0)
    assert deleted.objects == report.total.blobs == 2 * images
    return built


def test_a_dry_run_reads_no_table_from_end_to_end(many: None) -> None:
    with CaptureQueriesContext(connection) as captured:
        found = forecast()

    assert len(found) == 6
    _check(captured)


def test_a_dry_run_does_not_read_all_that_use_a_layer_of_everybody(many: None) -> None:
    with CaptureQueriesContext(connection) as captured:
        forecast()

    statements = [re.sub(r"^DECLARE .*? FOR ", "", query["sql"]) for query in captured.captured_queries]
    uses = [sql for sql in statements if "distribution_manifestblob" in sql]
    assert uses
    assert sum(map(_rows, uses)) < MANY / 10


def _rows(sql: str) -> int:
    """Return how many rows a statement gives."""
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return len(cursor.fetchall())


def test_what_is_due_is_read_by_age_beside_what_repositories_keep(many: None) -> None:
    """Whether a repository keeps what is untagged is asked of each manifest that is due, not of all there are."""
    keeping = Repository.objects.create(name="alice/base", keeps_untagged=True)
    Manifest.objects.filter(is_unreferenced=True).update(repository=keeping)
    with CaptureQueriesContext(connection) as captured:
        found, report = forecast(), collect()

    assert (found, report.total.manifests) == ([], 0)
    _check(captured, least=2)
    (sql,) = {
        q["sql"]
        for q in captured.captured_queries
        if re.match(r"SELECT .*last_used_at.*keeps_untagged.*LIMIT 500$", q["sql"])
    }
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {'QUERY PLAN ' if connection.vendor == 'sqlite' else ''}{sql}")
        assert "distribution_manifest_idle" in str(cursor.fetchall())


@pytest.mark.parametrize(
    ("table", "index_name"), [("upload", "distribution_upload_active_at"), ("trash", "distribution_trash_delete_after")]
)
def test_each_page_of_refuse_is_read_by_age(
    prepared: None, monkeypatch: pytest.MonkeyPatch, table: str, index_name: str
) -> None:
    monkeypatch.setattr(batches, "BATCH", 2)
    here = Repository.objects.create(name="alice/app")
    Upload.objects.bulk_create([Upload(repository=here, active_at=Now()) for _ in range(5)])
    Trash.objects.bulk_create([Trash(key=str(number), delete_after=Now()) for number in range(5)])
    pass_time()
    with CaptureQueriesContext(connection) as captured:
        forecast()

    pages = [q["sql"] for q in captured.captured_queries if re.search(rf'FROM "distribution_{table}".*LIMIT', q["sql"])]
    assert len(pages) == 4
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # Of five rows any plan is as good; of many, only one that reads no more than the page.
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off")
        for sql in pages:
            cursor.execute(f"EXPLAIN {'QUERY PLAN ' if connection.vendor == 'sqlite' else ''}{sql}")
            assert index_name in str(cursor.fetchall())


def test_looking_for_requested_runs_reads_no_history(prepared: None) -> None:
    values: dict[str, Any] = {"trigger": "schedule", "grace_period": DAY, "remove_untagged": False, "state": "done"}
    Run.objects.bulk_create([Run(started_at=Now(), **values) for _ in range(500)])
    with CaptureQueriesContext(connection) as captured, connection.cursor() as cursor:
        assert not queue.has_waiting()
        (query,) = captured.captured_queries
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {'QUERY PLAN ' if connection.vendor == 'sqlite' else ''}{query['sql']}")
        assert "gc_run_state" in str(cursor.fetchall())


def _check(captured: CaptureQueriesContext, least: int = 6) -> None:
    statements = {query["sql"] for query in captured.captured_queries if "distribution_" in query["sql"]}
    # The size of a repository is a sum over its links, here those of the only one.
    statements = {sql for sql in statements if "SUM(blob.size)" not in sql}
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # The planner's estimates are of no matter here, only whether there is another way.
            cursor.execute("SET LOCAL enable_seqscan = off")
    whole = {sql: scans for sql in statements if (scans := list(_whole_scans(sql)))}
    assert len(statements) >= least
    assert whole == {}


def _whole_scans(sql: str) -> Iterator[str]:
    """Yield the parts of the statement's plan that read a whole table."""
    statement = re.sub(r"^DECLARE .*? FOR ", "", sql.strip())
    if not re.match(r"SELECT|UPDATE|DELETE", statement):
        return
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}")
            yield from (row[3] for row in cursor.fetchall() if re.match(rf"SCAN ({_NAMES}|{_ALIASES})\b", row[3]))
        else:
            cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}")
            (plan,) = cursor.fetchone()
            yield from _unbounded(plan[0]["Plan"] if isinstance(plan, list) else json.loads(plan)[0]["Plan"])


def _unbounded(node: dict[str, Any]) -> Iterator[str]:
    is_scan = node["Node Type"].endswith("Scan") and re.fullmatch(_NAMES, node.get("Relation Name", ""))
    if is_scan and not {"Index Cond", "Recheck Cond", "TID Cond"} & node.keys():
        yield f"{node['Node Type']} of {node['Relation Name']}"
    for child in node.get("Plans", []):
        yield from _unbounded(child)
