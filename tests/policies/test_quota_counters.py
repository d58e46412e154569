"""The counters of quotas: always what adding up the rows gives."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import timedelta
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from acl.names import RepositoryName
from collector import sweep
from core.api.errors import RegistryError
from distribution import blobs, deletion, tags
from distribution.caching.fetches import Fetch
from distribution.models import Link, Manifest, QuotaUse, Repository, Tag
from distribution.protocol.digest import Digest
from distribution.usage import quota_sets
from distribution.usage.quota_sets import QuotaSet, Use
from policies.models import Quota
from tests.caller import Caller
from tests.images import Image, push_blob, put_manifest
from upstreams.exchange import MissingError

KIB = 1024
NAMES = ["alice/app", "alice/other", "public/app"]
LARGE = {"max_size": 1024**3, "max_tags": 10**6}


def counted() -> dict[tuple[int, str], Use]:
    return {(row.policy, row.counted): Use(row.bytes, row.tags) for row in QuotaUse.objects.all()}


def added_up() -> dict[tuple[int, str], Use]:
    """Add up what each counted set has, by other means than the counters do."""
    found = {}
    for row in QuotaUse.objects.all():
        one = QuotaSet(Quota.objects.get(pk=row.policy), row.counted)
        names = [name for name in Repository.objects.values_list("name", flat=True) if name[0] != "!"]
        inside = [name for name in names if one.holds(name) and row.counted in ("", name, f"{name.split('/')[0]}/")]
        sizes = dict(Link.objects.filter(repository__name__in=inside).values_list("blob_id", "blob__size"))
        found[row.policy, row.counted] = Use(
            sum(sizes.values()), Tag.objects.filter(repository__name__in=inside).count()
        )
    return found


class Verbs:
    """What pushers and the collector do, by random choice."""

    def __init__(self, alice: Caller, payload: bytes, seed: int) -> None:
        self.alice, self.payload, self.random = alice, payload, random.Random(seed)

    def any(self) -> None:
        verbs = (self.push, self.mount, self.fetch, self.tag, self.untag, self.unlink, self.collect, self.hide)
        self.random.choices(verbs, [8, 4, 4, 8, 2, 3, 2, 1])[0]()

    def name(self) -> RepositoryName:
        return RepositoryName(self.random.choice(NAMES))

    def content(self) -> bytes:
        return b"%d" % self.random.randrange(6) * KIB

    def push(self) -> None:
        push_blob(self.alice, self.name(), self.content())

    def mount(self) -> None:
        blobs.mount(self.name(), Digest.of(self.content()), self.name())

    def fetch(self) -> None:
        """Fetch from an upstream that has only what is here already."""
        content = self.content()

        def ask(method: str) -> Any:
            if method != "HEAD":
                raise MissingError("only a HEAD")
            return nullcontext(SimpleNamespace(headers={"Content-Length": str(len(content))}))

        Fetch(self.name(), Digest.of(content), ask, is_trusted=True).run()

    def tag(self) -> None:
        put_manifest(self.alice, self.name(), f"v{self.random.randrange(4)}", self.payload)

    def untag(self) -> None:
        rows = list(Tag.objects.values_list("pk", flat=True).order_by("pk"))
        tags.delete_rows(self.random.sample(rows, min(len(rows), 2)), account="")

    def unlink(self) -> None:
        if link := self.random.choice([None, *Link.objects.filter(uses=None).order_by("pk")]):
            blobs.delete(RepositoryName(link.repository.name), Digest(*link.blob.digest.split(":")))

    def collect(self) -> None:
        Link.objects.update(last_used_at=now() - timedelta(days=9))
        for pk in Link.objects.filter(is_unreferenced=True).order_by("pk").values_list("pk", flat=True)[:3]:
            sweep.remove_link(pk, now())

    def hide(self) -> None:
        if Repository.objects.filter(name=(name := self.name())).exists():
            list(deletion.steps(deletion.begin(name)))


@pytest.mark.parametrize("seed", range(4))
def test_they_are_exact_whatever_happens(
    alice: Caller, quota: Callable[..., Quota], push: Callable[..., Image], seed: int
) -> None:
    image = push("alice/app", "v1")
    quota("*", **LARGE)
    quota("alice/*", **LARGE)
    quota("*", each="namespace", except_repositories="public/app", **LARGE)
    quota("*", each="repository", **LARGE)
    verbs = Verbs(alice, b"", seed)
    verbs.payload = image.payload
    seen = set[tuple[int, str]]()

    for _ in range(60):
        try:
            verbs.any()
        except RegistryError as error:
            if error.code.status != 404:
                raise
        assert counted() == added_up()
        seen |= counted().keys()
    assert len(seen) >= 5


def test_a_push_pays_the_same_whatever_the_quota_has(alice: Caller, quota: Callable[..., Quota]) -> None:
    push_blob(alice, "alice/app", b"first")
    quota("*", **LARGE)
    push_blob(alice, "alice/app", b"adds everything up")

    with CaptureQueriesContext(connection) as asked:
        push_blob(alice, "alice/app", b"third")

    assert not [one["sql"] for one in asked if "SUM(" in one["sql"]]


def test_a_quota_that_changes_is_added_up_again(alice: Caller, quota: Callable[..., Quota]) -> None:
    push_blob(alice, "public/app", b"a" * KIB)
    policy = quota("alice/*", **LARGE)
    push_blob(alice, "alice/app", b"b" * KIB)
    assert counted() == {(policy.pk, ""): Use(KIB, 0)}

    policy.repositories = "*"
    policy.save()
    push_blob(alice, "alice/app", b"c" * KIB)

    assert counted() == {(policy.pk, ""): Use(3 * KIB, 0)}


def test_a_counter_that_is_due_is_added_up_again(alice: Caller, quota: Callable[..., Quota]) -> None:
    quota("*", **LARGE)
    push_blob(alice, "alice/app", b"a" * KIB)
    QuotaUse.objects.update(bytes=7, due_at=now() - timedelta(seconds=1))

    push_blob(alice, "alice/app", b"b" * KIB)

    row = QuotaUse.objects.get()
    assert row.bytes == 2 * KIB
    assert row.due_at > now() + timedelta(minutes=50)


def test_the_counter_of_a_deleted_quota_goes(alice: Caller, quota: Callable[..., Quota]) -> None:
    quota("*", **LARGE)
    push_blob(alice, "alice/app", b"a")
    Quota.objects.all().delete()
    kept = quota("*", **LARGE)

    push_blob(alice, "alice/app", b"b")

    assert [row.policy for row in QuotaUse.objects.all()] == [kept.pk]


def test_a_blob_that_many_others_link_is_looked_for_in_the_set(
    alice: Caller, quota: Callable[..., Quota], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quota_sets, "_LOOKED_AT", 2)
    for name in ("public/a", "public/b", "alice/app"):
        push_blob(alice, name, b"a" * KIB)
    policy = quota("*", except_repositories="public/a public/b", **LARGE)
    push_blob(alice, "alice/app", b"b" * KIB)

    push_blob(alice, "alice/other", b"a" * KIB)

    assert counted() == {(policy.pk, ""): Use(2 * KIB, 0)}


@pytest.mark.django_db(transaction=True)
def test_they_are_exact_when_pushes_and_removals_happen_at_once(alice: Caller, quota: Callable[..., Quota]) -> None:
    contents = [b"%d" % number * KIB for number in range(3)]
    for content in contents:
        push_blob(alice, "public/source", content)
    quota("alice/*", **LARGE)
    quota("*", each="repository", **LARGE)
    barrier = Barrier(4)

    def work(seed: int) -> None:
        chosen = random.Random(seed)
        try:
            barrier.wait(30)
            for _ in range(12):
                name, digest = RepositoryName(chosen.choice(NAMES[:2])), Digest.of(chosen.choice(contents))
                try:
                    if chosen.random() < 0.6:
                        blobs.mount(name, digest, RepositoryName("public/source"))
                    else:
                        blobs.delete(name, digest)
                except RegistryError as error:
                    if error.code.status != 404:
                        raise
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))

    assert counted() == added_up()
    assert Manifest.objects.count() == 0
    assert len(counted()) == 3
