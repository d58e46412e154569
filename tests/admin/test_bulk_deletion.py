"""All rows of a list are deleted, however many: in slices, with a page between them."""

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.db.models import Model, QuerySet
from django.db.models.functions import Now

from accounts.models import Account
from acl.models import Rule
from core.admin import bulk_deletion
from distribution import deletion
from distribution.models import Manifest, Repository, Tag
from tests.admin.browser import Browser, messages_of, staff
from tests.admin.form import form_of
from tests.admin.test_looking import list_of
from tests.caller import Caller
from tests.images import Image
from tokens.models import RefreshToken

TAGS, MANIFESTS = list_of("tag"), list_of("manifest")
MANY = 1200
ALL = {"action": "delete_selected", "select_across": "1", "_selected_action": ["0"]}


def delete_all(browser: Browser, path: str) -> Any:
    """Tick all rows of all pages, choose their deletion and confirm; return the answer."""
    asked = browser.post(path, ALL)
    assert asked.status_code == 200, asked
    form = form_of(asked.content.decode())
    assert len(form) < 10
    return browser.client.post(path, dict(form))


def many_tags(number: int = MANY, repository: str = "alice/app") -> None:
    manifest = Manifest.objects.get(repository__name=repository)
    rows = (
        Tag(repository=manifest.repository, manifest=manifest, name=f"t{n}", updated_at=Now()) for n in range(number)
    )
    Tag.objects.bulk_create(rows)


@pytest.fixture(autouse=True)
def _no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first slice be the last, however slow the machine is."""
    monkeypatch.setattr(bulk_deletion, "FIRST_SECONDS", 600)


@pytest.fixture
def slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each slice be one batch of forty rows."""
    monkeypatch.setattr(bulk_deletion, "FIRST_SECONDS", 0)
    monkeypatch.setattr(bulk_deletion, "SLICE_SECONDS", 0)
    monkeypatch.setattr(bulk_deletion, "BATCH", 40)


def test_any_number_of_tags_is_deleted(admin: Browser, push: Callable[..., Image]) -> None:
    push("alice/app", "v1")
    many_tags()

    response = delete_all(admin, TAGS)

    assert (response.status_code, response["Location"]) == (302, TAGS)
    assert messages_of(admin.get(TAGS)) == [f"Deleted {MANY + 1} tags."]
    assert not Tag.objects.exists()
    assert Manifest.objects.get().is_unreferenced


def test_each_deleted_tag_is_in_the_log(admin: Browser, push: Callable[..., Image]) -> None:
    push("alice/app", "v1")
    many_tags(200)

    delete_all(admin, TAGS)

    said = {entry.get_change_message() for entry in LogEntry.objects.all()}
    assert said == {"alice/app:v1"} | {f"alice/app:t{number}" for number in range(200)}


def test_the_confirmation_names_some_and_counts_all(admin: Browser, push: Callable[..., Image]) -> None:
    push("alice/app", "v1")
    many_tags(200)

    asked = admin.post(TAGS, ALL).content.decode()

    assert "all 201 tags" in asked
    assert "… and 101 more" in asked
    assert asked.count("<li>alice/app:t") == 100


def test_only_what_the_list_was_filtered_for_is_deleted(admin: Browser, push: Callable[..., Image]) -> None:
    push("alice/app", "v1")
    push("alice/other", "v1")
    for repository in ("alice/app", "alice/other"):
        many_tags(200, repository)
    pk = Repository.objects.get(name="alice/app").pk

    delete_all(admin, f"{TAGS}?repository__id__exact={pk}&q=t1")

    left = Tag.objects.filter(repository=pk)
    assert not left.filter(name__contains="t1").exists()
    assert left.filter(name="t20").exists()
    assert Tag.objects.filter(repository__name="alice/other").count() == 201


def test_what_comes_after_the_confirmation_stays(admin: Browser, push: Callable[..., Image]) -> None:
    push("alice/app", "v1")
    many_tags(200)
    asked = admin.post(TAGS, ALL)
    push("alice/app", "late")

    admin.client.post(TAGS, dict(form_of(asked.content.decode())))

    assert Tag.objects.get().name == "late"


def next_of(response: Any) -> str:
    """Return the address that a page asks its browser to open next."""
    found = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', response.content.decode())
    assert found is not None
    return found[1]


