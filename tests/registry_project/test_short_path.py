"""The short path, called as the server calls it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jwt
import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from accounts.models import Account
from core.api.notes import ACCOUNT, JTI, REQUEST_ID, ROUTE
from distribution import blobs, queries
from distribution.middleware import RegistryMiddleware
from registry_project import front_door, short_path
from registry_project.middleware.proxies import TrustedProxyMiddleware
from registry_project.short_path import ShortPath
from server.listener import LISTENER
from tests.caller import Caller, content
from tests.images import Image

PATH = "/v2/alice/app/manifests/v1"

Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture
def image(alice: Caller, push: Callable[..., Image]) -> Image:
    """Push an image to alice/app."""
    return push("alice/app", "v1")


@pytest.fixture
def token(alice: Caller) -> str:
    """Return a token with which alice may pull."""
    return alice.token("repository:alice/app:pull")


def pulled(token: str, path: str = PATH, notes: dict[str, Any] | None = None, **more: Any) -> Answer | None:
    """Return status, header fields and body, and add the environment to `notes`; None when the path declines."""
    environ = {
        "REQUEST_METHOD": "GET",
        "RAW_URI": path,
        "PATH_INFO": path,
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        REQUEST_ID: "1",
        LISTENER: ("127.0.0.1", 5000),
        **more,
    }
    found = ShortPath(front_door.RegistryChain())(environ, [("AUTHORIZATION", f"Bearer {token}")])
    if notes is not None:
        notes.update(environ)
    return None if found is None else (found.status, found.headers, found.payload)


def served(token: str) -> Answer:
    """Return the same of the view."""
    response = Client().get(PATH, headers={"Authorization": f"Bearer {token}"})
    return response.status_code, dict(response.headers), content(response)


@pytest.mark.django_db(transaction=True)
def test_a_pull_is_answered_and_noted(image: Image, token: str) -> None:
    notes: dict[str, Any] = {}

    found = pulled(token, notes=notes)

    assert found == served(token)
    assert found is not None
    assert found[0] == 200
    assert (notes[ACCOUNT], notes[ROUTE].url_name) == ("alice", "manifest")
    assert notes[JTI] == jwt.decode(token, options={"verify_signature": False})["jti"]


@pytest.mark.django_db(transaction=True)
def test_no_connection_of_the_database_is_held_while_an_answer_goes_out(
    monkeypatch: pytest.MonkeyPatch, image: Image, token: str
) -> None:
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 0)
    connection.close()

    assert pulled(token) is not None
    assert connection.connection is None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("error", "status"), [(OperationalError("database is locked"), 503), (ValueError("no"), 500)])
def test_a_fault_is_answered_as_by_the_view(
    monkeypatch: pytest.MonkeyPatch, image: Image, token: str, error: Exception, status: int
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(queries, "manifest", fail)

    found = pulled(token)

    assert found == served(token)
    assert found is not None
    assert found[0] == status


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["manifest", "missing manifest", "blob"])
def test_a_right_that_was_removed_by_another_process_ends_at_the_next_pull(
    monkeypatch: pytest.MonkeyPatch, image: Image, token: str, kind: str
) -> None:
    paths = {"manifest": PATH, "missing manifest": f"{PATH}-none", "blob": f"/v2/alice/app/blobs/{image.layers[0]}"}
    opened: list[Any] = []

    def open_at(*given: Any) -> Any:
        opened.append(blobs_open_at(*given))
        return opened[-1]

    blobs_open_at = blobs.open_at
    monkeypatch.setattr(blobs, "open_at", open_at)
    before = pulled(token, paths[kind])
    assert before is not None
    for file in opened:
        file.close()

    # What this process has read of the permissions stays as it was.
    Account.objects.filter(name="alice").update(is_active=False)

    assert pulled(token, paths[kind]) is None
    assert [file.closed for file in opened] == ([True, True] if kind == "blob" else [])


@pytest.mark.django_db(transaction=True)
def test_a_pull_needs_one_statement(image: Image, token: str) -> None:
    pulled(token)

    with CaptureQueriesContext(connection) as asked:
        assert pulled(token) is not None

    assert len(asked) == 1


@pytest.mark.django_db(transaction=True)
def test_the_admins_own_address_is_left_to_the_application(
    monkeypatch: pytest.MonkeyPatch, image: Image, token: str
) -> None:
    monkeypatch.setattr(front_door, "admin_listener", lambda _: ("127.0.0.1", 5001))

    assert pulled(token) is not None
    elsewhere: dict[str, Any] = {LISTENER: ("127.0.0.1", 5001)}
    assert pulled(token, **elsewhere) is None


@pytest.mark.django_db(transaction=True)
def test_a_script_name_leaves_everything_to_the_application(
    monkeypatch: pytest.MonkeyPatch, image: Image, token: str
) -> None:
    monkeypatch.setenv("SCRIPT_NAME", "/registry")

    assert pulled(token) is None


@pytest.mark.django_db(transaction=True)
def test_a_blob_in_a_cloud_is_left_to_the_application(settings: Settings, image: Image, token: str) -> None:
    in_cloud = replace(settings.REGISTRY.storage, backend="s3")
    settings.REGISTRY = replace(settings.REGISTRY, storage=in_cloud)
    path = f"/v2/alice/app/blobs/{image.layers[0]}"

    assert pulled(token, path) is None
    assert pulled(token, path, REQUEST_METHOD="HEAD") is not None
    assert pulled(token) is not None


def test_the_short_path_does_what_each_middleware_does() -> None:
    assert (TrustedProxyMiddleware, RegistryMiddleware) == front_door.MIDDLEWARE, (
        f"let {short_path.__name__} do what the new middleware does, or decline"
    )
