"""What is used of quotas, on the pages."""

from django.test import Client

from policies.models import Quota
from tests.caller import Caller
from tests.images import push_blob
from tests.web.test_pages import signed_in, text_of

KIB = 1024
USED = "9.0 KiB of 10.0 KiB"


def test_the_page_of_a_repository_shows_its_quotas(quota: Quota) -> None:
    page = text_of(signed_in("alice"), "/repositories/alice/app")

    assert USED in page
    assert str(quota) in page


def test_who_may_only_pull_sees_no_quota(quota: Quota) -> None:
    assert "KiB of" not in text_of(signed_in("bob"), "/repositories/alice/app")


def test_the_own_account_shows_the_quota_of_its_namespace(quota: Quota) -> None:
    assert USED in text_of(signed_in("alice"), "/account")
    assert "0 B of 10.0 KiB" in text_of(signed_in("bob"), "/account")


def test_a_quota_of_others_is_not_on_the_own_account(quota: Quota) -> None:
    quota.except_repositories = "bob/*"
    quota.save()

    assert "Your quota" not in text_of(signed_in("bob"), "/account")


def test_a_page_writes_no_counter(alice: Caller) -> None:
    push_blob(alice, "alice/app", b"a" * KIB)
    Quota.objects.create(repositories="*", max_size=10 * KIB)

    assert "1.0 KiB of 10.0 KiB" in text_of(signed_in("alice"), "/repositories/alice/app")
    assert "KiB of" not in Client().get("/repositories/alice/app").content.decode()
