"""`POST …/blobs/uploads/?mount=d&from=m`: a blob without its bytes, or a session; never an error."""

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext

from acl.models import Rule
from acl.names import RepositoryName
from distribution import blobs, deletion
from distribution.models import Blob, Link, Repository, Upload
from distribution.storage.blob_store import blob_store
from tests.caller import Caller, Response, content
from tests.images import digest_of, push_blob

BYTES = b"a layer that is there already"
DIGEST = digest_of(BYTES)
BOTH = ["repository:alice/app:pull,push", "repository:alice/base:pull"]


def mount(
    caller: Caller, digest: str = DIGEST, query: str = "&from=alice/base", scopes: list[str] | None = None
) -> Response:
    """Ask alice/app for the blob."""
    return caller.post(f"/v2/alice/app/blobs/uploads/?mount={digest}{query}", scopes=BOTH if scopes is None else scopes)


def test_a_mounted_blob_is_201_and_readable_here(alice: Caller) -> None:
    push_blob(alice, "alice/base", BYTES)

    response = mount(alice)

    assert response.status_code == 201
    assert response["Location"] == f"/v2/alice/app/blobs/{DIGEST}"
    assert response["Docker-Content-Digest"] == DIGEST
    assert response["Content-Length"] == "0"
    assert content(alice.get(response["Location"])) == BYTES


def test_a_mount_is_a_link_and_no_bytes(alice: Caller) -> None:
    push_blob(alice, "alice/base", BYTES)

    mount(alice)

    assert Blob.objects.count() == 1
    assert set(Link.objects.values_list("repository__name", "is_unreferenced")) == {
        ("alice/base", True),
        ("alice/app", True),
    }
    assert not Upload.objects.exists()


def test_a_mount_of_what_is_here_already_is_201_and_no_second_link(alice: Caller) -> None:
    push_blob(alice, "alice/base", BYTES)
    mount(alice)

    response = mount(alice)

    assert response.status_code == 201
    assert Link.objects.count() == 2


@pytest.mark.parametrize(
    "query",
    [
        "&from=",
        "&from=alice/none",
        "&from=UPPER",
        "&from=..",
        "&from=%00",
        "&from=alice/other",
        "&from=alice%2Fother",
    ],
)
def test_a_source_that_does_not_help_is_202(alice: Caller, query: str) -> None:
    push_blob(alice, "alice/base", BYTES)
    push_blob(alice, "alice/other", b"something else")

    response = mount(alice, query=query, scopes=[*BOTH, "repository:alice/other:pull", "repository:alice/none:pull"])

    assert response.status_code == 202
    assert response["Range"] == "0-0"
    assert response["Location"].startswith("/v2/alice/app/blobs/uploads/")


@pytest.mark.parametrize("digest", [digest_of(b"unknown"), "", "nonsense", "md5:0", "%00"])
def test_a_digest_that_is_not_there_is_202(alice: Caller, digest: str) -> None:
    push_blob(alice, "alice/base", BYTES)

    response = mount(alice, digest)

    assert response.status_code == 202


def test_a_token_without_pull_on_the_source_is_202(alice: Caller) -> None:
    push_blob(alice, "alice/base", BYTES)

    response = mount(alice, scopes=["repository:alice/app:pull,push"])

    assert response.status_code == 202
    assert not Link.objects.filter(repository__name="alice/app").exists()


def test_an_account_without_pull_on_the_source_is_202(alice: Caller, charlie: Caller) -> None:
    push_blob(alice, "alice/base", BYTES)
    Rule.objects.create(subject_kind="account", subject="charlie", name="charlie/*", actions="*")

    response = charlie.post(
        f"/v2/charlie/app/blobs/uploads/?mount={DIGEST}&from=alice/base",
        scopes=["repository:charlie/app:pull,push", "repository:alice/base:pull"],
    )

    assert response.status_code == 202
    assert charlie.get(f"/v2/charlie/app/blobs/{DIGEST}").status_code == 404


