"""Secrets: in the configuration file, in a separate file (`<key>_file`), or in the environment."""

from collections.abc import Iterator
from dataclasses import replace

from yaml import ScalarNode

from configuration.converters import PATH
from configuration.element import REFUSED_TAG, TEXT, Element, Members, Refused
from configuration.text_file import read_text

MAX_FILE_BYTES = 64 * 1024


def given(name: str, variable: str | None, members: Members) -> Element | None:
    """Return the element of the secret `name`; None if no source has it.

    Two sources and an unreadable file are reported; the element is then marked as refused.
    """
    sources = list(_sources(name, variable, members))
    for source in sources[1:]:
        source.report("it in one place only", f"a value, and another in {sources[0].key_path}")
    if not sources:
        return None
    return sources[0] if len(sources) == 1 else _with_text(sources[0], "", REFUSED_TAG)


def _sources(name: str, variable: str | None, members: Members) -> Iterator[Element]:
    element = members.element
    if name in members:
        yield replace(members.elements[name], is_secret=True)
    if f"{name}_file" in members:
        yield _read(members.elements[f"{name}_file"])
    if variable is not None and variable in element.reading.environment:
        at_variable = replace(element, path=None, line=0, key_path=variable)
        yield _with_text(at_variable, element.reading.environment[variable])


def _read(element: Element) -> Element:
    """Return an element with the content of the file that `element` names."""
    if element.node.tag == REFUSED_TAG:
        return element
    try:
        path = PATH.convert(element.value(), element.reading)
        return _with_text(element, read_text(path, MAX_FILE_BYTES).rstrip("\r\n"))
    except Refused as refused:
        element.refuse(refused)
        return _with_text(element, "", REFUSED_TAG)


def _with_text(element: Element, text: str, tag: str = TEXT) -> Element:
    return replace(element, node=ScalarNode(tag, text), is_secret=True)
