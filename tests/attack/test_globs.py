"""No pattern and no text takes longer than anybody waits: each has an answer within PATIENCE_SECONDS.

The pattern of the rule of `developer` is one that a matcher which goes back and forth needs hours for.
"""

import json

import pytest

from tests.attack.conftest import Ask
from tests.attack.target import SECRET, Target, scope
from tests.clients.server import basic
from tests.images import digest_of

NAME = "charlie/" + "a" * 240


def test_a_pattern_of_forty_stars_is_matched_at_once(send: Ask) -> None:
    """A naive translation to `.*` took 71 s with six stars (ReDoS)."""
    answer = send(f"GET /v2/token?scope={scope(NAME, 'pull')}", f"Authorization: {basic('developer')}")

    assert json.loads(answer.body)["scope"] == ""


def test_a_pattern_of_forty_stars_is_still_one(send: Ask) -> None:
    answer = send(f"GET /v2/token?scope={scope(NAME + 'b', 'pull')}", f"Authorization: {basic('developer')}")

    assert json.loads(answer.body)["scope"] == f"repository:{NAME}b:pull"


@pytest.mark.parametrize("name", ["a-" * 120 + "!", "a/" * 120 + "-", "a__" * 80 + "_", "-" * 250, "a" * 250 + "\\"])
def test_no_name_is_looked_at_twice(name: str, send: Ask) -> None:
    assert send(f"GET /v2/{name}/tags/list").status == 400


@pytest.mark.parametrize(
    "text",
    ["repository:" + "a:" * 3000 + "pull", "," * 8000, "repository:a:" + "pull," * 1500, "a(" * 3000,
     "%20".join(["repository:a:pull"] * 400), ":" * 8000],
    ids=["colons", "commas", "actions", "brackets", "many", "only colons"],
)  # fmt: skip
def test_no_scope_is_looked_at_twice(text: str, send: Ask) -> None:
    assert send(f"GET /v2/token?scope={text[:4000]}", f"Authorization: {basic('charlie')}").status in {200, 400}


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Range", "bytes=" + "0-0," * 1500),
        ("Range", "bytes=" + "0" * 6000 + "-"),
        ("Range", "bytes=-" + "9" * 6000),
        ("If-None-Match", '"a", W/' * 900),
        ("If-None-Match", ", " * 3000),
        ("Accept", "application/" + "a" * 6000),
        ("Accept", "*/*;q=0." + "0" * 6000),
        ("Cookie", "a=b; " * 1300),
        ("X-Forwarded-For", "1.1.1.1, " * 700),
        ("Forwarded", 'for="_' * 1000),
        ("Authorization", "Basic " + "=" * 7000),
        ("Content-Range", "0" * 7000),
    ],
)
def test_no_header_is_looked_at_twice(header: str, value: str, target: Target, send: Ask) -> None:
    lines = [f"{header}: {value}"]
    if header != "Authorization":
        lines.append(f"Authorization: {target.bearer('alice', scope(SECRET))}")
    path = f"/v2/{SECRET}/blobs/{digest_of(b'<script>alert(document.domain)</script>')}"

    for method in ("GET", "PATCH"):
        assert send(f"{method} {path}", *lines).status in {200, 206, 304, 400, 401, 405, 416}
