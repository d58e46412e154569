"""Repositories in the admin: whether what is untagged stays is changed here, and nothing else."""

import pytest

from distribution.models import Repository
from tests.admin.browser import Browser, staff

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
    save = Repository.save

    def save_after_a_push(row: Repository, **options: object) -> None:
        Repository.objects.update(is_listed=True)
        save(row, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Repository, "save", save_after_a_push)

    admin.submit(page, keeps_untagged="on")

    assert Repository.objects.get().is_listed


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
