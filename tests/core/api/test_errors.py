"""The error table and the body that clients read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.api.errors import ErrorCode, RegistryError, quoted

STATUSES = {
    "UNKNOWN": 500,
    "UNSUPPORTED": 405,
    "UNAUTHORIZED": 401,
    "DENIED": 403,
    "UNAVAILABLE": 503,
    "TOOMANYREQUESTS": 429,
    "DIGEST_INVALID": 400,
    "SIZE_INVALID": 400,
    "RANGE_INVALID": 416,
    "NAME_INVALID": 400,
    "TAG_INVALID": 400,
    "NAME_UNKNOWN": 404,
    "MANIFEST_UNKNOWN": 404,
    "MANIFEST_INVALID": 400,
    "MANIFEST_BLOB_UNKNOWN": 400,
    "BLOB_UNKNOWN": 404,
    "BLOB_UPLOAD_UNKNOWN": 404,
    "BLOB_UPLOAD_INVALID": 400,
    "PAGINATION_NUMBER_INVALID": 400,
    "TOKEN_REQUEST_INVALID": 400,
    "SCOPE_INVALID": 400,
    "SERVICE_INVALID": 400,
    "GRANT_TYPE_UNSUPPORTED": 400,
}


@pytest.mark.parametrize(("code", "status"), STATUSES.items())
def test_a_code_has_its_status(code: str, status: int) -> None:
    assert RegistryError(ErrorCode[code]).status == status


def test_no_code_is_missing_from_the_table_above() -> None:
    assert {code.name for code in ErrorCode} == set(STATUSES)


def test_the_body_has_code_message_and_detail() -> None:
    error = RegistryError(ErrorCode.MANIFEST_UNKNOWN, {"tag": "latest"})

    assert error.body() == {
        "errors": [
            {
                "code": "MANIFEST_UNKNOWN",
                "message": "manifest unknown to registry",
                "detail": {"tag": "latest"},
            }
        ]
    }


def test_docker_shows_the_messages_of_401_and_403_as_they_are() -> None:
    assert ErrorCode.UNAUTHORIZED.message == "authentication required"
    assert ErrorCode.DENIED.message == "requested access to the resource is denied"


def test_a_status_replaces_that_of_the_table() -> None:
    assert RegistryError(ErrorCode.MANIFEST_INVALID, "too large", status=413).status == 413


def test_a_message_replaces_that_of_the_table() -> None:
    error = RegistryError(ErrorCode.SCOPE_INVALID, "why", message="why, for docker")

    assert error.body()["errors"] == [{"code": "SCOPE_INVALID", "message": "why, for docker", "detail": "why"}]


def test_headers_are_a_copy() -> None:
    headers = {"Retry-After": "7"}
    error = RegistryError(ErrorCode.TOOMANYREQUESTS, headers=headers)
    headers.clear()

    assert error.headers == {"Retry-After": "7"}


def test_several_details_are_one_entry_each_in_order() -> None:
    error = RegistryError.several(ErrorCode.MANIFEST_BLOB_UNKNOWN, [{"digest": "a"}, {"digest": "b"}])

    assert [entry["detail"] for entry in error.body()["errors"]] == [{"digest": "a"}, {"digest": "b"}]
    assert {entry["code"] for entry in error.body()["errors"]} == {"MANIFEST_BLOB_UNKNOWN"}
    assert error.status == 400


def test_several_without_a_detail_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="without details"):
        RegistryError.several(ErrorCode.MANIFEST_BLOB_UNKNOWN, [])


def test_the_text_of_an_error_names_code_and_detail() -> None:
    error = RegistryError.several(ErrorCode.BLOB_UNKNOWN, ["one", None])

    assert str(error) == "BLOB_UNKNOWN: one; BLOB_UNKNOWN"


@settings(deadline=None)
@given(st.text(st.characters()))
def test_a_quoted_text_is_short_and_printable(text: str) -> None:
    shown = quoted(text)

    assert shown.isprintable()
    assert len(shown) <= 100 * len("\\U0010ffff") + len("''...")
    json.dumps(shown).encode()
