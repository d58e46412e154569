"""The history of tags: who created, moved and deleted them, and the way back."""

from collections.abc import Callable

import pytest

from accounts.models import Account
from acl.models import Rule
from acl.names import RepositoryName
from core.api.errors import RegistryError
from distribution import deletion, tags
from distribution.manifests import history
from distribution.models import Manifest, Repository, Tag, TagMove
from distribution.protocol.digest import Digest, parse_digest
from distribution.protocol.references import parse_tag
from tests.caller import Caller
from tests.distribution.test_statements import statements
from tests.images import Image, digest_of, index, put_manifest

Push = Callable[..., Image]
NAME, V1 = RepositoryName("alice/app"), parse_tag("v1")


def moves() -> list[tuple[str, str, str, str]]:
    """Return tag, from, to and account of every move, the oldest first."""
    return list(TagMove.objects.order_by("pk").values_list("tag", "old_digest", "new_digest", "account"))


def test_a_tag_is_created_moved_and_deleted(alice: Caller, push: Push) -> None:
    first = push("alice/app", "v1", b"one").digest
    second = push("alice/app", "v1", b"two").digest
    alice.delete("/v2/alice/app/manifests/v1")

    assert moves() == [("v1", "", first, "alice"), ("v1", first, second, "alice"), ("v1", second, "", "alice")]
    assert set(TagMove.objects.values_list("repository", flat=True)) == {"alice/app"}


def test_a_tag_that_is_put_again_has_not_moved(alice: Caller, push: Push) -> None:
    image = push()
    put_manifest(alice, "alice/app", "v1", image.payload)

    assert len(moves()) == 1


def test_the_tags_of_one_request_are_all_recorded(alice: Caller, push: Push) -> None:
    old, new = push("alice/app", "moves", b"one"), push("alice/app", "stays", b"two")
    TagMove.objects.all().delete()

    put_manifest(alice, "alice/app", f"{new.digest}?tag=moves&tag=stays&tag=b&tag=a", new.payload)

    assert moves() == [("moves", old.digest, new.digest, "alice"), *((t, "", new.digest, "alice") for t in "ab")]


