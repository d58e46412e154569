"""The schema, and the page that is made of it."""

import re
from pathlib import Path

import pytest
import yaml
from django.test import Client

from api import docs
from api.schema import document
from api.urls import urlpatterns
from tests.caller import Caller


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/json"),
        ("application/vnd.oai.openapi", "application/vnd.oai.openapi"),
        ("application/yaml", "application/yaml"),
        ("application/vnd.oai.openapi+json", "application/vnd.oai.openapi+json"),
    ],
)
def test_everybody_gets_it_as_json_or_yaml(accept: str, media_type: str) -> None:
    response = Client().get("/api/v1/schema", headers={"Accept": accept})

    assert (response.status_code, response["Content-Type"].partition(";")[0]) == (200, media_type)
    # JSON is YAML.
    assert yaml.safe_load(response.content) == document()


def test_it_is_an_openapi_schema_of_every_path() -> None:
    # Its grammars take three seconds, which every process that collects tests would pay.
    from drf_spectacular.validation import validate_schema

    schema = document()

    validate_schema(schema)  # type: ignore[no-untyped-call]
    assert len(schema["paths"]) == len(urlpatterns) - len(["docs", "schema", "the rest"])
    names = [operation["operationId"] for methods in schema["paths"].values() for operation in methods.values()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z_]+", name) for name in names)


def test_every_operation_has_its_errors_as_problems() -> None:
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            answers = operation["responses"]
            assert {"400", "401", "429", "503"} <= answers.keys(), (method, path)
            errors = [answer for status, answer in answers.items() if int(status) >= 400]
            assert all(list(answer["content"]) == ["application/problem+json"] for answer in errors)


def test_an_administrator_may_do_what_it_says_and_anonymous_may_pull() -> None:
    paths = document()["paths"]

    assert {} in paths["/api/v1/repositories"]["get"]["security"]
    assert {} not in paths["/api/v1/accounts"]["get"]["security"]
    assert paths["/api/v1/whoami"]["get"]["security"] == [{"password": []}, {"access_token": []}, {"session": []}]
    schemes = document()["components"]["securitySchemes"]
    assert {name: scheme.get("scheme") for name, scheme in schemes.items()} == {
        "password": "basic",
        "access_token": "bearer",
        "session": None,
    }


@pytest.mark.usefixtures("db")
def test_the_page_has_every_operation_and_needs_nothing_from_elsewhere() -> None:
    response = Client().get("/api/v1/")
    text = response.content.decode()

    for path, methods in document()["paths"].items():
        assert path in text
        assert all(f'id="{operation["operationId"]}"' in text for operation in methods.values())
    assert "<script" not in text
    assert "style=" not in text
    assert re.findall(r'(?:src|href)="(?:https?:|//)', text) == []
    assert "'unsafe" not in response["Content-Security-Policy"]
    assert (Path(docs.__file__).parent / "templates").is_dir()


@pytest.mark.usefixtures("db")
def test_links_of_the_page_lead_somewhere() -> None:
    text = Client().get("/api/v1/").content.decode()

    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(re.findall(r'id="([^"]+)"', text))


def test_the_version_is_told(alice: Caller) -> None:
    response = alice.client.get("/api/v1/version", headers={"Authorization": alice.basic})

    assert response.json()["api"] == "v1"
    assert alice.client.get("/api/v1/version").status_code == 401
