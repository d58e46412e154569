"""The commands of docs/moving-from-docker-auth.md, as they are typed, and what they print."""

import shlex
from pathlib import Path

import pytest
from django.core.management import call_command

from acl.models import Rule
from configuration import load
from tests.documents import block

pytestmark = pytest.mark.django_db
DOCUMENT = "docs/moving-from-docker-auth.md"
# The users of `importusers` below: bob's hash is of Apache's MD5.
HTPASSWD = (
    "alice:$2y$10$BrkdK0Hq9fLL9zfP1GyGkOtHlHAjjIR77GT4fgk2qiUSM8zZPhqXO\nbob:$apr1$tXoTsfRC$Z0hoWXiq2Z0qPvbvMBdpG0\n"
)


def typed(mark: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what the command prints, standard error first."""
    _, *arguments = shlex.split(block(DOCUMENT, f"runs: {mark}").partition(">")[0])
    call_command(*arguments)
    printed = capsys.readouterr()
    return printed.err + printed.out


def test_the_file_is_imported_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("auth_config.yml").write_text(block(DOCUMENT, "docker_auth"))

    assert typed("importrules", capsys) == block(DOCUMENT, "prints: importrules")
    assert not Rule.objects.exists()
    printed = typed("yaml", capsys)
    Path("config.yaml").write_text(printed[printed.index("users:") :])
    assert len(load(Path("config.yaml")).acl or ()) == 7


def test_users_are_imported_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("htpasswd").write_text(HTPASSWD)
    with pytest.raises(SystemExit):
        typed("importusers", capsys)

    printed = capsys.readouterr()
    assert printed.err + printed.out == block(DOCUMENT, "prints: importusers")
