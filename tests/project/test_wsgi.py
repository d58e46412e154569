"""The application that gunicorn calls."""

from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import RequestFactory

from registry_project.wsgi import application


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/admin/login/", "/v2/alice/app/manifests/latest"])
def test_no_connection_of_the_database_is_held_while_an_answer_goes_out(
    monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 0)
    connection.close()
    # Whose session or token this is only the database can tell.
    known: dict[str, Any] = {
        "HTTP_COOKIE": f"{settings.SESSION_COOKIE_NAME}=of-somebody-who-is-not-known",
        "HTTP_AUTHORIZATION": "Bearer unknown",
    }

    answer: Any = application(RequestFactory().get(path, **known).environ, lambda *_: lambda _: None)

    assert connection.connection is None
    assert b"".join(answer)
