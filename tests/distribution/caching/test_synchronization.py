"""`manage.py syncregistry`: everything of another registry, verified, and only what is missing the next time."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Q
from django.utils.timezone import now

from collector import fsck
from distribution.caching import expiry, synchronization
from distribution.models import Blob, Link, Manifest, Tag
from tests.caller import Caller, content
from tests.distribution.caching.conftest import make_proxy
from tests.distribution.invariants import broken
from tests.images import descriptor, digest_of, manifest, push_blob, push_image
from tests.upstreams.fake import FakeRegistry, answering, basic, cut_off, send, sending

pytestmark = pytest.mark.django_db(transaction=True)

LAYER = b"a layer" * 30_000

Sync = Callable[..., str]


@pytest.fixture
def sync(disk: Path, cast: None, upstream: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> Sync:
    """Run the command; return what it printed."""
    monkeypatch.setattr(synchronization, "RETRY_SECONDS", (0.0,))

    def run(*options: str, fails: bool = False) -> str:
        printed = StringIO()
        with pytest.raises(SystemExit, match=r"^1$") if fails else nullcontext():
            call_command("syncregistry", f"--from={upstream.url}", *options, stdout=printed)
        return printed.getvalue()

    return run


@pytest.fixture
def filled(upstream: FakeRegistry) -> FakeRegistry:
    """Fill the other registry: an image, an index of two, and an artifact that refers to the image."""
    first = upstream.add_image("alice/app", "v1", LAYER)
    second = upstream.add_image("alice/app", "other", LAYER, b"more")
    upstream.add_index("alice/app", "all", first, second)
    upstream.add_image("team/tool", "v1", b"a tool")
    artifact = manifest(b"{}", subject=descriptor(first, json.loads(first)["mediaType"]), artifactType="a/signature")
    upstream.blobs[digest_of(b"{}")] = b"{}"
    upstream.manifests["alice/app", digest_of(artifact)] = artifact
    listed = {"manifests": [{"digest": digest_of(artifact)}]}

    upstream.faults[f"/referrers/{digest_of(first)}"] = sending(json.dumps(listed).encode())
    return upstream


def test_everything_is_copied_once(sync: Sync, filled: FakeRegistry, alice: Caller, disk: Path) -> None:
    assert "2 repositories, 4 tags (0 current)" in sync()

    for (repository, reference), payload in filled.manifests.items():
        found = Manifest.objects.get(repository__name=repository, digest=digest_of(payload))
        assert (bytes(found.payload), found.missing) == (payload, None), reference
    assert sorted(Tag.objects.values_list("repository__name", "name")) == [
        *[("alice/app", tag) for tag in ("all", "other", "v1")],
        ("team/tool", "v1"),
    ]
    assert Blob.objects.count() == len(filled.blobs)
    assert content(alice.get(f"/v2/alice/app/blobs/{digest_of(LAYER)}")) == LAYER
    assert broken(disk) == []
    assert list(fsck.check(is_deep=True)) == []
    fetched = filled.count("GET /v2/alice/app/blobs") + filled.count("GET /v2/team/tool/blobs")
    assert "4 tags (4 current), 0 manifests, 0 blobs, 0 left out" in sync()
    assert filled.count("GET /v2/alice/app/blobs") + filled.count("GET /v2/team/tool/blobs") == fetched


@pytest.mark.parametrize(("size", "fetched"), [(len(LAYER), 0), (len(LAYER) - 1, 1)])
def test_a_layer_that_is_here_is_linked_if_the_claim_fits(
    sync: Sync, upstream: FakeRegistry, alice: Caller, size: int, fetched: int
) -> None:
    upstream.add_image("team/tool", "v1", LAYER)
    push_blob(alice, "alice/app", LAYER)

    def fault(request: BaseHTTPRequestHandler, _content: bytes) -> bool:
        if request.command == "HEAD":
            send(request, 200, b"", {"Content-Length": str(size)})
        return request.command == "HEAD"

    upstream.faults[digest_of(LAYER)] = fault
    sync()

    assert upstream.count(f"GET /v2/team/tool/blobs/{digest_of(LAYER)}") == fetched
    assert Link.objects.filter(repository__name="team/tool", blob__digest=digest_of(LAYER)).exists()


def test_a_second_run_takes_what_came_since(sync: Sync, filled: FakeRegistry) -> None:
    sync()
    moved = filled.add_image("alice/app", "v1", b"moved")

    assert "4 tags (3 current), 1 manifests" in sync()
    assert Tag.objects.get(repository__name="alice/app", name="v1").manifest.digest == digest_of(moved)


def test_a_tag_that_was_pushed_here_is_left(sync: Sync, filled: FakeRegistry, alice: Caller) -> None:
    image = push_image(alice, "alice/app", "v1", b"pushed here")

    assert "alice/app:'v1': the tag v1 of alice/app was pushed here, and stays as it is" in sync(fails=True)
    assert Tag.objects.get(repository__name="alice/app", name="v1").manifest.digest == image.digest


def test_a_dry_run_fetches_nothing(sync: Sync, filled: FakeRegistry) -> None:
    assert "4 tags (0 current), 0 manifests" in sync("--dry-run")
    assert not Manifest.objects.exists()


def test_only_the_chosen_repositories_are_copied(sync: Sync, filled: FakeRegistry) -> None:
    sync("--repository=alice/*")
    assert list(Tag.objects.values_list("repository__name", flat=True).distinct()) == ["alice/app"]

    filled.faults["/_catalog"] = answering(403)
    sync("--repository=team/tool")
    assert Tag.objects.filter(repository__name="team/tool").exists()


def test_what_is_left_out_is_told_with_its_reason(sync: Sync, filled: FakeRegistry) -> None:
    filled.faults[digest_of(b"more")] = answering(404)
    filled.add_manifest("team/tool", "old", b'{"schemaVersion": 1, "fsLayers": [], "mediaType": "application/json"}')

    printed = sync(fails=True)

    assert f"alice/app@{digest_of(b'more')}: blob unknown to registry" in printed
    assert "team/tool:'old': " in printed
    assert Tag.objects.filter(repository__name="alice/app", name="v1").exists()
    del filled.faults[digest_of(b"more")]
    del filled.manifests["team/tool", "old"]
    sync()
    assert not Manifest.objects.exclude(missing=None).exists()


def test_a_run_that_was_cut_off_continues(sync: Sync, filled: FakeRegistry, disk: Path) -> None:
    filled.faults[digest_of(LAYER)] = cut_off(after=100_000)
    sync(fails=True)
    filled.faults.pop(digest_of(LAYER))

    sync()

    assert not Manifest.objects.exclude(missing=None).exists()
    assert broken(disk) == []


def test_a_layer_that_another_repository_has_is_not_fetched_again(sync: Sync, filled: FakeRegistry) -> None:
    sync("--repository=alice/app")
    filled.add_image("team/tool", "v2", LAYER, b"of this one")

    sync("--repository=team/tool")

    assert filled.count(f"GET /v2/team/tool/blobs/{digest_of(LAYER)}") == 0
    assert filled.count(f"HEAD /v2/team/tool/blobs/{digest_of(LAYER)}") == 1
    assert Manifest.objects.get(tags__name="v2").missing is None


def test_the_password_comes_from_a_file(sync: Sync, filled: FakeRegistry, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\n")
    filled.challenge, filled.accepted = 'Basic realm="old"', basic("someone", "secret")

    sync("--username=someone", f"--password-file={tmp_path}/password", "--repository=team/tool")

    assert Tag.objects.filter(repository__name="team/tool").exists()


@pytest.mark.parametrize("url", ["ftp://x", "https://user:password@x", "https://x/v2/", "http://169.254.169.254"])
def test_such_a_url_is_refused(sync: Sync, url: str) -> None:
    with pytest.raises(CommandError, match="--from"):
        call_command("syncregistry", f"--from={url}")


def test_a_registry_that_does_not_answer_ends_the_run(sync: Sync, upstream: FakeRegistry) -> None:
    upstream.close()

    with pytest.raises(CommandError, match=r"can't be reached.*run it again, it continues"):
        sync()


@pytest.mark.parametrize("tag", ["v1", "all"])
def test_a_tag_stays_when_its_new_image_is_broken(sync: Sync, filled: FakeRegistry, tag: str) -> None:
    sync()
    before = Tag.objects.get(repository__name="alice/app", name=tag).manifest.digest
    image = filled.add_image("alice/app", "new", b"lost")
    filled.add_manifest("alice/app", "v1", image)
    filled.add_index("alice/app", "all", image)
    lost = filled.blobs.pop(digest_of(b"lost"))

    assert f"alice/app:{tag}: " in sync(fails=True)

    assert Tag.objects.get(repository__name="alice/app", name=tag).manifest.digest == before
    filled.blobs[digest_of(lost)] = lost
    sync()
    assert Tag.objects.get(repository__name="alice/app", name=tag).manifest.digest != before


def test_what_was_copied_stays_although_nobody_pulls_it(sync: Sync, filled: FakeRegistry, alice: Caller) -> None:
    make_proxy(filled, prefix="", repositories="*", keep_unused="1h", tag_ttl="0")
    filled.add_image("alice/solo", "v1", b"solo")
    image = json.loads(content(alice.get("/v2/alice/solo/manifests/v1")))
    for blob in (image["config"], *image["layers"]):
        assert content(alice.get(f"/v2/alice/solo/blobs/{blob['digest']}"))
    sync()

    assert list(expiry.expire(now() + timedelta(hours=2), Q())) == []
    # A later version of the upstream counts all the same.
    moved = filled.add_image("alice/solo", "v1", b"moved")
    assert content(alice.get("/v2/alice/solo/manifests/v1")) == moved
