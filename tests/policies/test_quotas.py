"""Quotas of bytes and tags."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection

from acl.models import Rule
from acl.names import RepositoryName
from core.api.errors import RegistryError
from distribution import blobs
from distribution.models import Link, Tag, Upload
from distribution.protocol.digest import Digest
from policies.models import Quota
from tests.api.asking import ask
from tests.caller import Caller, error_codes
from tests.images import Image, digest_of, push_blob, put_manifest

KIB = 1024


@pytest.fixture
def quota(cast: None) -> Callable[..., Quota]:
    def make(repositories: str = "alice/*", **values: object) -> Quota:
        policy = Quota(repositories=repositories, **values)
        policy.full_clean()
        policy.save()
        return policy

    return make


def refused_with(response: object) -> str:
    assert (response.status_code, error_codes(response)) == (403, ["DENIED"])  # type: ignore[attr-defined]
    return str(response.json()["errors"][0]["message"])  # type: ignore[attr-defined]


def whole(alice: Caller, content: bytes, repository: str = "alice/app") -> object:
    return alice.post(f"/v2/{repository}/blobs/uploads/?digest={digest_of(content)}", content)


def test_a_blob_that_does_not_fit_is_refused_with_numbers(alice: Caller, quota: Callable[..., Quota]) -> None:
    quota(max_size=2 * KIB)
    push_blob(alice, "alice/app", b"a" * KIB)

    message = refused_with(whole(alice, b"b" * (KIB + 1)))

    assert "1.0 KiB of 2.0 KiB used; this needs 1.0 KiB" in message
    assert not Upload.objects.exists()


def test_a_blob_of_unknown_length_is_refused_when_it_ends(alice: Caller, quota: Callable[..., Quota]) -> None:
    quota(max_size=KIB)
    content = b"b" * (KIB + 1)
    session = alice.post("/v2/alice/app/blobs/uploads/").headers["Location"]
    session = alice.patch(session, content, chunked=True).headers["Location"]

    refused_with(alice.put(f"{session}?digest={digest_of(content)}"))

    assert not Link.objects.exists()
    assert not Upload.objects.exists()


def test_nothing_begins_when_nothing_fits(alice: Caller, quota: Callable[..., Quota]) -> None:
    push_blob(alice, "alice/app", b"a" * KIB)
    quota(max_size=KIB)

    refused_with(alice.post("/v2/alice/app/blobs/uploads/"))


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

    assert whole(alice, b"b", repository).status_code == status  # type: ignore[attr-defined]


@pytest.mark.parametrize(("repository", "status"), [("ab", 403), ("ab/d", 403), ("ab-c", 201), ("abc/d", 201)])
def test_a_namespace_is_a_name_and_what_is_below_it(
    alice: Caller, quota: Callable[..., Quota], repository: str, status: int
) -> None:
    Rule.objects.create(subject_kind="account", subject="alice", name="ab*", actions="pull,push")
    push_blob(alice, "ab", b"a" * KIB)
    quota("*", max_size=KIB, each="namespace")

    assert whole(alice, b"b", repository).status_code == status  # type: ignore[attr-defined]


def test_a_blob_that_is_there_is_pushed_again(alice: Caller, quota: Callable[..., Quota]) -> None:
    content = b"a" * KIB
    quota(max_size=3 * KIB)
    push_blob(alice, "alice/app", content)

    assert whole(alice, content).status_code == 201  # type: ignore[attr-defined]


def test_a_deleted_repository_gives_its_bytes_back(
    alice: Caller, push: Callable[..., Image], quota: Callable[..., Quota]
) -> None:
    push("alice/other", "v1")
    quota(max_size=KIB)
    push_blob(alice, "alice/app", b"a" * (KIB // 2))
    assert whole(alice, b"b" * (KIB // 2)).status_code == 403  # type: ignore[attr-defined]

    assert ask(alice, "DELETE", "repositories/alice/other").status_code == 200

    assert whole(alice, b"b" * (KIB // 2)).status_code == 201  # type: ignore[attr-defined]


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
        Link.objects.filter(repository__name="alice/app").delete()
        with ThreadPoolExecutor(2) as threads:
            assert sorted(threads.map(mount, contents)) == [False, True]
