"""Each rollout is a trace: its spans are made of the log after the fact, and sent once, also when
services take over."""

import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from rollout_world import FLEET, World, quick

from modelwave_controller.errors import OperatorError, ServerError
from modelwave_controller.home import ControllerConfig, Home
from modelwave_controller.service.serve import Service
from modelwave_controller.service.traced import Traced
from modelwave_controller.storage import log, traced
from modelwave_controller.tracing.sender import Sender, sender
from modelwave_controller.tracing.settings import TracingSettings
from modelwave_controller.tracing.span import Span

SECRET = "Bearer 5ecret"


class Collector(list[Span]):
    away = False

    def send(self, spans: Any) -> None:
        if self.away:
            raise ServerError("away")
        self.extend(spans)

    def stop(self) -> None:
        pass

    def named(self, name: str) -> list[Span]:
        return [span for span in self if span.name == name]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=12)) as made:
        yield made


def traces_of(world: World, collector: Any, devices: int = 100) -> Traced:
    return Traced(world.store, FLEET, devices, collector, lambda: world.now)


def rolled_out(world: World, first: Traced, then: Traced) -> None:
    """A rollout of two stages; `then` goes on with it after the first one."""
    first.step()  # what was there before is not sent
    world.start(1, quick(50, 100))
    world.tick()
    world.now += 2
    world.tick()
    world.answer("SUCCEEDED", [*world.devices.values()])
    first.step()
    for _ in range(5):
        world.now += 10
        world.tick()
        world.answer("SUCCEEDED", [*world.devices.values()])
        then.step()


def test_one_order_is_followed_from_the_start_to_a_device_s_outcome(world: World) -> None:
    collector = Collector()
    rolled_out(world, traces_of(world, collector), traces_of(world, collector))
    [root] = collector.named("rollout digits")
    assert (root.parent, root.attributes["modelwave.status"]) == (0, "FINISHED")
    assert {span.trace for span in collector} == {root.trace}
    assert len({span.id for span in collector}) == len(collector)

    [start] = collector.named("created")
    assert start.parent == root.id
    stages = [*collector.named("stage 1"), *collector.named("stage 2")]
    assert [stage.parent for stage in stages] == [root.id] * 2
    assert stages[0].end == stages[1].begin
    for stage in stages:
        [order] = [span for span in collector.named("order") if span.parent == stage.id]
        assert order.attributes["modelwave.acknowledged"] == "yes"
        its = [span for span in collector.named("device") if span.parent == order.id]
        assert {span.attributes["modelwave.outcome"] for span in its} == {"SUCCEEDED"}
        assert all(span.begin == order.begin for span in its)
        [gate] = [span for span in collector.named("gate") if span.parent == stage.id]
        assert gate.attributes["modelwave.verdict"] == "PASS"
    assert {span.end - span.begin for span in collector.named("device")} == {0.0, 2.0}
    ids = {span.id for span in collector}
    assert [span.name for span in collector if span.parent not in ids] == [root.name]


def test_what_was_sent_and_not_noted_is_sent_again_as_the_same(world: World) -> None:
    collector, again = Collector(), Collector()
    rolled_out(world, traces_of(world, collector), traces_of(world, collector))
    with world.store.write() as connection:
        traced.note(connection, 0)
    traces_of(world, again).step()
    assert sorted(again) == sorted(collector)


def test_a_collector_that_is_away_gets_all_when_it_is_back_but_not_what_is_old(
    world: World,
) -> None:
    collector = Collector()
    spans = traces_of(world, collector)
    spans.step()
    world.start(1, quick(50, 100))
    world.tick()
    collector.away = True
    with pytest.raises(ServerError):
        spans.step()
    collector.away = False
    spans.step()
    assert len(collector.named("created")) == 1
    sent = len(collector)
    world.answer("SUCCEEDED", [*world.devices.values()])
    world.now += 2 * 86400
    spans.step()
    with world.store.read() as connection:
        assert traced.cursor(connection) == log.newest_id(connection)
    assert len(collector) == sent


def test_a_device_that_failed_and_a_revert_count_as_errors(world: World) -> None:
    collector = Collector()
    spans = traces_of(world, collector)
    spans.step()
    world.start(1, quick(50, 100))
    world.tick()
    world.answer("ROLLED_BACK", [*world.devices.values()])
    for _ in range(4):
        world.now += 10
        world.tick()
        world.answer("SUCCEEDED", [*world.devices.values()])
    while spans.step():
        pass
    assert {span.failed for span in collector.named("device")} == {"ROLLED_BACK"}
    [gate] = collector.named("gate")
    assert "6 of 6 devices rolled back" in gate.failed
    [revert] = collector.named("revert")
    [root] = collector.named("rollout digits")
    assert revert.parent == root.id
    assert root.failed == f"REVERTED: {revert.attributes['modelwave.reason']}"


