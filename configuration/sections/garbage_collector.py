"""The section `garbage_collector`."""

from datetime import timedelta

from configuration.converters import boolean, duration
from configuration.element import Element
from configuration.section import Key, Section, Values
from configuration.values import GarbageCollector


def _build(values: Values, _element: Element) -> GarbageCollector:
    fields = {"is_enabled" if name == "enabled" else name: value for name, value in values.items()}
    return GarbageCollector(**fields)


GARBAGE_COLLECTOR = Section(
    {
        "enabled": Key(boolean),
        "interval": Key(duration(timedelta(minutes=1), "of at least 1m")),
        "remove_untagged": Key(boolean),
        "grace_period": Key(duration(timedelta())),
    },
    _build,
)