def test_a_long_deletion_goes_on_from_page_to_page_and_says_how_far_it_is(
    admin: Browser, push: Callable[..., Image], slices: None
) -> None:
    push("alice/app", "v1")
    many_tags(119)

    page = admin.get(delete_all(admin, TAGS)["Location"])
    assert "80 of 120 tags deleted" in page.content.decode()
    page = admin.get(next_of(page))
    assert "120 of 120 tags deleted" in page.content.decode()
    ended = admin.get(next_of(page))

    assert (ended.status_code, ended["Location"]) == (302, TAGS)
    assert messages_of(admin.get(TAGS)) == ["Deleted 120 tags."]
    assert not Tag.objects.exists()


def test_a_deletion_ends_when_its_page_is_closed(admin: Browser, push: Callable[..., Image], slices: None) -> None:
    push("alice/app", "v1")
    many_tags(119)

    delete_all(admin, TAGS)

    assert Tag.objects.count() == 80


def test_an_address_that_is_opened_again_deletes_nothing_new(
    admin: Browser, push: Callable[..., Image], slices: None
) -> None:
    push("alice/app", "v1")
    many_tags(119)
    address = delete_all(admin, TAGS)["Location"]
    for _ in range(3):
        push("alice/app", "late")
        admin.get(address)

    assert Tag.objects.get().name == "late"


