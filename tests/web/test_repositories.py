"""The list of repositories: sorted, as a tree, and searched by tag and digest; what a repository's page shows."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from acl.models import Rule
from distribution.models import DailyUse, Repository, Tag
from tests.caller import Caller
from tests.distribution.test_statements import statements
from tests.images import Image, put_manifest
from tests.web.test_pages import push_config, signed_in, text_of
from web import listing

Push = Callable[..., Image]
NOW = datetime(2026, 1, 31, tzinfo=UTC)


def order(page: str, names: Sequence[str]) -> list[str]:
    """Return those of the names that the page links, in its order."""
    places = {name: page.find(f'href="/repositories/{name}"') for name in names}
    return sorted((name for name in names if places[name] >= 0), key=places.__getitem__)


@pytest.fixture
def several(push: Push) -> list[str]:
    """Push repositories with different sizes and times, and one of which neither is known."""
    names = ["alice/a", "alice/b", "alice/c", "alice/d"]
    for name in names:
        push(name, "v1")
    values = {"alice/a": (5, 1, 3), "alice/b": (7, 3, 2), "alice/c": (7, 2, 1)}
    for name, (size, pushed, pulled) in values.items():
        at = {"pushed_at": NOW + timedelta(days=pushed), "pulled_at": NOW + timedelta(days=pulled)}
        Repository.objects.filter(name=name).update(size=size, **at)
    return names


@pytest.mark.parametrize(
    ("sort", "expected"), [("", "abcd"), ("name", "abcd"), ("size", "bcad"), ("pushed", "bcad"), ("pulled", "abcd")]
)
def test_repositories_are_sorted(several: list[str], sort: str, expected: str) -> None:
    page = text_of(signed_in("bob"), f"/?sort={sort}")

    assert order(page, several) == [f"alice/{letter}" for letter in expected]


@pytest.mark.parametrize("sort", ["size", "pushed", "pulled"])
def test_pages_of_a_sorted_list_show_each_repository_once(
    several: list[str], sort: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = signed_in("bob")
    whole = order(text_of(bob, f"/?sort={sort}"), several)
    monkeypatch.setattr("web.contents.PAGE", 1)
    seen, address = [], f"/?sort={sort}"

    while address:
        page = text_of(bob, address)
        seen += order(page, several)
        address = page.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&").replace("?", "/?")

    assert seen == whole


@pytest.mark.parametrize("after", ["x", "1 ", "9" * 40 + " a", "2026-13-01 a", "%00", "1e5 a", "nan a"])
@pytest.mark.parametrize("sort", ["size", "pushed", "none"])
def test_any_start_of_a_page_is_answered(several: list[str], sort: str, after: str) -> None:
    assert signed_in("bob").get(f"/?sort={sort}&after={after}").status_code == 200
    assert signed_in("bob").get(f"/repositories/alice/a?sort=newest&after={after}").status_code == 200


@pytest.mark.parametrize("query", ["sort=size", "sort=pushed", "prefix=", "prefix=alice/"])
def test_no_order_shows_what_may_not_be_pulled(several: list[str], push: Push, query: str) -> None:
    push("public/tool", "v1")

    anonymous, charlie = text_of(Client(), f"/?{query}"), text_of(signed_in("charlie"), f"/?{query}")

    for page in (anonymous, charlie):
        assert not order(page, several)
        assert 'href="?prefix=alice' not in page


def test_rules_with_patterns_show_what_they_match(several: list[str]) -> None:
    Rule.objects.create(subject_kind="account", subject="charlie", name="*/b", actions="pull")
    Rule.objects.create(subject_kind="account", subject="charlie", name="alice/d", actions="pull")
    charlie = signed_in("charlie")

    assert order(text_of(charlie, "/?sort=size"), several) == ["alice/b", "alice/d"]
    assert order(text_of(charlie, "/?prefix=alice/"), several) == ["alice/b", "alice/d"]
    assert 'data-label="Repositories">2<' in text_of(charlie, "/?prefix=")


def test_a_search_in_a_sorted_list(several: list[str]) -> None:
    assert order(text_of(signed_in("bob"), "/?sort=size&q=ce/b"), several) == ["alice/b"]


def test_many_ranges_become_one(several: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MAX_RANGES", 1)
    for name in ("alice/a", "alice/c", "other/x"):
        Rule.objects.create(subject_kind="account", subject="charlie", name=name, actions="pull")

    assert order(text_of(signed_in("charlie"), "/?sort=size"), several) == ["alice/c", "alice/a"]


def test_the_tree_has_folders_with_counts_and_repositories(push: Push) -> None:
    names = ["alice/team/x", "alice/team/y/z", "alice/team-b", "alice/one", "public/tool"]
    for name in names:
        push(name, "v1")
    alice = signed_in("alice")

    top, inside = text_of(alice, "/?prefix="), text_of(alice, "/?prefix=alice%2F")

    assert 'href="?prefix=alice%2F">alice/</a>' in top
    assert 'data-label="Repositories">4<' in top
    assert order(inside, names) == ["alice/one", "alice/team-b"]
    assert 'href="?prefix=alice%2Fteam%2F">team/</a>' in inside
    assert 'data-label="Repositories">2<' in inside


def test_a_tree_goes_on_on_the_next_page(push: Push, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["alice/a/1", "alice/a/2", "alice/b", "alice/c/1", "alice/d"]
    for name in names:
        push(name, "v1")
    monkeypatch.setattr("web.contents.PAGE", 2)
    alice, address, seen = signed_in("alice"), "/?prefix=alice/", ""

    while address:
        page = text_of(alice, address)
        seen += page.partition('id="results"')[2]
        address = page.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&").replace("?", "/?")

    assert order(seen, names) == ["alice/b", "alice/d"]
    assert [seen.count(f"?prefix=alice%2F{letter}%2F") for letter in "ac"] == [1, 1]


@pytest.mark.parametrize("prefix", ["nowhere/", "..", "/", "%00", "a%7f", "A", "alice/../"])
def test_any_prefix_is_answered(several: list[str], prefix: str) -> None:
    assert signed_in("bob").get(f"/?prefix={prefix}").status_code == 200


def test_a_search_finds_tags(push: Push) -> None:
    push("alice/app", "v1")
    push("alice/other", "v2")
    bob = signed_in("bob")

    for text in ("app:v1", "alice/app:v1", "testserver/alice/app:v1"):
        assert 'href="/repositories/alice/app/-/v1"' in text_of(bob, f"/?q={text}")
    assert "No repository" in text_of(bob, "/?q=app:v2")


def test_a_search_finds_digests_of_manifests_and_blobs(push: Push, alice: Caller) -> None:
    image = push("alice/app", "v1")
    put_manifest(alice, "alice/app", "v2", image.payload)
    push("alice/other", "v1", b"else")
    bob = signed_in("bob")

    for text in (image.digest, f"alice/app@{image.digest}", f"testserver/alice/app@{image.digest}"):
        page = text_of(bob, f"/?q={text}")
        assert f'href="/repositories/alice/app/-/{image.digest}"' in page
        assert "alice/other" not in page
    assert 'href="/repositories/alice/app"' in text_of(bob, f"/?q={image.layers[0]}")
    assert "No repository" in text_of(signed_in("charlie"), f"/?q={image.digest}")
    assert "No repository" in text_of(signed_in("charlie"), f"/?q={image.layers[0]}")


@pytest.mark.parametrize("text", ["sha256:0", "a:", ":b", "a@b", "@", "a:.x", "a:b:c", "sha512:zz", "a@sha256:0"])
def test_what_looks_like_a_reference_is_answered(push: Push, text: str) -> None:
    push()

    assert signed_in("bob").get("/", {"q": text}).status_code == 200


def test_tags_are_sorted_by_time(alice: Caller, push: Push, monkeypatch: pytest.MonkeyPatch) -> None:
    image = push("alice/app", "a")
    for tag in ("b", "c", "d"):
        put_manifest(alice, "alice/app", tag, image.payload)
    for tag, day in {"a": 2, "b": 4, "c": 4, "d": 1}.items():
        Tag.objects.filter(name=tag).update(updated_at=NOW + timedelta(days=day))
    monkeypatch.setattr("web.contents.PAGE", 2)
    bob = signed_in("bob")

    first = text_of(bob, "/repositories/alice/app?sort=newest")
    following = first.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&")
    second = text_of(bob, f"/repositories/alice/app{following}")

    assert order(first, [f"alice/app/-/{tag}" for tag in "abcd"]) == ["alice/app/-/b", "alice/app/-/c"]
    assert order(second, [f"alice/app/-/{tag}" for tag in "abcd"]) == ["alice/app/-/a", "alice/app/-/d"]


def test_more_tags_than_can_be_sorted_stay_by_name(push: Push, monkeypatch: pytest.MonkeyPatch) -> None:
    push("alice/app", "a")
    push("alice/app", "b")
    monkeypatch.setattr("web.contents.MAX_SORTED", 1)

    page = text_of(signed_in("bob"), "/repositories/alice/app?sort=newest")

    assert "newest" not in page
    assert order(page, ["alice/app/-/a", "alice/app/-/b"]) == ["alice/app/-/a", "alice/app/-/b"]


def test_a_repository_shows_who_pushed_and_how_it_is_used(push: Push) -> None:
    push()
    today = datetime.now(UTC).date()
    DailyUse.objects.create(repository="alice/app", day=today, pulls=40, pushes=1)
    DailyUse.objects.create(repository="alice/app", day=today - timedelta(days=29), pulls=2)
    DailyUse.objects.create(repository="alice/app", day=today - timedelta(days=31), pulls=1000)
    Repository.objects.update(size=2048, pulled_at=NOW)

    page = text_of(signed_in("bob"), "/repositories/alice/app")

    for words in ("42 pulls and 1 push in 30 days", f"{today}: 40 pulls, 1 push", "2.0 KiB", "by alice"):
        assert words in page
    assert 'id="pull">docker pull testserver/alice/app:v1<' in page


def test_a_tag_pushed_before_who_pushed_was_known(push: Push) -> None:
    push()
    Tag.objects.update(pushed_by=None)

    assert "by unknown" not in text_of(signed_in("bob"), "/repositories/alice/app")


@pytest.mark.parametrize(
    ("kind", "program"),
    [("application/vnd.cncf.helm.config.v1+json", "helm pull oci://testserver/alice/app --version v1")],
)
def test_the_command_is_of_the_client_for_its_kind(alice: Caller, kind: str, program: str) -> None:
    push_config(alice, "alice/app", "v1", {}, artifactType=kind)
    push_config(alice, "alice/sbom", "v1", {}, artifactType="application/spdx+json")
    browser = signed_in("alice")

    assert program in text_of(browser, "/repositories/alice/app")
    assert "oras pull testserver/alice/sbom:v1" in text_of(browser, "/repositories/alice/sbom")


def test_the_links_to_change_something_are_for_who_may(push: Push) -> None:
    push()
    links = ("/-/v1/delete", "/~/delete", "/~/description")

    alice, bob = (text_of(signed_in(name), "/repositories/alice/app") for name in ("alice", "bob"))

    assert all(f"/repositories/alice/app{link}" in alice for link in links)
    assert not any(f'/repositories/alice/app{link}"' in bob for link in links)
    assert "/repositories/alice/app/-/v1/history" in bob


def test_more_repositories_than_can_be_sorted_stay_by_name(several: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MAX_SORTED", len(several) - 1)

    page = text_of(signed_in("bob"), "/?sort=size")

    assert order(page, several) == several
    assert "Sort by" not in page


def test_a_sorted_list_is_read_once(several: list[str]) -> None:
    bob = signed_in("bob")
    Rule.objects.filter(subject="bob").update(name="alice/d")

    read = [sql for sql in statements(lambda: bob.get("/?sort=size")) if "COALESCE" in sql.upper() and "key" in sql]

    assert len(read) == 1


def test_a_digest_is_looked_for_in_a_bounded_number_of_repositories(
    push: Push, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = {push(f"alice/r{number}", "v1", b"the same").digest for number in range(5)}
    (digest,) = digests
    bob = signed_in("bob")
    assert text_of(bob, f"/?q={digest}").count('href="/repositories/alice/r') == 5

    monkeypatch.setattr("distribution.repositories.MAX_SEARCHED", 4)

    assert text_of(bob, f"/?q={digest}").count('href="/repositories/alice/r') == 4


def test_a_digest_of_others_is_not_found(push: Push, alice: Caller) -> None:
    image = push("alice/app", "v1")

    for digest in (image.digest, image.layers[0]):
        assert "No repository" in text_of(signed_in("charlie"), f"/?q={digest}")
        assert 'href="/repositories/alice/app' in text_of(signed_in("bob"), f"/?q={digest}")
