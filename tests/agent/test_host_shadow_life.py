"""A shadow from its order to the swap, with a real broker, real models and a program of many
threads."""

import threading
import time

import pytest

from modelwave_agent.host import HostAgent, agent
from modelwave_agent.host.config import ConfigError, read_config
from modelwave_shared import orders
from tests import signing
from tests.agent.host_places import refused_port
from tests.agent.host_world import Digits, World
from tests.agent.test_host_agent import PICTURE, V2_SCORES, close, run

pytestmark = pytest.mark.slow

pytest.importorskip("numpy")

V1, V2 = Digits(1, "v1"), Digits(2, "v2")
THREADS = 8
BUDGET = {**signing.SHADOW["extra"]["shadow"], "share_ppm": 500_000, "ram": 300 * 2**20}


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """A shadow may be shorter than a minute."""
    monkeypatch.setattr(orders.SHADOW_SECONDS, "least", 1)


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
                state = await made.state(lambda state: state["state"] == "shadow")
                assert (state["release"], state["outcome"]) == (1, "")
                beside = await made.told("metrics", lambda document: "shadow" in document)
                state = await made.outcome()
            assert program.problems == []
            assert program.outputs == {expected}
            assert (state["outcome"], state["release"], state["state"]) == ("SHADOWED", 1, "idle")
            assert "outputs agree, 0 of" in state["reason"]
            print(state["reason"], beside)
            assert beside["release"] == 2
            assert beside["shadow"]["compared"] == beside["inferences"] > 0
            assert beside["latency"]["bins"]
            await made.order(V2)
            made.files.clear()  # nothing can be downloaded any more
            state = await made.outcome()
            assert (state["outcome"], state["release"]) == ("SUCCEEDED", 2)
            assert close(host.run("digits", PICTURE), V2_SCORES)

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
    monkeypatch.setattr(agent, "_runtime", lambda settings: None)
    path.write_text(text + '\n[runtime]\naccelerator = "edgetpu"\n')
    assert "Edge TPU" in problem(path)
