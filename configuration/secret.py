"""Secrets: written in the file, in a file of their own (`<key>_file`), or in the environment."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from yaml import ScalarNode

from configuration.converters import file_path
from configuration.element import REFUSED, REFUSED_TAG, TEXT, Element
from configuration.text_file import read_text

MAX_FILE_BYTES = 64 * 1024


def given(name: str, variable: str | None, members: Mapping[str, Element], element: Element) -> Element | None:
    """Return the element that holds the secret `name`; None when it is nowhere.

    One that is given twice, or in a file that can't be read, is reported and comes back refused.
    """
    sources = list(_sources(name, variable, members, element))
    for source in sources[1:]:
        source.report("it in one place only", f"a value, and another in {sources[0].key_path}")
    if not sources:
        return None
    return sources[0] if len(sources) == 1 else _with_text(sources[0], "", REFUSED_TAG)


def _sources(name: str, variable: str | None, members: Mapping[str, Element], element: Element) -> Iterator[Element]:
    if name in members:
        yield replace(members[name], is_secret=True)
    in_file = members.get(f"{name}_file")
    if in_file is not None:
        text = in_file.read(_text_of_file)
        is_refused = text is REFUSED
        yield _with_text(in_file, "" if is_refused else text, REFUSED_TAG if is_refused else TEXT)
    if variable is not None and variable in element.reading.environment:
        at_variable = replace(element, path=None, line=0, key_path=variable)
        yield _with_text(at_variable, element.reading.environment[variable])


def _text_of_file(element: Element) -> str:
    return read_text(file_path(element), MAX_FILE_BYTES).rstrip("\r\n")


def _with_text(element: Element, text: str, tag: str = TEXT) -> Element:
    return replace(element, node=ScalarNode(tag, text), is_secret=True)
