"""Sizes, as "500MiB", and how much of a disk stays free: a size, "5%", "0"."""

import re
from fractions import Fraction

from configuration.element import Element, Refused
from configuration.values import Reserve

_EXPECTED = 'a size as "1GiB" or "500MiB", a share of the disk as "5%", or "0"'
_SIZE = 'a size as "10GiB" or "500MiB"'
_UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_RESERVE = re.compile(rf"([0-9]{{1,9}}(?:\.[0-9]{{1,3}})?)({'|'.join(_UNITS)}|%)")


def reserve(element: Element) -> Reserve:
    """Return the reserve that the text says."""
    text = element.text(_EXPECTED)
    if text == "0":
        return Reserve(0, None)
    match = _RESERVE.fullmatch(text)
    if match is None:
        raise Refused(_EXPECTED)
    number, unit = Fraction(match[1]), match[2]
    if unit != "%":
        return Reserve(int(number * _UNITS[unit]), None)
    if number >= 100:
        raise Refused(f"{_EXPECTED}; the share is below 100%")
    return Reserve(None, number / 100)


def size(element: Element) -> int:
    """Return the bytes that the text says, at least one."""
    match = _RESERVE.fullmatch(element.text(_SIZE))
    if match is None or match[2] == "%":
        raise Refused(_SIZE)
    found = int(Fraction(match[1]) * _UNITS[match[2]])
    if not found:
        raise Refused(f"{_SIZE}, above 0")
    return found
