"""The text of `/metrics`: what every process of the server counted, and the state that a scrape reads."""

import platform
from collections.abc import Iterable, Iterator
from itertools import accumulate, groupby
from operator import attrgetter
from pathlib import Path

from django.db import connection
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from core.metrics import catalog as _catalog  # noqa: F401 - every family is there from the start
from core.metrics import cells
from core.metrics.families import SUM, Counter, Family, Gauge, Histogram, Time, families, merged
from monitoring import state
from monitoring.state import DESCRIBED, Sample

Numbers = dict[tuple[str, ...], float]


class Exposition:
    """All metrics, as prometheus_client's encoders ask for them."""

    def __init__(self, folder: Path, version: str) -> None:
        self._folder = folder
        self._version = version

    def collect(self) -> Iterator[Metric]:
        """Yield every family, those without a series too."""
        database, disks = state.shared()
        # Both run while the numbers are read.
        database.begin()
        disks.begin()
        processes = list(cells.read(self._folder))
        numbers: dict[str, Numbers] = {name: {} for name in families}
        for (name, *key), number in merged(processes).items():
            if name in numbers:
                numbers[name][tuple(key)] = number
        for name, family in sorted(families.items()):
            yield _counted(family, numbers[name])
        yield from _read((*database.result(), *disks.result()))
        alive = sum(is_alive for is_alive, _ in processes)
        yield GaugeMetricFamily("registry_processes", "Processes that count: workers, and a running job.", alive)
        yield self._build()

    def _build(self) -> Metric:
        build = GaugeMetricFamily(
            "registry_build_info", "Versions, as labels.", labels=("version", "python", "database")
        )
        build.add_metric((self._version, platform.python_version(), connection.vendor), 1)
        return build


def _counted(family: Family, numbers: Numbers) -> Metric:
    """Return the metric of a family, from its numbers by part and label values."""
    if isinstance(family, Histogram):
        return _histogram(family, numbers)
    kind = GaugeMetricFamily if isinstance(family, Gauge | Time) else CounterMetricFamily
    metric: Metric = kind(family.name, family.documentation, labels=family.label_names)
    if isinstance(family, Counter):
        numbers = {(family.part, *values): 0.0 for values in family.known} | numbers
    for (_, *labels), number in sorted(numbers.items()):
        metric.add_metric(labels, number)  # type: ignore[attr-defined]
    return metric


def _histogram(family: Histogram, numbers: Numbers) -> Metric:
    metric = HistogramMetricFamily(family.name, family.documentation, labels=family.label_names)
    bounds = [str(bound) for bound in (*family.bounds, float("inf"))]
    for labels in sorted({key[1:] for key in numbers}):
        counts = accumulate(numbers.get((bound, *labels), 0.0) for bound in bounds)
        buckets = list(zip((*bounds[:-1], "+Inf"), counts, strict=True))
        metric.add_metric(labels, buckets, numbers.get((SUM, *labels), 0.0))
    return metric


def _read(samples: Iterable[Sample]) -> Iterator[Metric]:
    """Yield the metrics of the state."""
    for name, group in groupby(sorted(samples), key=attrgetter("name")):
        documentation, labels = DESCRIBED[name]
        kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
        metric: Metric = kind(name, documentation, labels=labels)
        for sample in group:
            metric.add_metric(sample.labels, float(sample.value))  # type: ignore[attr-defined]
        yield metric


def text(folder: Path, version: str, accept: str) -> tuple[bytes, str]:
    """Return the metrics in the format that `accept` asks for, and its media type."""
    encode, media_type = choose_encoder(accept)
    return encode(Exposition(folder, version)), media_type
