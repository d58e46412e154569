"""The statements of a request do not grow with the registry."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Account
from acl.models import Rule
from distribution.models import Manifest, Repository
from tests.api.asking import ask
from tests.caller import Caller
from tests.images import Image

REPOSITORIES = 10_000
# The configuration asks for each of its sections.
MOST_STATEMENTS = 18


@pytest.fixture
def many(push: Callable[..., Image], root: Caller) -> Image:
    """Make many repositories with one manifest each, accounts and rules, around an image."""
    now = datetime.now(UTC)
    rows = [Repository(name=f"alice/{number:05}", is_listed=True) for number in range(REPOSITORIES)]
    made = Repository.objects.bulk_create(rows, 1000)
    common = {"media_type": "x", "payload": b"", "size": 0, "last_used_at": now, "is_unreferenced": False}
    digest = f"sha256:{'0' * 64}"
    Manifest.objects.bulk_create([Manifest(repository=row, digest=digest, **common) for row in made], 1000)
    Account.objects.bulk_create([Account(name=f"account-{number}") for number in range(300)])
    rules = [Rule(subject_kind="account", subject=f"a{n}", name="x/*", actions="pull") for n in range(300)]
    Rule.objects.bulk_create(rules)
    return push("alice/app", "v1")


def test_a_request_has_few_statements(alice: Caller, root: Caller, many: Image) -> None:
    image = f"repositories/alice/app/-/manifests/{many.digest}"
    of_alice = [
        "repositories?limit=200",
        "repositories?limit=200&after=alice/09000",
        "repositories?prefix=alice/0999&contains=9",
        *("repositories/alice/app", "repositories/alice/app/-/tags", "repositories/alice/app/-/tags/v1"),
        *("repositories/alice/app/-/usage", "repositories/alice/app/-/description", "tokens"),
        *("repositories/alice/app/-/manifests", image, image.replace("manifests", "referrers"), "whoami"),
    ]
    of_root = [
        "accounts?limit=200",
        "accounts/alice",
        "groups",
        "rules?limit=200",
        "collection/runs",
        "configuration",
        "audit",
    ]
    counts = {}
    for caller, paths in ((alice, of_alice), (root, of_root)):
        # The permissions version is new: compiled rules are cached from the second request on.
        ask(caller, "GET", "whoami")
        for path in paths:
            with CaptureQueriesContext(connection) as statements:
                response = ask(caller, "GET", path)
            assert response.status_code == 200, (path, response.content)
            counts[path] = len(statements)
            assert not any(" OFFSET " in query["sql"] for query in statements)

    assert max(counts.values()) <= MOST_STATEMENTS, counts
