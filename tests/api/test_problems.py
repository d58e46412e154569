"""Errors: problem details (RFC 9457) for everything that can go wrong."""

import io
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pytest
from django.test import Client

from api.about.about import VersionView
from tests.api.asking import ask
from tests.caller import Caller, Response

UNEXPECTED = "secret of the programmer"


def is_problem(response: Response, status: int) -> dict[str, Any]:
    """Return the body of a problem with this status."""
    assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json"), response.content
    body: dict[str, Any] = response.json()
    expected = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    assert {key: body[key] for key in expected} == expected
    assert body["detail"]
    return body


@pytest.mark.parametrize("path", ["nothing", "repositories/", "rules/x", "a/b/c", "-", "%00", "whoami/"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
def test_an_unknown_path_is_404(path: str, method: str, anonymous: Caller) -> None:
    is_problem(ask(anonymous, method, path), 404)


def test_an_unknown_method_is_405_with_those_that_there_are(alice: Caller) -> None:
    response = ask(alice, "DELETE", "whoami")

    is_problem(response, 405)
    assert "GET" in response["Allow"]


def test_an_answer_that_nobody_wants_is_406(alice: Caller) -> None:
    is_problem(ask(alice, "GET", "whoami", headers={"Accept": "image/png"}), 406)


def test_a_body_of_another_type_is_415(root: Caller) -> None:
    headers = {"Authorization": root.basic}

    is_problem(root.client.post("/api/v1/groups", b"name=x", "application/x-www-form-urlencoded", headers=headers), 415)


@pytest.mark.parametrize(
    "body", [b"{", b"[1]", b"null", b'"x"', b"", b"\xff", b"[" * 5000, b'{"name": NaN}', b"1" * 9000]
)
def test_a_body_that_is_no_object_is_400(root: Caller, body: bytes) -> None:
    headers = {"Authorization": root.basic}

    is_problem(root.client.post("/api/v1/groups", body, "application/json", headers=headers), 400)


def test_a_body_that_is_too_large_is_413(root: Caller) -> None:
    body = io.BytesIO(b'{"name": "' + b"x" * 300_000 + b'"}')
    headers = {"Authorization": root.basic}

    is_problem(root.client.post("/api/v1/groups", body.read(), "application/json", headers=headers), 413)


def test_every_wrong_field_is_named(root: Caller) -> None:
    body = {"subject_kind": "nobody", "actions": ["pull", "fly"], "name": "x" * 300}

    problem = is_problem(ask(root, "POST", "rules", body), 400)

    assert list(problem["errors"]) == ["subject_kind", "name", "actions.1"]
    assert problem["detail"].startswith("subject_kind, name, actions.1: ")


@pytest.mark.parametrize("text", ["\0", "\ud800", 0, 1.5, True, ["x"], None])
def test_a_string_that_is_none_or_that_no_database_has_is_400(root: Caller, text: object) -> None:
    assert list(is_problem(ask(root, "POST", "groups", {"name": text}), 400)["errors"]) == ["name"]


def test_a_fault_of_the_registry_is_500_without_its_reason(
    alice: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_arguments: object) -> None:
        raise RuntimeError(UNEXPECTED)

    monkeypatch.setattr(VersionView, "get", fail)

    response = ask(alice, "GET", "version")

    is_problem(response, 500)
    assert UNEXPECTED not in response.content.decode()
    assert UNEXPECTED in caplog.text


def test_too_many_failed_logins_are_429(alice: Caller, limit: Callable[..., None]) -> None:
    limit(logins_per_minute=1)
    alice.password = "wrong"
    answers = [ask(alice, "GET", "whoami") for _ in range(2)]

    is_problem(answers[1], 429)
    assert int(answers[1]["Retry-After"]) > 0


def test_head_has_no_body(alice: Caller) -> None:
    response = Client().head("/api/v1/whoami", headers={"Authorization": alice.basic})

    assert (response.status_code, response.content) == (200, b"")
