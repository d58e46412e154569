"""Pulls from a proxied repository: fetched once, verified, kept, and served when the upstream is down."""

import json
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from accounts.models import Account
from collector import fsck
from distribution.caching import faults, manifests
from distribution.caching.growing import CutOffError
from distribution.models import Blob, Link, Manifest, Tag, Upload
from policies.models import ImmutableTags
from tests.caller import Caller, content, error_codes
from tests.distribution.caching.conftest import make_proxy
from tests.distribution.invariants import broken
from tests.images import descriptor, digest_of, manifest, push_blob, push_image, put_manifest
from tests.upstreams.fake import FakeRegistry, sending
from upstreams.models import Proxy

pytestmark = pytest.mark.django_db(transaction=True)

LAYER = b"a layer" * 30_000
BLOB = f"/v2/hub/app/blobs/{digest_of(LAYER)}"
MANIFEST = "/v2/hub/app/manifests/v1"


def test_an_image_is_pulled_through_and_kept(proxy: Proxy, upstream: FakeRegistry, alice: Caller, disk: Path) -> None:
    payload = upstream.add_image("app", "v1", LAYER)

    for _ in range(2):
        found = alice.get(MANIFEST)
        assert (content(found), found["Docker-Content-Digest"]) == (payload, digest_of(payload))
        layer = alice.get(BLOB)
        assert (content(layer), layer["Content-Length"]) == (LAYER, str(len(LAYER)))

    assert upstream.count("GET /v2/app/blobs/") == 1
    assert upstream.count("GET /v2/app/manifests/") == 1
    assert broken(disk) == []
    assert list(fsck.check(is_deep=True)) == []


def test_a_manifest_references_what_arrives_later(proxy: Proxy, upstream: FakeRegistry, alice: Caller) -> None:
    payload = upstream.add_image("app", "v1", LAYER)
    upstream.add_index("app", "v2", payload)
    assert alice.get("/v2/hub/app/manifests/v2").status_code == 200
    assert alice.get(f"/v2/hub/app/manifests/{digest_of(payload)}").status_code == 200
    assert len(content(alice.get(BLOB))) == len(LAYER)

    listed, image = Manifest.objects.get(tags__name="v2"), Manifest.objects.get(digest=digest_of(payload))

    assert listed.missing is None
    assert [child.child.digest for child in listed.children.all()] == [image.digest]
    assert [use.link.blob.digest for use in image.blobs.all()] == [digest_of(LAYER)]
    assert len((image.missing or "").split()) == 1
    assert not image.is_unreferenced
    assert not image.blobs.get().link.is_unreferenced
    assert list(fsck.check()) == []


def test_who_may_not_pull_asks_no_upstream(proxy: Proxy, upstream: FakeRegistry, bob: Caller) -> None:
    upstream.add_image("app", "v1", LAYER)

    refused = [bob.get(MANIFEST), bob.get(BLOB), bob.head(BLOB)]

    assert [response.status_code for response in refused] == [401, 401, 401]
    assert upstream.requests == []


