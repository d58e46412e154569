"""The first `config.yaml`, for a start with no configuration at all."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt

from configuration.errors import ConfigurationError, Problem
from core import private_files

ADMINISTRATOR = "admin"
_BCRYPT_COST = 10
_PASSWORD_CHARACTERS = 20
# No letters and digits that look alike, and nothing that a shell or a leading dash could change.
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
    """What was made: the file, and the administrator's name and password, which is nowhere else."""

    path: Path
    name: str
    password: str = field(repr=False)


def write_first(path: Path) -> FirstRun | None:
    """Write a configuration with one administrator of a random password at `path`, mode 0600.

    The file appears whole or not at all. None: there is a file already, such as one that another process
    wrote at the same moment; it is left as it is. Raises ConfigurationError when it can't be written.
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
