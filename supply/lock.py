"""The locks: what `make lock` writes, and whether it still matches what people edit."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

INPUT = "-r "


@dataclass(frozen=True, slots=True)
class Pin:
    """One locked package: the exact requirement, the SHA-256 sums of its files in hex, and who asks for it.

    `required_by` has names of packages, and `-r FILE` for an input.
    """

    requirement: Requirement
    hashes: tuple[str, ...]
    required_by: tuple[str, ...]

    @property
    def name(self) -> str:
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        """Return the exact version; ValueError when the lock does not name one."""
        exact = re.fullmatch(r"==([^*,]+)", str(self.requirement.specifier))
        if exact is None:
            raise ValueError(f"{self.requirement} is not an exact release")
        return exact[1]

    @property
    def is_input(self) -> bool:
        return any(name.startswith(INPUT) for name in self.required_by)

    @property
    def is_for_this_platform(self) -> bool:
        return self.requirement.marker is None or self.requirement.marker.evaluate()


def read(lock: Path) -> list[Pin]:
    """Return the packages of a lock, in its order."""
    entries = re.findall(r"(?m)^(\w.*(?:\n[ \t]+.*)*)", lock.read_text())
    return [_pin(entry) for entry in entries]


def _pin(entry: str) -> Pin:
    requirement = entry.partition("\n")[0].removesuffix("\\").strip()
    # `# via django`, or `# via` and a line each; a constraint (-c) asks for nothing.
    required_by = re.findall(r"(?m)^ +#(?: via|  ) (?!-c )(\S.*)$", entry)
    return Pin(
        Requirement(requirement), tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})\b", entry)), tuple(required_by)
    )


def asked(source: Path) -> Iterator[Requirement]:
    """Yield the requirements of an input and of the inputs that it includes."""
    for line in source.read_text().splitlines():
        words = line.partition(" #")[0].strip()
        if words.startswith(INPUT):
            yield from asked(source.parent / words.removeprefix(INPUT).strip())
        elif words and not words.startswith(("#", "-")):
            yield Requirement(words)


def differences(source: Path, lock: Path) -> list[str]:
    """Return what is wrong with a lock, one message each; `make lock` mends all of it."""
    pins = read(lock)
    return [
        *(f"{pin.name} has no hash" for pin in pins if not pin.hashes),
        *(f"{pin.requirement} is not an exact release" for pin in pins if not _is_exact(pin)),
        *(f"nothing asks for {pin.name}" for pin in pins if not pin.required_by),
        *_against_input(list(asked(source)), pins),
    ]


def _is_exact(pin: Pin) -> bool:
    try:
        return bool(pin.version)
    except ValueError:
        return False


def _against_input(wanted: list[Requirement], pins: list[Pin]) -> Iterator[str]:
    for requirement in wanted:
        locked = [pin for pin in pins if pin.name == canonicalize_name(requirement.name) and pin.is_input]
        if not any(_satisfies(pin, requirement) for pin in locked):
            yield f"{requirement} is asked for, and not locked"
    names = {canonicalize_name(requirement.name) for requirement in wanted}
    left = [pin for pin in pins if pin.is_input and pin.name not in names]
    yield from (f"{pin.name} is locked, and not asked for any more" for pin in left)


def _satisfies(pin: Pin, requirement: Requirement) -> bool:
    return _is_exact(pin) and pin.version in requirement.specifier and requirement.extras <= pin.requirement.extras
