"""Elements to Python values; each raises Refused with what is expected."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from yaml import MappingNode, SequenceNode

from configuration import element as elements
from configuration.element import REFUSED, Converter, Element, Refused
from core.durations import InvalidDurationError, parse_duration

_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_DURATION = 'a duration as "24h", "1h30m" or "90s"'


def text(expected: str, pattern: str = r".+", max_characters: int = 255) -> Callable[[Element], str]:
    """Make a converter for a text that matches `pattern` as a whole."""
    compiled = re.compile(pattern)

    def convert(element: Element) -> str:
        value = element.text(expected)
        if len(value) > max_characters:
            raise Refused(f"{expected}, of at most {max_characters} characters")
        if compiled.fullmatch(value) is None:
            raise Refused(expected)
        return value

    return convert


def integer(minimum: int, maximum: int) -> Callable[[Element], int]:
    """Make a converter for a decimal number between the two, both included."""
    expected = f"a number from {minimum} to {maximum}, without quotes"

    def convert(element: Element) -> int:
        node = element.node
        if node.tag != elements.INTEGER or _DECIMAL.fullmatch(node.value) is None:
            raise Refused(expected)
        if not minimum <= int(node.value) <= maximum:
            raise Refused(expected)
        return int(node.value)

    return convert


def boolean(element: Element) -> bool:
    """Return true or false; `yes`, `no`, `on`, `off` are not accepted."""
    node = element.node
    value = node.value.lower() if node.tag == elements.BOOLEAN else ""
    if value not in ("true", "false"):
        raise Refused("true or false, without quotes")
    return bool(value == "true")


def choice(*values: str) -> Callable[[Element], str]:
    """Make a converter for one of `values`."""
    return text(" or ".join(values), "|".join(map(re.escape, values)))


group_name = text("the name of a group", r"\S(?:.*\S)?", 150)


def file_path(element: Element) -> Path:
    """Return a path; a relative one is below the folder of the configuration file."""
    return element.reading.folder / text("a path", max_characters=4096)(element)


def duration(minimum: timedelta, expected: str = "") -> Callable[[Element], timedelta]:
    """Make a converter for a duration of at least `minimum`; `expected` says the minimum."""

    def convert(element: Element) -> timedelta:
        try:
            value = parse_duration(element.text(_DURATION))
        except InvalidDurationError:
            raise Refused(_DURATION) from None
        if value < minimum:
            raise Refused(f"{_DURATION}, {expected}")
        return value

    return convert


def list_of(convert: Converter, expected: str) -> Callable[[Element], tuple[Any, ...]]:
    """Make a converter for a list; a value that stands twice is a problem."""

    def convert_items(element: Element) -> tuple[Any, ...]:
        values: list[Any] = []
        for item in element.items(expected):
            value = item.read(convert)
            if value is not REFUSED and value in values:
                item.report("each value once", f"{item.shown()} again")
            values.append(value)
        return tuple(values)

    return convert_items


def plain(element: Element) -> Any:
    """Return texts, decimal numbers, true, false, null, lists and mappings as Python has them."""
    if isinstance(element.node, MappingNode):
        return {key: value.read(plain) for key, value in element.members().items()}
    if isinstance(element.node, SequenceNode):
        return [item.read(plain) for item in element.items()]
    return _scalar(element)


def _scalar(element: Element) -> Any:
    if element.is_null:
        return None
    if element.node.tag == elements.BOOLEAN:
        return boolean(element)
    if element.node.tag == elements.INTEGER and _DECIMAL.fullmatch(element.node.value):
        return int(element.node.value)
    return element.text()
