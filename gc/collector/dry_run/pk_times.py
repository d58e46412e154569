"""A moment for each of many primary keys, in less memory than a dictionary takes."""

from array import array
from datetime import UTC, datetime, timedelta

# Where keys lie close together, some 30 bytes each; where they are sparse, the whole page for one.
PAGE = 8

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Moments:
    """Moments by numbers that are not negative, in pages that exist where a number is."""

    def __init__(self) -> None:
        """Start empty."""
        self._pages: dict[int, array[int]] = {}

    def put(self, number: int, moment: int) -> None:
        """Let `moment`, in microseconds as `microseconds` says them, be that of `number`."""
        page, place = divmod(number, PAGE)
        if page not in self._pages:
            self._pages[page] = array("q", bytes(8 * PAGE))
        self._pages[page][place] = moment

    def __getitem__(self, number: int) -> int:
        """Return the moment of `number`, 0 when it has none."""
        page, place = divmod(number, PAGE)
        moments = self._pages.get(page)
        return moments[place] if moments is not None else 0


def microseconds(moment: datetime) -> int:
    """Return the microseconds from 1970 to `moment`."""
    return (moment - _EPOCH) // timedelta(microseconds=1)