def test_a_deletion_ends_some_time_after_its_confirmation(
    admin: Browser, push: Callable[..., Image], slices: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    push("alice/app", "v1")
    many_tags(199)
    address = delete_all(admin, TAGS)["Location"]
    monkeypatch.setattr(bulk_deletion, "TOTAL_SECONDS", 900)
    confirmed_at = time.time()
    monkeypatch.setattr(time, "time", lambda: confirmed_at + 500)
    address = next_of(admin.get(address))
    monkeypatch.setattr(time, "time", lambda: confirmed_at + 1000)

    response = admin.get(address)

    assert (response.status_code, response["Location"]) == (302, TAGS)
    assert Tag.objects.count() == 120
    assert messages_of(admin.get(TAGS)) == ["This confirmation has expired. Select the remaining rows again."]


def test_a_confirmation_ends_some_time_after_its_page(
    admin: Browser, push: Callable[..., Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    push("alice/app", "v1")
    many_tags(119)
    asked = form_of(admin.post(TAGS, ALL).content.decode())
    late = time.time() + bulk_deletion.VALID_SECONDS + 60
    monkeypatch.setattr(time, "time", lambda: late)

    admin.client.post(TAGS, dict(asked))

    assert Tag.objects.count() == 120


@pytest.mark.parametrize("method", ["head", "post"])
def test_only_get_goes_on(admin: Browser, push: Callable[..., Image], slices: None, method: str) -> None:
    push("alice/app", "v1")
    many_tags(119)
    address = delete_all(admin, TAGS)["Location"]
    token = form_of(admin.text("/admin/password_change/"))["csrfmiddlewaretoken"]

    response = getattr(admin.client, method)(address, {"csrfmiddlewaretoken": token})

    assert (response.status_code, response["Allow"], response.content) == (405, "GET", b"")
    assert Tag.objects.count() == 80


def test_rows_that_go_before_the_confirmation_are_no_fault(
    admin: Browser, push: Callable[..., Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    push("alice/app", "v1")
    many_tags(119)
    name_rows = QuerySet.order_by

    def after_another(rows: QuerySet[Tag], *fields: str) -> QuerySet[Tag]:
        if fields == ("-pk",):
            Tag.objects.all().delete()
        return name_rows(rows, *fields)

    monkeypatch.setattr(QuerySet, "order_by", after_another)

    response = admin.post(TAGS, ALL)

    assert (response.status_code, response["Location"]) == (302, TAGS)
    assert messages_of(admin.get(TAGS)) == ["None of the selected rows exists any more."]


def test_nobody_goes_on_with_what_another_confirmed(admin: Browser, push: Callable[..., Image], slices: None) -> None:
    push("alice/app", "v1")
    many_tags(119)
    address = delete_all(admin, TAGS)["Location"]
    other = staff("other", "view_tag", "delete_tag")

    response = other.get(address)

    assert (response.status_code, response["Location"]) == (302, TAGS)
    assert Tag.objects.count() == 80


def test_who_lost_the_right_to_delete_does_not_go_on(push: Callable[..., Image], slices: None) -> None:
    push("alice/app", "v1")
    many_tags(119)
    keeper = staff("keeper", "view_tag", "delete_tag")
    address = delete_all(keeper, TAGS)["Location"]
    Account.objects.get(name="keeper").user_permissions.clear()

    assert keeper.get(address).status_code == 403
    assert Tag.objects.count() == 80


def test_a_confirmation_is_no_address_to_open(admin: Browser, push: Callable[..., Image], slices: None) -> None:
    push("alice/app", "v1")
    many_tags(119)
    asked = admin.post(TAGS, ALL)
    (confirmed,) = form_of(asked.content.decode())["confirmed"]

    admin.get(f"{TAGS}deleting/{confirmed}/")

    assert Tag.objects.count() == 120


def test_a_confirmation_that_was_changed_deletes_nothing(admin: Browser, push: Callable[..., Image]) -> None:
    push("alice/app", "v1")
    many_tags(119)

    response = admin.post(TAGS, ALL | {"post": "yes", "confirmed": "anything"})

    assert response.status_code == 302
    assert Tag.objects.count() == 120


def test_rows_that_are_refused_stay_and_some_reasons_are_said(
    admin: Browser, push: Callable[..., Image], alice: Caller, slices: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_deletion, "LISTED", 2)
    monkeypatch.setattr(bulk_deletion, "REASONS", 1)
    own = Account.objects.get(name="root")
    Account.objects.bulk_create([Account(name=f"user-{n}", is_staff=n < 3) for n in range(10)])
    helper = staff("helper", "view_account", "delete_account")

    response = delete_all(helper, "/admin/accounts/account/")
    while "deleting" in response["Location"]:
        page = helper.get(response["Location"])
        response = page if page.status_code == 302 else helper.get(next_of(page))

    assert set(Account.objects.values_list("name", flat=True)) == {
        own.name, "helper", "user-0", "user-1", "user-2",
    }  # fmt: skip
    done, first, more = messages_of(helper.get(response["Location"]))
    assert done == "Deleted 10 accounts."
    assert "your account may not delete this account" in first
    assert more == "4 more were not deleted, for similar reasons."


def accounts() -> None:
    Account.objects.bulk_create([Account(name=f"user-{n}") for n in range(MANY)])


def groups() -> None:
    Group.objects.bulk_create([Group(name=f"group-{n}") for n in range(MANY)])


def rules() -> None:
    Rule.objects.bulk_create(
        [Rule(subject_kind="account", subject=f"user-{n}", name="a/*", actions="pull") for n in range(MANY)]
    )


def refresh_tokens() -> None:
    rows = (RefreshToken(account=f"user-{n}", token_hash=f"{n:064}", used_at=Now()) for n in range(MANY))
    RefreshToken.objects.bulk_create(rows)


@pytest.mark.parametrize(
    ("path", "make", "model"),
    [
        ("/admin/accounts/account/?q=user-", accounts, Account),
        ("/admin/auth/group/?q=group-", groups, Group),
        ("/admin/acl/rule/?q=user-", rules, Rule),
        ("/admin/tokens/refreshtoken/?q=user-", refresh_tokens, RefreshToken),
    ],
)
def test_any_number_of_other_rows_is_deleted(
    admin: Browser, path: str, make: Callable[[], None], model: type[Model]
) -> None:
    before = set(model._default_manager.values_list("pk", flat=True))
    make()

    response = delete_all(admin, path)

    assert response.status_code == 302
    assert set(model._default_manager.values_list("pk", flat=True)) == before
    assert LogEntry.objects.count() == MANY


def test_any_number_of_repositories_is_deleted(admin: Browser) -> None:
    Repository.objects.bulk_create([Repository(name=f"alice/r{n}") for n in range(300)])

    delete_all(admin, "/admin/distribution/repository/")

    # What is left of them is for a job, where a moment is too short.
    assert not deletion.without_hidden(Repository.objects.all()).exists()


def test_indexes_go_before_the_manifests_that_they_list(
    admin: Browser, family: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_deletion, "LISTED", 1)

    delete_all(admin, MANIFESTS)

    assert not Manifest.objects.exists()
