"""What an OpenTelemetry collector receives of a real server."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from configuration import load
from tests import documents
from tests.clients.server import ROOT, Server, basic, started
from tests.ports import free_port
from tests.project.talk import until

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector:
    """A collector that keeps what it receives."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.paths: set[str] = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sent = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
                collector.paths.add(self.path)
                collector.spans += [
                    span for one in sent.resource_spans for scope in one.scope_spans for span in scope.spans
                ]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_arguments: Any) -> None:
                """Print nothing."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def span_of(self, request_id: str) -> Span:
        """Return the span of a request, once it has come."""
        found: list[Span] = []

        def has_come() -> bool:
            found[:] = [span for span in self.spans if attributes(span).get("registry.request_id") == request_id]
            return bool(found)

        until(has_come)
        return found[0]

    def children_of(self, span: Span) -> list[Span]:
        return [other for other in self.spans if other.parent_span_id == span.span_id]


def attributes(span: Span) -> dict[str, object]:
    """Return the attributes of a span."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in span.attributes}


class Traced(Server):
    """A server with one worker that sends traces."""

    endpoint = ""

    def configuration(self) -> dict[str, object]:
        """Return what config.yaml says."""
        server = {"addr": self.host, "workers": 1, "traces_endpoint": self.endpoint}
        return super().configuration() | {"server": server}

    def environment(self) -> dict[str, str]:
        """Send spans at once."""
        return super().environment() | {"OTEL_BSP_SCHEDULE_DELAY": "50"}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """Run a collector."""
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture(scope="module")
def traced(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    """Run a server that sends its traces to the collector."""
    server = Traced(tmp_path_factory.mktemp("traced"))
    server.endpoint = collector.url
    with started(server):
        yield server


def test_a_request_is_a_span_with_its_statements_and_transactions(traced: Traced, collector: Collector) -> None:
    answer = traced.request(
        "POST",
        "/v2/alice/app/blobs/uploads/",
        authorization="Bearer " + traced.token("alice", "repository:alice/app:pull,push"),
    )
    assert answer.status == 202

    span = collector.span_of(answer.headers["x-request-id"])
    found = attributes(span)
    assert (span.name, span.kind) == ("POST uploads", Span.SPAN_KIND_SERVER)
    assert found["http.response.status_code"] == 202
    assert (found["registry.account"], found["registry.repository"]) == ("alice", "alice/app")
    # Also while the server counts nothing for /metrics.
    names = {"database_statement", "database_transaction"}
    until(lambda: names <= {child.name for child in collector.children_of(span)})
    for child in collector.children_of(span):
        assert span.start_time_unix_nano <= child.end_time_unix_nano <= span.end_time_unix_nano
    assert collector.paths == {"/v1/traces"}


def test_a_request_continues_the_trace_of_its_client(traced: Traced, collector: Collector) -> None:
    answer = traced.request("GET", "/v2/", more={"traceparent": f"00-{TRACE}-{PARENT}-01"})

    span = collector.span_of(answer.headers["x-request-id"])
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)


def test_a_span_has_neither_query_nor_credentials(traced: Traced, collector: Collector) -> None:
    answer = traced.request("GET", "/v2/token?secret=hidden", authorization=basic("alice"))

    assert answer.status == 200
    sent = collector.span_of(answer.headers["x-request-id"]).SerializeToString()
    assert b"hidden" not in sent
    assert basic("alice").split()[1].encode() not in sent


def test_probes_have_no_span(traced: Traced, collector: Collector) -> None:
    probe = traced.request("GET", "/livez")
    later = traced.request("GET", "/v2/")

    collector.span_of(later.headers["x-request-id"])
    assert probe.headers["x-request-id"] not in {
        attributes(span).get("registry.request_id") for span in collector.spans
    }


def test_a_collector_that_is_away_costs_no_request_and_is_one_warning(tmp_path: Path) -> None:
    server = Traced(tmp_path)
    server.endpoint = f"http://127.0.0.1:{free_port()}"
    with started(server):
        assert [server.request("GET", "/v2/").status for _ in range(3)] == [401, 401, 401]
        until(lambda: "are lost" in server.log_file.read_text())
    assert server.log_file.read_text().count(f"traces for server.traces_endpoint {server.endpoint} are lost") == 1


def test_a_start_without_the_packages_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text('import sys\nsys.modules["opentelemetry"] = None\n')
    (tmp_path / "config.yaml").write_text('server: {traces_endpoint: "http://localhost:4318"}\n')
    environment = os.environ | {"CONFIG_PATH": str(tmp_path / "config.yaml"), "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{free_port()}"]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)

    assert ended.returncode == 1
    assert "server.traces_endpoint: the packages for traces are missing; run: " in ended.stderr
    assert "pip install --require-hashes --requirement requirements-traces.txt" in ended.stderr


def test_the_configuration_of_the_document_sends_traces(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(documents.block("docs/monitoring.md", "adds traces"))

    assert load(tmp_path / "config.yaml").server.traces_endpoint == "http://localhost:4318"
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["server"].keys() == {"traces_endpoint"}
