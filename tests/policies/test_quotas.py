"""Quotas of bytes and tags."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import permissions_version
from acl.models import Rule
from acl.names import RepositoryName
from core.api.errors import RegistryError
from core.db.transactions import LostRaceError
from distribution import blobs
from distribution.models import Link, Tag, Upload
from distribution.protocol.digest import Digest
from distribution.uploads import admission
from distribution.usage.quotas import Room
from policies.models import Quota
from tests.api.asking import ask
from tests.caller import Caller, error_codes
from tests.images import Image, digest_of, push_blob, put_manifest

KIB = 1024


def refused_with(response: Any) -> str:
    assert (response.status_code, error_codes(response)) == (403, ["DENIED"])
    return str(response.json()["errors"][0]["message"])


def whole(alice: Caller, content: bytes, repository: str = "alice/app") -> Any:
    return alice.post(f"/v2/{repository}/blobs/uploads/?digest={digest_of(content)}", content)


def test_a_blob_that_does_not_fit_is_refused_with_numbers(alice: Caller, quota: Callable[..., Quota]) -> None:
    quota(max_size=2 * KIB)
    push_blob(alice, "alice/app", b"a" * KIB)

    message = refused_with(whole(alice, b"b" * (KIB + 1)))

    assert "1.0 KiB of 2.0 KiB used; this needs 1.0 KiB" in message
    assert not Upload.objects.exists()


def start(alice: Caller, repository: str = "alice/app") -> str:
    return str(alice.post(f"/v2/{repository}/blobs/uploads/").headers["Location"])


@pytest.mark.parametrize("method", ["patch", "put"])
def test_a_body_of_unknown_length_is_refused_while_it_arrives(
    alice: Caller, quota: Callable[..., Quota], method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    quota(max_size=KIB)
    content = b"b" * 4 * 1024 * KIB
    session = start(alice)
    taken: list[int] = []
    check = admission.check

    def counting_check(upload: Upload, size: int, more: int) -> None:
        check(upload, size, more)
        taken.append(size)

    monkeypatch.setattr(admission, "check", counting_check)

    refused_with(getattr(alice, method)(f"{session}?digest={digest_of(content)}", content, chunked=True))

    assert max(taken, default=0) <= KIB
    assert not Upload.objects.exists()


def test_no_piece_of_a_body_asks_the_database(alice: Caller, quota: Callable[..., Quota]) -> None:
    quota(max_size=64 * 1024 * KIB)
    push_blob(alice, "alice/app", b"a")

    def statements(mebibytes: int) -> int:
        session = start(alice)
        with CaptureQueriesContext(connection) as asked:
            alice.patch(session, b"b" * mebibytes * 1024 * KIB, chunked=True)
        return len(asked)

    assert statements(9) == statements(1)


def test_the_session_of_a_chunk_that_does_not_fit_ends(alice: Caller, quota: Callable[..., Quota]) -> None:
    quota(max_size=KIB)
    session = alice.patch(start(alice), b"b" * KIB).headers["Location"]

    refused_with(alice.patch(session, b"b"))

    assert not Upload.objects.exists()


def test_nothing_begins_when_nothing_fits(alice: Caller, quota: Callable[..., Quota]) -> None:
    push_blob(alice, "alice/other", b"a" * KIB)
    quota(max_size=KIB)

    refused_with(alice.post("/v2/alice/app/blobs/uploads/"))
    refused_with(alice.post(f"/v2/alice/app/blobs/uploads/?digest={digest_of(b'b')}", b"b", chunked=True))


def in_one_request(alice: Caller, content: bytes) -> Any:
    return whole(alice, content)


def in_the_closing_put(alice: Caller, content: bytes) -> Any:
    return alice.put(f"{start(alice)}?digest={digest_of(content)}", content)


def in_chunks(alice: Caller, content: bytes) -> Any:
    session = alice.patch(start(alice), content, chunked=True).headers["Location"]
    return alice.put(f"{session}?digest={digest_of(content)}")


@pytest.mark.parametrize("way", [in_one_request, in_the_closing_put, in_chunks])
def test_a_blob_that_is_there_is_pushed_again_at_a_full_quota(
    alice: Caller, quota: Callable[..., Quota], way: Callable[[Caller, bytes], Any]
) -> None:
    content = b"a" * KIB
    push_blob(alice, "alice/app", content)
    quota(max_size=KIB)

    assert way(alice, content).status_code == 201
    refused_with(way(alice, b"b" * KIB))
    assert Link.objects.count() == 1


def test_an_upload_at_a_full_quota_gets_no_larger_than_a_blob_that_is_there(
    alice: Caller, quota: Callable[..., Quota]
) -> None:
    push_blob(alice, "alice/app", b"a" * KIB)
    push_blob(alice, "alice/app", b"a" * 2 * KIB)
    quota(max_size=3 * KIB)

    assert alice.patch(start(alice), b"b" * 2 * KIB, chunked=True).status_code == 202
    refused_with(alice.patch(start(alice), b"b" * (2 * KIB + 1), chunked=True))


def in_a_closing_put_at_a_full_quota(alice: Caller, digest: str) -> Any:
    return alice.put(f"{start(alice)}?digest={digest}", b"c" * KIB)


def in_one_post_at_a_full_quota(alice: Caller, digest: str) -> Any:
    return alice.post(f"/v2/alice/app/blobs/uploads/?digest={digest}", b"c" * KIB)


@pytest.mark.parametrize("way", [in_a_closing_put_at_a_full_quota, in_one_post_at_a_full_quota])
def test_a_full_quota_does_not_tell_what_another_repository_has(
    alice: Caller, quota: Callable[..., Quota], way: Callable[[Caller, str], Any]
) -> None:
    push_blob(alice, "alice/private", b"a" * KIB)
    push_blob(alice, "alice/app", b"b" * KIB)
    quota(max_size=2 * KIB)

    there, nowhere = (refused_with(way(alice, digest_of(content))) for content in (b"a" * KIB, b"d" * KIB))

    assert there == nowhere


def test_a_blob_of_a_repository_beside_the_quota_does_not_fit(alice: Caller, quota: Callable[..., Quota]) -> None:
    content = b"a" * KIB
    push_blob(alice, "alice/app", content)
    push_blob(alice, "public/app", content)
    push_blob(alice, "alice/other", b"b" * KIB)
    quota(max_size=KIB, except_repositories="alice/app")

    refused_with(whole(alice, content, "alice/other"))


def test_a_blob_counts_once_in_the_whole(alice: Caller, quota: Callable[..., Quota]) -> None:
    content = b"a" * KIB
    push_blob(alice, "alice/app", content)
    quota(max_size=KIB)
    scopes = ["repository:alice/app:pull", "repository:alice/other:pull,push"]
    path = f"/v2/alice/other/blobs/uploads/?mount={digest_of(content)}&from=alice/app"

    assert alice.post(path, scopes=scopes).status_code == 201


def test_a_mount_counts_in_its_repository(alice: Caller, quota: Callable[..., Quota]) -> None:
    push_blob(alice, "alice/app", b"a" * KIB)
    push_blob(alice, "alice/other", b"b" * KIB)
    quota(max_size=KIB, each="repository", except_repositories="alice/app")
    source, target = RepositoryName("alice/app"), RepositoryName("alice/other")

    with pytest.raises(RegistryError, match="DENIED"):
        blobs.mount(target, Digest.of(b"a" * KIB), source)

    assert Link.objects.filter(repository__name=target).count() == 1


@pytest.mark.parametrize(
    ("each", "repository", "status"),
    [
        ("whole", "public/app", 403),
        ("namespace", "public/app", 201),
        ("namespace", "alice/other", 403),
        ("repository", "alice/other", 201),
        ("repository", "alice/app", 403),
    ],
)
def test_it_counts_what_it_says(
    alice: Caller, quota: Callable[..., Quota], each: str, repository: str, status: int
) -> None:
    push_blob(alice, "alice/app", b"a" * KIB)
    quota("*", max_size=KIB, each=each)

    assert whole(alice, b"b", repository).status_code == status


@pytest.mark.parametrize(("repository", "status"), [("ab", 403), ("ab/d", 403), ("ab-c", 201), ("abc/d", 201)])
def test_a_namespace_is_a_name_and_what_is_below_it(
    alice: Caller, quota: Callable[..., Quota], repository: str, status: int
) -> None:
    Rule.objects.create(subject_kind="account", subject="alice", name="ab*", actions="pull,push")
    push_blob(alice, "ab", b"a" * KIB)
    quota("*", max_size=KIB, each="namespace")

    assert whole(alice, b"b", repository).status_code == status


def test_a_blob_that_is_there_is_pushed_again(alice: Caller, quota: Callable[..., Quota]) -> None:
    content = b"a" * KIB
    quota(max_size=3 * KIB)
    push_blob(alice, "alice/app", content)

    assert whole(alice, content).status_code == 201


def test_a_deleted_repository_gives_its_bytes_back(
    alice: Caller, push: Callable[..., Image], quota: Callable[..., Quota]
) -> None:
    push("alice/other", "v1")
    quota(max_size=KIB)
    push_blob(alice, "alice/app", b"a" * (KIB // 2))
    assert whole(alice, b"b" * (KIB // 2)).status_code == 403

    assert ask(alice, "DELETE", "repositories/alice/other").status_code == 200

    assert whole(alice, b"b" * (KIB // 2)).status_code == 201


def test_tags_are_counted(alice: Caller, push: Callable[..., Image], quota: Callable[..., Quota]) -> None:
    image = push("alice/app", "v1")
    quota(max_tags=2)
    assert put_manifest(alice, "alice/app", "v2", image.payload).status_code == 201

    message = refused_with(put_manifest(alice, "alice/app", "v3", image.payload))

    assert "2 of 2 tags used" in message
    assert put_manifest(alice, "alice/app", "v1", image.payload).status_code == 201
    assert Tag.objects.count() == 2


def test_a_warning_is_sent_from_90_percent_on(
    alice: Caller, push: Callable[..., Image], quota: Callable[..., Quota]
) -> None:
    image = push("alice/app", "v1")
    policy = quota(max_tags=10)
    assert "Warning" not in put_manifest(alice, "alice/app", "v1", image.payload).headers

    policy.max_tags = 1
    policy.save()

    response = put_manifest(alice, "alice/app", "v1", image.payload)
    assert response.headers["Warning"] == '299 - "quota: 1 of 1 tags used"'


def test_an_upload_is_warned_at_its_start_and_at_its_end(alice: Caller, quota: Callable[..., Quota]) -> None:
    quota(max_size=10 * KIB)
    started = alice.post("/v2/alice/app/blobs/uploads/")
    content = b"a" * 9 * KIB

    ended = alice.put(f"{started.headers['Location']}?digest={digest_of(content)}", content)

    assert "Warning" not in started.headers
    warning = '299 - "quota: 9.0 KiB of 10.0 KiB used"'
    assert ended.headers["Warning"] == warning
    assert alice.post("/v2/alice/app/blobs/uploads/").headers["Warning"] == warning
    assert whole(alice, b"b").headers["Warning"] == warning


@pytest.mark.django_db(transaction=True)
def test_of_two_mounts_at_once_only_one_fits(alice: Caller, quota: Callable[..., Quota]) -> None:
    contents = [b"a" * KIB, b"b" * KIB]
    for content in contents:
        push_blob(alice, "public/source", content)
    quota(max_size=KIB)
    barrier = Barrier(2)

    def mount(content: bytes) -> bool:
        try:
            barrier.wait(30)
            return blobs.mount(RepositoryName("alice/app"), Digest.of(content), RepositoryName("public/source"))
        except RegistryError:
            return False
        finally:
            connection.close()

    for _ in range(5):
        for link in Link.objects.filter(repository__name="alice/app"):
            blobs.delete(RepositoryName("alice/app"), Digest(*link.blob.digest.split(":")))
        with ThreadPoolExecutor(2) as threads:
            assert sorted(threads.map(mount, contents)) == [False, True]


def test_a_quota_that_is_made_meanwhile_counts_from_the_next_attempt_on(
    alice: Caller, quota: Callable[..., Quota]
) -> None:
    name, content = RepositoryName("alice/app"), b"a" * (KIB + 1)
    push_blob(alice, "public/app", content)
    before = permissions_version.current()
    room = Room.of(name, before)
    policy = quota(max_size=KIB)

    # Its lock comes before those of rows, which this attempt has.
    with pytest.raises(LostRaceError):
        room.at(permissions_version.current())
    assert [one.quota for one in room.at(permissions_version.current()).sets] == [policy]

    with pytest.raises(RegistryError, match="together"):
        blobs.mount(name, Digest.of(content), RepositoryName("public/app"), version=before)


def test_a_quota_that_is_changed_meanwhile_counts_at_once(alice: Caller, quota: Callable[..., Quota]) -> None:
    policy = quota(max_size=KIB)
    room = Room.of("alice/app")
    policy.max_size = 2 * KIB
    policy.save()

    assert [one.quota.max_size for one in room.at(permissions_version.current()).sets] == [2 * KIB]
