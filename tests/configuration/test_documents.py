"""`config.example.yaml` and `docs/configuration.md` against the keys that there are."""

import re
from pathlib import Path

import pytest

from configuration import load
from configuration.converters import PLACEHOLDER
from configuration.values import Audit, Auth, GarbageCollector, Server
from tests.configuration.conftest import Reader, Refuser
from tests.configuration.keys import key_paths

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / "config.example.yaml").read_text()
DOCUMENT = (ROOT / "docs" / "configuration.md").read_text()
LOGIN = (ROOT / "docs" / "login.md").read_text()
HASH = "$2y$10$" + "a" * 53


def filled(text: str) -> str:
    """Return the example with a hash and secrets where they belong."""
    return text.replace(PLACEHOLDER, HASH).replace("PUT-A-SECRET-HERE", "s" * 43)


def with_every_key(*, storage: str) -> str:
    """Return the example with every key taken out of its comment, and of the storages the one named."""
    text = re.sub(r"(?m)^( *)#(?=[^ #])", r"\1", filled(EXAMPLE))
    for other in {"filesystem", "s3"} - {storage}:
        text = re.sub(rf"(?m)^  {other}:\n(?:(?: {{4}}.*| *#.*|)\n)*", "", text)
    return text


def test_the_example_stops_at_the_placeholder_and_says_how_to_make_a_hash(problems: Refuser) -> None:
    (problem,) = problems(EXAMPLE)

    line = EXAMPLE.splitlines().index(f'    password: "{PLACEHOLDER}"') + 1
    assert problem.startswith(f"config.yaml:{line}: users.admin.password: found the placeholder of config.example")
    assert "htpasswd -nbBC 10" in problem


def test_the_example_loads_with_a_hash(read: Reader) -> None:
    configuration = read(filled(EXAMPLE))

    assert configuration.warnings == ()
    assert [user.name for user in configuration.users or ()] == ["admin"]


def test_the_example_shows_the_defaults(read: Reader, tmp_path: Path) -> None:
    shown = read(filled(EXAMPLE))
    default = load(None)

    assert shown.server == default.server
    assert shown.admin == default.admin
    assert shown.storage == default.storage
    assert shown.database == default.database
    assert shown.garbage_collector == GarbageCollector()
    assert shown.audit == Audit()
    assert shown.auth == Auth()


@pytest.mark.parametrize("storage", ["filesystem", "s3"])
def test_the_example_loads_with_every_key_taken_out_of_its_comment(read: Reader, storage: str) -> None:
    configuration = read(with_every_key(storage=storage))

    assert configuration.storage.backend == storage
    assert configuration.server.threads == Server().threads
    assert configuration.database.url is not None
    assert configuration.acl is not None
    assert [rule.subject_kind for rule in configuration.acl] == ["account", "group", "anonymous"]


@pytest.mark.parametrize("path", key_paths())
def test_every_key_is_in_the_example(path: str) -> None:
    key = path.rpartition(".")[2]

    assert re.search(rf"(?m)^ *#?(?:- )?(?:tls: \{{)?{key}:", EXAMPLE)


@pytest.mark.parametrize("path", key_paths())
def test_every_key_is_in_the_document(path: str) -> None:
    top, key = path.partition(".")[0], path.rpartition(".")[2]

    (section,) = re.findall(rf"(?ms)^## `{top}`$(.*?)(?=^## |\Z)", DOCUMENT)
    assert key == top or f"`{key}`" in section


def test_the_errors_in_the_document_are_what_is_printed(problems: Refuser) -> None:
    wrong = (ROOT / "fixtures" / "configurations" / "wrong.yaml").read_text()

    printed = "\n".join(problems(wrong))
    assert f"```\n{printed}\n```" in DOCUMENT
    assert f"```yaml\n{wrong}```" in DOCUMENT


def test_the_examples_in_the_document_load(read: Reader) -> None:
    examples = re.findall(r"(?s)<!-- loads -->\n```yaml\n(.*?)```", DOCUMENT + LOGIN)

    assert len(examples) >= 3
    for example in examples:
        assert read(filled(example)).warnings == ()
