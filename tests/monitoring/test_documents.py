"""docs/monitoring.md: its commands as they are typed, its configuration as it is loaded."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from configuration import load
from tests import documents
from tests.monitoring.scrape import MonitoredServer

DOCUMENT = "docs/monitoring.md"


def typed(mark: str, folder: Path, host: str = "") -> str:
    """Run the marked commands in `folder` and return what they print."""
    commands = documents.block(DOCUMENT, f"runs: {mark}").replace("localhost:5000", host)
    done = subprocess.run(["bash", "-ec", commands], cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


class Documented(MonitoredServer):
    """A server that reads its token from the file that the document makes."""

    number = 1

    def configuration(self) -> dict[str, object]:
        """Return what config.yaml says."""
        added = yaml.safe_load(documents.block(DOCUMENT, "adds"))["server"]
        return super().configuration() | {"server": {"addr": self.host, "workers": 1} | added}


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Documented]:
    """Make the token and the configuration as the document says, and start the server."""
    server = Documented(tmp_path_factory.mktemp("documented"))
    try:
        typed("token", server.folder)
        server.start()
        yield server
    finally:
        server.stop()


@pytest.mark.client("curl", "openssl")
def test_the_token_of_the_document_opens_the_metrics(documented: Documented) -> None:
    token = documented.folder / "metrics.token"
    assert token.stat().st_mode & 0o077 == 0

    assert 'registry_http_requests_total{method="GET",route="health"' in typed(
        "scrape", documented.folder, documented.host
    )


@pytest.mark.client("curl", "openssl")
def test_the_id_of_the_document_comes_back(documented: Documented) -> None:
    assert typed("request id", documented.folder, documented.host).strip().lower() == "x-request-id: build-4711"


def test_the_file_of_the_token_is_read(tmp_path: Path) -> None:
    (tmp_path / "metrics.token").write_text("t" * 40 + "\n")
    (tmp_path / "config.yaml").write_text(documents.block(DOCUMENT, "adds"))

    assert load(tmp_path / "config.yaml").server.metrics_token == "t" * 40


def test_prometheus_asks_with_the_file_and_the_alerts_of_the_document() -> None:
    section = yaml.safe_load(documents.block(DOCUMENT, "prometheus"))

    (job,) = section["scrape_configs"]
    assert job["job_name"] == "registry"
    assert job["authorization"]["credentials_file"].endswith("/metrics.token")
    assert all((documents.ROOT / "deploy" / name).exists() for name in section["rule_files"])
