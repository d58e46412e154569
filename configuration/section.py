"""Sections: the keys that a mapping may have, each with its converter, declared as data."""

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from yaml import MappingNode

from configuration import secret
from configuration.element import REFUSED, Converter, Element, joined, quoted

Values = dict[str, Any]

_MAPPING = "a mapping of keys to values"


@dataclass(frozen=True, slots=True)
class Key:
    """One key. A secret may also stand in a file (`<key>_file`) or in the variable `environment`.

    `required` says what is expected when the key is missing. `is_always`: a section that is read even when
    it is missing, since the environment may hold a part of it. `old_name` is read too, with a warning.
    """

    convert: Converter
    required: str = ""
    is_secret: bool = False
    environment: str | None = None
    is_always: bool = False
    old_name: str | None = None


def _accept(_values: Values, _element: Element) -> None:
    """Check nothing."""


@dataclass(frozen=True, slots=True)
class Section:
    """A mapping with known keys; `build` makes its value out of those given, when none was refused.

    `check` runs before, for rules about several keys: it reports through the element; a key whose value was
    refused is REFUSED in its values.
    """

    keys: Mapping[str, Key]
    build: Callable[[Values, Element], Any]
    check: Callable[[Values, Element], None] = _accept

    def __call__(self, element: Element) -> Any:
        """Return what `build` makes of the element, or REFUSED with every problem reported."""
        before = len(element.reading.problems)
        members = element.members(f"{_MAPPING}, or no such key" if element.is_null else _MAPPING)
        self._report_unknown(members)
        values = dict(self._read(members, element))
        self.check(values, element)
        if len(element.reading.problems) > before or REFUSED in values.values():
            return REFUSED
        return self.build(values, element)

    def names(self) -> Iterator[str]:
        """Yield every key that is known here."""
        for name, key in self.keys.items():
            yield from (name, f"{name}_file") if key.is_secret else (name,)

    def _read(self, members: Mapping[str, Element], element: Element) -> Iterator[tuple[str, Any]]:
        for name, key in self.keys.items():
            given = members.get(name)
            if key.old_name is not None and key.old_name in members:
                given = _renamed(members[key.old_name], given, below(element, name).key_path)
            if key.is_secret:
                given = secret.given(name, key.environment, members, element)
            elif given is None and key.is_always:
                given = _absent(element, name)
            if given is not None:
                yield name, given.read(key.convert)
            elif key.required:
                below(element, name).report(key.required, "nothing")

    def _report_unknown(self, members: Mapping[str, Element]) -> None:
        known = list(self.names())
        old_names = {key.old_name for key in self.keys.values()}
        for name, element in members.items():
            if name not in known and name not in old_names:
                element.report(_expected(name, known), "an unknown key")


def below(element: Element, name: str) -> Element:
    """Return `element` as if it were its own key `name`, to report one that is missing."""
    return replace(element, key_path=joined(element.key_path, name))


def _renamed(old: Element, new: Element | None, new_path: str) -> Element:
    """Return the element of the old name, with a warning; both names are a problem, whatever their values."""
    if new is not None:
        old.report(f"no such key: it is the old name of {new_path}, which is given too", "a second value")
        return new
    old.warn(f"now called {new_path}; rename the key, the old name will be refused one day")
    return old


def _absent(element: Element, name: str) -> Element:
    return replace(below(element, name), node=MappingNode("tag:yaml.org,2002:map", []))


def _expected(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name.lower(), known, n=1)
    return f"one of {', '.join(known)}" + (f"; did you mean {quoted(near[0])}?" if near else "")
