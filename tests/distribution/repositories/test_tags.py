"""`GET /v2/<name>/tags/list`."""

from collections.abc import Callable, Sequence

import pytest

from tests.caller import Caller, error_codes
from tests.images import Image, digest_of, put_manifest

# In byte order: digits, capitals, underscore, small letters. People sort otherwise, and so do databases.
NAMES = ["0", "10", "9", "A", "B", "Z", "_", "a", "a-b", "a.b", "aB", "a_b", "aa", "b", "z"]
URL = "/v2/alice/app/tags/list"


@pytest.fixture
def tagged(alice: Caller, push: Callable[..., Image]) -> Sequence[str]:
    """Give one manifest all of NAMES."""
    image = push("alice/app", "first")
    alice.delete("/v2/alice/app/manifests/first")
    query = "&".join(f"tag={name}" for name in reversed(NAMES))
    assert put_manifest(alice, "alice/app", f"{image.digest}?{query}", image.payload).status_code == 201
    return NAMES


def test_tags_are_listed_in_byte_order(tagged: Sequence[str], bob: Caller) -> None:
    response = bob.get(URL)

    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    assert response.json() == {"name": "alice/app", "tags": list(tagged)}
    assert "Link" not in response


@pytest.mark.parametrize("size", [1, 2, 4, 7, 14, 15, 16])
def test_pages_follow_their_links_to_all_tags_and_end(tagged: Sequence[str], alice: Caller, size: int) -> None:
    url, seen, pages = f"{URL}?n={size}", [], 0

    while url:
        response = alice.get(url)
        seen += response.json()["tags"]
        pages += 1
        url = response.headers.get("Link", "<>")[1:].partition(">")[0]

    assert seen == list(tagged)
    assert pages == -(-len(tagged) // size)


def test_a_link_names_the_last_tag_and_the_number(tagged: Sequence[str], alice: Caller) -> None:
    response = alice.get(f"{URL}?n=2")

    assert response["Link"] == '</v2/alice/app/tags/list?last=10&n=2>; rel="next"'


@pytest.mark.parametrize(
    ("last", "first"),
    [("a", "a-b"), ("", "0"), ("5", "9"), ("zz", None), ("AA", "B"), ("%C3%A9", None), ("a%00b", "a-b")],
)
def test_a_page_starts_after_a_name_that_need_not_exist(
    tagged: Sequence[str], alice: Caller, last: str, first: str | None
) -> None:
    response = alice.get(f"{URL}?last={last}")

    assert next(iter(response.json()["tags"]), None) == first


def test_no_tags_at_all_when_none_are_asked_for(tagged: Sequence[str], alice: Caller) -> None:
    response = alice.get(f"{URL}?n=0")

    assert response.status_code == 200
    assert response.json()["tags"] == []
    assert "Link" not in response


@pytest.mark.parametrize("number", ["-1", "x", "1.5", "%2B1", "0x10", " 1", "\u0661", "1_0", "%00"])
def test_what_is_no_number_is_400(tagged: Sequence[str], alice: Caller, number: str) -> None:
    response = alice.get(f"{URL}?n={number}")

    assert response.status_code == 400
    assert error_codes(response) == ["PAGINATION_NUMBER_INVALID"]


@pytest.mark.parametrize("number", ["1001", "9" * 30, "9" * 5000, ""])
def test_a_number_above_the_most_is_the_most(tagged: Sequence[str], alice: Caller, number: str) -> None:
    assert alice.get(f"{URL}?n={number}").json()["tags"] == list(tagged)


def test_more_than_a_thousand_come_in_pages_without_being_asked(alice: Caller, push: Callable[..., Image]) -> None:
    image = push("alice/app", "t")
    for start in range(0, 1001, 500):
        query = "&".join(f"tag=t{number}" for number in range(start, min(start + 500, 1001)))
        assert put_manifest(alice, "alice/app", f"{image.digest}?{query}", image.payload).status_code == 201

    response = alice.get(f"{URL}?n=100000")

    assert len(response.json()["tags"]) == 1000
    assert "n=1000" in response["Link"]


def test_a_repository_without_tags_has_an_empty_list(alice: Caller) -> None:
    alice.post("/v2/alice/app/blobs/uploads/")

    assert alice.get(URL).json() == {"name": "alice/app", "tags": []}


def test_a_repository_that_never_was_is_404(alice: Caller) -> None:
    response = alice.get(URL)

    assert response.status_code == 404
    assert error_codes(response) == ["NAME_UNKNOWN"]


def test_a_tag_list_is_for_who_may_pull(tagged: Sequence[str], charlie: Caller) -> None:
    assert charlie.get(URL).status_code == 401


def test_a_moved_tag_is_listed_once(alice: Caller, push: Callable[..., Image]) -> None:
    push(content=b"old")
    push(content=b"new")

    assert alice.get(URL).json()["tags"] == ["v1"]


def test_a_referrer_of_the_fallback_scheme_is_an_ordinary_tag(alice: Caller, push: Callable[..., Image]) -> None:
    tag = digest_of(b"x").replace(":", "-") + ".sig"

    push("alice/app", tag)

    assert alice.get(URL).json()["tags"] == [tag]
