"""The chunks of an upload share one object; what a failed or overtaken request leaves there is never published."""

import errno
import os
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
from django.utils.timezone import now

from core.db.transactions import LostRaceError
from distribution import blobs
from distribution.models import Blob, Segment, Trash, Upload
from distribution.storage.local import DurableFileSystemStorage
from distribution.uploads import resumable_hash
from tests.caller import Caller, content, error_codes
from tests.distribution.invariants import broken, objects_on
from tests.distribution.sessions import Interrupted, chunk, cut, finish, start
from tests.images import digest_of

ONE, TWO, THREE = b"the first chunk, ", b"the second, ", b"the last"
JUNK = b"written by a request that nobody waits for"


@pytest.fixture
def location(disk: Path, alice: Caller) -> str:
    """Have a session with one chunk."""
    location = start(alice)
    assert alice.patch(location, ONE).status_code == 202
    return location


def first_object(disk: Path) -> Path:
    """Return the object of the session's first chunk."""
    return disk / Segment.objects.order_by("start")[0].key


def leave_behind_a_writer() -> None:
    """Let a request have claimed the session and not be heard of since."""
    Upload.objects.update(lease=uuid4(), leased_until=now() - timedelta(seconds=1))


def add(file: Path, junk: bytes = JUNK) -> None:
    """Write behind what is there, as a request does that is stuck or was cut."""
    with file.open("ab") as target:
        target.write(junk)


def assert_published(disk: Path, alice: Caller, expected: bytes) -> None:
    response = alice.get(f"/v2/alice/app/blobs/{digest_of(expected)}")
    assert content(response) == expected
    assert Blob.objects.get().size == len(expected)
    assert not Upload.objects.exists()
    assert broken(disk) == []


