"""Secrets come from the file, from a file of their own, or from the environment; never from two."""

from pathlib import Path

import pytest

from configuration import load
from tests.configuration.conftest import Reader, Refuser

SECRET = "s" * 32
HASH = "$2y$10$" + "a" * 53


def test_a_secret_in_a_file_of_its_own_has_no_newline_at_its_end(read: Reader, tmp_path: Path) -> None:
    (tmp_path / "hmac").write_text(f"{SECRET}\n")

    assert read("auth: {signing_method: hmac, hmac_secret_file: hmac}").auth.hmac_secret == SECRET


def test_a_users_hash_may_be_in_a_file(read: Reader, tmp_path: Path) -> None:
    (tmp_path / "hash").write_text(HASH)

    users = read(f'users: {{a: {{password_file: "{tmp_path}/hash"}}}}').users

    assert users is not None
    assert users[0].password == HASH


def test_the_options_of_a_cloud_may_be_in_files(read: Reader, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("abc\r\n")

    assert read("storage: {s3: {bucket_name: b, secret_key_file: key}}").storage.options == {
        "bucket_name": "b",
        "secret_key": "abc",
    }


def test_the_environment_holds_three_secrets(monkeypatch: pytest.MonkeyPatch, read: Reader) -> None:
    monkeypatch.setenv("REGISTRY_SERVER_SECRET_KEY", SECRET)
    monkeypatch.setenv("REGISTRY_DATABASE_URL", "postgres://u:p@h/n")
    monkeypatch.setenv("REGISTRY_AUTH_HMAC_SECRET", SECRET)

    configuration = read("auth: {signing_method: hmac}")

    assert configuration.server.secret_key == SECRET
    assert configuration.database.url == "postgres://u:p@h/n"
    assert configuration.auth.hmac_secret == SECRET


def test_the_environment_counts_without_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_DATABASE_URL", "postgres://u:p@h/n")

    assert load(None).database.url == "postgres://u:p@h/n"


def test_a_bad_secret_of_the_environment_names_its_variable(monkeypatch: pytest.MonkeyPatch, problems: Refuser) -> None:
    monkeypatch.setenv("REGISTRY_SERVER_SECRET_KEY", "")
    monkeypatch.setenv("REGISTRY_DATABASE_URL", "mysql://u:hunter2@h/n")

    lines = problems("{}")

    assert [line.split(", expected ")[0] for line in lines] == [
        "environment: REGISTRY_SERVER_SECRET_KEY: found a string (not shown)",
        "environment: REGISTRY_DATABASE_URL: found a string (not shown)",
    ]


def test_a_secret_in_two_places_is_refused(monkeypatch: pytest.MonkeyPatch, problems: Refuser, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(SECRET)
    monkeypatch.setenv("REGISTRY_SERVER_SECRET_KEY", SECRET)

    lines = problems(f"server:\n  secret_key: {SECRET}\n  secret_key_file: key")

    assert lines == [
        "config.yaml:3: server.secret_key_file: "
        "found a value, and another in server.secret_key, expected it in one place only",
        "environment: REGISTRY_SERVER_SECRET_KEY: "
        "found a value, and another in server.secret_key, expected it in one place only",
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "auth.hmac_secret_file: found no such file or directory, expected a file that uid"),
        (b"short", "auth.hmac_secret_file: found a string (not shown), expected a string of at least 32 bytes"),
        (b"\xff" * 32, "auth.hmac_secret_file: found the byte 0xff in line 1, expected UTF-8"),
        (b"s" * 70_000, "auth.hmac_secret_file: found a larger file, expected at most 65536 bytes"),
        (
            f"{SECRET}\n{SECRET}".encode(),
            "auth.hmac_secret_file: found a string (not shown), expected a string of",
        ),
    ],
)
def test_a_secret_that_cannot_be_read_is_told_with_the_place_of_its_path(
    problems: Refuser, tmp_path: Path, content: bytes | None, problem: str
) -> None:
    if content is not None:
        (tmp_path / "hmac").write_bytes(content)

    (line,) = problems("auth:\n  signing_method: hmac\n  hmac_secret_file: hmac")

    assert line.startswith(f"config.yaml:3: {problem}")


@pytest.mark.parametrize(
    "text",
    [
        "users: {a: {password: hunter2}}",
        "users: {a: {password:hunter2}}",
        "users: {a: {password: *hunter2}}",
        "users: {a: {password: &hunter2 x}}",
        "users: {a: {password: !hunter2 x}}",
        "users: {a: {password: !hunter2!x y}}",
        "users: {a: {password: [hunter2]}}",
        "users: {a: hunter2}",
        "users: {a: [hunter2]}",
        'users: {a: {password: "hunter2}}',
        'database: {url: "mysql://u:hunter2@h/n"}',
        "database: hunter2",
        "server: {secret_key: hunter2}",
        "auth: {hmac_secret: hunter2}",
        "storage: {azure: {account_key: {hunter2: 1}}}",
        "storage: {azure: {azure_container: a, account_key: 12345}, s3: {bucket_name: b}}",
        "hunter2",
    ],
)
def test_a_secret_is_never_told(problems: Refuser, text: str) -> None:
    message = "\n".join(problems(text))

    assert "hunter2" not in message
    assert "12345" not in message


def test_secrets_are_not_in_the_representation(read: Reader) -> None:
    configuration = read(
        f"""server: {{secret_key: "hunter2{SECRET}"}}
users: {{a: {{password: "{HASH}"}}}}
storage: {{s3: {{bucket_name: b, secret_key: hunter2}}}}
database: {{url: "postgres://u:hunter2@h/n"}}
auth: {{signing_method: hmac, hmac_secret: "hunter2{SECRET}"}}"""
    )

    assert "hunter2" not in repr(configuration)
    assert HASH not in repr(configuration)
