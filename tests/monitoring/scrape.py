"""A server that counts, and what it answers at /metrics."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from prometheus_client.parser import text_string_to_metric_families

from tests.clients.server import Answer, Server
from tests.project.talk import until

TOKEN = "a-token-of-thirty-two-characters-or-more"


@dataclass(frozen=True, slots=True)
class Scrape:
    """The samples of one scrape by name and sorted labels, and the families by name."""

    samples: dict[tuple[str, tuple[tuple[str, str], ...]], float]
    families: dict[str, str]

    def value(self, sample: str, **labels: str) -> float:
        """Return the sum of the samples that have these labels among theirs."""
        wanted = labels.items()
        found = self.samples.items()
        return sum(value for (own, pairs), value in found if own == sample and wanted <= dict(pairs).items())

    def requests(self, **labels: str) -> float:
        """Return how many requests were counted with these labels."""
        return self.value("registry_http_requests_total", **labels)


class MonitoredServer(Server):
    """A server with two workers and a token for /metrics."""

    number = 2
    more: ClassVar[dict[str, object]] = {}

    def configuration(self) -> dict[str, object]:
        """Return what config.yaml says."""
        server = {"addr": self.host, "workers": self.number, "metrics_token": TOKEN}
        return super().configuration() | {"server": server | self.more}

    def scrape_answer(self) -> Answer:
        """Return the whole answer."""
        return self.request("GET", "/metrics", authorization=f"Bearer {TOKEN}")

    def scrape(self) -> Scrape:
        """Return the metrics, parsed by Prometheus' own package."""
        answer = self.scrape_answer()
        assert answer.status == 200, answer.body
        families = list(text_string_to_metric_families(answer.body.decode()))
        return Scrape(
            {
                (sample.name, tuple(sorted(sample.labels.items()))): sample.value
                for family in families
                for sample in family.samples
            },
            {family.name: family.type for family in families},
        )

    def scrape_when(self, condition: Callable[[Scrape], bool]) -> Scrape:
        """Return the first scrape of which `condition` holds: a request is counted once its response is sent."""
        found: list[Scrape] = []

        def holds() -> bool:
            found[:] = [self.scrape()]
            return condition(found[0])

        until(holds)
        return found[0]

    def metrics_folder(self) -> Path:
        """Return the folder in which its workers count."""
        return next(path.parent for path in open_files(self) if "registry-metrics-" in str(path))


def open_files(server: Server) -> Iterator[Path]:
    """Yield what the workers have open."""
    for pid in server.workers():
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                yield link.readlink()
