"""Load a `Configuration` from a YAML file and its secrets."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

from configuration import document, models
from configuration.element import Element, Reading, Refused
from configuration.errors import ConfigurationError, Problem
from configuration.locating import locate
from configuration.text_file import read_text
from configuration.values import Configuration

MAX_BYTES = 16 * 1024 * 1024


@cache
def in_force() -> Configuration:
    """Return the configuration of this process, which is read once. Raises ConfigurationError."""
    return load(locate())


def load(path: Path | None, *, required: str = "") -> Configuration:
    """Return the configuration in the file at `path`; None means the defaults and the secrets of the environment.

    `required` is a section that the file must have. Raises ConfigurationError with all problems of the file.
    """
    absolute = None if path is None else path.absolute()
    folder = Path.cwd() if absolute is None else absolute.parent
    reading = Reading(absolute, folder, os.environ)
    with _no_garbage():
        root = document.root(reading) if absolute is None else _document(reading, absolute)
        configuration = models.configuration(root, required)
    if configuration is None:
        raise ConfigurationError(reading.problems)
    return replace(configuration, warnings=tuple(reading.warnings))


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Suspend Python's garbage collector: with thousands of users it takes a quarter of the time and frees nothing."""
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
