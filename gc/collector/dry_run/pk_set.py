"""A bitmap of primary keys: one bit each, so that a million removed rows fit into some hundred kilobytes."""

from collections.abc import Iterator

PAGE_BITS = 2048


class PkSet:
    """A set of non-negative integers, in pages that are allocated on first use.

    Memory is at most a fifth of a byte for each integer up to the greatest, and at most one page for each member.
    """

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}

    def add(self, pk: int) -> None:
        """Add `pk`."""
        page, bit = divmod(pk, PAGE_BITS)
        bits = self._pages.setdefault(page, bytearray())
        if not bits:
            bits.extend(bytes(PAGE_BITS // 8))
        bits[bit >> 3] |= 1 << (bit & 7)

    def __contains__(self, pk: int) -> bool:
        """Tell whether `pk` is in the set."""
        page, bit = divmod(pk, PAGE_BITS)
        bits = self._pages.get(page)
        return bits is not None and bool(bits[bit >> 3] & 1 << (bit & 7))

    def __iter__(self) -> Iterator[int]:
        """Yield the members in ascending order."""
        for page in sorted(self._pages):
            for index, byte in enumerate(self._pages[page]):
                if byte:
                    start = page * PAGE_BITS + index * 8
                    yield from (start + bit for bit in range(8) if byte & 1 << bit)
