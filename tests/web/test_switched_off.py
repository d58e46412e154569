"""`pages.enabled: false`: no page is served, and everything else is."""

from dataclasses import replace

import pytest
from django.test import Client
from pytest_django import Settings

from configuration.values import Admin, Pages
from tests.caller import Caller
from tests.images import push_image

PATHS = ("/login", "/login/code", "/account", "/repositories/public/tool", "/repositories/public/tool/-/v1")


@pytest.fixture
def no_pages(cast: None, settings: Settings) -> None:
    settings.REGISTRY = replace(settings.REGISTRY, pages=Pages(is_enabled=False))


@pytest.mark.usefixtures("no_pages")
@pytest.mark.parametrize("path", PATHS)
def test_no_page_is_served(alice: Caller, path: str) -> None:
    push_image(alice, "public/tool", "v1")

    answer = Client().get(path)

    assert answer.status_code == 404
    assert b'href="/"' not in answer.content


@pytest.mark.usefixtures("no_pages")
def test_the_admin_the_api_and_the_registry_stay(alice: Caller) -> None:
    assert Client().get("/").headers["Location"] == "/admin/"
    assert Client().get("/admin/login/").status_code == 200
    assert Client().get("/api/v1/whoami").status_code == 401
    assert push_image(alice, "public/tool", "v1").digest


@pytest.mark.usefixtures("no_pages")
def test_the_front_page_is_404_where_the_admin_is_closed_too(settings: Settings) -> None:
    settings.REGISTRY = replace(settings.REGISTRY, admin=Admin(is_enabled=False))

    assert Client().get("/").status_code == 404
