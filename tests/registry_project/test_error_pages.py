"""Pages of errors look like the others, with a title and a way back."""

import pytest
from django.db import OperationalError
from django.test import Client

from web import listing


@pytest.mark.parametrize(
    ("error", "status", "heading"),
    [
        (RuntimeError("a secret of the code"), 500, "The registry failed"),
        (OperationalError("database is locked"), 503, "Not now"),
    ],
)
def test_a_failure_is_a_page(
    db: None, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, heading: str
) -> None:
    def fails(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(listing, "by_name", fails)

    answer = Client(raise_request_exception=False).get("/")
    page = answer.content.decode()

    assert answer.status_code == status
    assert f"<title>{heading} · Registry</title>" in page
    assert '<a href="/">Back to the registry</a>' in page
    assert "secret" not in page


def test_a_missing_page_has_a_title(db: None) -> None:
    answer = Client().get("/repositories/alice/nowhere")

    assert answer.status_code == 404
    assert "<title>Not found · Registry</title>" in answer.content.decode()
