"""What is used of quotas, in the admin."""

from django.urls import reverse

from acl.models import Rule
from policies.models import Quota
from tests.admin.browser import Browser
from tests.caller import Caller
from tests.images import push_blob

KIB = 1024
USED = "9.0 KiB of 10.0 KiB"


def test_the_first_page_of_the_admin_shows_the_fullest(admin: Browser, quota: Quota, alice: Caller) -> None:
    Quota.objects.create(repositories="*", max_tags=7)

    page = admin.text("/admin/")

    assert page.index(USED) < page.index("0 of 7 tags")
    assert reverse("admin:policies_quota_change", args=[quota.pk]) in page


def test_the_list_of_quotas_shows_the_fullest_namespace(admin: Browser, quota: Quota, alice: Caller) -> None:
    Rule.objects.create(subject_kind="account", subject="alice", name="other/*", actions="pull,push")
    push_blob(alice, "other/app", b"a" * KIB)

    page = admin.text(reverse("admin:policies_quota_changelist"))

    assert f"alice/: {USED} (90 %)" in page


def test_the_list_of_quotas_tells_that_nothing_was_pushed(admin: Browser, cast: None) -> None:
    Quota.objects.create(repositories="*", each="repository", max_tags=7)

    assert "nothing was pushed since" in admin.text(reverse("admin:policies_quota_changelist"))
