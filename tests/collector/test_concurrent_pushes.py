"""A collector that spins without any grace never breaks what was pushed."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test import RequestFactory

from accounts.identity import Identity
from acl.names import RepositoryName
from collector import collection, fsck
from collector.policy import Policy
from collector.report import Report
from collector.throttle import Throttle
from core.api.body import Body
from core.api.errors import ErrorCode, RegistryError
from distribution import blobs, tags
from distribution.manifests import store
from distribution.models import Manifest, Trash
from distribution.protocol.digest import Digest
from distribution.protocol.references import parse_tag
from distribution.storage.blob_store import blob_store
from distribution.uploads import sessions
from tests.collector.runs import collect, pass_time
from tests.collector.storage import objects, objects_named_by_rows
from tests.images import index, manifest

LEAST_ROUNDS, MOST_ROUNDS = 8, 80
CONTENTS = [b"{}", b"one", b"two", b"three"]
REPOSITORIES = [RepositoryName("alice/app"), RepositoryName("alice/other")]


class Pusher:
    """Pushes images of a few blobs that everybody pushes, and checks that what it tagged is whole."""

    def __init__(self, number: int, is_collected: Callable[[], bool]) -> None:
        self.chance = random.Random(number)
        self.tag = parse_tag(f"tag-{number}")
        self.is_collected = is_collected

    def push_and_delete(self) -> None:
        try:
            for number in range(MOST_ROUNDS):
                if number >= LEAST_ROUNDS and self.is_collected():
                    return
                name = self.chance.choice(REPOSITORIES)
                contents = [*self.chance.sample(CONTENTS, 2), f"{self.tag} {number}".encode()]
                payload = manifest(*contents, annotations={"of": self.tag})
                self.until_nothing_is_missing(lambda: self.push(name, contents, payload))  # noqa: B023 - called at once
                self.check(name, contents)
                tags.delete(name, self.tag, account="", rules=None)
        finally:
            connection.close()

    def until_nothing_is_missing(self, push: Callable[[], None]) -> None:
        """Push again what was collected before the manifest came: without any grace that is as it should be."""
        for _ in range(50):
            try:
                push()
            except RegistryError as error:
                if error.code is not ErrorCode.MANIFEST_BLOB_UNKNOWN:
                    raise
            else:
                return
        pytest.fail("no push came through")

    def push(self, name: RepositoryName, contents: list[bytes], payload: bytes) -> None:
        for content in contents:
            request = RequestFactory().post("/", content, content_type="application/octet-stream")
            sessions.receive_whole(name, Identity("alice"), Body(request), Digest.of(content))
        store.put(name, payload, None, account="", rules=None)
        store.put(name, index(payload), None, tags=[self.tag], account="", rules=None)

    def check(self, name: RepositoryName, contents: list[bytes]) -> None:
        assert store.find(name, self.tag, with_payload=True).payload
        for content in contents:
            with blobs.open_at(blobs.find(name, Digest.of(content))) as file:
                assert file.read() == content


def _spin(is_over: threading.Event, report: Report) -> None:
    try:
        while not is_over.is_set():
            collection.collect(Policy(timedelta(), remove_untagged=True), report, Throttle())
            # Nobody reads what is deleted here: all that is read is held.
            Trash.objects.update(delete_after=Now())
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_pushes_beside_a_spinning_collector_stay_whole(configured: Callable[..., None]) -> None:
    configured(grace_period=timedelta())
    blob_store().prepare()
    is_over, report = threading.Event(), Report()
    with ThreadPoolExecutor(4) as threads:
        spinning = threads.submit(_spin, is_over, report)
        pushers = [Pusher(number, lambda: _has_everything(report)) for number in range(3)]
        pushing = [threads.submit(pusher.push_and_delete) for pusher in pushers]
        try:
            for future in pushing:
                future.result()
        finally:
            is_over.set()
        spinning.result()

    assert report.failures == 0
    assert _has_everything(report)
    assert [problem.what for problem in fsck.check(is_deep=True)] == []
    _check_that_all_goes()


def _has_everything(report: Report) -> bool:
    total = report.total
    return min(total.manifests, total.links, total.blobs) > 0


def _check_that_all_goes() -> None:
    for _ in range(2):
        pass_time()
        collect()
    assert objects() == objects_named_by_rows() == set()
    assert not Manifest.objects.exists()
