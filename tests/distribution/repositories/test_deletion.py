"""A whole repository is deleted: gone at once for everybody, in transactions of a bounded size."""

from collections.abc import Callable
from pathlib import Path

import pytest

from acl.names import RepositoryName, parse_name
from core.api.errors import RegistryError
from distribution import deletion
from distribution.deletion import Contents, Removed
from distribution.models import Blob, Link, Manifest, Repository, Tag, Trash, Upload
from tests.caller import Caller
from tests.distribution.invariants import broken
from tests.distribution.sessions import finish, start
from tests.images import Image, descriptor, digest_of, index, manifest, push_blob, put_manifest

APP = RepositoryName("alice/app")
Push = Callable[..., Image]


def delete(name: RepositoryName = APP) -> list[Removed]:
    """Delete a repository to the end, and return what each transaction removed."""
    return list(deletion.steps(deletion.begin(name)))


@pytest.fixture
def full_repository(disk: Path, alice: Caller, push: Push) -> Image:
    """Have an image, an index of it, a referrer and an open upload in alice/app."""
    image = push(APP, "v1")
    put_manifest(alice, APP, "all", index(image.payload))
    signature = manifest(b"{}", subject=descriptor(image.payload))
    push_blob(alice, APP, b"{}")
    put_manifest(alice, APP, digest_of(signature), signature)
    alice.patch(start(alice, APP), b"begun")
    return image


def test_nothing_is_found_from_the_first_transaction_on(full_repository: Image, alice: Caller) -> None:
    session = start(alice, APP)

    deletion.begin(APP)

    assert alice.get("/v2/_catalog").json() == {"repositories": []}
    paths = ("tags/list", "manifests/v1", f"manifests/{full_repository.digest}", f"blobs/{full_repository.config}")
    assert {alice.get(f"/v2/{APP}/{path}").status_code for path in paths} == {404}
    assert alice.patch(session, b"more").status_code == 404
    assert alice.get(f"/v2/{APP}/referrers/{full_repository.digest}").json()["manifests"] == []


def test_nothing_is_left_in_the_end_but_objects_for_the_trash(full_repository: Image, disk: Path) -> None:
    keys = set(Blob.objects.values_list("key", flat=True))

    delete()

    for model in (Repository, Tag, Manifest, Link, Blob, Upload):
        assert not model._default_manager.exists(), model
    assert keys <= set(Trash.objects.values_list("key", flat=True))
    assert broken(disk) == []


def test_what_another_repository_shares_stays_there(full_repository: Image, push: Push, alice: Caller) -> None:
    push("alice/other", "v1")

    delete()

    assert alice.get("/v2/alice/other/manifests/v1").status_code == 200
    assert alice.head(f"/v2/alice/other/blobs/{full_repository.config}").status_code == 200


def test_what_is_its_own_and_what_is_shared_is_told_apart(push: Push) -> None:
    images = push(APP, "v1", b"own" * 100), push(APP, "v2", b"shared" * 100)
    push("alice/other", "v1", b"shared" * 100)

    found = deletion.contents(Repository.objects.get(name=APP).pk)

    own, shared = (Blob.objects.get(digest=image.config).size for image in images)
    assert found == Contents(2, 2, 4, 0, own_bytes=300 + own, shared_bytes=600 + shared)


def test_each_transaction_removes_a_bounded_number_of_rows(push: Push, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("TAGS", "LINKS", "MANIFESTS"):
        monkeypatch.setattr(deletion, kind, 2)
    for number in range(5):
        push(APP, f"v{number}", b"layer %d" % number)

    steps = delete()

    assert max(step.rows for step in steps) == 2
    total = Removed()
    for step in steps:
        total.add(step)
    assert (total.tags, total.manifests, total.links, total.blobs) == (5, 5, 10, 10)


def test_large_manifests_are_removed_fewer_at_a_time(push: Push, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletion, "MANIFEST_BYTES", 1)
    for number in range(3):
        push(APP, f"v{number}", b"layer %d" % number)

    assert [step.manifests for step in delete() if step.manifests] == [1, 1, 1]


def test_a_push_that_comes_while_the_old_rows_go_stays(full_repository: Image, push: Push, alice: Caller) -> None:
    rest = deletion.steps(deletion.begin(APP))
    next(rest)

    push(APP, "v1")
    list(rest)

    assert alice.get("/v2/_catalog").json() == {"repositories": [APP]}
    assert alice.head(f"/v2/{APP}/blobs/{full_repository.config}").status_code == 200
    assert Repository.objects.get().name == APP


def test_a_session_of_the_deleted_repository_can_not_be_finished(full_repository: Image, alice: Caller) -> None:
    session = start(alice, APP)

    delete()

    assert finish(alice, session, digest_of(b"late"), b"late").status_code == 404


def test_a_name_that_is_there_twice_over_is_deleted_twice(push: Push) -> None:
    push(APP, "v1")
    deletion.begin(APP)
    push(APP, "v1")

    deletion.begin(APP)

    assert [deletion.original_name(row) for row in deletion.unfinished()] == [APP, APP]


@pytest.mark.django_db
def test_the_longest_name_can_be_deleted() -> None:
    name = parse_name("a" * 255)
    Repository.objects.create(name=name)

    assert delete(name) == []
    assert not Repository.objects.exists()


@pytest.mark.django_db
def test_what_is_not_there_can_not_be_deleted() -> None:
    with pytest.raises(RegistryError, match="NAME_UNKNOWN"):
        deletion.begin(APP)
