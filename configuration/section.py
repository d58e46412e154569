"""Read a mapping of the file before pydantic does: unknown and missing keys, secrets, old names."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, get_type_hints

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema
from yaml import MappingNode

from configuration import secret
from configuration.element import REFUSED, Element, Members, Refused, quoted


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the file: its description, and the other sources of its value.

    A secret may also be in a file (`<key>_file`) or in the variable `environment`. `required` is what a message expects
    when the key is missing; "" means optional. `old_name` is read too, with a warning. `is_always` is for a section
    with a key of the environment: it is read even if the file lacks it.
    """

    description: str = ""
    is_secret: bool = False
    environment: str | None = None
    required: str = ""
    old_name: str | None = None
    is_always: bool = False


@cache
def keys(section: type) -> Mapping[str, Key]:
    """Return the keys of a dataclass or a TypedDict by their names in the file."""
    found: dict[str, Key] = {}
    for name, hint in get_type_hints(section, include_extras=True).items():
        marks = getattr(hint, "__metadata__", ())
        key = next((mark for mark in marks if isinstance(mark, Key)), Key())
        alias = next((mark.alias for mark in marks if getattr(mark, "alias", None)), name)
        found[alias] = key
    return found


@dataclass(frozen=True, slots=True)
class Section:
    """Marks a type that is read from a mapping.

    `check` reports problems of several keys together; the value of a key may be REFUSED or have a wrong type.
    `unsupported` has the reason by key. `one_of` lists keys that exclude each other, for the JSON Schema alone: `check`
    reports a wrong number of them.
    """

    check: Callable[[Members], None] = lambda _members: None
    unsupported: Mapping[str, str] | None = None
    one_of: tuple[str, ...] = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return a schema that calls `_read` before pydantic reads the mapping."""
        return core_schema.no_info_before_validator_function(partial(self._read, source), handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return the JSON Schema of the mapping as it is in the file."""
        reference = handler(schema)
        described = handler.resolve_ref_schema(reference)
        known = keys(schema["function"]["function"].args[0])
        described.pop("description", None)
        properties = described["properties"]
        for name in set(properties) - set(known):
            del properties[name]
        for name, key in known.items():
            if key.description:
                properties[name]["description"] = key.description
            if key.is_secret:
                properties[f"{name}_file"] = {"type": "string", "description": f"A file that contains {name}."}
            if key.old_name:
                properties[key.old_name] = properties[name] | {"deprecated": True}
        described["required"] = [name for name, key in known.items() if key.required and not key.is_secret]
        alternatives = [(name, f"{name}_file") for name, key in known.items() if key.required and key.is_secret]
        for given in filter(None, (self.one_of, *alternatives)):
            described["oneOf"] = [{"required": [name]} for name in given]
        described["additionalProperties"] = False
        return reference

    def _read(self, section: type, members: Any) -> Any:
        """Report unknown and missing keys, and insert the values of secrets and old names."""
        if members is REFUSED:
            return members
        if not isinstance(members, Members):
            or_none = ", or no such key" if members is None else ""
            raise Refused(f"a mapping of keys to values{or_none}", kind="mapping")
        self._report_unknown(section, members)
        for name, key in keys(section).items():
            given = members.elements.get(name)
            if key.old_name is not None and key.old_name in members:
                given = _renamed(members.elements[key.old_name], given, members.element.below(name).key_path)
            if key.is_secret:
                given = secret.given(name, key.environment, members)
            if given is None and key.is_always:
                given = replace(members.element.below(name), node=MappingNode("tag:yaml.org,2002:map", []))
            if given is not None and given is not members.elements.get(name):
                members.elements[name], members[name] = given, given.value()
            elif given is None and key.required:
                members.element.below(name).report(key.required, "nothing")
                members[name] = REFUSED
        self.check(members)
        return members

    def _report_unknown(self, section: type, members: Members) -> None:
        known = []
        for name, key in keys(section).items():
            known += [name, f"{name}_file"] if key.is_secret else [name]
        old_names = {key.old_name for key in keys(section).values()}
        unsupported = self.unsupported or {}
        for name, element in members.elements.items():
            if name in unsupported:
                element.report(f"no such key: {unsupported[name]}", "a key that is not supported")
            elif name not in known and name not in old_names:
                near = difflib.get_close_matches(name.lower(), known, n=1)
                hint = f"; did you mean {quoted(near[0])}?" if near else ""
                element.report(f"one of {', '.join(known)}{hint}", "an unknown key")


def _renamed(old: Element, new: Element | None, new_path: str) -> Element:
    """Return the element of the old name, with a warning; to give both names is a problem."""
    if new is not None:
        old.report(f"no such key: it is the old name of {new_path}, which the file has too", "a second value")
        return new
    old.warn(f"the key is now called {new_path}; rename it, since a later version refuses the old name")
    return old
