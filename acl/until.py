"""When a rule ends: `2026-12-31` is the end of that day, `2026-12-31T18:00+01:00` an instant; without a zone, UTC."""

import re
from datetime import UTC, date, datetime, time, timedelta

EXPECTED = (
    'a date as "2026-12-31", to the end of that day (UTC), or a time as "2026-12-31T18:00" (UTC) or '
    '"2026-12-31T18:00+01:00"'
)

_TEXT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?) ?(Z|[+-][0-9]{2}:[0-9]{2})?)?", re.ASCII
)


class InvalidUntilError(ValueError):
    """The string is not the end of a rule."""


def parse_until(text: str) -> datetime:
    """Return the first instant at which the rule is no longer in force, in UTC. Raises InvalidUntilError."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise InvalidUntilError(EXPECTED)
    day, clock, zone = found.groups()
    try:
        if clock is None:
            return datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=1)
        return datetime.fromisoformat(f"{day}T{clock}{zone or 'Z'}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidUntilError(EXPECTED) from None


def until_text(until: datetime) -> str:
    """Return the end as a rule of the file has it: a date for the end of a day, otherwise a time in UTC."""
    instant = until.astimezone(UTC)
    if instant.time() == time() and instant.date() > date.min:
        return (instant - timedelta(days=1)).date().isoformat()
    seconds = "seconds" if instant.second or instant.microsecond else "minutes"
    return f"{instant.replace(tzinfo=None).isoformat(timespec=seconds)}Z"
