"""Sends spans to a collector by OTLP over HTTP, with OpenTelemetry's own exporter. It uses no
proxy and follows no redirect: there may be a password in the headers."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from modelwave_controller import disk
from modelwave_controller.errors import OperatorError, ServerError
from modelwave_controller.tracing.settings import TracingSettings
from modelwave_controller.tracing.span import Span
from modelwave_shared.version import VERSION

SECONDS = 5.0  # that a collector may take
MAX_HEADERS_BYTES = 8192
MAX_SAID = 200
LOGGER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"


class Exporter(Protocol):
    """OpenTelemetry's SpanExporter."""

    def export(self, spans: Sequence[Any]) -> Any: ...

    def shutdown(self) -> None: ...


class Sender:
    """Use it in one thread; `stop` may be called by any."""

    def __init__(self, fleet: str, exporter: Exporter, where: str) -> None:
        """`where` names the collector in errors."""
        self._where = where
        self._exporter = exporter
        self._readable = _readable(fleet)
        self._said = _Said()
        logging.getLogger(LOGGER).filters[:] = [self._said]

    def send(self, spans: Sequence[Span]) -> None:
        """Raises ServerError unless the collector takes them."""
        from opentelemetry.sdk.trace.export import SpanExportResult

        if self._exporter.export([*map(self._readable, spans)]) is not SpanExportResult.SUCCESS:
            raise ServerError(f"{self._where} does not take traces: {self._said.last}")

    def stop(self) -> None:
        self._exporter.shutdown()


def sender(settings: TracingSettings, home: Path, fleet: str) -> Sender:
    """Returns what sends to the settings' endpoint; paths are relative to `home`. Raises
    OperatorError."""
    try:
        import requests
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise OperatorError(
            "tracing.endpoint: traces need OpenTelemetry: pip install 'modelwave[otel]', or leave "
            "it empty"
        ) from error
    if settings.ca:
        disk.read_input(home / settings.ca, "tracing.ca", 1 << 20)
    session = requests.Session()
    session.trust_env, session.max_redirects = False, 0
    exporter = OTLPSpanExporter(
        endpoint=settings.endpoint,
        certificate_file=str(home / settings.ca) if settings.ca else None,
        headers=_headers(home / settings.headers_file) if settings.headers_file else {},
        timeout=SECONDS,
        session=session,
    )
    parts = urlsplit(settings.endpoint)
    return Sender(fleet, exporter, f"tracing.endpoint: {parts.scheme}://{parts.netloc}")


def _headers(path: Path) -> dict[str, str]:
    """Reads lines NAME: VALUE. An error has nothing of them."""
    text = disk.read_input(path, "tracing.headers_file", MAX_HEADERS_BYTES).decode("latin-1")
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        name, colon, value = line.partition(":")
        name, value = name.strip(), value.strip()
        if not line.strip():
            continue
        well = value.isascii() and value.isprintable() and name.replace("-", "").isalnum()
        if not (colon and well):
            raise OperatorError(f"tracing.headers_file: {path}, line {number}: give NAME: VALUE")
        found[name] = value
    return found


class _Said(logging.Filter):
    """Keeps what the exporter last said was wrong, out of the log: who sends says it once."""

    last = "it did not say why"

    def filter(self, record: logging.LogRecord) -> bool:
        said = record.getMessage()[:MAX_SAID]
        self.last = "".join(c if c.isprintable() else "?" for c in said)
        return False


def _readable(fleet: str) -> Callable[[Span], Any]:
    """Returns what makes OpenTelemetry's spans of ours."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

    resource = Resource(
        {"service.name": "modelwave", "service.version": VERSION, "modelwave.fleet": fleet}
    )
    scope = InstrumentationScope("modelwave", VERSION)

    def context(trace: int, id: int) -> SpanContext:
        return SpanContext(trace, id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))

    def made(span: Span) -> ReadableSpan:
        return ReadableSpan(
            span.name,
            context(span.trace, span.id),
            context(span.trace, span.parent) if span.parent else None,
            resource,
            span.attributes,
            status=Status(StatusCode.ERROR, span.failed) if span.failed else Status(StatusCode.OK),
            start_time=int(span.begin * 1e9),
            end_time=int(span.end * 1e9),
            instrumentation_scope=scope,
        )

    return made
