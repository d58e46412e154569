"""Events as CSV and as JSON lines, in bounded memory."""

import csv
import json
from collections.abc import Iterable, Iterator

from audit.models import Event

COLUMNS = (
    *("id", "at", "kind", "account", "address", "credential", "repository"),
    *("reference", "digest", "detail", "request_id", "count"),
)
# A spreadsheet takes what begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


class _Line:
    """A file for the writer of CSV, of which only the last line is kept."""

    text = ""

    def write(self, text: str) -> None:
        self.text = text


def values(event: Event) -> dict[str, object]:
    """Return the columns of an event for JSON. The key is a string: JavaScript rounds numbers of its size."""
    found = {name: getattr(event, name) for name in COLUMNS}
    at = event.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return found | {"id": str(event.pk), "at": at}


def json_lines(events: Iterable[Event]) -> Iterator[str]:
    """Yield each event as one line with a JSON object."""
    for event in events:
        yield json.dumps(values(event)) + "\n"


def csv_lines(events: Iterable[Event]) -> Iterator[str]:
    """Yield a line of names, and one for each event; a cell that begins like a formula gets an apostrophe before it."""
    line = _Line()
    writer = csv.writer(line)
    writer.writerow(COLUMNS)
    yield line.text
    for event in events:
        cells = [str(value) for value in values(event).values()]
        writer.writerow([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells])
        yield line.text