def test_of_a_large_order_a_sample_is_shown_the_same_in_each_process(world: World) -> None:
    few, all_ = Collector(), Collector()
    rolled_out(world, traces_of(world, few, devices=2), traces_of(world, few, devices=2))
    with world.store.write() as connection:
        traced.note(connection, 0)
    traces_of(world, all_).step()
    shown = {span.attributes["modelwave.device"] for span in few.named("device")}
    every = {span.attributes["modelwave.device"] for span in all_.named("device")}
    assert every == world.devices.keys()
    assert len(shown) < len(every)
    assert {span.id for span in few} < {span.id for span in all_}


def test_spans_are_opentelemetry_s(world: World) -> None:
    exporter = InMemorySpanExporter()
    spans = traces_of(world, Sender(FLEET, exporter, "collector"))
    rolled_out(world, spans, spans)
    found = [json.loads(span.to_json()) for span in exporter.get_finished_spans()]
    [root] = [span for span in found if span["parent_id"] is None]
    assert root["name"] == "rollout digits"
    assert root["resource"]["attributes"]["modelwave.fleet"] == FLEET
    assert {span["context"]["trace_id"] for span in found} == {root["context"]["trace_id"]}
    assert {span["status"]["status_code"] for span in found} == {"OK"}


# Over HTTP.


class Receiver(BaseHTTPRequestHandler):
    status = 200
    requests: ClassVar[list[tuple[str, str, bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.requests.append((self.path, self.headers.get("Authorization", ""), body))
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        if self.status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Receiver, "requests", [])
    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1/traces"
        server.shutdown()
        thread.join()


SPAN = Span(7 << 64, 8, 9, "stage 1", 1.5, 2.5, {"modelwave.stage": 1}, "too bad")


def test_a_collector_is_sent_otlp_with_the_headers_of_the_file(
    receiver: str, tmp_path: Path
) -> None:
    (tmp_path / "headers").write_text(f"Authorization: {SECRET}\n\n")
    settings = TracingSettings(endpoint=receiver, headers_file="headers")
    sends = sender(settings, tmp_path, FLEET)
    sends.send([SPAN])
    sends.stop()
    [(path, authorization, body)] = Receiver.requests
    assert (path, authorization) == ("/v1/traces", SECRET)
    [resource] = ExportTraceServiceRequest.FromString(body).resource_spans
    [span] = resource.scope_spans[0].spans
    assert span.trace_id == (7 << 64).to_bytes(16, "big")
    assert (span.span_id, span.parent_span_id) == (bytes(7) + b"\x08", bytes(7) + b"\x09")
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (1_500_000_000, 2_500_000_000)
    assert span.status.message == "too bad"


@pytest.mark.parametrize("status", [401, 302])
def test_what_a_collector_refuses_is_an_error_without_a_secret(
    receiver: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Receiver, "status", status)
    (tmp_path / "headers").write_text(f"Authorization: {SECRET}\n")
    settings = TracingSettings(endpoint=receiver, headers_file="headers")
    sends = sender(settings, tmp_path, FLEET)
    with pytest.raises(ServerError, match="does not take traces") as told:
        sends.send([SPAN])
    sends.stop()
    assert SECRET not in str(told.value)
    assert [path for path, _, _ in Receiver.requests] == ["/v1/traces"]  # not led elsewhere


# Settings.


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"endpoint": "127.0.0.1:4318"}, "the whole URL"),
        ({"endpoint": "http://127.0.0.1:4318"}, "the whole URL"),
        ({"endpoint": "https://a:b@c/v1/traces"}, "no user or password"),
        ({"endpoint": "http://192.0.2.1/v1/traces", "headers_file": "h"}, "give https://"),
        ({"devices": 1001}, "less than or equal to 1000"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        ControllerConfig.model_validate({"fleet": FLEET, "tracing": settings})


def test_a_line_that_is_no_header_is_refused_without_it(tmp_path: Path) -> None:
    (tmp_path / "headers").write_text(SECRET)
    settings = TracingSettings(endpoint="http://127.0.0.1/v1/traces", headers_file="headers")
    with pytest.raises(OperatorError, match=r"headers_file.*line 1: give NAME: VALUE") as told:
        sender(settings, tmp_path, FLEET)
    assert SECRET not in str(told.value)


def test_it_is_imported_only_where_it_is_used() -> None:
    sources = Path(traced.__file__).parents[1].rglob("*.py")
    at_once = re.compile(r"^(import|from) opentelemetry\b", re.MULTILINE)
    assert [path for path in sources if at_once.search(path.read_text())] == []


def test_without_the_extra_a_service_says_what_to_install(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
    monkeypatch.setitem(sys.modules, exporter, None)
    assert Service(world.home, world.store).sender is None
    settings = world.home.path / "controller.toml"
    text = settings.read_text()
    settings.write_text(text.replace('endpoint = ""', 'endpoint = "http://127.0.0.1:1/v1/traces"'))
    with pytest.raises(OperatorError, match=r"modelwave\[otel\]"):
        Service(Home(world.home.path), world.store)
