"""`manage.py configschema`: what an editor accepts and refuses by it."""

import json
import re
from io import StringIO
from typing import Any

import pytest
import yaml
from django.core.management import call_command

from configuration.models import UNSUPPORTED, UNSUPPORTED_CLOUDS, File
from configuration.section import keys
from tests.configuration.conftest import Refuser
from tests.configuration.test_documents import DOCUMENT, EXAMPLE, filled, with_every_key
from tests.configuration.test_refused import cases

# What is said of a document that a schema accepts: of several keys at once, of a value whose grammar is no pattern,
# and of what YAML 1.1 takes for a number or a boolean.
BEYOND_A_SCHEMA = re.compile(
    r"a robot has no|beside it, or|is not only \*|an https URL, where|at least one mapping"
    r"|`allow_(http|private|private_addresses): true` beside it|without user, password and fragment|another header: "
    r"|ldap.example.com:389|has TLS from the beginning"
    r"|issuer.example.org|jwks_file has"
    r"|at most (server|the connections)|old name|another port|no such key: without|signing_method is hmac"
    r"|since public_key|cloudfront_key_id and|belongs to|without a user|at least one network"
    r"|no such key without|found none of them"
    r"|each name once|another name than auth.service|above 0|of at least (1h|1m|60s)|share is below|of cost 17|32 bytes"
    r"|no \$\{(account|group)\}|no (tags|order): |to the end of that day"
    r"|an address as|registry.example.org|as .10.0.0.0/8|has no \]|starts with \^|usable keys|is a name and no set"
    r"|letters, digits|control characters|name of a database|sqlite:/// and then|sqlite:////data/registry.sqlite3.$"
    r"|found (yes|no|0x10|<<|a tag|an anchor|the key .auth. again|the placeholder)"
)


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """Return what the command prints."""
    printed = StringIO()
    call_command("configschema", stdout=printed)
    loaded: dict[str, Any] = json.loads(printed.getvalue())
    return loaded


@pytest.fixture(scope="module")
def validator(schema: dict[str, Any]) -> Any:
    """Return what accepts and refuses by the schema."""
    # Here, since its import takes two seconds, which each process that collects tests would spend.
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize("storage", ["filesystem", "s3"])
def test_the_schema_accepts_the_example(validator: Any, storage: str) -> None:
    for text in (filled(EXAMPLE), with_every_key(storage=storage)):
        assert list(validator.iter_errors(yaml.safe_load(text))) == []


@pytest.mark.parametrize(("text", "expected"), cases())
def test_the_schema_refuses_what_a_schema_can(validator: Any, text: str, expected: list[str]) -> None:
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError:
        return
    is_refused = not validator.is_valid(document)

    assert is_refused or all(map(BEYOND_A_SCHEMA.search, expected))


def test_every_key_has_a_description(schema: dict[str, Any]) -> None:
    sections = [schema, *(section for name, section in schema["$defs"].items() if name != "S3")]

    assert [name for section in sections for name, key in section["properties"].items() if not key["description"]] == []


def _defaults(schema: dict[str, Any], section: dict[str, Any]) -> dict[str, str]:
    """Return each key that has a row in the table of its section, with its default as JSON, or else nothing."""
    defaults: dict[str, str] = {}
    for name, key in _resolved(schema, section)["properties"].items():
        if not name.endswith("_file") and not key.get("deprecated"):
            defaults[name] = json.dumps(key["default"]) if "default" in key else ""
            # A key of one section may be called as another section: `audit.retention`, `policies.retention`.
            is_section = f"### `{name}`" in DOCUMENT and "properties" in _resolved(schema, key)
            if name in {"limits", "filesystem"} or is_section:
                defaults |= _defaults(schema, key)
    return defaults


def _resolved(schema: dict[str, Any], section: dict[str, Any]) -> dict[str, Any]:
    inner: dict[str, Any] = section.get("additionalProperties") or section.get("items") or section
    return schema["$defs"][inner["$ref"].rpartition("/")[2]] if "$ref" in inner else inner


def _chapter(section: str) -> str:
    (chapter,) = re.findall(rf"(?ms)^## `{section}`$(.*?)(?=^## |\Z)", DOCUMENT)
    return str(chapter)


@pytest.mark.parametrize("section", list(keys(File)))
def test_the_tables_have_every_key_with_its_default_and_no_other(schema: dict[str, Any], section: str) -> None:
    told = dict(re.findall(r"(?m)^\| `(\w+)` \| .* \| (.*?) ?\|$", _chapter(section)))
    defaults = _defaults(schema, schema["properties"][section])

    assert sorted(told) == sorted(defaults)
    assert [name for name, default in defaults.items() if default and f"`{default}`" not in told[name]] == []


def test_the_table_of_s3_has_every_option_and_no_other(schema: dict[str, Any]) -> None:
    row = re.findall(r"(?m)^\| `s3` \|(.*)$", _chapter("storage"))[-1]
    options = _resolved(schema, _resolved(schema, schema["properties"]["storage"])["properties"]["s3"])["properties"]

    assert re.findall(r"`(\w+)`", row) == [name for name in options if not name.endswith("_file")]


@pytest.mark.parametrize("key", UNSUPPORTED)
def test_a_key_that_is_not_supported_is_told_why(problems: Refuser, key: str) -> None:
    (problem, *_) = problems(f"storage: {{s3: {{{key}: 1}}}}")

    expected = f"expected no such key: {UNSUPPORTED[key]}"
    assert problem == f"config.yaml:1: storage.s3.{key}: found a key that is not supported, {expected}"
    assert f"`{key}`" in _chapter("storage")


@pytest.mark.parametrize("cloud", UNSUPPORTED_CLOUDS)
def test_a_cloud_without_a_writer_is_refused(problems: Refuser, cloud: str) -> None:
    found = problems(f"storage: {{{cloud}: {{bucket_name: b}}}}")

    expected = f"expected no such key: {UNSUPPORTED_CLOUDS[cloud]}"
    assert f"config.yaml:1: storage.{cloud}: found a key that is not supported, {expected}" in found
    assert f"`{cloud}`" in _chapter("storage")
