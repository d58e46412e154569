"""`GET /v2/<name>/blobs/<digest>` with a `Range`."""

import pytest

from tests.caller import Caller, content, error_codes
from tests.images import digest_of, push_blob

BYTES = bytes(range(100))


@pytest.fixture
def url(alice: Caller) -> str:
    """Push 100 bytes and return their path."""
    return f"/v2/alice/app/blobs/{push_blob(alice, 'alice/app', BYTES)}"


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=90-", 90, 99),
        ("bytes=-10", 90, 99),
        ("bytes=-1000", 0, 99),
        ("bytes=0-99999999999999999999999", 0, 99),
        ("bytes=99-99", 99, 99),
    ],
)
def test_a_range_is_206_with_its_bytes(alice: Caller, url: str, asked: str, first: int, last: int) -> None:
    response = alice.get(url, headers={"Range": asked})

    assert response.status_code == 206
    assert response["Content-Range"] == f"bytes {first}-{last}/100"
    assert response["Content-Length"] == str(last - first + 1)
    assert content(response)[: last - first + 1] == BYTES[first : last + 1]


@pytest.mark.parametrize("asked", ["bytes=100-", "bytes=1000-2000", "bytes=-0", "bytes=" + "9" * 5000 + "-"])
def test_a_range_outside_is_416_with_the_size(alice: Caller, url: str, asked: str) -> None:
    response = alice.get(url, headers={"Range": asked})

    assert response.status_code == 416
    assert response["Content-Range"] == "bytes */100"
    assert error_codes(response) == ["RANGE_INVALID"]


@pytest.mark.parametrize("asked", ["bytes=5-1", "bytes=0-1,5-6", "lines=1-2", "bytes=a-b", "bytes", "", "bytes=-"])
def test_what_is_no_single_range_is_ignored(alice: Caller, url: str, asked: str) -> None:
    response = alice.get(url, headers={"Range": asked})

    assert response.status_code == 200
    assert content(response) == BYTES


def test_an_if_range_of_these_bytes_is_206(alice: Caller, url: str) -> None:
    response = alice.get(url, headers={"Range": "bytes=10-19", "If-Range": f'"{digest_of(BYTES)}"'})

    assert response.status_code == 206
    assert response["Content-Range"] == "bytes 10-19/100"
    assert content(response)[:10] == BYTES[10:20]


@pytest.mark.parametrize(
    "condition",
    [
        '"something else"',
        f'W/"{digest_of(BYTES)}"',
        digest_of(BYTES),
        f'"{digest_of(b"other bytes")}"',
        "Sat, 29 Oct 2022 19:43:31 GMT",
        "*",
        "",
    ],
)
def test_any_other_if_range_gives_the_whole(alice: Caller, url: str, condition: str) -> None:
    response = alice.get(url, headers={"Range": "bytes=10-19", "If-Range": condition})

    assert response.status_code == 200
    assert "Content-Range" not in response
    assert content(response) == BYTES


def test_an_if_range_alone_says_nothing(alice: Caller, url: str) -> None:
    response = alice.get(url, headers={"If-Range": '"something else"'})

    assert response.status_code == 200
    assert content(response) == BYTES


def test_any_range_of_an_empty_blob_is_416(alice: Caller) -> None:
    digest = push_blob(alice, "alice/app", b"")

    response = alice.get(f"/v2/alice/app/blobs/{digest}", headers={"Range": "bytes=0-"})

    assert response.status_code == 416
    assert response["Content-Range"] == "bytes */0"


def test_a_head_ignores_a_range(alice: Caller, url: str) -> None:
    response = alice.head(url, headers={"Range": "bytes=0-9"})

    assert response.status_code == 200
    assert response["Content-Length"] == "100"
