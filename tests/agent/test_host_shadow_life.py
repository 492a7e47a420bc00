"""A shadow from its order to the swap, with a real broker, real models and a program of many
threads."""

import asyncio
import sys
import threading
import time
from pathlib import Path

import pytest

from modelwave_agent.host import HostAgent, assembly
from modelwave_agent.host.config import read_config
from modelwave_agent.host.settings_reader import ConfigError
from modelwave_shared import reports
from modelwave_shared.words import METRICS, REPORT
from tests import signing
from tests.agent.host_places import refused_port, wait_until_gone
from tests.agent.host_world import Digits, World
from tests.agent.test_host_agent import PICTURE, V2_SCORES, close, run

pytestmark = pytest.mark.slow

pytest.importorskip("numpy")

V1, V2 = Digits(1, "v1"), Digits(2, "v2")
THREADS = 8
BUDGET = {**signing.SHADOW["extra"]["shadow"], "share_ppm": 500_000, "ram": 300 * 2**20}


def in_shadow(report):
    return report["models"]["digits"]["state"] == "shadow"


class Program:
    """Runs the live model in many threads until it is ended."""

    def __init__(self, agent):
        self.agent = agent
        self.outputs = set()
        self.problems = []
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self.work) for _ in range(THREADS)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join()

    def work(self):
        while not self.ending.is_set():
            try:
                self.outputs.add(self.agent.run("digits", PICTURE))
            except Exception as error:
                self.problems.append(error)
                return
            time.sleep(0.001)


def test_candidate_runs_beside_the_live_model_and_goes_live_without_a_download(tmp_path):
    async def main(made):
        with HostAgent.from_config(made.toml("metrics_seconds = 0.5")) as host:
            await made.order(V1)
            assert (await made.outcome())["outcome"] == "SUCCEEDED"
            expected = host.run("digits", PICTURE)
            budget = {**BUDGET, "seconds": 3, "latency_us": 10**6}
            with Program(host) as program:
                await made.order(V2, shadow=budget)
                report = await made.told("reported", in_shadow)
                reports.check(REPORT, report)
                state = report["models"]["digits"]
                assert (state["release"], state["outcome"]) == (1, "")
                beside = await made.told("metrics", lambda document: "shadow" in document)
                reports.check(METRICS, beside)
                state = await made.outcome()
            assert program.problems == []
            assert program.outputs == {expected}
            assert (state["outcome"], state["release"], state["state"]) == ("SHADOWED", 1, "idle")
            assert "outputs agree, 0 of" in state["reason"]
            assert beside["release"] == 2
            assert beside["shadow"]["compared"] == beside["inferences"] > 0
            assert beside["latency"]["bins"]
            await made.order(V2)
            made.files.clear()  # nothing can be downloaded any more
            state = await made.outcome()
            assert (state["outcome"], state["release"]) == ("SUCCEEDED", 2)
            assert close(host.run("digits", PICTURE), V2_SCORES)

    run(tmp_path, main)


def test_two_networks_agree_by_their_classes_if_the_order_says_so(tmp_path):
    async def main(made):
        with HostAgent.from_config(made.toml("metrics_seconds = 0.5")) as host:
            await made.order(V1)
            assert (await made.outcome())["outcome"] == "SUCCEEDED"
            budget = {**BUDGET, "seconds": 2, "latency_us": 10**6, "classes": True}
            with Program(host):
                await made.order(V2, shadow=budget)
                beside = await made.told("metrics", lambda document: "shadow" in document)
            assert beside["shadow"]["agreed"] == beside["shadow"]["compared"] > 0
            assert beside["classes"]

    run(tmp_path, main)


def test_stop_of_the_agent_during_a_shadow_ends_it_and_the_next_start_goes_on(tmp_path):
    async def main(made):
        path = made.toml("metrics_seconds = 0.5")
        with HostAgent.from_config(path) as host:
            await made.order(V1)
            await made.outcome()
            budget = {**BUDGET, "seconds": 2, "latency_us": 10**6}
            await made.order(V2, shadow=budget)
            await made.state(lambda state: state["state"] == "shadow")
        assert host.journal()["digits"]["state"] == "fetching"
        assert "modelwave-shadow" not in [thread.name for thread in threading.enumerate()]
        with HostAgent.from_config(path) as host, Program(host):
            host.wait_live("digits")
            assert (await made.outcome())["outcome"] == "SHADOWED"

    run(tmp_path, main)


PROGRAM = """
import sys, time
from modelwave_agent.host import HostAgent
with HostAgent.from_config(sys.argv[1]) as agent:
    agent.wait_live("digits")
    while True:
        agent.run("digits", bytes(64))
        time.sleep(0.01)
"""


def shadow_of(pid):
    """The process of the shadow of program `pid`."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text().split():
            if "shadow_child" in Path(f"/proc/{child}/cmdline").read_text():
                return int(child)
    raise AssertionError("the program has no shadow")


def test_program_that_is_killed_takes_its_shadow_with_it_and_the_next_one_needs_no_download(
    tmp_path,
):
    async def main(made):
        path = made.toml("metrics_seconds = 0.5")
        program = await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, str(path))
        try:
            await made.order(V1)
            assert (await made.outcome())["outcome"] == "SUCCEEDED"
            await made.order(V2, shadow={**BUDGET, "seconds": 600, "latency_us": 10**6})
            await made.told("metrics", lambda document: "shadow" in document)
            beside = shadow_of(program.pid)
        finally:
            program.kill()
            await program.wait()
        await asyncio.to_thread(wait_until_gone, beside)
        made.files.clear()
        with HostAgent.from_config(path) as host:
            assert host.wait_live("digits").release == 1
            await made.told("reported", in_shadow)
            await made.order(V2)
            made.files.clear()
            state = await made.outcome()
            assert (state["outcome"], state["release"]) == ("SUCCEEDED", 2)

    run(tmp_path, main)


def problem(path, **options):
    """Why this device runs no shadow."""
    host = HostAgent(read_config(path), **options)
    host._unlock()
    return host._shadows["digits"].problem(BUDGET)


def test_device_that_runs_no_shadow_says_why(tmp_path, monkeypatch):
    with refused_port() as port:
        path = World(tmp_path, port, 1, None, {}).toml()
    assert problem(path) == ""
    assert "no program runs models" in problem(path, runs_models=False)
    text = path.read_text()
    path.write_text(text + "\n[runtime]\nshadow = false\n")
    assert "runtime.shadow is false" in problem(path)
    path.write_text(text + '\n[runtime]\nshadow = "no"\n')
    with pytest.raises(ConfigError, match=r"runtime.shadow: give true or false"):
        read_config(path)
    monkeypatch.setattr(assembly, "_runtimes", lambda settings: None)
    path.write_text(text + '\n[runtime]\naccelerator = "edgetpu"\n')
    assert "Edge TPU" in problem(path)
