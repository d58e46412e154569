"""A repository that keeps what is untagged: whatever the configuration or the command line says."""

import json
import random
from collections.abc import Callable

import pytest
from django.core.management import call_command

from collector import sweep
from distribution.models import Link, Manifest, Repository
from tests.caller import Caller
from tests.collector.graph import Graph
from tests.collector.runs import DAY, collect, forecast, manifests, pass_time
from tests.images import Image, descriptor, digest_of, index, manifest, push_blob, put_manifest

BASE, APP = "alice/base", "alice/app"
Push = Callable[..., Image]


def keep(*names: str) -> None:
    """Let these repositories keep what is untagged, and no others."""
    Repository.objects.update(keeps_untagged=False)
    Repository.objects.filter(name__in=names).update(keeps_untagged=True)


@pytest.fixture
def untagged(push: Push, alice: Caller) -> dict[str, str]:
    """Have an untagged image in each of two repositories, of which one keeps them; return their digests."""
    digests = {name: push(name, "v1", name.encode()).digest for name in (BASE, APP)}
    for name in digests:
        alice.delete(f"/v2/{name}/manifests/v1")
    keep(BASE)
    pass_time()
    return digests


def test_its_untagged_manifests_stay_and_those_of_others_go(untagged: dict[str, str]) -> None:
    collect()

    assert manifests() == {untagged[BASE]}


def test_its_manifests_stay_with_their_blobs(untagged: dict[str, str], alice: Caller) -> None:
    collect()

    payload = json.loads(alice.get(f"/v2/{BASE}/manifests/{untagged[BASE]}").content)
    for blob in (payload["config"], *payload["layers"]):
        assert alice.head(f"/v2/{BASE}/blobs/{blob['digest']}").status_code == 200


def test_a_dry_run_leaves_them_too(untagged: dict[str, str]) -> None:
    assert {name for kind, _, name in forecast() if kind == "manifest"} == {untagged[APP]}


@pytest.mark.parametrize("place", [(), ("--repository", BASE)])
def test_delete_untagged_of_the_command_line_leaves_them_too(untagged: dict[str, str], place: tuple[str, ...]) -> None:
    call_command("gc", "--delete-untagged", *place)

    assert untagged[BASE] in manifests()


def test_blobs_that_no_manifest_uses_go_all_the_same(untagged: dict[str, str], alice: Caller) -> None:
    digest = push_blob(alice, BASE, b"alone")
    pass_time()

    collect()

    assert not Link.objects.filter(blob__digest=digest).exists()


def test_an_index_that_is_kept_keeps_what_it_lists_and_what_refers_to_it(alice: Caller) -> None:
    """Nested: an index of an index of an image, and a signature of the inner one; nothing has a tag."""
    push_blob(alice, BASE, b"{}")
    image = manifest(b"{}")
    inner = index(image)
    outer = index(inner)
    signature = manifest(b"{}", subject=descriptor(inner))
    for payload in (image, inner, outer, signature):
        assert put_manifest(alice, BASE, digest_of(payload), payload).status_code == 201
    keep(BASE)
    pass_time()

    assert forecast() == []
    collect()

    assert manifests() == {digest_of(payload) for payload in (image, inner, outer, signature)}


def test_what_was_kept_goes_once_the_repository_keeps_it_no_longer(untagged: dict[str, str]) -> None:
    collect()
    keep()

    found = {name for kind, _, name in forecast() if kind == "manifest"}
    collect()

    assert found == {untagged[BASE]}
    assert manifests() == set()


def test_a_repository_that_is_told_after_the_run_has_found_its_manifests_keeps_them(untagged: dict[str, str]) -> None:
    row = Manifest.objects.get(digest=untagged[BASE])

    removed = sweep.remove_manifest(row.pk, row.last_used_at + DAY)

    assert removed is None
    assert untagged[BASE] in manifests()


@pytest.mark.parametrize("seed", range(4))
def test_a_dry_run_finds_what_a_run_removes(prepared: None, seed: int) -> None:
    graph = Graph(random.Random(seed))
    graph.grow()
    kept, collected = graph.names
    keep(kept)
    before = {name: set(Manifest.objects.filter(repository__name=name)) for name in graph.names}
    found = {name for kind, _, name in forecast() if kind == "manifest"}

    collect()

    assert set(Manifest.objects.filter(repository__name=kept)) == before[kept]
    removed = before[collected] - set(Manifest.objects.filter(repository__name=collected))
    assert {row.digest for row in removed} == found
    assert found
