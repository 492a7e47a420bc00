"""A candidate beside the live model of a host: whatever it does, the program gets its answers, and
nothing is left of it."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from modelwave_agent.host import shadow as host_shadow
from modelwave_agent.host import shadow_process
from modelwave_agent.host.runtimes.port import RuntimeSettings
from modelwave_agent.host.shadow import MAX_WAITING, MAX_WAITING_BYTES, HostShadow
from modelwave_agent.host.shadow_messages import FAILED, RAN
from modelwave_agent.types import AcceptedOrder
from tests import signing
from tests.agent.host_places import wait_until_gone

pytestmark = pytest.mark.slow

numpy = pytest.importorskip("numpy")

SECONDS = 60  # for what takes a second or two
ODD = (sys.executable, Path(__file__).with_name("odd_candidate.py"))
DATA = bytes(range(10))
LIVE = {"output": numpy.frombuffer(DATA, numpy.int8)}
MIB = 2**20


@pytest.fixture(autouse=True)
def odd(monkeypatch):
    monkeypatch.setattr(shadow_process, "CHILD", ODD)
    monkeypatch.setattr(host_shadow, "PAUSE_SECONDS", 0.0)


def order(max_failed_ppm=0, tolerance=None, **budget):
    wanted = {**signing.SHADOW["extra"]["shadow"], "share_ppm": 10**6, "ram": 300 * MIB, **budget}
    tolerance = tolerance or {"kind": "labels", "least_ppm": 1}
    manifest = {"release": 2, "format": "tflite", "tolerance": tolerance}
    extra = {"shadow": wanted, "max_failed_ppm": max_failed_ppm}
    return AcceptedOrder({"extra": extra}, manifest, "d", 0)


class Beside:
    """A shadow of a model that does what `way` says."""

    def __init__(self, folder, way, hang_seconds=SECONDS):
        self.path = folder / "b.model"
        self.path.write_text(way)
        self.seen = []
        self.lasted = []
        self.pid = None
        self.shadow = HostShadow(
            RuntimeSettings(), hang_seconds, "", lambda *seen: self.seen.append(seen)
        )

    async def keep(self, seconds):
        self.lasted.append(seconds)

    def run(self, wanted, before=0, data=DATA, live=LIVE, stop=lambda: False):
        """What the shadow answers, while it is offered inputs."""

        async def main():
            task = asyncio.create_task(self.shadow.run(wanted, str(self.path), before, self.keep))
            async with asyncio.timeout(SECONDS):
                is_stopped = False
                while not task.done() and not (is_stopped := stop()):
                    self.shadow.offer(data, live)
                    self.pid = self.pid or _child()
                    await asyncio.sleep(0.001)
            if is_stopped:
                task.cancel()
            return (await asyncio.gather(task, return_exceptions=True))[0]

        found = asyncio.run(main())
        assert self.pid, "no process was seen"
        assert not Path(f"/proc/{self.pid}").exists(), "it still runs, or nobody waited for it"
        return found


def _child():
    """The process of the shadow."""
    for thread in Path("/proc/self/task").iterdir():
        path = thread / "children"
        for pid in path.read_text().split():
            if "odd_candidate" in Path(f"/proc/{pid}/cmdline").read_text():
                return int(pid)
    return None


def test_candidate_that_agrees_is_shadowed_with_what_was_seen(tmp_path):
    beside = Beside(tmp_path, "bytes")
    event, told = beside.run(order(seconds=0.5))
    assert event == "shadowed", told
    runs = [answer for _, answer in beside.seen]
    assert runs
    assert all((one.kind, one.agreed, one.predicted) == (RAN, True, 9) for one in runs)
    assert told.startswith(f"{len(runs)} of {len(runs)} outputs agree, 0 of {len(runs)} runs")
    print(told)


def test_candidate_that_disagrees_says_how_often(tmp_path):
    beside = Beside(tmp_path, "reverses")
    event, told = beside.run(order(seconds=0.3))
    assert event == "shadowed"
    assert told.startswith(f"0 of {len(beside.seen)} outputs agree")


@pytest.mark.parametrize(
    ("way", "event", "told"),
    [
        ("hangs", "unhealthy", "no answer within 0.5 seconds"),
        ("crashes", "unhealthy", "the model crashed its runtime (SIGSEGV)"),
        ("leaves", "unhealthy", "its process ended itself, with exit code 3"),
        ("garbles", "unhealthy", "gave no answer that can be read"),
        ("fails", "unhealthy", "1 of 1 runs failed: a node failed to invoke"),
        ("ends", "stuck", "its process ended itself, with exit code 0"),
        ("reserves", "over", "ram: more reserved than 851443712 bytes"),
        ("is_killed", "stuck", "it was killed; the kernel does this when memory runs out"),
        ("unloadable", "over", "not loaded with 314572800 bytes of RAM"),
        ("is_slow", "over", "1000 allowed"),
    ],
)
def test_candidate_that_misbehaves_ends_its_shadow(tmp_path, way, event, told):
    beside = Beside(tmp_path, way, hang_seconds=0.5 if way == "hangs" else SECONDS)
    found = beside.run(order(latency_us=1000 if way == "is_slow" else 10**9))
    assert found[0] == event
    assert told in found[1]


def test_candidate_that_eats_memory_is_ended_at_its_limit(tmp_path):
    event, told = Beside(tmp_path, "eats").run(order(ram=150 * MIB))
    assert event == "over"
    assert f"bytes used, {150 * MIB} allowed" in told


def test_process_that_is_larger_than_its_budget_from_the_start_says_so(tmp_path):
    event, told = Beside(tmp_path, "bytes").run(order(ram=MIB))
    assert event == "over"
    assert f"{MIB} allowed" in told


def test_candidate_that_writes_to_stdout_disturbs_nothing(tmp_path, capfd):
    event, _ = Beside(tmp_path, "prints").run(order(seconds=0.3, latency_us=10**9))
    assert event == "shadowed"
    assert "a line of the model" not in "".join(capfd.readouterr())


def test_share_of_failures_that_the_order_allows_is_no_fault(tmp_path):
    beside = Beside(tmp_path, "fails_now_and_then")
    event, told = beside.run(order(seconds=0.5, max_failed_ppm=500_000))
    failed = [answer for _, answer in beside.seen if answer.kind == FAILED]
    assert (event, bool(failed)) == ("shadowed", True)
    assert f"{len(failed)} of {len(beside.seen)} runs failed" in told
    event, _ = Beside(tmp_path, "fails_now_and_then").run(order(max_failed_ppm=10_000))
    assert event == "unhealthy"


def test_clean_stop_ends_thread_and_process(tmp_path):
    beside = Beside(tmp_path, "hangs")
    found = beside.run(order(), stop=lambda: beside.pid and beside.shadow._worker)
    assert isinstance(found, asyncio.CancelledError)
    assert "modelwave-shadow" not in [thread.name for thread in threading.enumerate()]


def test_candidate_that_hangs_holds_up_no_thread_of_the_program_and_inputs_are_bounded(tmp_path):
    beside = Beside(tmp_path, "hangs")
    done = []

    def program():
        for _ in range(1000):
            beside.shadow.offer(DATA, LIVE)
        done.append(True)

    def stop():
        if beside.shadow._worker is None:
            return False
        threads = [threading.Thread(target=program) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        worker = beside.shadow._worker
        assert worker.missed >= 8000 - 8 - 2 * MAX_WAITING
        assert worker._waiting.qsize() < MAX_WAITING + len(threads)
        return True

    beside.run(order(), stop=stop)
    assert len(done) == 8


def test_large_inputs_wait_one_at_a_time(tmp_path):
    beside = Beside(tmp_path, "hangs")
    large = bytes(MAX_WAITING_BYTES)

    def stop():
        worker = beside.shadow._worker
        if worker is None:
            return False
        for _ in range(3):
            beside.shadow.offer(large, LIVE)
        return worker._waiting.qsize() <= 1 and worker.missed >= 1

    beside.run(order(), data=large, stop=stop)


def test_only_the_signed_share_of_inputs_is_drawn_and_the_programs_random_numbers_stay(tmp_path):
    beside = Beside(tmp_path, "hangs")

    def stop():
        worker = beside.shadow._worker
        if worker is None:
            return False
        before = random.getstate()
        for _ in range(20_000):
            worker.offer(DATA, LIVE)
        beside.shadow.offer(DATA, {"output": None})  # raises nothing in the program
        assert random.getstate() == before
        assert 1600 < worker.missed < 2400  # 2,000 with a standard deviation of 42
        return True

    beside.run(order(share_ppm=100_000), stop=stop)


def test_time_of_an_earlier_life_counts_and_the_time_is_recorded_now_and_then(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(host_shadow, "LASTED_SECONDS", 0.1)
    beside = Beside(tmp_path, "bytes")
    event, _ = beside.run(order(seconds=1000.35), before=1000)
    assert event == "shadowed"
    assert beside.lasted[:2] == [1000, 1000]
    assert len(beside.lasted) <= 3


def test_nothing_is_offered_where_no_shadow_runs(tmp_path):
    beside = Beside(tmp_path, "bytes")
    beside.shadow.offer(DATA, LIVE)


def test_no_input_in_all_the_time_is_told(tmp_path):
    beside = Beside(tmp_path, "bytes")
    beside.shadow.offer = lambda *_: None
    event, told = beside.run(order(seconds=0.2))
    assert event == "shadowed"
    assert "no input" in told


def test_device_without_the_memory_says_how_much_is_missing(monkeypatch):
    monkeypatch.setattr(host_shadow, "available_bytes", lambda: 50 * MIB)
    shadow = HostShadow(RuntimeSettings(), 1, "", print)
    told = shadow.problem({"ram": 60 * MIB})
    assert told == f"ram: {10 * MIB} bytes missing (needs {60 * MIB}, has {50 * MIB})"
    assert shadow.problem({"ram": 50 * MIB}) == ""
    assert HostShadow(RuntimeSettings(), 1, "it may not", print).problem({"ram": 1}) == "it may not"


AGENT = """
import os, sys, threading, time
from pathlib import Path
from modelwave_agent.host import shadow_process
from modelwave_agent.host.runtimes.port import RuntimeSettings
shadow_process.CHILD = (sys.executable, sys.argv[1])
settings = shadow_process.ShadowSettings(
    sys.argv[2], "tflite", {}, {"kind": "labels", "least_ppm": 1}, RuntimeSettings(), 2**30, 60
)
process = shadow_process.ShadowProcess(settings, threading.Event())
process.load()
if os.fork() == 0:
    time.sleep(600)  # it holds the socket open
    os._exit(0)
print(process.process.pid, flush=True)
time.sleep(600)
"""


def test_process_ends_with_an_agent_that_is_killed_though_a_forked_program_goes_on(tmp_path):
    model = tmp_path / "model"
    model.write_text("bytes")
    command = [sys.executable, "-c", AGENT, ODD[1], model]
    agent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        pid = int(agent.stdout.readline())
        agent.kill()
        agent.wait()
        wait_until_gone(pid)
    finally:
        os.killpg(agent.pid, signal.SIGKILL)
        agent.stdout.close()