def test_the_end_of_an_upload_reads_and_writes_nothing(
    disk: Path, alice: Caller, location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice.patch(location, TWO)
    for call in ("write", "fsync", "read"):
        monkeypatch.setattr(os, call, lambda *_: pytest.fail("the bytes were touched"))
    first_object(disk).chmod(0)

    response = finish(alice, location, digest_of(ONE + TWO))

    assert response.status_code == 201
    monkeypatch.undo()
    assert objects_on(disk) == {Blob.objects.get().key}


def test_what_lies_behind_the_bytes_that_count_is_cut_off_by_the_next_chunk(
    disk: Path, alice: Caller, location: str
) -> None:
    """As after a power cut in the middle of a chunk, which undid the claim's end."""
    add(first_object(disk))

    alice.patch(location, TWO)

    assert finish(alice, location, digest_of(ONE + TWO)).status_code == 201
    assert not Trash.objects.exists()
    assert_published(disk, alice, ONE + TWO)


def test_what_lies_behind_the_bytes_that_count_is_not_published(disk: Path, alice: Caller, location: str) -> None:
    add(first_object(disk))

    assert finish(alice, location, digest_of(ONE)).status_code == 201

    assert_published(disk, alice, ONE)


def test_a_chunk_after_a_writer_that_may_still_write_begins_another_object(
    disk: Path, alice: Caller, location: str
) -> None:
    stuck = first_object(disk)
    leave_behind_a_writer()

    assert alice.patch(location, TWO).status_code == 202
    add(stuck)
    assert alice.patch(location, THREE).status_code == 202
    add(stuck)

    assert [segment.is_sealed for segment in Segment.objects.order_by("start")] == [True, False]
    assert finish(alice, location, digest_of(ONE + TWO + THREE)).status_code == 201
    add(stuck)
    assert_published(disk, alice, ONE + TWO + THREE)


@pytest.mark.parametrize("last", [b"", TWO])
def test_an_end_after_a_writer_that_may_still_write_publishes_another_object(
    disk: Path, alice: Caller, location: str, last: bytes
) -> None:
    stuck = first_object(disk)
    leave_behind_a_writer()

    assert finish(alice, location, digest_of(ONE + last), last).status_code == 201
    add(stuck)

    assert_published(disk, alice, ONE + last)


def test_an_object_is_left_alone_for_good_once_its_writer_was_succeeded(
    disk: Path, alice: Caller, location: str
) -> None:
    """Also when whoever took the upload over has given up since, and left the session free."""
    stuck = first_object(disk)
    leave_behind_a_writer()
    alice.patch(location, b"x", meta=cut(TWO[:3], len(TWO)))
    add(stuck)

    assert Upload.objects.get().lease is None
    assert finish(alice, location, digest_of(ONE + TWO), TWO).status_code == 201
    add(stuck)

    assert_published(disk, alice, ONE + TWO)


@pytest.mark.parametrize("renewed", [True, False])
def test_a_writer_that_wakes_changes_nothing_of_what_was_published_meanwhile(
    disk: Path, alice: Caller, location: str, *, renewed: bool
) -> None:
    def overtake() -> None:
        Upload.objects.update(leased_until=now() - timedelta(seconds=1))
        if renewed:
            assert chunk(alice, location, TWO, len(ONE)).status_code == 202
        assert finish(alice, location, digest_of(ONE + TWO * renewed)).status_code == 201

    body = Interrupted(b"mine, ", overtake, JUNK)
    late = alice.patch(location, meta={"wsgi.input": body, "HTTP_TRANSFER_ENCODING": "chunked"})

    assert late.status_code == 404
    assert_published(disk, alice, ONE + TWO * renewed)


@pytest.mark.parametrize("place", [{}, {"Content-Range": f"{len(ONE)}-{len(ONE + TWO) - 1}"}])
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_chunk_that_is_not_kept_leaves_the_object_as_it_was(
    disk: Path, alice: Caller, location: str, method: str, place: dict[str, str]
) -> None:
    target = location if method == "PATCH" else f"{location}?digest={digest_of(ONE + TWO)}"

    refused = alice.send(method, target, b"x", meta=cut(TWO[:5], len(TWO)), headers=place)

    assert (refused.status_code, error_codes(refused)) == (400, ["SIZE_INVALID"])
    assert first_object(disk).read_bytes() == ONE
    assert broken(disk) == []
    assert finish(alice, location, digest_of(ONE)).status_code == 201
    assert not Trash.objects.exists()
    assert_published(disk, alice, ONE)


def test_an_object_that_can_not_be_cut_back_gets_no_more_bytes(
    disk: Path, alice: Caller, location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(DurableFileSystemStorage, "truncate", refuse)
        alice.patch(location, b"x", meta=cut(TWO[:5], len(TWO)))

    assert first_object(disk).stat().st_size > len(ONE)
    assert finish(alice, location, digest_of(ONE + TWO), TWO).status_code == 201
    assert_published(disk, alice, ONE + TWO)


@pytest.fixture
def touched(disk: Path, location: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """Return a function after which a call fails on the object of the first chunk; its result tells each that came."""
    watched, calls = first_object(disk), list[str]()

    def fail(name: str) -> list[str]:
        for each in ("write", "fsync", "ftruncate"):
            monkeypatch.setattr(os, each, partial(watch, each, getattr(os, each), name))
        return calls

    def watch(name: str, real: Callable[..., object], failing: str, descriptor: int, *arguments: object) -> object:
        if Path(f"/proc/self/fd/{descriptor}").readlink() == watched:
            calls.append(name)
            if name == failing and calls.count(name) == 1:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(descriptor, *arguments)

    return fail


def test_an_object_whose_fsync_failed_is_never_synced_again(
    disk: Path, alice: Caller, location: str, touched: Callable[[str], list[str]]
) -> None:
    """The next fsync would succeed, though the kernel has dropped the bytes."""
    calls = touched("fsync")
    failed = alice.patch(location, TWO)
    resumed = alice.patch(location, TWO)
    ended = finish(alice, location, digest_of(ONE + TWO))

    assert (failed.status_code, resumed.status_code, ended.status_code) == (503, 202, 201)
    assert calls == ["ftruncate", "write", "fsync"]
    assert_published(disk, alice, ONE + TWO)


def test_an_object_that_the_disk_has_no_space_for_gives_it_back_and_gets_the_chunk_later(
    disk: Path, alice: Caller, location: str, touched: Callable[[str], list[str]]
) -> None:
    calls = touched("write")

    failed = alice.patch(location, TWO)

    assert failed.status_code == 503
    assert calls[-2:] == ["ftruncate", "fsync"]
    assert first_object(disk).read_bytes() == ONE
    assert alice.patch(location, TWO).status_code == 202
    assert finish(alice, location, digest_of(ONE + TWO)).status_code == 201
    assert not Trash.objects.exists()
    assert_published(disk, alice, ONE + TWO)


def test_an_end_whose_publication_fails_leaves_the_session_where_it_was(
    disk: Path, alice: Caller, location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to its COMMIT may have got lost: its object is neither cut nor thrown away."""

    def lose(*_: object) -> None:
        raise LostRaceError

    with monkeypatch.context() as patch:
        patch.setattr(blobs, "publish", lose)
        refused = finish(alice, location, digest_of(ONE + TWO), TWO)

    assert refused.status_code == 503
    assert alice.get(location)["Range"] == f"0-{len(ONE) - 1}"
    assert finish(alice, location, digest_of(ONE + TWO), TWO).status_code == 201
    assert_published(disk, alice, ONE + TWO)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("last", [b"", THREE])
def test_without_a_state_of_the_hash_the_bytes_are_read_again(
    disk: Path, alice: Caller, monkeypatch: pytest.MonkeyPatch, algorithm: str, last: bytes
) -> None:
    monkeypatch.setattr(resumable_hash, "_functions", {})
    location = start(alice)
    alice.patch(location, ONE)
    alice.patch(location, TWO)

    response = finish(alice, location, digest_of(ONE + TWO + last, algorithm), last)

    assert response.status_code == 201
    assert Upload.objects.count() == 0
    assert not Trash.objects.exists()
    assert content(alice.get(response["Location"])) == ONE + TWO + last


def test_a_state_that_another_machine_stored_is_not_used(disk: Path, alice: Caller, location: str) -> None:
    Upload.objects.update(hash_state=b"sha256 libcrypto middle 112:" + bytes(120))
    alice.patch(location, TWO)

    assert finish(alice, location, digest_of(ONE + TWO)).status_code == 201
    assert_published(disk, alice, ONE + TWO)


def test_only_the_last_object_of_several_gets_more_bytes(disk: Path, alice: Caller, location: str) -> None:
    """One before it may be sealed by nobody, as an earlier version left it."""
    Segment.objects.update(is_sealed=True)
    alice.patch(location, TWO)
    Segment.objects.filter(start=0).update(is_sealed=False)
    Segment.objects.exclude(start=0).update(is_sealed=True)

    assert alice.patch(location, THREE).status_code == 202

    assert first_object(disk).read_bytes() == ONE
    assert finish(alice, location, digest_of(ONE + TWO + THREE)).status_code == 201
    assert_published(disk, alice, ONE + TWO + THREE)


@pytest.mark.parametrize("pieces", [[ONE], [ONE, TWO]])
def test_an_upload_that_an_earlier_version_began_is_completed(disk: Path, alice: Caller, pieces: list[bytes]) -> None:
    """It has an object for each chunk, and no state of a hash."""
    location, at = start(alice), 0
    Segment.objects.all().delete()
    for number, piece in enumerate(pieces):
        key = f"objects/00/{number:032x}"
        (disk / key).write_bytes(piece)
        Segment.objects.create(upload=Upload.objects.get(), key=key, start=at, size=len(piece))
        at += len(piece)
    Upload.objects.update(offset=at)

    assert alice.patch(location, THREE).status_code == 202

    assert finish(alice, location, digest_of(b"".join(pieces) + THREE)).status_code == 201
    assert_published(disk, alice, b"".join(pieces) + THREE)


@pytest.mark.parametrize("lose", [Path.unlink, lambda file: os.truncate(file, 5)])
def test_a_chunk_after_bytes_that_the_storage_has_lost_is_503(
    disk: Path, alice: Caller, location: str, lose: Callable[[Path], object]
) -> None:
    lose(first_object(disk))

    response = alice.patch(location, TWO)

    assert response.status_code == 503
    assert alice.get(location)["Range"] == f"0-{len(ONE) - 1}"
