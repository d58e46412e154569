"""How many statements an endpoint asks of the database once a client is known: what makes requests fast stays so.

The statement that reads the permissions version is counted too; what begins and ends transactions is not, since inside
a test it differs from what a server does.
"""

import secrets
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.db.models.sql.compiler import SQLCompiler
from django.test.utils import CaptureQueriesContext

from tests.caller import Caller, content
from tests.images import Image, digest_of, put_manifest

# What SQLite is told about a connection is no question either.
NOT_COUNTED = ("SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN", "COMMIT", "PRAGMA")
Act = Callable[[Caller, Image], Any]


def get(path: str) -> Act:
    """Return an act that reads `path`, in which `{image}` may stand."""

    def act(caller: Caller, image: Image) -> Any:
        response = caller.get(path.format(image=image))
        content(response)
        return response

    return act


def head(path: str) -> Act:
    """Return an act that asks for the headers of `path`."""
    return lambda caller, image: caller.head(path.format(image=image))


def upload(caller: Caller, _image: Image) -> Any:
    """Push a blob as docker does: three requests."""
    body = secrets.token_bytes(8)
    session = caller.post("/v2/alice/app/blobs/uploads/").headers["Location"]
    session = caller.patch(session, body, chunked=True).headers["Location"]
    return caller.put(f"{session}?digest={digest_of(body)}")


def upload_whole(caller: Caller, _image: Image) -> Any:
    """Push a blob in one request."""
    body = secrets.token_bytes(8)
    return caller.post(f"/v2/alice/app/blobs/uploads/?digest={digest_of(body)}", body)


def mount(caller: Caller, image: Image) -> Any:
    """Mount a blob of another repository."""
    scopes = ["repository:alice/app:pull", "repository:alice/other:pull,push"]
    return caller.post(f"/v2/alice/other/blobs/uploads/?mount={image.config}&from=alice/app", scopes=scopes)


def put_again(caller: Caller, image: Image) -> Any:
    """Put a manifest under the tag that it has."""
    return put_manifest(caller, "alice/app", "v1", image.payload)


PULLS: dict[str, tuple[Act, int]] = {
    "GET /v2/": (get("/v2/"), 1),
    "GET a manifest by its tag": (get("/v2/alice/app/manifests/v1"), 2),
    "HEAD a manifest by its tag": (head("/v2/alice/app/manifests/v1"), 2),
    "GET a manifest by its digest": (get("/v2/alice/app/manifests/{image.digest}"), 2),
    "HEAD a manifest by its digest": (head("/v2/alice/app/manifests/{image.digest}"), 2),
    "GET a blob": (get("/v2/alice/app/blobs/{image.config}"), 2),
    "HEAD a blob": (head("/v2/alice/app/blobs/{image.config}"), 2),
    "list tags": (get("/v2/alice/app/tags/list"), 2),
}
OTHERS: dict[str, tuple[Act, int]] = {
    "list referrers": (get("/v2/alice/app/referrers/{image.digest}"), 3),
    "list repositories": (get("/v2/_catalog"), 3),
    "ask for a token": (lambda caller, _image: caller.ask_token("repository:alice/app:pull"), 3),
    "mount a blob": (mount, 7),
    "push a blob in one request": (upload_whole, 16),
    "push a blob in three requests": (upload, 25),
    "put a manifest again": (put_again, 10),
}


def statements(act: Callable[[], Any]) -> list[str]:
    """Return what `act` asks of the database."""
    with CaptureQueriesContext(connection) as captured:
        act()
    found = [query["sql"].strip() for query in captured.captured_queries]
    return [sql for sql in found if not sql.startswith(NOT_COUNTED)]


@pytest.fixture
def image(push: Callable[..., Image]) -> Image:
    """Have an image in alice/app."""
    return push("alice/app", "v1")


@pytest.fixture
def no_orm(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function after which whoever has a query built fails."""

    def refuse(*_arguments: object, **_options: object) -> None:
        raise AssertionError("a query was built")

    def forbid() -> None:
        monkeypatch.setattr(SQLCompiler, "as_sql", refuse)
        monkeypatch.setattr(SQLCompiler, "execute_sql", refuse)

    return forbid


@pytest.mark.parametrize("name", [*PULLS, *OTHERS])
def test_a_request_asks_no_more_than_it_needs(alice: Caller, image: Image, name: str) -> None:
    act, number = (PULLS | OTHERS)[name]
    assert act(alice, image).status_code < 300

    found = statements(lambda: act(alice, image))

    assert len(found) <= number, "\n".join(found)


@pytest.mark.parametrize("name", PULLS)
def test_a_pull_has_no_query_built(alice: Caller, image: Image, no_orm: Callable[[], None], name: str) -> None:
    act, _ = PULLS[name]
    act(alice, image)
    no_orm()

    assert act(alice, image).status_code == 200


def test_a_query_that_is_built_is_noticed(alice: Caller, image: Image, no_orm: Callable[[], None]) -> None:
    no_orm()

    assert alice.delete("/v2/alice/app/manifests/v1").status_code == 500
