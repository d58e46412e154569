"""What a deletion will free: own bytes, shared bytes, and why a manifest stays."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from distribution.manifests import freed
from distribution.manifests.freed import Freed, Keeps, Policy
from distribution.models import Manifest, Repository
from tests.caller import Caller
from tests.distribution.test_statements import statements
from tests.images import Image, descriptor, digest_of, index, manifest, push_blob, put_manifest

Push = Callable[..., Image]
KEEPS = Policy(timedelta(hours=24), removes_untagged=False, is_automatic=True)
REMOVES = Policy(timedelta(hours=24), removes_untagged=True, is_automatic=True)
LAYER = b"a layer of the image"


def repository(name: str = "alice/app") -> int:
    return Repository.objects.get(name=name).pk


def pk_of(digest: str) -> int:
    return Manifest.objects.get(digest=digest).pk


def size_of(image: Image, name: str = "alice/app") -> int:
    """Return the bytes of an image's blobs."""
    rows = Manifest.objects.get(digest=image.digest, repository__name=name).blobs
    return sum(rows.values_list("link__blob__size", flat=True))


def test_a_manifest_frees_its_own_blobs(push: Push) -> None:
    image = push("alice/app", "v1", LAYER)

    found = freed.by_manifest(repository(), pk_of(image.digest), KEEPS, sees_others=True)

    assert found == Freed(manifests=1, own_bytes=size_of(image))


def test_a_layer_of_another_manifest_stays(alice: Caller, push: Push) -> None:
    image = push("alice/app", "v1", LAYER)
    push_blob(alice, "alice/app", b"{}")
    put_manifest(alice, "alice/app", "v2", manifest(b"{}", LAYER))

    found = freed.by_manifest(repository(), pk_of(image.digest), KEEPS, sees_others=True)

    assert (found.own_bytes, found.shared_bytes) == (size_of(image) - len(LAYER), len(LAYER))
    assert (found.manifests_sharing, found.repositories_sharing) == (1, 0)


def test_a_blob_of_another_repository_stays(push: Push) -> None:
    push("alice/other", "v1", LAYER)
    image = push("alice/app", "v1", LAYER)

    found = freed.by_manifest(
        repository(), Manifest.objects.get(repository__name="alice/app").pk, KEEPS, sees_others=True
    )

    assert (found.own_bytes, found.shared_bytes) == (0, size_of(image))
    assert (found.manifests_sharing, found.repositories_sharing) == (0, 1)


def test_what_a_manifest_frees_is_what_a_collection_removes(alice: Caller, push: Push) -> None:
    """The estimate is compared with the rows that the deletion leaves unreferenced."""
    image = push("alice/app", "v1", LAYER)
    push_blob(alice, "alice/app", b"{}")
    put_manifest(alice, "alice/app", "v2", manifest(b"{}", LAYER))
    found = freed.by_manifest(repository(), pk_of(image.digest), KEEPS, sees_others=True)

    alice.delete(f"/v2/alice/app/manifests/{image.digest}")

    links = Repository.objects.get().links.filter(is_unreferenced=True)
    assert sum(links.values_list("blob__size", flat=True)) == found.own_bytes


@pytest.mark.parametrize(("policy", "keeps"), [(KEEPS, Keeps.POLICY), (REMOVES, None)])
def test_a_tag_frees_its_manifest_where_untagged_ones_are_removed(
    push: Push, policy: Policy, keeps: Keeps | None
) -> None:
    image = push("alice/app", "v1", LAYER)

    found = freed.by_tag(repository(), "v1", policy, sees_others=True)

    assert found.keeps is keeps
    assert found.own_bytes == (0 if keeps else size_of(image))


def test_another_tag_keeps_the_manifest(alice: Caller, push: Push) -> None:
    put_manifest(alice, "alice/app", "v2", push().payload)

    assert freed.by_tag(repository(), "v1", REMOVES, sees_others=True) == Freed(keeps=Keeps.TAGS)


def test_an_index_keeps_the_manifest(alice: Caller, push: Push) -> None:
    put_manifest(alice, "alice/app", "all", index(push().payload))

    assert freed.by_tag(repository(), "v1", REMOVES, sees_others=True) == Freed(keeps=Keeps.INDEXES)


def test_a_subject_keeps_its_referrer(alice: Caller, push: Push) -> None:
    put_manifest(alice, "alice/app", "about", index(subject=descriptor(push().payload)))

    assert freed.by_tag(repository(), "about", REMOVES, sees_others=True) == Freed(keeps=Keeps.SUBJECT)


def test_a_repository_keeps_untagged_manifests(push: Push) -> None:
    push()
    Repository.objects.update(keeps_untagged=True)

    assert freed.by_tag(repository(), "v1", REMOVES, sees_others=True) == Freed(keeps=Keeps.REPOSITORY)


