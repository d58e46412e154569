"""The section `server.limits`: what one client may have or ask for."""

import re
from collections.abc import Callable

from configuration.converters import integer
from configuration.element import Element, Refused
from configuration.section import Key, Section, Values
from configuration.values import Limits

_UNITS = {"KiB": 2**10, "MiB": 2**20}
_SIZE = re.compile(rf"([1-9][0-9]{{0,5}})({'|'.join(_UNITS)})")


def size(minimum: str, maximum: str) -> Callable[[Element], int]:
    """Make a converter for a number of bytes between the two, both included."""
    expected = f'a size from "{minimum}" to "{maximum}"'
    least, most = _bytes(minimum) or 0, _bytes(maximum) or 0

    def convert(element: Element) -> int:
        value = _bytes(element.text(expected))
        if value is None or not least <= value <= most:
            raise Refused(expected)
        return value

    return convert


def _bytes(text: str) -> int | None:
    match = _SIZE.fullmatch(text)
    return None if match is None else int(match[1]) * _UNITS[match[2]]


def _build(values: Values, _element: Element) -> Limits:
    return Limits(**values)


LIMITS = Section(
    {
        "connections_per_client": Key(integer(1, 100_000)),
        "transfers_per_client": Key(integer(1, 4096)),
        "logins_per_minute": Key(integer(0, 1_000_000)),
        # Clients open several at once, and wait for those that are refused until they give up.
        "uploads_per_account": Key(integer(16, 100_000)),
        # Clients read no more of a manifest, and neither does the parser.
        "manifest_size": Key(size("1KiB", "4MiB")),
        "form_size": Key(size("4KiB", "1MiB")),
    },
    _build,
)
