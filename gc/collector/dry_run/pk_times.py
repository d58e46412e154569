"""A time for each of many primary keys, in less memory than a dictionary."""

from array import array
from datetime import UTC, datetime, timedelta

# About 30 bytes for each of adjacent keys; a whole page for a single one.
PAGE = 8

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class PkTimes:
    """A map from non-negative integers to microseconds since 1970, in pages that are allocated on first use."""

    def __init__(self) -> None:
        self._pages: dict[int, array[int]] = {}

    def put(self, pk: int, time: int) -> None:
        """Set the time of `pk`, as `microseconds` returns it."""
        page, place = divmod(pk, PAGE)
        if page not in self._pages:
            self._pages[page] = array("q", bytes(8 * PAGE))
        self._pages[page][place] = time

    def __getitem__(self, pk: int) -> int:
        """Return the time of `pk`, 0 if it has none."""
        page, place = divmod(pk, PAGE)
        times = self._pages.get(page)
        return times[place] if times is not None else 0


def microseconds(at: datetime) -> int:
    """Return the microseconds since 1970."""
    return (at - _EPOCH) // timedelta(microseconds=1)
