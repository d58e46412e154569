"""Mounts of a blob that is being collected: a blob that is there, or an upload; never a link to nothing."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from distribution import blobs
from tests.caller import Caller, Response, content
from tests.collector.runs import collect, pass_time
from tests.distribution.sessions import finish
from tests.images import manifest, push_blob, put_manifest

APP, OTHER = "alice/app", "alice/other"
BYTES = b"mounted"
SCOPES = [f"repository:{APP}:pull", f"repository:{OTHER}:pull,push"]


def _mount(caller: Caller, digest: str) -> Response:
    return caller.post(f"/v2/{OTHER}/blobs/uploads/?mount={digest}&from={APP}", scopes=SCOPES)


@pytest.fixture
def collected_between(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Let a run come between a mount's look for the blob and its lock."""

    def come(grace: timedelta) -> None:
        mount = blobs._mount

        def collect_and_mount(*args: Any, **kwargs: Any) -> bool:
            collect(grace=grace)
            return mount(*args, **kwargs)

        monkeypatch.setattr(blobs, "_mount", collect_and_mount)

    return come


def test_a_mount_that_found_its_blob_has_it_though_it_was_due(
    alice: Caller, collected_between: Callable[[timedelta], None]
) -> None:
    digest = push_blob(alice, APP, BYTES)
    pass_time()
    collected_between(timedelta(hours=24))

    response = _mount(alice, digest)

    assert response.status_code == 201
    assert content(alice.get(f"/v2/{OTHER}/blobs/{digest}")) == BYTES


def test_a_mount_whose_blob_was_collected_is_an_upload_that_brings_it_back(
    alice: Caller, collected_between: Callable[[timedelta], None]
) -> None:
    digest = push_blob(alice, APP, BYTES)
    pass_time()
    collected_between(timedelta())

    response = _mount(alice, digest)

    assert response.status_code == 202
    assert finish(alice, response["Location"], digest, BYTES).status_code == 201
    assert content(alice.get(f"/v2/{OTHER}/blobs/{digest}")) == BYTES


def test_a_mount_is_promised_for_the_manifest_that_follows(alice: Caller) -> None:
    digest = push_blob(alice, APP, BYTES)
    pass_time()
    assert _mount(alice, digest).status_code == 201
    pass_time(timedelta(hours=23))

    collect()

    assert put_manifest(alice, OTHER, "v1", manifest(BYTES)).status_code == 201
