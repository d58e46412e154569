"""A set of primary keys in one bit each: a million removed rows need no more memory than a picture."""

from collections.abc import Iterable, Iterator


class Bitmap:
    """A set of numbers that are not negative; memory is an eighth of a byte for each up to the greatest."""

    def __init__(self) -> None:
        """Start empty."""
        self._bits = bytearray()

    def add(self, number: int) -> None:
        """Put `number` into the set."""
        index = number >> 3
        if index >= len(self._bits):
            self._bits.extend(bytes(index + 1 - len(self._bits)))
        self._bits[index] |= 1 << (number & 7)

    def __contains__(self, number: int) -> bool:
        """Tell whether `number` is in the set."""
        index = number >> 3
        return index < len(self._bits) and bool(self._bits[index] & 1 << (number & 7))

    def has_all(self, numbers: Iterable[int]) -> bool:
        """Tell whether all of `numbers` are in the set."""
        return all(number in self for number in numbers)

    def __iter__(self) -> Iterator[int]:
        """Yield the numbers from the least to the greatest."""
        for index, byte in enumerate(self._bits):
            if byte:
                yield from (index * 8 + bit for bit in range(8) if byte & 1 << bit)
