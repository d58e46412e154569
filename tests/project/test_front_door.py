"""`/v2/` passes the same chain in production and under Django's test client."""

from collections.abc import Callable
from typing import Any
from wsgiref.util import FileWrapper

import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.test import Client, RequestFactory

from registry_project import front_door, wsgi
from tests.caller import Caller, content
from tests.images import Image

Answer = tuple[int, dict[str, str], bytes]


def in_production(method: str, path: str, **environ: Any) -> Answer:
    """Return status, header fields and body of the WSGI application."""
    begun: list[Any] = []
    request = RequestFactory().generic(method, path, **environ).environ | {"wsgi.file_wrapper": FileWrapper}
    body: Any = wsgi.application(request, lambda *given: begun.extend(given))
    return int(begun[0].partition(" ")[0]), dict(begun[1]), b"".join(body)


def under_the_test_client(method: str, path: str, **environ: Any) -> Answer:
    """Return the same of Django's test client."""
    response = Client().generic(method, path, **environ)
    return response.status_code, dict(response.headers), content(response)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/", 401),
        ("GET", "/v2", 401),
        ("POST", "/v2/", 405),
        ("GET", "/v2/public/app/tags/list", 200),
        ("HEAD", "/v2/public/app/manifests/v1", 200),
        ("GET", "/v2/public/app/manifests/none", 404),
        ("GET", "/v2/nowhere", 404),
    ],
)
@pytest.mark.django_db(transaction=True)
def test_production_and_test_client_answer_alike(
    alice: Caller, push: Callable[..., Image], method: str, path: str, status: int
) -> None:
    push("public/app", "v1")
    environ = {"HTTP_AUTHORIZATION": f"Bearer {alice.token('repository:public/app:pull')}"} if status != 401 else {}

    produced, tested = in_production(method, path, **environ), under_the_test_client(method, path, **environ)

    assert produced == tested
    assert produced[0] == status


def test_no_middleware_comes_before_the_chain() -> None:
    assert settings.MIDDLEWARE[0] == "registry_project.front_door.registry_first"


@pytest.mark.django_db(transaction=True)
def test_a_middleware_of_the_chain_is_in_both(monkeypatch: pytest.MonkeyPatch, anonymous: Caller) -> None:
    def marking(get_response: front_door.GetResponse) -> front_door.GetResponse:
        def mark(request: HttpRequest) -> HttpResponseBase:
            response = get_response(request)
            response["X-Mark"] = "marked"
            return response

        return mark

    monkeypatch.setattr(front_door, "MIDDLEWARE", (marking, *front_door.MIDDLEWARE))
    monkeypatch.setattr(wsgi, "_registry", front_door.RegistryChain())

    assert in_production("GET", "/v2/")[1]["X-Mark"] == "marked"
    assert anonymous.get("/v2/").headers["X-Mark"] == "marked"
