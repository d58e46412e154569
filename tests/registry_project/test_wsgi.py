"""The application that gunicorn calls."""

from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import RequestFactory
from pytest_django import Settings

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


def answer_of(path: str, host: str) -> tuple[str, dict[str, str]]:
    """Return status and headers of the answer to a GET."""
    found: list[Any] = []
    answer: Any = application(RequestFactory().get(path, HTTP_HOST=host).environ, lambda *given: found.extend(given))
    b"".join(answer)
    return found[0], dict(found[1])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/admin/login/", "/api/v1/whoami", "/health", "/v2/"])
@pytest.mark.parametrize("host", ["my_stack_registry:5000", "registry:"])
def test_every_part_is_at_home_at_a_host_with_an_underscore_or_an_empty_port(path: str, host: str) -> None:
    status, _ = answer_of(path, host)

    # Not 400: whether the storage is there is not asked here.
    assert status[:3] in ("200", "401", "503")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/admin/login/", "/api/v1/whoami", "/v2/"])
@pytest.mark.parametrize("host", ['evil"/,x', "a b", "user@host", "a:b:c", "a/b"])
def test_nonsense_is_nobodys_host(path: str, host: str) -> None:
    status, _ = answer_of(path, host)

    assert status.startswith("400")


@pytest.mark.django_db(transaction=True)
def test_with_a_public_url_only_its_host_is_served_to_browsers(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["my_registry.example"]

    assert answer_of("/admin/login/", "my_registry.example")[0].startswith("200")
    assert answer_of("/admin/login/", "evil.example")[0].startswith("400")
