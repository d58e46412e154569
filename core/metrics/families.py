"""Families of series: a counter, a gauge or a histogram for each combination of label values."""

import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence

from core.metrics import steps
from core.metrics.cells import LIVE, Cell, Cells, Key

COUNT, SUM, LATEST = "count", "sum", "latest"
"""The second part of a key: a count, the sum of a histogram, a time. The bound of a bucket stands there too."""

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)

families: "dict[str, Family]" = {}
"""Every family by name."""


class Family:
    """What the series of a family have in common."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str] = ()) -> None:
        self.name = name
        self.documentation = documentation
        self.label_names = tuple(labels)
        families[name] = self


class Counter(Family):
    """Numbers that only grow."""

    part = COUNT

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str] = (), known: Sequence[tuple[str, ...]] = ((),)
    ) -> None:
        """`known` label values are shown as 0 before the first count, which is otherwise no increase to Prometheus."""
        super().__init__(name, documentation, labels)
        self.known = [values for values in known if len(values) == len(self.label_names)]
        self._cells: dict[tuple[str, ...], Cell] = {}

    def key(self, *values: str) -> Key:
        """Return the key of the number with these label values."""
        return (self.name, self.part, *values)

    def labels(self, *values: str) -> Cell:
        """Return the number with these label values, which have to be of a bounded set."""
        cell = self._cells.get(values)
        if cell is None:
            cell = self._cells[values] = Cell(self.key(*values))
        return cell

    def add(self, amount: float = 1.0) -> None:
        """Add to the number without labels."""
        self.labels().add(amount)


class Gauge(Counter):
    """Numbers of living processes, of which the sum counts."""

    part = LIVE


class Time(Counter):
    """The latest time, in seconds since 1970, that any process has set."""

    part = LATEST


class Histogram(Family):
    """Numbers of observations up to each bound, and their sum."""

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str] = (), bounds: Sequence[float] = SECONDS
    ) -> None:
        super().__init__(name, documentation, labels)
        self.bounds = tuple(bounds)
        self._series: dict[tuple[str, ...], Observed] = {}

    def keys(self, *values: str) -> list[Key]:
        """Return the keys of a series: that of the sum, then one for each bucket."""
        return [(self.name, part, *values) for part in (SUM, *map(str, self.bounds), "inf")]

    def labels(self, *values: str) -> "Observed":
        """Return the series with these label values, which have to be of a bounded set."""
        series = self._series.get(values)
        if series is None:
            series = self._series[values] = Observed(self, values)
        return series


class Observed:
    """The series of a histogram."""

    __slots__ = ("_bounds", "_cells", "_step")

    def __init__(self, family: Histogram, values: tuple[str, ...]) -> None:
        self._bounds = family.bounds
        self._step = " ".join([family.name.removeprefix("registry_").removesuffix("_duration_seconds"), *values])
        self._cells = Cells(*family.keys(*values))

    def observe(self, amount: float) -> None:
        """Count one observation."""
        self._cells.ready()
        values, places = self._cells.values, self._cells.places
        bucket = places[1 + bisect_left(self._bounds, amount)]
        values[bucket] += 1.0
        values[places[0]] += amount

    def took(self, seconds: float) -> None:
        """Count a duration that ends now; it is a step of the request."""
        self.observe(seconds)
        if steps.is_kept:
            steps.add(self._step, seconds)

    def time(self) -> "_Timer":
        """Return a context whose duration is counted as by `took`, however it ends."""
        return _Timer(self)


class _Timer:
    """The context of `time`; as a generator it would cost twice as much."""

    __slots__ = ("_began", "_series")

    def __init__(self, series: Observed) -> None:
        self._series = series

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_error: object) -> None:
        self._series.took(time.perf_counter() - self._began)


def merged(processes: Sequence[tuple[bool, Mapping[tuple[str, ...], float]]]) -> dict[tuple[str, ...], float]:
    """Return the numbers of all processes together, by key; those of a gauge only of living ones."""
    total: dict[tuple[str, ...], float] = {}
    for is_alive, numbers in processes:
        for key, number in numbers.items():
            before = total.get(key, 0.0)
            if key[1] == LATEST:
                total[key] = max(before, number)
            else:
                total[key] = before + (number if is_alive or key[1] != LIVE else 0.0)
    return total
