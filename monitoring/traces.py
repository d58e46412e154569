"""Spans of requests for a collector of OpenTelemetry, sent by OTLP over HTTP.

    worker ── after each response ──> Traces.export ──> queue of the SDK ── its thread ──> <endpoint>/v1/traces

The variables of the SDK count too: OTEL_EXPORTER_OTLP_HEADERS, OTEL_TRACES_SAMPLER, OTEL_RESOURCE_ATTRIBUTES.
"""

import logging
import threading
import time
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from core.api import notes
from core.hourly import Hourly
from core.metrics import requests, steps
from server.exchange import Exchange

# A worker that stops waits so long for the collector.
CLOSE_SECONDS = 2.0
_PARENT_FIELDS = ("TRACEPARENT", "TRACESTATE")
_MAX_CHARACTERS = 1024

_WARNS = Hourly()

logger = logging.getLogger(__name__)


class Traces:
    """Exports the exchanges of a process; a collector that is away costs spans, never a request."""

    def __init__(self, endpoint: str, version: str) -> None:
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": "registry", "service.version": version}), shutdown_on_exit=False
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(OTLPSpanExporter(f"{endpoint}/v1/traces", timeout=CLOSE_SECONDS))
        )
        self._tracer = self._provider.get_tracer("registry")
        self._parents = TraceContextTextMapPropagator()
        sdk = logging.getLogger("opentelemetry")
        sdk.propagate = False
        sdk.addHandler(_Complaints(endpoint))
        steps.keep()

    def close(self) -> None:
        """Send what is queued, as far as it goes in CLOSE_SECONDS; the SDK has no limit of its own."""
        sending = threading.Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        sending.join(CLOSE_SECONDS)

    def export(self, exchange: Exchange) -> None:
        """Export the span of an exchange, which ends now, with the steps of this thread as its children."""
        taken = steps.end()
        request, environ = exchange.request, exchange.environ
        method = getattr(request, "method", None)
        if method is None or notes.PROBE in environ:
            return
        ended = time.time_ns()
        parent = self._parents.extract(
            {name.lower(): value for name, value in request.headers if name in _PARENT_FIELDS}
        )
        match = environ.get(notes.ROUTE)
        route = (match and match.url_name) or (requests.route_of(environ["PATH_INFO"]) if environ else "malformed")
        status, sent, is_aborted = exchange.outcome()
        attributes = {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status,
            "http.response.body.size": sent,
            "url.path": request.path,
            "url.scheme": environ.get("wsgi.url_scheme"),
            "client.address": environ.get("REMOTE_ADDR"),
            "user_agent.original": environ.get("HTTP_USER_AGENT"),
            "registry.account": environ.get(notes.ACCOUNT),
            "registry.repository": match and match.kwargs.get("name"),
            "registry.request_id": exchange.request_id,
        }
        span = self._tracer.start_span(
            f"{method} {route}",
            context=parent,
            kind=trace.SpanKind.SERVER,
            start_time=ended - int((time.monotonic() - exchange.began) * 1e9),
            attributes={name: _bounded(value) for name, value in attributes.items() if value is not None},
        )
        if status is None or status >= 500 or is_aborted:
            span.set_status(trace.StatusCode.ERROR)
        if span.is_recording():
            context = trace.set_span_in_context(span)
            for step in taken:
                child = self._tracer.start_span(step.name, context=context, start_time=step.began)
                child.end(step.ended)
        span.end(ended)


class _Complaints(logging.Handler):
    """Logs a complaint of the SDK once an hour: it has one for each batch."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(logging.WARNING)
        self._endpoint = endpoint

    def emit(self, record: logging.LogRecord) -> None:
        if _WARNS.is_due():
            logger.warning("traces for server.traces_endpoint %s are lost: %s", self._endpoint, record.getMessage())


def _bounded(value: Any) -> Any:
    return value[:_MAX_CHARACTERS] if isinstance(value, str) else value
