"""Repository names in paths: what is not one is refused and leaves nothing behind."""

from urllib.parse import quote

import pytest

from distribution.models import Repository, Upload
from tests.caller import Caller, error_codes

BAD_NAMES = [
    "Alice/app",
    "alice/App",
    "alice/../bob",
    "alice/./app",
    "..",
    "alice//app",
    "/alice/app",
    "alice/app/",
    "alice/-app",
    "alice/app_",
    "alice/a..b",
    "alice/a___b",
    "alice/app\0",
    "alice/app\t",
    "alice/app ",
    "alice/%2e%2e",
    "alice%2Fapp",
    "alice/café",
    "alice/\u0661",
    "alice/\u017f",
    "a" * 256,
    "alice/" + "a" * 250,
    "alice\\app",
    "alice/app?x",
    "alice/app#x",
    "_catalog",
    "alice:5000/app",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_outside_the_grammar_is_400_and_makes_no_row(alice: Caller, name: str) -> None:
    token = alice.token("repository:alice/app:pull,push")

    response = alice.post(f"/v2/{quote(name)}/blobs/uploads/", token=token)

    assert response.status_code == 400
    assert error_codes(response) == ["NAME_INVALID"]
    assert not Repository.objects.exists()
    assert not Upload.objects.exists()


@pytest.mark.parametrize("name", ["alice/app\n", "alice\n/app", "\nalice/app"])
def test_a_name_with_a_line_feed_is_refused(alice: Caller, name: str) -> None:
    response = alice.post(f"/v2/{quote(name)}/blobs/uploads/", token=alice.token("repository:alice/app:pull,push"))

    assert response.status_code in {400, 404}
    assert not Repository.objects.exists()


@pytest.mark.parametrize("name", ["a", "alice", "a/b/c/d/e", "a__b", "a.b-c", "a---b", "0/1", "a" * 255, "token", "v2"])
def test_a_name_of_the_grammar_goes_on_to_the_right(alice: Caller, name: str) -> None:
    response = alice.get(f"/v2/{name}/tags/list", scopes=[])

    assert response.status_code == 401


@pytest.mark.parametrize("name", ["alice/blobs/uploads", "alice/manifests/v1", "alice/tags/list", "alice/uploads"])
def test_a_name_may_hold_the_words_of_the_paths(alice: Caller, name: str) -> None:
    response = alice.post(f"/v2/{name}/blobs/uploads/", scopes=[f"repository:{name}:pull,push"])

    assert response.status_code == 202
    assert Repository.objects.get().name == name


@pytest.mark.parametrize(
    "raw",
    [
        "/v2/alice%2Fapp/tags/list",
        "/v2/alice%2fapp/tags/list",
        "/v2/alice/app%2Ftags/list",
        "/v2%2Falice/app/tags/list",
        "http://registry.example/v2/alice%2Fapp/tags/list",
    ],
)
def test_an_encoded_slash_is_no_slash(alice: Caller, raw: str) -> None:
    alice.post("/v2/alice/app/blobs/uploads/")

    response = alice.get("/v2/alice/app/tags/list", meta={"RAW_URI": raw})

    assert response.status_code == 400
    assert error_codes(response) == ["NAME_INVALID"]
    assert response["Docker-Distribution-API-Version"] == "registry/2.0"


@pytest.mark.parametrize("raw", ["/v2/alice/app/tags/list?last=a%2Fb", "/v2/alice/app/tags/lis%74"])
def test_other_encoded_characters_and_a_slash_in_the_query_are_fine(alice: Caller, raw: str) -> None:
    alice.post("/v2/alice/app/blobs/uploads/")

    response = alice.get("/v2/alice/app/tags/list", meta={"RAW_URI": raw})

    assert response.status_code == 200
