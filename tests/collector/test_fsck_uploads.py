"""`manage.py fsck` about open uploads: the bytes that they count are there, in objects of their own."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import call_command

from collector import fsck
from distribution.models import Blob, Segment, Upload
from tests.caller import Caller
from tests.images import push_blob
from tests.storages import object_file

APP = "alice/app"
BYTES = b"some bytes"


@pytest.fixture
def location(alice: Caller) -> str:
    """Have an upload that counts BYTES; return where it goes on."""
    begun = alice.post(f"/v2/{APP}/blobs/uploads/")["Location"]
    return str(alice.patch(begun, BYTES)["Location"])


def _object() -> Path:
    return object_file(Segment.objects.get(size=len(BYTES)).key)


@pytest.mark.parametrize(
    ("lose", "what"),
    [(lambda path: path.unlink(), "is missing"), (lambda path: path.write_bytes(b"some"), "has 4 bytes instead of 10")],
)
def test_an_upload_that_lost_its_bytes_is_found_and_ends(
    location: str, alice: Caller, lose: Callable[[Path], object], what: str
) -> None:
    lose(_object())
    output = io.StringIO()

    call_command("fsck", "--repair", stdout=output)

    assert f"{what}: ended, its client has to start again" in output.getvalue()
    assert alice.patch(location, b" more").status_code == 404
    assert list(fsck.check()) == []


def test_bytes_behind_those_that_count_are_no_fault(location: str, alice: Caller) -> None:
    """They are being written, or were left by a request that was cut, and nobody reads them."""
    with _object().open("ab") as file:
        file.write(b" and more")

    assert list(fsck.check()) == []


def test_an_object_that_an_upload_names_beside_a_blob_is_found(location: str, alice: Caller) -> None:
    push_blob(alice, APP, BYTES[::-1])
    _object().unlink()
    key = Blob.objects.get().key
    Segment.objects.filter(size=len(BYTES)).update(key=key)

    (problem,) = fsck.check()

    assert problem.what.startswith(f"object {key}: an upload names it beside blob")


def test_an_object_that_an_upload_assembles_beside_a_blob_is_found(location: str, alice: Caller) -> None:
    push_blob(alice, APP, BYTES[::-1])
    key = Blob.objects.get().key
    Upload.objects.update(assembly_key=key)

    (problem,) = fsck.check()

    assert problem.what.startswith(f"object {key}: an upload names it beside blob")
