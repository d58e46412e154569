"""The first `config.yaml`, for a start without a configuration."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt

from configuration.errors import ConfigurationError, Problem
from core import private_files

ADMINISTRATOR = "admin"
_BCRYPT_COST = 10
_PASSWORD_CHARACTERS = 20
# Without letters and digits that look alike, and without characters that are special to a shell.
_ALPHABET = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"

_TEXT = """\
# The registry's configuration. Every key and its default: config.example.yaml and docs/configuration.md.
# After a change: restart, or `manage.py loadconfig config.yaml` for users and acl.

users:
  # Another password: `htpasswd -nbBC 10 {name} password` or `manage.py hashpassword` makes its hash.
  {name}:
    password: "{bcrypt_hash}"
    superuser: true

acl:
  - account: "{name}"
    name: "*"
    actions: ["*"]
"""


@dataclass(frozen=True, slots=True)
class FirstRun:
    """The new file, and the administrator's name and password, of which the file has only the hash."""

    path: Path
    name: str
    password: str = field(repr=False)


def write_first(path: Path) -> FirstRun | None:
    """Write a configuration with one administrator and a random password to `path`, mode 0600.

    The write is atomic. None means that the file exists, perhaps since another process has just written it; it is not
    changed. Raises ConfigurationError when the file can't be written.
    """
    password = "".join(secrets.choice(_ALPHABET) for _ in range(_PASSWORD_CHARACTERS))
    bcrypt_hash = bcrypt.hashpw(password.encode(), bcrypt.gensalt(_BCRYPT_COST)).decode()
    text = _TEXT.format(name=ADMINISTRATOR, bcrypt_hash=bcrypt_hash)
    try:
        is_first = private_files.create(path.absolute(), text.encode())
    except OSError as error:
        found = f"that it can't be written ({(error.strerror or 'an error').lower()})"
        expected = "a folder that can be written, or a configuration file made from config.example.yaml"
        raise ConfigurationError([Problem(path.absolute(), 0, "", found, expected)]) from error
    return FirstRun(path.absolute(), ADMINISTRATOR, password) if is_first else None
