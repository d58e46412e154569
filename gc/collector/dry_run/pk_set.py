"""A set of primary keys in one bit each: a million removed rows need no more memory than a picture."""

from collections.abc import Iterator

PAGE_BITS = 2048


class Bitmap:
    """A set of numbers that are not negative, in pages that exist where a number is.

    Memory is at most a fifth of a byte for each number up to the greatest, and never more than one page for each
    number in the set, however great it is.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._pages: dict[int, bytearray] = {}

    def add(self, number: int) -> None:
        """Put `number` into the set."""
        page, bit = divmod(number, PAGE_BITS)
        bits = self._pages.setdefault(page, bytearray())
        if not bits:
            bits.extend(bytes(PAGE_BITS // 8))
        bits[bit >> 3] |= 1 << (bit & 7)

    def __contains__(self, number: int) -> bool:
        """Tell whether `number` is in the set."""
        page, bit = divmod(number, PAGE_BITS)
        bits = self._pages.get(page)
        return bits is not None and bool(bits[bit >> 3] & 1 << (bit & 7))

    def __iter__(self) -> Iterator[int]:
        """Yield the numbers from the least to the greatest."""
        for page in sorted(self._pages):
            for index, byte in enumerate(self._pages[page]):
                if byte:
                    start = page * PAGE_BITS + index * 8
                    yield from (start + bit for bit in range(8) if byte & 1 << bit)
