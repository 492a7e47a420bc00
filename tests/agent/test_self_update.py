"""The agent updates itself for real: a launcher, agents in environments of their own, a broker."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys

import pytest

from modelwave_shared import dsse, words
from modelwave_shared.agent_releases import AGENT, AGENT_BUNDLE, TOLERANCE, golden_line
from tests import agent_wheels, signing
from tests.agent.host_places import Mosquitto
from tests.agent.host_world import Digits, world

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
LONG = os.environ.get("MODELWAVE_LONG") == "1"
SUPERVISE = [sys.executable, "-P", "-m", "modelwave_agent.host.daemon", "supervise"]
INSTALL_SECONDS = 100  # for what takes ten where nothing else runs
GOOD = ""
CRASHES = "raise RuntimeError('the new agent is broken')"
HANGS = "while True: pass"
DEAF = (
    "from modelwave_agent.host import link; link.PahoLink.connect = lambda *_: asyncio.sleep(3600)"
)


class AgentRelease(signing.Release):
    """Release `number` of the agent, of this source in another version, perhaps with a fault."""

    def __init__(self, folder, number, fault=GOOD):
        self.agent = f"0.9.{number}"
        wheels = agent_wheels.wheels(folder / f"wheels-{number}", self.agent, fault)
        data = {"model": agent_wheels.wheelhouse(wheels), "golden": golden_line(self.agent)}
        files = [
            {"role": role, "sha256": signing.sha(held), "size": len(held)}
            for role, held in data.items()
        ]
        needs = {
            "flash": sum(len(held) for held in data.values()),
            "ram": 0,
            "kernels": [],
            "runtime": AGENT_BUNDLE,
            "accelerator": "",
        }
        changes = {"files": files, "needs": needs, "tolerance": TOLERANCE, "version": self.agent}
        super().__init__(number, b"", v=2, format=AGENT_BUNDLE, **changes)
        self.document["model"] = AGENT
        self.envelope = signing.envelope(words.MANIFEST, self.document, signing.RELEASE_KEY)
        self.digest = dsse.read(self.envelope).digest()
        self.files = {signing.sha(held): held for held in data.values()}


class Device:
    """Device pi-1 under the launcher."""

    def __init__(self, world, connect=60, silent=60):
        self.world = world
        limits = ["[self_update]", f"connect_seconds = {connect}", f"silent_seconds = {silent}"]
        self.config = world.toml()
        self.config.write_text("\n".join([self.config.read_text(), *limits]))
        self.log = open(world.folder / "supervise.log", "ab")  # noqa: SIM115 (device closes it)
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            [*SUPERVISE, "--config", self.config], stdout=self.log, stderr=self.log
        )

    def kill(self):
        """The power fails: launcher and agent are gone at once."""
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True
        ).stdout.split()
        for pid in (self.process.pid, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    async def order(self, release, **trial):
        await self.world.order(release, model=AGENT, **trial)

    async def report(self, until):
        return await self.world.told("reported", until, seconds=INSTALL_SECONDS)

    async def outcome(self):
        """Waits for the outcome of the last order; returns what the report says of the agent."""
        report = await self.report(
            lambda r: (
                AGENT in r["models"]
                and r["models"][AGENT]["seq"] == self.world.seq
                and r["models"][AGENT]["outcome"] not in ("", "FAILED", "DEFERRED")
            )
        )
        found = report["models"][AGENT]
        return report["agent"].split()[1].split("+")[0], found["release"], found["outcome"], found

    async def stop(self):
        self.process.terminate()
        return await asyncio.to_thread(self.process.wait, 60)


@contextlib.asynccontextmanager
async def device(folder, **limits):
    with Mosquitto(folder) as broker:
        async with world(folder, broker) as around:
            one = Device(around, **limits)
            one.start()
            try:
                yield one
            finally:
                if one.process.poll() is None:
                    await one.stop()
                one.log.close()
                print((folder / "supervise.log").read_text())


def test_a_new_agent_takes_over_and_a_broken_one_gives_way(tmp_path):
    async def run():
        async with device(tmp_path) as one:
            await one.order(AgentRelease(tmp_path, 1))
            assert (await one.outcome())[:3] == ("0.9.1", 1, "SUCCEEDED")
            await one.order(AgentRelease(tmp_path, 2, CRASHES))
            agent, release, outcome, found = await one.outcome()
            assert (agent, release, outcome) == ("0.9.1", 1, "ROLLED_BACK")
            assert "the new agent is broken" in found["reason"]
            await one.world.order(Digits(1, "v1"))
            assert (await one.world.outcome())["outcome"] == "SUCCEEDED"

    asyncio.run(run())


@pytest.mark.skipif(not LONG, reason="long: it waits for time limits")
@pytest.mark.parametrize(
    ("fault", "told"),
    [(HANGS, "it hangs: no sign of life"), (DEAF, "no report of it came back from the broker")],
    ids=["hangs", "deaf"],
)
def test_an_agent_that_hangs_or_does_not_connect_gives_way(tmp_path, fault, told):
    async def run():
        limits = {"connect": 15, "silent": 40} if fault == DEAF else {"connect": 60, "silent": 15}
        async with device(tmp_path, **limits) as one:
            await one.order(AgentRelease(tmp_path, 2, fault))
            agent, release, outcome, found = await one.outcome()
            assert (release, outcome) == (0, "ROLLED_BACK")
            assert agent != "0.9.2"
            assert told in found["reason"]

    asyncio.run(run())


@pytest.mark.skipif(not LONG, reason="long: an agent is installed several times")
def test_power_cuts_of_real_processes_in_every_state(tmp_path):
    """Launcher and agent are killed at once, in each state that a report or the journal shows."""

    async def run():
        async with device(tmp_path) as one:
            await one.order(AgentRelease(tmp_path, 1))
            for state in ("clearing", "fetching", "proving", "trial"):
                await one.report(
                    lambda r, state=state: (
                        r["models"].get(AGENT, {}).get("state") in (state, "idle", "trial")
                    )
                )
                one.kill()
                one.start()
            assert (await one.outcome())[:3] == ("0.9.1", 1, "SUCCEEDED")

    asyncio.run(run())
