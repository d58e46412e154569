"""What is used of quotas, by the API."""

from acl.models import Rule
from policies.models import Quota
from tests.api.asking import ask, items
from tests.caller import Caller
from tests.images import push_blob

KIB = 1024


def test_the_api_lists_what_counts_together(root: Caller, quota: Quota, alice: Caller) -> None:
    Rule.objects.create(subject_kind="account", subject="alice", name="other/*", actions="pull,push")
    push_blob(alice, "other/app", b"a" * KIB)
    path = f"policies/quotas/{quota.pk}/usage"

    found = items(root, path)

    assert found == [
        {"counted": "alice/", "used_bytes": 9 * KIB, "used_tags": 0, "share": 0.9},
        {"counted": "other/", "used_bytes": KIB, "used_tags": 0, "share": 0.1},
    ]
    first = ask(root, "GET", f"{path}?limit=1").json()
    assert (first["items"], first["next"]) == (found[:1], f"/api/v1/{path}?limit=1&after=alice%2F")
    assert ask(root, "GET", f"{path}?after=alice/").json()["items"] == found[1:]
    assert ask(alice, "GET", path).status_code == 403
    assert ask(root, "GET", "policies/quotas/999/usage").status_code == 404


def test_the_api_lists_the_whole_before_the_first_push(root: Caller) -> None:
    whole = Quota.objects.create(repositories="*", max_tags=7)

    assert items(root, f"policies/quotas/{whole.pk}/usage") == [
        {"counted": "", "used_bytes": 0, "used_tags": 0, "share": 0.0}
    ]
