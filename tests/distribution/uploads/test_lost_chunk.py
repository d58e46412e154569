"""What the storage lost between the bytes and the end of an upload is published by no 201: a 503, which is logged."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from distribution.models import Blob, Segment, Upload
from tests.caller import Caller, error_codes
from tests.distribution.sessions import finish, start
from tests.images import digest_of

ONE, TWO = b"some bytes ", b"and others"


def cut(file: Path) -> None:
    """Lose the end."""
    os.truncate(file, 4)


def flip(file: Path) -> None:
    """Change a byte."""
    file.write_bytes(b"S" + file.read_bytes()[1:])


def seal() -> None:
    """Let the bytes be copied at the end, as after a writer that was overtaken."""
    Segment.objects.update(is_sealed=True)


def as_it_is() -> None:
    """Let the object be published as it is."""


@pytest.mark.parametrize(
    ("lose", "before_the_end"),
    [(Path.unlink, as_it_is), (cut, as_it_is), (Path.unlink, seal), (cut, seal), (flip, seal)],
)
@pytest.mark.parametrize("pieces", [[ONE], [ONE, TWO]])
def test_bytes_that_the_storage_lost_meanwhile_are_503_and_logged(
    disk: Path,
    alice: Caller,
    caplog: pytest.LogCaptureFixture,
    *,
    lose: Callable[[Path], object],
    before_the_end: Callable[[], None],
    pieces: list[bytes],
) -> None:
    location, digest = start(alice), digest_of(b"".join(pieces))
    for piece in pieces:
        alice.patch(location, piece)
    lose(disk / Segment.objects.get().key)
    before_the_end()

    response = finish(alice, location, digest)

    assert (response.status_code, error_codes(response)) == (503, ["UNAVAILABLE"])
    assert response["Retry-After"]
    assert "the storage did not give an upload back" in caplog.text
    assert Upload.objects.get().lease is None
    assert not Blob.objects.exists()
    assert alice.head(f"/v2/alice/app/blobs/{digest}").status_code == 404


def test_of_several_objects_that_are_joined_one_is_gone(disk: Path, alice: Caller) -> None:
    location = start(alice)
    alice.patch(location, ONE)
    seal()
    alice.patch(location, TWO)
    (disk / Segment.objects.get(start=len(ONE)).key).unlink()

    response = finish(alice, location, digest_of(ONE + TWO))

    assert (response.status_code, error_codes(response)) == (503, ["UNAVAILABLE"])