def test_what_anonymous_may_pull_everybody_may_mount(alice: Caller, charlie: Caller) -> None:
    push_blob(alice, "public/base", BYTES)
    Rule.objects.create(subject_kind="account", subject="charlie", name="charlie/*", actions="*")

    response = charlie.post(
        f"/v2/charlie/app/blobs/uploads/?mount={DIGEST}&from=public/base",
        scopes=["repository:charlie/app:pull,push", "repository:public/base:pull"],
    )

    assert response.status_code == 201


def test_without_a_source_any_repository_that_the_account_may_pull_is_one(alice: Caller) -> None:
    push_blob(alice, "alice/base", BYTES)

    response = mount(alice, query="", scopes=["repository:alice/app:pull,push"])

    assert response.status_code == 201
    assert response["Location"] == f"/v2/alice/app/blobs/{DIGEST}"
    assert content(alice.get(response["Location"])) == BYTES


def test_without_a_source_the_repository_itself_is_one(alice: Caller) -> None:
    push_blob(alice, "alice/app", BYTES)

    assert mount(alice, query="").status_code == 201


@pytest.fixture
def charlies(charlie: Caller) -> Caller:
    """Let charlie push to charlie/*."""
    Rule.objects.create(subject_kind="account", subject="charlie", name="charlie/*", actions="*")
    return charlie


def mount_as_charlie(charlies: Caller, digest: str = DIGEST) -> Response:
    path = f"/v2/charlie/app/blobs/uploads/?mount={digest}"
    return charlies.post(path, scopes=["repository:charlie/app:pull,push"])


def without_session(response: Response) -> tuple[int, dict[str, str]]:
    """Return status and headers, but for what is of this session alone."""
    own = str(response["Docker-Upload-UUID"])
    return response.status_code, {name: value.replace(own, "") for name, value in response.headers.items()}


def test_without_a_source_what_the_account_may_not_pull_is_as_absent(alice: Caller, charlies: Caller) -> None:
    absent = mount_as_charlie(charlies, digest_of(b"unknown"))
    push_blob(alice, "alice/base", BYTES)

    invisible = mount_as_charlie(charlies)

    assert invisible.status_code == 202
    assert without_session(invisible) == without_session(absent)
    assert not Link.objects.filter(repository__name="charlie/app").exists()


def test_without_a_source_a_right_counts_as_it_is_now(alice: Caller, charlies: Caller) -> None:
    push_blob(alice, "alice/base", BYTES)
    token = charlies.token("repository:charlie/app:pull,push")
    rule = Rule.objects.create(subject_kind="account", subject="charlie", name="alice/b*", actions="pull")
    path = f"/v2/charlie/app/blobs/uploads/?mount={DIGEST}"
    assert charlies.post(path, token=token).status_code == 201
    Link.objects.filter(repository__name="charlie/app").delete()

    rule.delete()

    assert charlies.post(path, token=token).status_code == 202


def test_one_visible_source_is_found_among_many(alice: Caller, charlies: Caller) -> None:
    push_blob(alice, "alice/base", BYTES)
    link_everywhere(500)
    push_blob(alice, "public/base", BYTES)
    link_everywhere(400)

    assert mount_as_charlie(charlies).status_code == 201


def test_of_a_blob_in_ten_thousand_repositories_so_many_are_looked_at(alice: Caller, charlies: Caller) -> None:
    push_blob(alice, "alice/base", BYTES)
    link_everywhere(10_000)
    with CaptureQueriesContext(connection) as captured:
        assert mount_as_charlie(charlies).status_code == 202

    (sources,) = [query["sql"] for query in captured.captured_queries if "linked" in query["sql"]]
    assert f"LIMIT {blobs.MAX_SOURCES}" in sources


def link_everywhere(count: int) -> None:
    """Link the only blob in as many more repositories, which nobody may pull."""
    first = Repository.objects.count()
    repositories = Repository.objects.bulk_create(Repository(name=f"private/r{first + n}") for n in range(count))
    blob = Blob.objects.get()
    Link.objects.bulk_create(
        Link(repository=row, blob=blob, last_used_at=Now(), is_unreferenced=True) for row in repositories
    )


