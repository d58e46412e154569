"""Access is decided before anything is looked up; what clients see of it is asked in `tests/attack/test_access.py`."""

from collections.abc import Callable

from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.caller import Caller
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


def ask(caller: Caller, method: str, path: str) -> None:
    scopes = ["repository:alice/secret:pull,push,delete"]
    caller.send(method, f"/v2/alice/secret/{path}", b"{}", scopes=scopes)


def test_access_is_decided_before_anything_is_looked_up(charlie: Caller, push: Callable[..., Image]) -> None:
    push("alice/secret", "v1")
    for request in REQUESTS:
        ask(charlie, *request)  # rules and identity are remembered

    with CaptureQueriesContext(connection) as queries:
        for request in REQUESTS:
            ask(charlie, *request)

    assert {query["sql"] for query in queries.captured_queries} <= {
        "SELECT value FROM accounts_rightsepoch WHERE id = 1"
    }
