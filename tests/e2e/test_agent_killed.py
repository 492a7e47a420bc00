"""Tests that an agent which is killed during a download continues where the file ends."""

import json
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from modelwave_controller.demo.processes import AGENT
from modelwave_shared import slots, topics
from tests import signing
from tests.e2e.conftest import DIGITS, House

DEVICE = "pi-1"
PADDING_BYTES = 4_000_000
SECONDS = 40


class Files(ThreadingHTTPServer):
    """Serves release files with Range. Of its first answer it sends only the first half, and the
    rest once `go_on` is set."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files = files
        self.asked: list[tuple[str, int]] = []
        self.sent = 0
        self.half_sent = threading.Event()
        self.go_on = threading.Event()


class Answer(BaseHTTPRequestHandler):
    server: Files

    def do_GET(self) -> None:
        name = self.path.rsplit("/", 1)[-1]
        data = self.server.files[name]
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "bytes=0-"))
        assert wanted is not None
        start = int(wanted[1])
        self.server.asked.append((name, start))
        self.send_response(206)
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        middle = len(data) // 2 if len(data) > PADDING_BYTES else len(data)
        if start < middle:
            self._send(data[start:middle])
            self.server.half_sent.set()
            self.server.go_on.wait(SECONDS)
        self._send(data[max(start, middle) :])

    def _send(self, data: bytes) -> None:
        try:
            self.wfile.write(data)
            self.server.sent += len(data)
        except OSError:
            pass  # the agent was killed

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def release() -> signing.Release:
    """digits v2, made longer by bytes after its flatbuffer, which runtimes ignore."""
    model = (DIGITS / "digits-v2.tflite").read_bytes() + bytes(PADDING_BYTES)
    golden = (DIGITS / "digits-v2.golden").read_bytes()
    files = [
        {"role": "model", "sha256": signing.sha(model), "size": len(model)},
        {"role": "golden", "sha256": signing.sha(golden), "size": len(golden)},
    ]
    needs = {"flash": len(model) + len(golden), "ram": 2048, "kernels": [], "runtime": "tflite"}
    made = signing.Release(
        2,
        model,
        files=files,
        needs={**needs, "accelerator": ""},
        tolerance={"kind": "outputs", "steps": {"any": 8}},
    )
    made.files = {signing.sha(model): model, signing.sha(golden): golden}
    return made


@pytest.fixture
def files(release: signing.Release) -> Iterator[Files]:
    with Files(release.files) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.go_on.set()
        server.shutdown()
        thread.join()


class Watcher:
    """Publishes an order, and receives the device's reports."""

    def __init__(self, port: int) -> None:
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self.reports: list[dict[str, object]] = []
        self.heard = threading.Condition()
        self.client.on_message = self._on_message
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.client.subscribe(topics.reported("demo", DEVICE), qos=1)

    def _on_message(self, _client: object, _userdata: object, message: mqtt.MQTTMessage) -> None:
        with self.heard:
            self.reports.append(json.loads(message.payload)["models"]["digits"])
            self.heard.notify_all()

    def wait_for_outcome(self) -> dict[str, object]:
        with self.heard:
            assert self.heard.wait_for(
                lambda: self.reports and self.reports[-1]["outcome"], SECONDS
            ), self.reports
        return self.reports[-1]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def bank_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "state/digits").glob("?.model"))


@pytest.mark.e2e
def test_agent_killed_in_the_middle_of_a_download_fetches_only_the_rest(
    house: House, tmp_path: Path, files: Files, release: signing.Release
) -> None:
    house.init()
    house.start_broker("embedded")
    port = int(house.broker_url.rsplit(":", 1)[1])
    (tmp_path / "root.json").write_bytes(signing.root_envelope())
    config = tmp_path / "agent.toml"
    config.write_text(
        f'device = "{DEVICE}"\ntarget = "linux-cpu"\nmodels = ["digits"]\nstate = "state"\n'
        f'root = "root.json"\n[broker]\nurl = "{house.broker_url}"\n'
        f'[download]\nhosts = ["127.0.0.1:{files.server_port}"]\n'
    )
    now = int(time.time())
    order = signing.order(
        release,
        1,
        urls=[f"http://127.0.0.1:{files.server_port}/files"],
        issued=now,
        expires=now + 3600,
        trial={"seconds": 0, "inferences": 0},
    )
    watcher = Watcher(port)
    topic = topics.desired_slot("demo", "linux-cpu", "digits", slots.slot("demo", DEVICE))
    watcher.client.publish(topic, order, qos=1, retain=True).wait_for_publish(SECONDS)

    command = [*AGENT, "run", "--config", str(config)]
    house.running.start("agent", command)
    assert files.half_sent.wait(SECONDS)
    half = len(release.files[files.asked[0][0]]) // 2
    deadline = time.monotonic() + SECONDS
    while bank_bytes(tmp_path) < half - 300_000:  # what is on its way is not yet in the bank
        assert time.monotonic() < deadline
        time.sleep(0.01)
    agent = house.running.running.pop("agent")
    agent.kill()
    agent.wait()
    kept = bank_bytes(tmp_path)
    files.go_on.set()

    house.running.start("agent again", command)
    outcome = watcher.wait_for_outcome()
    watcher.close()
    assert (outcome["outcome"], outcome["release"]) == ("SUCCEEDED", 2)
    model = release.document["files"][0]["sha256"]
    starts = [start for name, start in files.asked if name == model]
    assert starts == [0, kept], "the second request begins where the file ended"
    assert kept > 1_500_000
