"""Who may not see a repository can't tell whether it exists."""

from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from acl.models import Rule
from tests.caller import Caller, Response
from tests.images import Image, digest_of

SESSION = "11111111-2222-4333-8444-555555555555"
LAYER = digest_of(b"a layer")

REQUESTS = [
    ("GET", "manifests/v1"),
    ("HEAD", "manifests/v1"),
    ("PUT", "manifests/v1"),
    ("PUT", f"manifests/{LAYER}"),
    ("DELETE", "manifests/v1"),
    ("DELETE", f"manifests/{LAYER}"),
    ("GET", f"manifests/{LAYER}"),
    ("PATCH", "manifests/v1"),
    ("GET", f"blobs/{LAYER}"),
    ("HEAD", f"blobs/{LAYER}"),
    ("DELETE", f"blobs/{LAYER}"),
    ("PUT", f"blobs/{LAYER}"),
    ("POST", "blobs/uploads/"),
    ("POST", f"blobs/uploads/?digest={LAYER}"),
    ("POST", f"blobs/uploads/?mount={LAYER}&from=alice/secret"),
    ("GET", f"blobs/uploads/{SESSION}"),
    ("PATCH", f"blobs/uploads/{SESSION}"),
    ("PUT", f"blobs/uploads/{SESSION}?digest={LAYER}"),
    ("DELETE", f"blobs/uploads/{SESSION}"),
    ("GET", "tags/list"),
    ("HEAD", "tags/list"),
    ("GET", f"referrers/{LAYER}"),
]


def seen(response: Response) -> tuple[int, dict[str, str], bytes]:
    return response.status_code, dict(response.headers), response.content


def ask(caller: Caller, method: str, path: str, token: str | None) -> tuple[int, dict[str, str], bytes]:
    scopes = ["repository:alice/secret:pull,push,delete"]
    return seen(caller.send(method, f"/v2/alice/secret/{path}", b"{}", scopes=scopes, token=token))


@pytest.mark.parametrize("token", [None, ""], ids=["signed in", "without a token"])
def test_a_private_repository_answers_like_a_missing_one(
    token: str | None, charlie: Caller, push: Callable[..., Image]
) -> None:
    missing = {request: ask(charlie, *request, token) for request in REQUESTS}

    push("alice/secret", "v1")

    assert {request: ask(charlie, *request, token) for request in REQUESTS} == missing
    assert {status for status, _, _ in missing.values()} <= {401, 405}
    assert sum(status == 401 for status, _, _ in missing.values()) >= len(REQUESTS) - 2


def test_a_token_for_it_is_the_same_too(charlie: Caller, push: Callable[..., Image]) -> None:
    def scope() -> object:
        return charlie.ask_token("repository:alice/secret:pull,push").json()["scope"]

    missing = scope()
    push("alice/secret", "v1")

    assert scope() == missing == ""


def test_access_is_decided_before_anything_is_looked_up(charlie: Caller, push: Callable[..., Image]) -> None:
    push("alice/secret", "v1")
    for request in REQUESTS:
        ask(charlie, *request, None)  # rules and identity are remembered

    with CaptureQueriesContext(connection) as queries:
        for request in REQUESTS:
            ask(charlie, *request, None)

    assert {query["sql"] for query in queries.captured_queries} <= {
        "SELECT value FROM accounts_rightsepoch WHERE id = 1"
    }


def test_a_mount_from_a_private_repository_is_like_one_of_an_unknown_blob(
    charlie: Caller, push: Callable[..., Image]
) -> None:
    push("alice/secret", "v1")
    Rule.objects.create(subject_kind="account", subject="charlie", name="charlie/*", actions="*")
    scopes = ["repository:charlie/app:pull,push", "repository:alice/secret:pull"]

    def mount(digest: str, source: str) -> tuple[int, list[str]]:
        path = f"/v2/charlie/app/blobs/uploads/?mount={digest}&from={source}"
        response = charlie.post(path, scopes=scopes)
        return response.status_code, sorted(response.headers)

    assert mount(LAYER, "alice/secret") == mount(digest_of(b"no such blob"), "alice/secret")
    assert mount(LAYER, "alice/secret") == mount(LAYER, "no/such/repository")
    assert mount(LAYER, "alice/secret")[0] == 202
    assert charlie.head(f"/v2/charlie/app/blobs/{LAYER}").status_code == 404


def test_a_blob_is_not_read_through_a_repository_that_does_not_hold_it(
    charlie: Caller, push: Callable[..., Image]
) -> None:
    push("alice/secret", "v1")
    Rule.objects.create(subject_kind="account", subject="charlie", name="charlie/*", actions="*")

    assert charlie.get(f"/v2/charlie/app/blobs/{LAYER}").status_code == 404


def test_a_catalog_does_not_name_it(charlie: Caller, anonymous: Caller, push: Callable[..., Image]) -> None:
    push("alice/secret", "v1")

    for caller in (charlie, anonymous):
        token = caller.token("registry:catalog:*")
        assert caller.get("/v2/_catalog", token=token).json() == {"repositories": []}