def test_a_tag_that_is_missing_frees_nothing(push: Push) -> None:
    push()

    assert freed.by_tag(repository(), "v2", REMOVES, sees_others=True) == Freed()


def test_children_and_referrers_go_with_an_index_unless_something_else_keeps_them(alice: Caller, push: Push) -> None:
    one, two = push("alice/app", "one", b"1" * 50), push("alice/app", "two", b"2" * 60)
    alice.delete("/v2/alice/app/manifests/one")
    whole = index(one.payload, two.payload)
    put_manifest(alice, "alice/app", "all", whole)
    about = index(subject=descriptor(whole))
    put_manifest(alice, "alice/app", digest_of(about), about)
    put_manifest(alice, "alice/app", "kept", index(subject=descriptor(about)))

    found = freed.by_tag(repository(), "all", REMOVES, sees_others=True)

    # The index, its untagged child and its referrer: `two` and what is about the referrer have tags.
    assert (found.manifests, found.own_bytes) == (3, size_of(one))
    assert freed.by_manifest(repository(), pk_of(digest_of(whole)), KEEPS, sees_others=True).manifests == 1


def test_a_shared_child_stays_with_the_other_index(alice: Caller, push: Push) -> None:
    image = push("alice/app", "one", LAYER)
    alice.delete("/v2/alice/app/manifests/one")
    put_manifest(alice, "alice/app", "a", index(image.payload))
    put_manifest(alice, "alice/app", "b", index(image.payload, image.payload))

    assert freed.by_tag(repository(), "a", REMOVES, sees_others=True) == Freed(manifests=1)


def test_a_repository_frees_what_no_other_one_links(push: Push) -> None:
    push("alice/other", "v1", LAYER)
    push("alice/app", "v1", LAYER)
    own = push("alice/app", "v2", b"of its own")

    found = freed.by_repository(repository(), sees_others=True)

    assert found.own_bytes == size_of(own)
    assert found.shared_bytes == size_of(Image("", b"", Manifest.objects.all()[0].digest, "", ()), "alice/other")
    assert (found.repositories_sharing, found.is_complete) == (1, True)


@pytest.mark.parametrize("bound", ["MAX_LINKS", "MAX_MANIFESTS"])
def test_an_estimate_ends_at_its_bound(alice: Caller, push: Push, monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    image = push("alice/app", "one", LAYER)
    alice.delete("/v2/alice/app/manifests/one")
    put_manifest(alice, "alice/app", "all", index(image.payload))
    monkeypatch.setattr(freed, bound, 1)

    found = freed.by_tag(repository(), "all", REMOVES, sees_others=True)

    assert not found.is_complete
    assert bound == "MAX_MANIFESTS" or 0 < found.own_bytes < size_of(image)


def test_an_estimate_asks_few_statements(push: Push) -> None:
    image = push("alice/app", "v1", LAYER)
    pk, manifest_pk = repository(), pk_of(image.digest)

    assert len(statements(lambda: freed.by_tag(pk, "v1", REMOVES, sees_others=True))) <= 14
    assert len(statements(lambda: freed.by_manifest(pk, manifest_pk, KEEPS, sees_others=True))) <= 5
    assert len(statements(lambda: freed.by_repository(pk, sees_others=True))) <= 3


def test_an_estimate_for_strangers_is_the_same_whatever_other_repositories_have(push: Push) -> None:
    image = push("alice/app", "v1", LAYER)
    pk = pk_of(image.digest)

    def estimates() -> list[Freed]:
        return [
            freed.by_tag(repository(), "v1", REMOVES, sees_others=False),
            freed.by_manifest(repository(), pk, KEEPS, sees_others=False),
            freed.by_repository(repository(), sees_others=False),
        ]

    before = estimates()
    push("alice/other", "v1", LAYER)

    assert estimates() == before
    assert {found.own_bytes for found in before} == {size_of(image)}
    assert {found.repositories_sharing for found in before} == {None}


def test_an_estimate_for_strangers_knows_the_manifests_of_its_own_repository(alice: Caller, push: Push) -> None:
    image = push("alice/app", "v1", LAYER)
    push_blob(alice, "alice/app", b"{}")
    put_manifest(alice, "alice/app", "v2", manifest(b"{}", LAYER))

    found = freed.by_manifest(repository(), pk_of(image.digest), KEEPS, sees_others=False)

    assert (found.own_bytes, found.shared_bytes, found.manifests_sharing) == (
        size_of(image) - len(LAYER),
        len(LAYER),
        1,
    )


def test_an_empty_repository_frees_nothing(push: Push) -> None:
    push("alice/app", "v1", LAYER)
    pk = Repository.objects.create(name="alice/empty").pk

    assert freed.by_repository(pk, sees_others=False) == Freed(repositories_sharing=None)