def test_a_source_that_is_named_and_does_not_help_is_not_replaced(alice: Caller) -> None:
    push_blob(alice, "alice/other", BYTES)

    assert mount(alice, query="&from=alice/base").status_code == 202


def test_a_challenge_for_a_mount_names_both_repositories(cast: None) -> None:
    response = Client().post(f"/v2/alice/app/blobs/uploads/?mount={DIGEST}&from=alice/base")

    assert response.status_code == 401
    assert 'scope="repository:alice/app:pull,push repository:alice/base:pull"' in response["WWW-Authenticate"]


@pytest.mark.parametrize(
    "query", ["", f"?mount={DIGEST}", f"?mount={DIGEST}&from=..", f"?mount={DIGEST}&from=alice/app"]
)
def test_a_challenge_without_another_source_names_one(cast: None, query: str) -> None:
    response = Client().post(f"/v2/alice/app/blobs/uploads/{query}")

    assert 'scope="repository:alice/app:pull,push"' in response["WWW-Authenticate"]


def test_mounts_go_as_the_conformance_suites_want_them(alice: Caller) -> None:
    uploads = "/v2/alice/crossmount/blobs/uploads/"
    scopes = ["repository:alice/crossmount:pull,push", "repository:alice/base:pull"]
    push_blob(alice, "alice/base", BYTES)

    missing = alice.post(f"{uploads}?mount={digest_of(b'hello world')}", scopes=scopes)
    assert missing.status_code == 202
    assert missing["Location"].startswith(uploads)

    automatic = alice.post(f"{uploads}?mount={DIGEST}", scopes=scopes[:1])
    assert automatic.status_code == 201
    assert content(alice.get(automatic["Location"])) == BYTES
    assert alice.delete(automatic["Location"]).status_code == 202

    named = alice.post(f"{uploads}?mount={DIGEST}&from=alice/base", scopes=scopes)
    assert named.status_code == 201
    assert named["Location"] == f"/v2/alice/crossmount/blobs/{DIGEST}"
    assert alice.post(f"{uploads}?mount={DIGEST}", scopes=scopes[:1]).status_code == 201


def test_a_blob_of_a_deleted_repository_is_not_mounted(alice: Caller) -> None:
    Rule.objects.create(subject_kind="account", subject="alice", name="**", actions="pull")
    push_blob(alice, "alice/base", BYTES)
    deletion.begin(RepositoryName("alice/base"))

    response = mount(alice, query="", scopes=["repository:alice/app:pull,push"])

    assert response.status_code == 202


def test_a_corrupt_blob_is_not_mounted(alice: Caller) -> None:
    push_blob(alice, "alice/base", BYTES)
    Blob.objects.update(is_corrupt=True)

    response = mount(alice)

    assert response.status_code == 202


def test_pull_on_the_target_is_not_enough(alice: Caller, bob: Caller) -> None:
    push_blob(alice, "alice/base", BYTES)

    response = mount(bob)

    assert response.status_code == 401
    assert not Repository.objects.filter(name="alice/app").exists()


def test_a_mount_that_fails_with_a_digest_beside_it_takes_the_body(alice: Caller) -> None:
    response = alice.post(f"/v2/alice/app/blobs/uploads/?mount={DIGEST}&from=alice/base&digest={DIGEST}", BYTES)

    assert response.status_code == 201
    assert content(alice.get(response["Location"])) == BYTES


def test_the_session_of_a_failed_mount_can_be_cancelled_as_podman_does(alice: Caller) -> None:
    location = mount(alice)["Location"]

    assert alice.delete(location).status_code == 204


def test_a_mount_of_a_blob_whose_object_is_gone_is_202_and_the_upload_heals_it(alice: Caller) -> None:
    push_blob(alice, "alice/base", BYTES)
    blob_store().delete(Blob.objects.get().key)

    response = mount(alice)

    assert response.status_code == 202
    assert alice.put(f"{response['Location']}?digest={DIGEST}", BYTES).status_code == 201
    assert content(alice.get(f"/v2/alice/base/blobs/{DIGEST}")) == BYTES
