"""What the storage lost between the bytes and the end of an upload is published by no 201."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.files.storage import storages

from distribution.models import Segment
from tests.caller import Caller
from tests.images import digest_of

APP = "alice/app"
BYTES = b"some bytes"


@pytest.mark.parametrize("lose", [Path.unlink, lambda path: path.write_bytes(b"some")])
def test_bytes_that_the_storage_lost_meanwhile_are_not_published(alice: Caller, lose: Callable[[Path], object]) -> None:
    begun = alice.post(f"/v2/{APP}/blobs/uploads/")["Location"]
    location = alice.patch(begun, BYTES)["Location"]
    lose(Path(storages["blobs"].path(Segment.objects.get(size=len(BYTES)).key)))
    digest = digest_of(BYTES)

    response = alice.put(f"{location}{'&' if '?' in location else '?'}digest={digest}")

    assert response.status_code == 503
    assert alice.head(f"/v2/{APP}/blobs/{digest}").status_code == 404
