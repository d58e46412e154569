"""`/api/v1/repositories/{name}/-/description`."""

from collections.abc import Callable

import pytest

from policies.models import ReadOnly
from tests.api.asking import answered, ask
from tests.caller import Caller
from tests.images import Image
from web.description import MAX_BYTES

PATH = "repositories/alice/app/-/description"


@pytest.fixture(autouse=True)
def image(push: Callable[..., Image]) -> Image:
    return push("alice/app", "v1")


def test_it_is_written_shown_and_removed(alice: Caller, bob: Caller) -> None:
    written = ask(alice, "PUT", PATH, {"description": "# Mine\r\n"})

    assert (written.status_code, written.json()) == (200, {"description": "# Mine"})
    assert ask(bob, "GET", PATH)["ETag"] == written["ETag"]
    assert ask(alice, "PUT", PATH, {"description": ""}).json() == {"description": ""}


def test_it_needs_the_right_to_push(bob: Caller, charlie: Caller, anonymous: Caller) -> None:
    statuses = [ask(caller, "PUT", PATH, {"description": "x"}).status_code for caller in (bob, charlie, anonymous)]

    assert statuses == [403, 404, 401]
    assert answered(bob, PATH) == {"description": ""}


def test_it_is_written_only_over_what_the_client_read(alice: Caller) -> None:
    seen = ask(alice, "GET", PATH)["ETag"]
    assert ask(alice, "PUT", PATH, {"description": "one"}, {"If-Match": seen}).status_code == 200

    assert ask(alice, "PUT", PATH, {"description": "two"}, {"If-Match": seen}).status_code == 412
    assert answered(alice, PATH) == {"description": "one"}


@pytest.mark.parametrize("text", [None, 1, "a\0b", "ä" * (MAX_BYTES // 2 + 1), "x" * (MAX_BYTES + 1)])
def test_a_wrong_one_is_400(alice: Caller, text: object) -> None:
    response = ask(alice, "PUT", PATH, {"description": text})

    assert (response.status_code, list(response.json()["errors"])) == (400, ["description"])


def test_a_repository_that_is_none_has_none(alice: Caller) -> None:
    path = "repositories/alice/none/-/description"

    assert ask(alice, "GET", path).status_code == ask(alice, "PUT", path, {"description": "x"}).status_code == 404


def test_nobody_writes_one_while_the_repository_is_read_only(alice: Caller) -> None:
    ReadOnly.objects.create(repositories="alice/*", message="we move on Monday")

    refused = ask(alice, "PUT", PATH, {"description": "new"})

    assert (refused.status_code, refused.json()["detail"]) == (403, "alice/app is read-only: we move on Monday")
    assert answered(alice, PATH) == {"description": ""}
