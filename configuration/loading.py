"""One YAML file, and the secrets beside it, to a `Configuration`."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

from configuration import document
from configuration.element import Element, Reading, Refused
from configuration.errors import ConfigurationError, Problem
from configuration.locating import locate
from configuration.section import Key, Section, Values
from configuration.sections.admin import ADMIN
from configuration.sections.auth import AUTH
from configuration.sections.database import DATABASE
from configuration.sections.garbage_collector import GARBAGE_COLLECTOR
from configuration.sections.rules import rules
from configuration.sections.server import SERVER
from configuration.sections.storage import STORAGE
from configuration.sections.users import users
from configuration.text_file import read_text
from configuration.values import Admin, Configuration, Server, Storage

MAX_BYTES = 16 * 1024 * 1024


@cache
def in_force() -> Configuration:
    """Return the configuration of this process: its file is read once. Raises ConfigurationError."""
    return load(locate())


def load(path: Path | None) -> Configuration:
    """Return the configuration in the file at `path`; None: the defaults, and secrets of the environment.

    Raises ConfigurationError with every problem of the file.
    """
    absolute = None if path is None else path.absolute()
    folder = Path.cwd() if absolute is None else absolute.parent
    reading = Reading(absolute, folder, os.environ)
    with _no_garbage():
        root = document.root(reading) if absolute is None else _document(reading, absolute)
        configuration = root.read(CONFIGURATION)
    if reading.problems:
        raise ConfigurationError(reading.problems)
    loaded: Configuration = replace(configuration, warnings=tuple(reading.warnings))
    return loaded


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Let Python look for no garbage: of thousands of users none is, and a quarter of the time went into looking."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _document(reading: Reading, path: Path) -> Element:
    try:
        text = read_text(path, MAX_BYTES)
    except Refused as refused:
        problem = Problem(path, 0, "", refused.found or "a file", refused.expected)
        raise ConfigurationError([problem]) from None
    return document.compose(reading, text)


def _build(values: Values, element: Element) -> Configuration:
    storage = values.get("storage", Storage(rootdirectory=element.reading.folder / "data"))
    server = Server(**({"data_directory": storage.rootdirectory} | values["server"]))
    return Configuration(path=element.reading.path, **(values | {"storage": storage, "server": server}))


def _check(values: Values, element: Element) -> None:
    admin, server = values.get("admin"), values.get("server")
    # One port, one kind of answer: a firewall then needs no more than its number.
    if isinstance(admin, Admin) and isinstance(server, dict) and admin.port == server.get("port", Server().port):
        element.members()["admin"].members()["addr"].report("another port than that of server.addr")


CONFIGURATION = Section(
    {
        "server": Key(SERVER, is_always=True),
        "admin": Key(ADMIN),
        "users": Key(users),
        "acl": Key(rules),
        "storage": Key(STORAGE),
        "database": Key(DATABASE, is_always=True),
        "garbage_collector": Key(GARBAGE_COLLECTOR),
        "auth": Key(AUTH, is_always=True),
    },
    _build,
    _check,
)
