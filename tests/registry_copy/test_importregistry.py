"""`manage.py importregistry`: what was pulled from the other registry is pulled from this one, byte for byte."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from acl.names import RepositoryName
from distribution.models import Blob, Link, Manifest, QuotaUse, Repository, Tag, TagMove, Trash
from distribution.usage.quotas import Room
from policies.models import Quota
from tests.caller import Caller, content
from tests.distribution.invariants import broken
from tests.images import digest_of, push_image
from tests.registry_copy.conftest import Ran, manage
from tests.registry_copy.source import NAME, SourceTree

Import = Callable[..., Ran]
KIB = 1024
OCI = "application/vnd.oci.image.manifest.v1+json"

pytestmark = pytest.mark.usefixtures("disk")


def pulled(caller: Caller, reference: str, name: str = NAME) -> tuple[bytes, str]:
    """Return a manifest and its media type."""
    response = caller.get(f"/v2/{name}/manifests/{reference}")
    assert response.status_code == 200, response.content
    return content(response), response.headers["Content-Type"]


def assert_consistent(disk: Path) -> None:
    assert broken(disk) == []
    assert manage("fsck", "--deep").output.startswith("no problems")


def test_an_image_and_an_index_are_pulled_by_tag_and_digest(
    disk: Path, alice: Caller, source: SourceTree, imported: Import
) -> None:
    one, other = source.push_image(b"one", "v1", "latest"), source.push_image(b"other")
    index = source.push_index(one, other, tags=("multi",))

    ran = imported()

    assert ran.status == 0, ran.output
    assert "imported from 1 repository: 3 manifests, 3 new tags, 0 moved tags, 4 blobs" in ran.output
    assert pulled(alice, "v1") == pulled(alice, "latest") == (one, OCI)
    assert pulled(alice, "multi")[0] == index
    for payload in (one, other, index):
        assert pulled(alice, digest_of(payload))[0] == payload
    for blob in (b"one", b"other", b'{"of": "one"}'):
        assert content(alice.get(f"/v2/{NAME}/blobs/{digest_of(blob)}")) == blob
    assert Repository.objects.get().is_listed
    assert Repository.objects.get().size == sum(Blob.objects.values_list("size", flat=True))
    assert not Trash.objects.exists()
    assert_consistent(disk)


def test_the_source_is_only_read_and_its_files_are_linked(
    disk: Path, cast: None, source: SourceTree, imported: Import
) -> None:
    source.push_image(b"one", "v1")
    before = source.files()

    assert imported().status == 0

    assert source.files() == before
    assert [(disk / blob.key).samefile(source.data(blob.digest)) for blob in Blob.objects.all()] == [True, True]


def test_a_deletion_here_leaves_the_linked_file_as_it_was(
    disk: Path, alice: Caller, source: SourceTree, imported: Import
) -> None:
    payload = source.push_image(b"one", "v1")
    before = source.files()
    imported()

    alice.delete(f"/v2/{NAME}/manifests/{digest_of(payload)}")
    alice.delete(f"/v2/{NAME}/blobs/{digest_of(b'one')}")
    Trash.objects.update(delete_after="2020-01-01T00:00:00Z")
    manage("gc")

    assert not Blob.objects.filter(digest=digest_of(b"one")).exists()
    assert len(list(disk.glob("objects/*/*"))) == 1
    assert source.files() == before


def test_a_copy_shares_no_file(disk: Path, alice: Caller, source: SourceTree, imported: Import) -> None:
    source.push_image(b"one", "v1")

    ran = imported("--copy", "--verify")

    assert ran.status == 0, ran.output
    assert {path.stat().st_nlink for path in disk.glob("objects/*/*")} == {1}
    assert content(alice.get(f"/v2/{NAME}/blobs/{digest_of(b'one')}")) == b"one"
    assert_consistent(disk)


def test_a_move_deletes_the_files_of_the_blobs_once_nothing_is_left_out(
    disk: Path, alice: Caller, source: SourceTree, imported: Import
) -> None:
    payload = source.push_image(b"one", "v1")
    source.push_image(b"one", "v1", name="alice/other")
    source.push_manifest(b"{", "broken")

    assert "nothing was deleted" in imported("--move").output
    assert source.data(digest_of(b"one")).exists()
    source.tag_link("broken").unlink()
    source.tag_link("broken").parent.rmdir()
    source.tag_link("broken").parents[1].joinpath("index").rename(source.root / "away")
    source.tag_link("broken").parents[1].rmdir()
    source.revision_link(digest_of(b"{")).unlink()
    ran = imported("--move")

    assert ran.status == 0, ran.output
    assert "2 files of " in ran.output
    assert not source.data(digest_of(b"one")).exists()
    assert source.data(digest_of(payload)).exists()
    assert content(alice.get(f"/v2/alice/other/blobs/{digest_of(b'one')}")) == b"one"
    assert imported("--move").status == 0


def test_a_move_keeps_the_files_of_blobs_whose_objects_are_lost_here(
    disk: Path, alice: Caller, source: SourceTree, imported: Import
) -> None:
    source.push_image(b"one", "v1")
    imported()
    (disk / Blob.objects.get(digest=digest_of(b"one")).key).unlink()

    assert "1 file of " in imported("--move").output

    assert source.data(digest_of(b"one")).exists()


def test_a_move_takes_all_repositories(cast: None, imported: Import) -> None:
    ran = imported("--move", "--repository", "alice/*")

    assert ran.status == 1
    assert "leave out --repository" in ran.output


def test_a_dry_run_changes_nothing(disk: Path, cast: None, source: SourceTree, imported: Import) -> None:
    source.push_image(b"one", "v1")

    ran = imported("--dry-run")

    assert ran.status == 0, ran.output
    assert "would be imported from 1 repository: 1 manifest, 1 new tag, 0 moved tags, 2 blobs" in ran.output
    assert [rows.objects.count() for rows in (Repository, Blob, Trash)] == [0, 0, 0]
    assert list(disk.glob("objects/*/*")) == []


@pytest.mark.parametrize("below", ["", "docker", "docker/registry", "docker/registry/v2"])
def test_the_folder_may_be_any_above_the_tree(below: str, cast: None, source: SourceTree, imported: Import) -> None:
    source.push_image(b"one", "v1")

    assert imported(folder=str(source.root / below)).status == 0

    assert Tag.objects.count() == 1


def test_only_repositories_of_the_glob_are_taken(cast: None, source: SourceTree, imported: Import) -> None:
    for name in ("alice/app", "alice/app/deeper", "bob/app"):
        source.push_image(b"one", "v1", name=name)

    assert imported("--repository", "alice/*").status == 0

    assert set(Repository.objects.values_list("name", flat=True)) == {"alice/app", "alice/app/deeper"}


# --- again -----------------------------------------------------------------------------------------
def test_another_run_takes_what_came_since(disk: Path, alice: Caller, source: SourceTree, imported: Import) -> None:
    first = source.push_image(b"one", "v1", "moves")
    imported()
    second = source.push_image(b"two", "v2", "moves")

    ran = imported()

    assert ran.status == 0, ran.output
    assert "1 manifest, 1 new tag, 1 moved tag, 2 blobs" in ran.output
    assert [pulled(alice, tag)[0] for tag in ("v1", "v2", "moves")] == [first, second, second]
    moves = TagMove.objects.filter(tag="moves").order_by("pk").values_list("old_digest", "new_digest")
    assert list(moves) == [("", digest_of(first)), (digest_of(first), digest_of(second))]
    assert "0 manifests, 0 new tags, 0 moved tags, 0 blobs" in imported().output
    assert_consistent(disk)


def test_a_tag_that_was_moved_here_later_stays_and_is_said(alice: Caller, source: SourceTree, imported: Import) -> None:
    source.push_image(b"one", "v1")
    imported()
    here = push_image(alice, NAME, "v1", b"pushed here").payload

    ran = imported()

    assert ran.status == 0, ran.output
    assert f"kept: {NAME}:v1: it was moved here later" in ran.output
    assert pulled(alice, "v1")[0] == here


def test_a_tag_that_was_moved_there_later_moves(alice: Caller, source: SourceTree, imported: Import) -> None:
    push_image(alice, NAME, "v1", b"pushed here")
    time.sleep(0.01)
    there = source.push_image(b"one", "v1")

    assert imported().status == 0

    assert pulled(alice, "v1")[0] == there


def test_a_tag_that_was_deleted_here_later_stays_deleted(alice: Caller, source: SourceTree, imported: Import) -> None:
    source.push_image(b"one", "v1")
    imported()
    assert alice.delete(f"/v2/{NAME}/manifests/v1").status_code == 202

    ran = imported()

    assert ran.status == 0, ran.output
    assert f"kept: {NAME}:v1: it was deleted here later" in ran.output
    assert alice.get(f"/v2/{NAME}/manifests/v1").status_code == 404


def test_times_of_the_other_registry_are_kept_but_none_of_the_future(
    cast: None, source: SourceTree, imported: Import
) -> None:
    payload = source.push_image(b"one", "v1", "later")
    link = source.tag_link("v1")
    os.utime(link, (1_600_000_000, 1_600_000_000))
    os.utime(source.revision_link(digest_of(payload)), (1_600_000_000, 1_600_000_000))
    os.utime(source.tag_link("later"), (9_000_000_000, 9_000_000_000))

    imported()

    assert Tag.objects.get(name="v1").updated_at.timestamp() == 1_600_000_000
    assert Manifest.objects.get().created_at.timestamp() == 1_600_000_000
    assert Manifest.objects.get().last_used_at.timestamp() > time.time() - 60
    assert Tag.objects.get(name="later").updated_at.timestamp() < time.time() + 60


# --- what else a registry has ----------------------------------------------------------------------
def test_referrers_are_listed_and_the_fallback_tag_is_pulled(
    disk: Path, alice: Caller, source: SourceTree, imported: Import
) -> None:
    image = source.push_image(b"one", "v1")
    subject = {"mediaType": OCI, "digest": digest_of(image), "size": len(image)}
    signature = source.push_image(b"signature", subject=subject, artifactType="application/x-signature")
    fallback = source.push_index(signature, tags=(digest_of(image).replace(":", "-"),))

    assert imported().status == 0

    listed = json.loads(content(alice.get(f"/v2/{NAME}/referrers/{digest_of(image)}")))["manifests"]
    assert [(one["digest"], one["artifactType"]) for one in listed] == [
        (digest_of(signature), "application/x-signature")
    ]
    assert pulled(alice, digest_of(image).replace(":", "-"))[0] == fallback
    assert_consistent(disk)


def test_sha512_and_manifests_without_a_media_type_are_taken(
    disk: Path, alice: Caller, source: SourceTree, imported: Import
) -> None:
    digest = source.push_blob(b"long", algorithm="sha512")
    image: dict[str, Any] = json.loads(source.push_image(b"one"))
    image["layers"].append({"mediaType": "application/x", "digest": digest, "size": 4})
    del image["mediaType"]
    payload = json.dumps(image).encode()
    long = source.push_manifest(payload, "v1", algorithm="sha512")
    bare = json.dumps({"schemaVersion": 2, "manifests": [{"mediaType": OCI, "digest": long, "size": len(payload)}]})
    source.push_manifest(bare.encode(), "index")

    ran = imported("--verify")

    assert ran.status == 0, ran.output
    assert pulled(alice, "v1") == pulled(alice, long) == (payload, OCI)
    assert pulled(alice, "index")[1] == "application/vnd.oci.image.index.v1+json"
    assert content(alice.get(f"/v2/{NAME}/blobs/{digest}")) == b"long"
    assert_consistent(disk)


def test_a_blob_of_two_repositories_is_stored_once_and_one_that_is_here_is_linked(
    disk: Path, alice: Caller, source: SourceTree, imported: Import
) -> None:
    push_image(alice, "alice/here", "v1", b"shared")
    for name in ("alice/app", "alice/other"):
        source.push_image(b"shared", "v1", name=name)

    ran = imported()

    assert "2 manifests, 2 new tags, 0 moved tags, 1 blob with" in ran.output
    assert Link.objects.filter(blob__digest=digest_of(b"shared")).count() == 3
    assert_consistent(disk)


def test_a_layer_of_no_manifest_is_linked_and_one_of_no_repository_is_counted(
    disk: Path, alice: Caller, source: SourceTree, imported: Import
) -> None:
    source.push_blob(b"a push goes on")
    source.store(b"nobody has it")

    ran = imported()

    assert ran.status == 0, ran.output
    assert f"1 blob of {source.root} not taken: no repository links them" in ran.output
    assert Link.objects.get().is_unreferenced
    assert content(alice.get(f"/v2/{NAME}/blobs/{digest_of(b'a push goes on')}")) == b"a push goes on"
    assert_consistent(disk)


def test_what_was_deleted_there_is_no_fault(disk: Path, cast: None, source: SourceTree, imported: Import) -> None:
    payload = source.push_image(b"kept", "v1")
    deleted = source.push_image(b"deleted")
    source.revision_link(digest_of(deleted)).unlink()
    source.layer_link(digest_of(b"deleted")).unlink()
    (source.v2 / "repositories/alice/app/_uploads/3f1c").mkdir(parents=True)

    ran = imported()

    assert ran.status == 0, ran.output
    assert list(Manifest.objects.values_list("digest", flat=True)) == [digest_of(payload)]
    assert not Blob.objects.filter(digest=digest_of(b"deleted")).exists()


def test_a_corrupt_blob_here_is_healed(disk: Path, alice: Caller, source: SourceTree, imported: Import) -> None:
    push_image(alice, NAME, "v1", b"one")
    blob = Blob.objects.get(digest=digest_of(b"one"))
    (disk / blob.key).unlink()
    Blob.objects.filter(pk=blob.pk).update(is_corrupt=True)
    source.push_image(b"one", "v2")

    assert imported().status == 0

    assert content(alice.get(f"/v2/{NAME}/blobs/{digest_of(b'one')}")) == b"one"
    assert Trash.objects.get().key == blob.key


def test_a_chain_of_subjects_and_an_index_of_indexes(
    disk: Path, alice: Caller, source: SourceTree, imported: Import
) -> None:
    payload = source.push_image(b"root")
    for number in range(120):
        subject = {"mediaType": OCI, "digest": digest_of(payload), "size": len(payload)}
        payload = source.push_image(f"{number}".encode(), subject=subject)
    source.push_index(source.push_index(payload), tags=("v1",))

    ran = imported()

    assert ran.status == 0, ran.output
    assert Manifest.objects.count() == 123
    assert not Manifest.objects.filter(is_unreferenced=True).exclude(subject=None).exists()
    assert_consistent(disk)


def test_what_is_imported_counts_in_quotas_and_is_never_refused(
    alice: Caller, source: SourceTree, imported: Import
) -> None:
    quotas = [Quota.objects.create(repositories="*", max_size=KIB), Quota.objects.create(repositories=NAME, max_tags=1)]
    for name in (NAME, "alice/other"):
        source.push_image(b"shared" * KIB, "v1", "latest", name=name)
        source.push_image(name.encode(), "v2", name=name)
        assert imported().status == 0

    counted = _counted()

    # Counted all the time, by what adding everything up gives.
    QuotaUse.objects.all().delete()
    for one in Room.of(RepositoryName(NAME)).sets:
        one.refreshed()
    assert counted == _counted()
    assert [counted[quota.pk][1] for quota in quotas] == [6, 3]


def _counted() -> dict[int, tuple[int, int]]:
    return {row.policy: (row.bytes, row.tags) for row in QuotaUse.objects.all()}
