"""Repositories in the admin: whether what is untagged stays is changed here, and nothing else; they are deleted."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry

from distribution import deletion
from distribution.admin import repository as repository_admin
from distribution.admin import totals
from distribution.admin.repository import RepositoryAdmin
from distribution.models import Blob, Repository, Tag
from tests.admin.browser import Browser, messages_of, staff
from tests.caller import Caller
from tests.distribution.test_statements import statements
from tests.images import Image

REPOSITORIES = "/admin/distribution/repository/"


@pytest.fixture
def page(cast: None) -> str:
    """Return the path of a repository's page."""
    return f"{REPOSITORIES}{Repository.objects.create(name='alice/app').pk}/change/"


def test_a_repository_is_told_to_keep_what_is_untagged_and_not_to(admin: Browser, page: str) -> None:
    told = []
    for value in ("on", None):
        assert admin.submit(page, keeps_untagged=value).status_code == 302
        told.append(Repository.objects.get().keeps_untagged)

    assert told == [True, False]


def test_nothing_else_of_a_repository_is_changed(admin: Browser, page: str) -> None:
    admin.submit(page, keeps_untagged="on", name="mine", is_listed="on", created_at="2001-01-01")

    row = Repository.objects.get()
    assert (row.name, row.is_listed, row.created_at.year > 2001) == ("alice/app", False, True)


def test_saving_forgets_no_push_that_came_meanwhile(admin: Browser, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first manifest of the repository comes between reading and writing the row."""
    save = RepositoryAdmin.save_model

    def save_after_a_push(*arguments: Any) -> None:
        Repository.objects.update(is_listed=True)
        save(*arguments)

    monkeypatch.setattr(RepositoryAdmin, "save_model", save_after_a_push)

    admin.submit(page, keeps_untagged="on")

    row = Repository.objects.get()
    assert (row.is_listed, row.keeps_untagged) == (True, True)


def test_saving_what_went_meanwhile_is_no_fault(admin: Browser, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    save = RepositoryAdmin.save_model

    def save_after_a_collection(*arguments: Any) -> None:
        Repository.objects.all().delete()
        save(*arguments)

    monkeypatch.setattr(RepositoryAdmin, "save_model", save_after_a_collection)

    assert admin.submit(page, keeps_untagged="on").status_code == 302


def test_no_repository_is_added(admin: Browser) -> None:
    assert admin.post(f"{REPOSITORIES}add/", {"name": "mine"}).status_code == 403


def test_who_may_only_look_does_not_change_it(page: str) -> None:
    onlooker = staff("onlooker", "view_repository")

    response = onlooker.post(page, {"keeps_untagged": "on"})

    assert response.status_code == 403
    assert not Repository.objects.get().keeps_untagged


def test_who_may_change_repositories_needs_to_be_no_superuser(page: str) -> None:
    keeper = staff("keeper", "view_repository", "change_repository")

    keeper.submit(page, keeps_untagged="on")

    assert Repository.objects.get().keeps_untagged


def test_the_list_shows_which_repositories_keep_what_is_untagged(admin: Browser, page: str) -> None:
    Repository.objects.create(name="alice/base", keeps_untagged=True)

    shown = admin.get(REPOSITORIES, keeps_untagged__exact="1").context["cl"].result_list

    assert [row.name for row in shown] == ["alice/base"]


def deletion_of(name: str) -> str:
    return f"{REPOSITORIES}{Repository.objects.get(name=name).pk}/delete/"


def test_the_page_of_a_repository_leads_to_its_deletion(admin: Browser, page: str) -> None:
    assert page.replace("change", "delete") in admin.text(page)


def test_the_confirmation_says_what_goes_and_when_the_space_comes_back(
    admin: Browser, push: Callable[..., Image]
) -> None:
    push("alice/app", "v1", b"own" * 1000)
    push("alice/app", "v2", b"own" * 1000)
    push("alice/app", "v3", b"shared" * 1000)
    push("alice/other", "v1", b"shared" * 1000)

    asked = admin.text(deletion_of("alice/app")).replace("\xa0", " ")

    assert "alice/app with 3 tags and 2 manifests" in asked
    assert "5.9 KiB of its own and 11.8 KiB that other repositories share" in asked
    assert "about 15 minutes later" in asked


def test_a_repository_is_deleted_with_all_that_it_holds(
    admin: Browser, push: Callable[..., Image], alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository_admin, "REMOVAL_SECONDS", 60)
    push("alice/app", "v1")

    response = admin.submit(deletion_of("alice/app"))

    assert (response.status_code, response["Location"]) == (302, REPOSITORIES)
    assert alice.get("/v2/alice/app/tags/list").status_code == 404
    assert not Repository.objects.exists()
    assert not Blob.objects.exists()
    assert LogEntry.objects.get().get_change_message().startswith("alice/app with 1 tags and 1 manifests")


def test_a_large_repository_is_gone_at_once_and_the_rest_is_left_to_a_job(
    admin: Browser, push: Callable[..., Image], alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository_admin, "REMOVAL_SECONDS", 0)
    push("alice/app", "v1")

    admin.submit(deletion_of("alice/app"))

    assert deletion.unfinished().exists()
    assert alice.get("/v2/alice/app/tags/list").status_code == 404
    # The first page says that it was deleted.
    pages = [admin.text(f"/admin/distribution/{model}/") for model in ("blob", "repository", "tag", "manifest")]
    assert not any("alice/app" in page for page in pages[1:])


def test_selected_repositories_are_deleted(admin: Browser, push: Callable[..., Image]) -> None:
    for name in ("alice/a", "alice/b", "alice/c"):
        push(name)
    first, second, _ = Repository.objects.order_by("name")

    response = admin.delete_selected(REPOSITORIES, first.pk, second.pk)

    assert messages_of(response) == ["Deleted 2 repositories."]
    assert Tag.objects.get().repository.name == "alice/c"


def test_who_may_not_delete_repositories_does_not(push: Callable[..., Image]) -> None:
    push("alice/app", "v1")
    keeper = staff("keeper", "view_repository", "change_repository")

    response = keeper.post(deletion_of("alice/app"), {"post": "yes"})

    assert response.status_code == 403
    assert Repository.objects.get().name == "alice/app"


def test_a_long_list_is_counted_up_to_a_bound(
    admin: Browser, push: Callable[..., Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        push("alice/app", f"v{number}", b"layer %d" % number)
    monkeypatch.setattr(totals, "MOST_LISTED", 3)
    monkeypatch.setattr(totals, "MOST_COUNTED", 3)

    assert "more than 3 tags" in " ".join(admin.text("/admin/distribution/tag/").split())
    assert "over 3" in admin.text("/admin/distribution/repository/")


def test_more_rows_of_the_list_need_no_more_statements(admin: Browser, push: Callable[..., Image]) -> None:
    push("alice/app", "v1")
    few = len(statements(lambda: admin.get(REPOSITORIES)))
    for number in range(5):
        push(f"alice/r{number}", "v1")

    assert len(statements(lambda: admin.get(REPOSITORIES))) <= few
