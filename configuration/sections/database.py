"""The section `database`."""

from pathlib import Path
from urllib.parse import quote, urlsplit

import dj_database_url

from configuration.element import Element, Refused
from configuration.section import Key, Section, Values
from configuration.values import Database

_URL = 'a URL as "postgresql://user:password@host:5432/name" or "sqlite:////data/registry.sqlite3"'
_SCHEMES = ("sqlite", "postgres", "postgresql")


def database_url(element: Element) -> str:
    """Return a URL of SQLite (with an absolute path) or PostgreSQL."""
    url = element.text(_URL)
    try:
        scheme, host, *_ = urlsplit(url)
        if scheme not in _SCHEMES:
            raise Refused(f"{_URL}: SQLite and PostgreSQL are supported")
        if scheme == "sqlite" and host:
            raise Refused(f"{_URL}: sqlite:/// and then the path, which begins with / itself when it is absolute")
        name = dj_database_url.parse(url).get("NAME", "")
    except ValueError:
        raise Refused(_URL) from None
    if not name or name == ":memory:" or "\0" in name:
        raise Refused(f"{_URL}, with the name of a database")
    return _absolute(url, element.reading.folder / name) if scheme == "sqlite" else url


def _absolute(url: str, path: Path) -> str:
    query = urlsplit(url).query
    return f"sqlite:///{quote(str(path))}" + (f"?{query}" if query else "")


def _build(values: Values, _element: Element) -> Database:
    return Database(**values)


DATABASE = Section({"url": Key(database_url, is_secret=True, environment="REGISTRY_DATABASE_URL")}, _build)
