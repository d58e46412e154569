"""Import and export of repositories that have what a proxy fetched, and nobody has pulled all of."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.db.models import Q
from django.utils.timezone import now

from distribution.caching import expiry
from distribution.models import Link, Manifest, ManifestChild
from tests.caller import Caller, content
from tests.distribution.caching.conftest import forgotten, make_proxy, proxy, upstream  # noqa: F401 - fixtures
from tests.distribution.invariants import broken
from tests.images import digest_of
from tests.registry_copy.conftest import Ran, manage
from tests.registry_copy.source import SourceTree
from tests.upstreams.fake import FakeRegistry
from upstreams.models import Proxy

pytestmark = pytest.mark.django_db(transaction=True)


def has_arrived() -> bool:
    """Tell whether no manifest awaits anything, and whatever is here is referenced."""
    return not Manifest.objects.exclude(missing=None).exists() and not Link.objects.filter(is_unreferenced=True)


def test_a_move_completes_what_was_fetched_before(  # noqa: PLR0917 - fixtures
    proxy: Proxy,  # noqa: F811 - a fixture
    upstream: FakeRegistry,  # noqa: F811 - a fixture
    alice: Caller,
    source: SourceTree,
    imported: Callable[..., Ran],
    disk: Path,
) -> None:
    make_proxy(upstream, prefix="", repositories="*", keep_unused="1h")
    image = source.push_image(b"one", "v1")
    index = source.push_index(image, tags=("all",))
    for tag, payload in (("v1", image), ("all", index)):
        upstream.add_manifest("alice/app", tag, payload)
        assert alice.get(f"/v2/alice/app/manifests/{tag}").status_code == 200
    assert Manifest.objects.get(digest=digest_of(image)).missing

    ran = imported("--move")

    assert ran.status == 0, ran.output
    assert not list(expiry.expire(now() + timedelta(hours=2), Q()))
    Proxy.objects.all().delete()
    assert has_arrived()
    assert ManifestChild.objects.count() == 1
    assert not broken(disk)
    for blob in json.loads(image)["layers"]:
        assert content(alice.get(f"/v2/alice/app/blobs/{blob['digest']}")) == b"one"


def test_an_index_that_was_fetched_refers_to_the_image_that_is_imported(
    proxy: Proxy,  # noqa: F811 - a fixture
    upstream: FakeRegistry,  # noqa: F811 - a fixture
    alice: Caller,
    source: SourceTree,
    imported: Callable[..., Ran],
) -> None:
    make_proxy(upstream, prefix="", repositories="*")
    image = source.push_image(b"one")
    upstream.add_index("alice/app", "all", image)
    assert alice.get("/v2/alice/app/manifests/all").status_code == 200

    assert imported().status == 0

    assert has_arrived()
    assert ManifestChild.objects.count() == 1
    assert not Manifest.objects.filter(is_unreferenced=True).exists()


@pytest.mark.parametrize("words", [[], ["--oci-layout"]])
def test_an_export_leaves_out_what_is_incomplete(
    proxy: Proxy,  # noqa: F811 - a fixture
    upstream: FakeRegistry,  # noqa: F811 - a fixture
    alice: Caller,
    tmp_path: Path,
    words: list[str],
) -> None:
    image, whole = upstream.add_image("app", "v1", b"never pulled"), upstream.add_image("app", "whole", b"pulled")
    index = upstream.add_index("app", "all", image)
    for reference in ("all", "v1", "whole", digest_of(image)):
        assert alice.get(f"/v2/hub/app/manifests/{reference}").status_code == 200
    for blob in (json.loads(whole)["config"], *json.loads(whole)["layers"]):
        assert content(alice.get(f"/v2/hub/app/blobs/{blob['digest']}"))
    assert Manifest.objects.get(digest=digest_of(index)).missing is None

    ran = manage("exportregistry", str(tmp_path / "out"), *words)

    assert ran.status == 1
    for left_out in (f"@{digest_of(image)}", f"@{digest_of(index)}", ":v1", ":all"):
        assert f"left out: hub/app{left_out}: it" in ran.output
    written = {path.name: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert not [name for name, found in written.items() if digest_of(image).encode() in found]
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file() and path.read_bytes() == whole]
