"""Immutable tags and protected repositories are not deleted, by whatever way; an override is a superuser's."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.models import Account
from acl.models import Rule
from acl.names import RepositoryName
from core.api.errors import RegistryError
from distribution import deletion
from distribution.manifests import store
from distribution.models import Manifest, Tag
from distribution.protocol.digest import Digest
from distribution.protocol.references import parse_tag
from tests.admin.browser import Browser
from tests.api.asking import ask, promote
from tests.caller import Caller, error_codes
from tests.collector.runs import collect, pass_time
from tests.images import Image, descriptor, index, manifest, push_blob, put_manifest

Immutable = Callable[..., object]
NAME = RepositoryName("alice/app")


@pytest.fixture
def image(push: Callable[..., Image]) -> Image:
    return push("alice/app", "v1")


@pytest.fixture
def root(charlie: Caller) -> Caller:
    Rule.objects.create(subject_kind="account", subject="charlie", name="alice/*", actions="*")
    return promote(charlie)


@pytest.fixture(params=[{"tags": "v*"}, {"protected": True}], ids=["immutable", "protected"])
def kept(request: pytest.FixtureRequest, immutable: Immutable) -> None:
    immutable(**request.param)


@pytest.mark.parametrize("path", ["manifests/v1", "manifests/{digest}"])
def test_a_client_does_not_delete_it(alice: Caller, image: Image, kept: None, path: str) -> None:
    response = alice.delete(f"/v2/alice/app/{path.format(digest=image.digest)}")

    assert (response.status_code, error_codes(response)) == (409, ["DENIED"])
    assert Tag.objects.filter(name="v1").exists()


@pytest.mark.parametrize("path", ["/-/tags/v1", "/-/manifests/{digest}", ""])
def test_the_api_does_not_delete_it(alice: Caller, image: Image, kept: None, path: str) -> None:
    response = ask(alice, "DELETE", f"repositories/alice/app{path.format(digest=image.digest)}")

    assert response.status_code == 409
    assert "policy" in response.json()["detail"]
    assert Tag.objects.filter(name="v1").exists()


def test_the_api_does_not_roll_it_back(
    alice: Caller, image: Image, push: Callable[..., Image], immutable: Immutable
) -> None:
    other = push("alice/app", "new", b"other")
    immutable(tags="v*")

    response = ask(alice, "PUT", "repositories/alice/app/-/tags/v1", {"digest": other.digest})

    assert response.status_code == 409
    assert Tag.objects.get(name="v1").manifest.digest == image.digest


def test_the_command_does_not_delete_it(image: Image, kept: None) -> None:
    with pytest.raises(CommandError, match="policy"):
        call_command("deleterepository", "alice/app", "--yes")

    call_command("deleterepository", "alice/app", "--yes", "--override", "immutable")
    assert not Tag.objects.exists()


def test_the_admin_does_not_delete_it(admin: Browser, image: Image, kept: None) -> None:
    admin.delete_selected("/admin/distribution/tag/", Tag.objects.get().pk)
    admin.delete_selected("/admin/distribution/manifest/", Manifest.objects.get().pk)

    assert Tag.objects.filter(name="v1").exists()


@pytest.fixture
def admin(cast: None) -> Browser:
    browser = Browser()
    browser.client.force_login(Account.objects.create(name="root", is_staff=True, is_superuser=True))
    return browser


def test_a_blob_of_a_protected_repository_stays(alice: Caller, immutable: Immutable) -> None:
    digest = push_blob(alice, "alice/app", b"loose")
    immutable(protected=True)

    assert alice.delete(f"/v2/alice/app/blobs/{digest}").status_code == 409


def test_a_mutable_tag_beside_it_is_deleted(alice: Caller, image: Image, immutable: Immutable) -> None:
    put_manifest(alice, "alice/app", "latest", image.payload)
    immutable(tags="v*")

    assert alice.delete("/v2/alice/app/manifests/latest").status_code == 202


def test_a_manifest_that_an_immutable_index_lists_stays(alice: Caller, immutable: Immutable) -> None:
    push_blob(alice, "alice/app", b"{}")
    child = manifest(b"{}")
    put_manifest(alice, "alice/app", "old", child)
    put_manifest(alice, "alice/app", "v1", index(child))
    immutable(tags="v*")

    assert alice.delete(f"/v2/alice/app/manifests/{descriptor(child)['digest']}").status_code == 409


def test_a_collection_keeps_untagged_manifests_of_a_protected_repository(
    alice: Caller, image: Image, immutable: Immutable
) -> None:
    alice.delete("/v2/alice/app/manifests/v1")
    pass_time()
    policy = immutable(protected=True)

    collect(remove_untagged=True)
    assert Manifest.objects.count() == 1

    policy.delete()  # type: ignore[attr-defined]
    collect(remove_untagged=True)
    assert not Manifest.objects.exists()


@pytest.mark.parametrize("path", ["/-/tags/v1", "/-/manifests/{digest}", ""])
def test_a_superuser_overrides_it(root: Caller, image: Image, kept: None, path: str) -> None:
    address = f"repositories/alice/app{path.format(digest=image.digest)}"
    assert ask(root, "DELETE", address).status_code == 409

    assert ask(root, "DELETE", f"{address}?override=immutable").status_code < 300

    assert not Tag.objects.filter(repository__name="alice/app").exists()


def test_nobody_else_overrides_it(alice: Caller, image: Image, kept: None) -> None:
    response = ask(alice, "DELETE", "repositories/alice/app/-/tags/v1?override=immutable")

    assert response.status_code == 403
    assert Tag.objects.exists()


def test_a_whole_repository_with_a_mutable_tag_is_deleted(image: Image, immutable: Immutable) -> None:
    immutable(tags="release-*")

    deletion.begin(NAME)


@pytest.mark.django_db(transaction=True)
def test_of_two_pushes_at_once_one_sets_the_tag(alice: Caller, immutable: Immutable) -> None:
    push_blob(alice, NAME, b"{}")
    immutable(tags="v*")
    payloads = [manifest(b"{}", annotations={"number": str(number)}) for number in range(2)]
    barrier = Barrier(2)

    def put(payload: bytes) -> bool:
        try:
            barrier.wait(30)
            store.put(NAME, payload, None, tags=[parse_tag("v1")], rules=None, account="alice")
        except RegistryError as error:
            return error.status != 409
        else:
            return True
        finally:
            connection.close()

    for _ in range(5):
        Tag.objects.all().delete()
        with ThreadPoolExecutor(2) as threads:
            done = list(threads.map(put, payloads))
        assert sorted(done) == [False, True]
        (digest,) = Tag.objects.values_list("manifest__digest", flat=True)
        assert digest == str(Digest.of(payloads[done.index(True)]))


def test_the_detail_names_policy_and_tag(alice: Caller, image: Image, immutable: Immutable) -> None:
    immutable(tags="v*")

    (error,) = json.loads(alice.delete("/v2/alice/app/manifests/v1").content)["errors"]

    assert error["detail"]["tag"] == "v1"
    assert error["detail"]["sentence"] == "the tags v* of alice/* never move"
