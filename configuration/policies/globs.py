"""Convert one glob or a list of globs to the string that a policy stores."""

from typing import Any

from configuration.converters import Value, items, pattern
from configuration.element import Items, Reading, Refused

_MAX_CHARACTERS = 500


def _globs(one: Value, expected: str) -> Value:
    """Return a converter of one glob, or a list of some, to globs with spaces between."""
    several = items(one, f"{expected}, or a list of some")

    def read(given: Any, reading: Reading) -> str:
        found = several.convert(given, reading) if isinstance(given, Items) else (one.convert(given, reading),)
        joined = " ".join(found)
        if not joined or len(joined) > _MAX_CHARACTERS:
            raise Refused(f"{expected}, or a list of some, of at most {_MAX_CHARACTERS} characters together")
        return joined

    return Value(read, {"anyOf": [one.json, several.json | {"minItems": 1}]})


_REPOSITORY = 'the name of a repository or a pattern as "prod/*"'
_TAG = 'a tag or a pattern as "v*"'
REPOSITORIES = _globs(pattern(r"a-z0-9._/-", _REPOSITORY), _REPOSITORY)
TAGS = _globs(pattern(r"A-Za-z0-9._-", _TAG), _TAG)