def test_more_tags_than_one_statement_takes_are_recorded(
    alice: Caller, push: Push, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = push()
    monkeypatch.setattr(history, "ROWS", 2)

    put_manifest(alice, "alice/app", f"{image.digest}?tag=a&tag=b&tag=c&tag=d&tag=e", image.payload)

    assert [tag for tag, *_ in moves()] == ["v1", "a", "b", "c", "d", "e"]


def test_a_deleted_manifest_leaves_a_row_for_each_of_its_tags(alice: Caller, push: Push) -> None:
    image = push()
    put_manifest(alice, "alice/app", "v2", image.payload)
    TagMove.objects.all().delete()

    alice.delete(f"/v2/alice/app/manifests/{image.digest}")

    assert sorted(moves()) == [("v1", image.digest, "", "alice"), ("v2", image.digest, "", "alice")]


def test_a_refused_put_or_deletion_leaves_no_row(alice: Caller, push: Push) -> None:
    image = push()
    put_manifest(alice, "alice/app", "all", index(image.payload))
    before = moves()

    assert put_manifest(alice, "alice/app", "v1", index(b"{}")).status_code == 400
    assert alice.delete(f"/v2/alice/app/manifests/{image.digest}").status_code == 409

    assert moves() == before


def test_the_admins_bulk_deletion_is_recorded_for_all_repositories(push: Push) -> None:
    one, two = push("alice/app", "v1", b"one"), push("alice/other", "v2", b"two")
    TagMove.objects.all().delete()

    tags.delete_rows(list(Tag.objects.values_list("pk", flat=True)), account="root")

    assert sorted(moves()) == [("v1", one.digest, "", "root"), ("v2", two.digest, "", "root")]


def test_who_pushed_is_with_tag_and_manifest(alice: Caller, push: Push) -> None:
    push()

    assert Tag.objects.get().pushed_by == "alice"
    assert Manifest.objects.get().pushed_by == "alice"


def test_a_tag_put_again_needs_no_further_statement_and_a_moved_one_a_single_one(alice: Caller, push: Push) -> None:
    one, two = push("alice/app", "v1", b"one"), push("alice/app", "v2", b"two")
    again = statements(lambda: put_manifest(alice, "alice/app", "v1", one.payload))
    moved = statements(lambda: put_manifest(alice, "alice/app", "v1", two.payload))

    assert not [sql for sql in again if "tagmove" in sql]
    assert len([sql for sql in moved if "tagmove" in sql]) == 1


def test_the_history_is_read_in_pages_and_says_what_is_still_here(alice: Caller, push: Push) -> None:
    first, second = push("alice/app", "v1", b"one").digest, push("alice/app", "v1", b"two").digest
    push("alice/app", "v1", b"three")
    alice.delete(f"/v2/alice/app/manifests/{first}")

    page = history.moves(NAME, "v1", 2)
    rest = history.moves(NAME, "v1", 2, page.rows[-1].pk)

    assert [row.old_digest for row in page.rows] == [second, first]
    assert (page.has_more, rest.has_more) == (True, False)
    assert [row.old_digest for row in rest.rows] == [""]
    assert (second in page.present, first in page.present) == (True, False)


def test_deleted_tags_are_found_a_few_at_a_time(alice: Caller, push: Push) -> None:
    image = push("alice/app", "a")
    for tag in ("b", "c", "d"):
        push("alice/app", tag)
    alice.delete("/v2/alice/app/manifests/a")
    alice.delete("/v2/alice/app/manifests/d")
    alice.delete("/v2/alice/app/manifests/c")
    put_manifest(alice, "alice/app", "c", image.payload)

    first, after = history.deleted_tags(NAME, "", 3)
    second, end = history.deleted_tags(NAME, after, 3)

    assert [(tag.name, tag.digest, tag.account) for tag in first] == [("a", image.digest, "alice")]
    assert after == "c"
    assert [tag.name for tag in second] == ["d"]
    assert end == ""


def test_a_tag_is_rolled_back_and_can_be_pulled(alice: Caller, push: Push) -> None:
    first, second = push("alice/app", "v1", b"one"), push("alice/app", "v1", b"two")

    assert tags.point(NAME, V1, parse_digest(first.digest), account="bob", rules=None)

    assert alice.get("/v2/alice/app/manifests/v1").content == first.payload
    assert moves()[-1] == ("v1", second.digest, first.digest, "bob")
    assert Tag.objects.get().pushed_by == "bob"
    idle = dict(Manifest.objects.values_list("digest", "is_unreferenced"))
    assert idle == {first.digest: False, second.digest: True}


def test_a_deleted_tag_comes_back(alice: Caller, push: Push) -> None:
    image = push()
    alice.delete("/v2/alice/app/manifests/v1")

    tags.point(NAME, V1, parse_digest(image.digest), account="alice", rules=None)

    assert alice.get("/v2/alice/app/manifests/v1").content == image.payload
    assert moves()[-1] == ("v1", "", image.digest, "alice")
    assert not Manifest.objects.get().is_unreferenced


def test_a_roll_back_to_what_the_tag_has_changes_nothing(push: Push) -> None:
    image = push()

    assert not tags.point(NAME, V1, parse_digest(image.digest), account="bob", rules=None)

    assert len(moves()) == 1
    assert Tag.objects.get().pushed_by == "alice"


@pytest.mark.parametrize("name", ["alice/app", "alice/other", "alice/missing"])
def test_a_manifest_that_is_not_in_the_repository_is_refused(push: Push, name: str) -> None:
    push()
    push("alice/other", "v1", b"else")
    gone = Digest.of(b"never pushed")

    with pytest.raises(RegistryError) as caught:
        tags.point(RepositoryName(name), V1, gone, account="alice", rules=None)

    assert caught.value.code.name == ("NAME_UNKNOWN" if "missing" in name else "MANIFEST_UNKNOWN")
    assert not Repository.objects.filter(name="alice/missing").exists()
    assert Tag.objects.get(repository__name="alice/app").manifest.digest != str(gone)


def test_a_repositorys_deletion_writes_no_row_for_each_tag(push: Push) -> None:
    push()
    pk = deletion.begin(NAME)
    list(deletion.steps(pk))

    assert len(moves()) == 1


def test_anonymous_pushes_have_no_account(alice: Caller, push: Push, anonymous: Caller) -> None:
    Rule.objects.create(subject_kind="anonymous", subject="", name="public/*", actions="*")
    image = push("public/tool", "v1")
    put_manifest(anonymous, "public/tool", "v2", image.payload)

    assert moves()[-1] == ("v2", "", digest_of(image.payload), "")
    assert Tag.objects.get(name="v2").pushed_by == ""
    assert Account.objects.count() == 3