def test_a_moved_tag_is_fetched_once_it_is_old(
    proxy: Proxy, upstream: FakeRegistry, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.add_image("app", "v1", LAYER)
    assert alice.head(MANIFEST).status_code == 200
    moved = upstream.add_image("app", "v1", LAYER, b"another")
    assert content(alice.get(MANIFEST)) != moved

    manifests.forget()

    assert content(alice.get(MANIFEST)) == moved
    assert Tag.objects.get().manifest.digest == digest_of(moved)
    assert upstream.count("HEAD /v2/app/manifests/v1") == 1


def test_a_tag_that_did_not_move_costs_a_head(proxy: Proxy, upstream: FakeRegistry, alice: Caller) -> None:
    payload = upstream.add_image("app", "v1", LAYER)
    for _ in range(3):
        manifests.forget()
        assert content(alice.get(MANIFEST)) == payload

    assert (upstream.count("GET /v2/app/manifests"), upstream.count("HEAD /v2/app/manifests")) == (1, 2)


def test_what_is_here_is_served_while_the_upstream_is_down(proxy: Proxy, upstream: FakeRegistry, alice: Caller) -> None:
    payload = upstream.add_image("app", "v1", LAYER)
    assert content(alice.get(MANIFEST)) == payload
    assert content(alice.get(BLOB)) == LAYER
    upstream.close()
    manifests.forget()

    found = alice.get(MANIFEST)

    assert (content(found), found["Warning"]) == (payload, '111 - "Revalidation Failed"')
    assert content(alice.get(BLOB)) == LAYER
    missing = alice.get("/v2/hub/app/manifests/v2")
    assert (missing.status_code, error_codes(missing)) == (503, ["UNAVAILABLE"])
    assert missing["Retry-After"]


def test_what_the_upstream_lacks_is_404_and_asked_for_once(proxy: Proxy, upstream: FakeRegistry, alice: Caller) -> None:
    statuses = [alice.get(MANIFEST).status_code for _ in range(3)] + [alice.get(BLOB).status_code for _ in range(3)]

    assert statuses == [404] * 6
    assert len(upstream.requests) == 2
    assert Upload.objects.count() == 0
    faults.forget()
    upstream.add_image("app", "v1", LAYER)
    assert alice.get(MANIFEST).status_code == 200


def test_a_push_to_a_copy_is_refused_with_a_sentence(proxy: Proxy, upstream: FakeRegistry, alice: Caller) -> None:
    refused = alice.post("/v2/hub/app/blobs/uploads/")

    assert (refused.status_code, error_codes(refused)) == (405, ["DENIED"])
    assert "is a copy of http://127.0.0.1" in refused.json()["errors"][0]["message"]
    assert alice.put("/v2/hub/app/manifests/v1", b"{}").status_code == 405


def test_a_fallback_takes_pushes_beside_what_it_fetches(
    proxy: Proxy, upstream: FakeRegistry, alice: Caller, disk: Path
) -> None:
    make_proxy(upstream, prefix="", repositories="*")
    payload = upstream.add_image("alice/old", "v1", LAYER)
    assert content(alice.get("/v2/alice/old/manifests/v1")) == payload

    # docker leaves a layer out that a HEAD finds: the upstream's would be missing here.
    assert alice.head(f"/v2/alice/old/blobs/{digest_of(LAYER)}").status_code == 404
    image = push_image(alice, "alice/old", "v2", b"pushed here")

    assert content(alice.get("/v2/alice/old/manifests/v2")) == image.payload
    push_blob(alice, "alice/old", LAYER)
    assert content(alice.get(f"/v2/alice/old/blobs/{digest_of(LAYER)}")) == LAYER
    assert upstream.count("GET /v2/alice/old/blobs") == 0
    assert broken(disk) == []


def test_a_tag_that_was_pushed_here_stays(proxy: Proxy, upstream: FakeRegistry, alice: Caller) -> None:
    make_proxy(upstream, prefix="", repositories="*", tag_ttl="0")
    upstream.add_image("alice/old", "v1", LAYER)
    assert alice.get("/v2/alice/old/manifests/v1").status_code == 200
    image = push_image(alice, "alice/old", "v1", b"pushed here")
    asked = len(upstream.requests)

    found = alice.get("/v2/alice/old/manifests/v1")

    assert (content(found), len(upstream.requests)) == (image.payload, asked)


def test_an_immutable_tag_that_was_fetched_does_not_keep_a_push_out(
    proxy: Proxy, upstream: FakeRegistry, alice: Caller
) -> None:
    make_proxy(upstream, prefix="", repositories="*", tag_ttl="0")
    ImmutableTags.objects.create(repositories="alice/*", tags="v*")
    fetched = upstream.add_image("alice/app", "v1", LAYER)
    assert content(alice.get("/v2/alice/app/manifests/v1")) == fetched

    image = push_image(alice, "alice/app", "v1", b"pushed here")

    assert content(alice.get("/v2/alice/app/manifests/v1")) == image.payload
    another = push_image(alice, "alice/app", "w", b"another")
    assert put_manifest(alice, "alice/app", "v1", another.payload).status_code == 409


def test_a_fallback_names_its_repositories(proxy: Proxy, upstream: FakeRegistry, alice: Caller) -> None:
    fallback = make_proxy(upstream, prefix="")
    upstream.add_image("alice/app", "v1", LAYER)

    with pytest.raises(ValidationError, match="name the repositories"):
        fallback.full_clean()
    assert alice.get("/v2/alice/app/manifests/v1").status_code == 404
    assert upstream.requests == []


@pytest.mark.parametrize("is_there", [True, False])
def test_a_blob_of_another_repository_is_given_for_its_bytes_alone(
    proxy: Proxy, upstream: FakeRegistry, alice: Caller, disk: Path, *, is_there: bool
) -> None:
    push_blob(alice, "alice/private", LAYER)
    upstream.blobs[digest_of(LAYER)] = LAYER if is_there else b"x" * len(LAYER)

    response = alice.get(BLOB)
    if is_there:
        assert content(response) == LAYER
    else:
        received: list[bytes] = []
        with pytest.raises(CutOffError):
            received.extend(response.streaming_content)
        assert set(b"".join(received)) <= {ord("x")}

    assert upstream.count("GET /v2/app/blobs") == 1
    assert Blob.objects.count() == 1
    assert Link.objects.filter(repository__name="hub/app").exists() is is_there
    assert broken(disk) == []


def test_a_disabled_proxy_fetches_nothing(proxy: Proxy, upstream: FakeRegistry, alice: Caller) -> None:
    upstream.add_image("app", "v1", LAYER)
    assert alice.get(MANIFEST).status_code == 200
    Proxy.objects.update(enabled=False)

    assert alice.get(MANIFEST).status_code == 200
    assert alice.get(BLOB).status_code == 404


def test_only_the_chosen_repositories_are_fetched(proxy: Proxy, upstream: FakeRegistry, alice: Caller) -> None:
    upstream.add_image("app", "v1", LAYER)
    Proxy.objects.update(repositories="hub/library/*")

    assert alice.get(MANIFEST).status_code == 404
    assert upstream.requests == []


def test_containerd_finds_a_mirror_by_its_namespace(proxy: Proxy, upstream: FakeRegistry, alice: Caller) -> None:
    payload = upstream.add_image("app", "v1", LAYER)
    scope = ("repository:hub/app:pull",)
    namespace = upstream.url.removeprefix("http://")

    found = alice.get(f"/v2/app/manifests/v1?ns={namespace}", scopes=scope)
    layer = alice.get(f"/v2/app/blobs/{digest_of(LAYER)}?ns={namespace}", scopes=scope)
    unknown = alice.get("/v2/app/manifests/v1?ns=quay.io", scopes=scope)

    assert (content(found), content(layer), unknown.status_code) == (payload, LAYER, 404)


def test_a_fallback_does_not_answer_for_another_registry(proxy: Proxy, upstream: FakeRegistry, alice: Caller) -> None:
    make_proxy(upstream, prefix="", repositories="*")
    upstream.add_image("alice/app", "v1", LAYER)

    assert alice.get("/v2/alice/app/manifests/v1?ns=quay.io").status_code == 404
    assert upstream.requests == []


def test_the_own_namespace_is_none(upstream: FakeRegistry, alice: Caller, proxy: Proxy) -> None:
    image = push_image(alice, "alice/app", "v1")
    own = {"Host": "registry.example.org"}

    assert content(alice.get("/v2/alice/app/manifests/v1?ns=registry.example.org", headers=own)) == image.payload
    Proxy.objects.all().delete()
    assert content(alice.get("/v2/alice/app/manifests/v1?ns=docker.io")) == image.payload


def test_a_range_of_a_missing_blob_is_served_from_the_stored_one(
    proxy: Proxy, upstream: FakeRegistry, alice: Caller
) -> None:
    upstream.add_image("app", "v1", LAYER)

    part = alice.get(BLOB, headers={"Range": "bytes=5-9"})

    assert (part.status_code, part["Content-Length"], content(part)[:5]) == (206, "5", LAYER[5:10])


def test_referrers_are_fetched_when_they_are_asked_for(proxy: Proxy, upstream: FakeRegistry, alice: Caller) -> None:
    image = upstream.add_image("app", "v1", LAYER)
    signature = manifest(b"{}", subject=descriptor(image), artifactType="a/signature")
    upstream.manifests["app", digest_of(signature)] = signature
    listed = json.dumps({"manifests": [{"digest": digest_of(signature)}, {"digest": "x"}]}).encode()
    upstream.faults[f"/referrers/{digest_of(image)}"] = sending(listed)
    assert alice.get(MANIFEST).status_code == 200

    found = [alice.get(f"/v2/hub/app/referrers/{digest_of(image)}").json()["manifests"] for _ in range(2)]

    assert [one["digest"] for one in found[0]] == [digest_of(signature)]
    assert found[0] == found[1]
    assert upstream.count("GET /v2/app/referrers") == 1


def test_a_head_of_a_missing_blob_asks_the_upstream(proxy: Proxy, upstream: FakeRegistry, alice: Caller) -> None:
    upstream.add_image("app", "v1", LAYER)

    found = alice.head(BLOB)

    assert (found.status_code, found["Content-Length"]) == (200, str(len(LAYER)))
    assert Blob.objects.count() == 0


def test_the_pages_show_an_image_of_which_little_is_here(
    proxy: Proxy, upstream: FakeRegistry, alice: Caller, client: Client
) -> None:
    payload = upstream.add_image("app", "v1", LAYER)
    upstream.add_index("app", "all", payload)
    for reference in ("v1", "all"):
        assert alice.get(f"/v2/hub/app/manifests/{reference}").status_code == 200
    client.force_login(Account.objects.get(name="alice"), "accounts.backends.AccountBackend")

    pages = ["/repositories/hub/app", *(f"/repositories/hub/app/-/{reference}" for reference in ("v1", "all"))]

    assert [client.get(page).status_code for page in pages] == [200, 200, 200]
