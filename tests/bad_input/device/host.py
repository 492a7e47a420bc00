"""A host that gets bad input, on CPython: the agent as a library, from an agent.toml. Its
connection, its fetcher, its runtime and its clock are not those of one in the field.

    python -m tests.bad_input.device.host FOLDER
"""

import asyncio
import gc
import json
import sys
from pathlib import Path

from modelwave_agent.board.runtime import FunctionRuntime
from modelwave_agent.host import HostAgent, assembly
from modelwave_agent.host.clock import HostClock
from tests.bad_input.device import turns
from tests.board.programs import stand_in
from tests.board.programs.agent_fakes import FolderFetcher


class MovedClock(HostClock):
    """The host's clock, moved by hand."""

    ahead = 0
    date = 0

    def now(self):
        return super().now() + self.ahead

    def wall(self):
        return self.date

    def is_synchronised(self):
        return True


class OneRuntime(FunctionRuntime):
    """The stand-in, as the only runtime of a host."""

    offers = ()

    @property
    def installed(self):
        return [self]


def in_use():
    gc.collect()
    return sys.getallocatedblocks()


def made(folder, given, wire):
    """The agent on its parts."""
    MovedClock.date = given["now"]
    assembly.HostClock = MovedClock
    settings = [
        f'device = "{given["device"]}"',
        f'target = "{given["target"]}"',
        f'models = ["{turns.MODEL}"]',
        'state = "host"',
        'root = "root.json"',
        "[broker]",
        'url = "mqtt://127.0.0.1:1"',
        "[limits]",
        f"flash_bytes = {given['flash']}",
        "[runtime]",
        "shadow = false",
    ]
    (folder / "agent.toml").write_text("\n".join(settings))
    host = HostAgent.from_config(folder / "agent.toml")
    agent = host._agent
    agent.link = wire
    ports = agent.updates[turns.MODEL].ports
    ports.runtime = OneRuntime(stand_in.load, version="2.14.0", ram=given["ram"])
    ports.fetcher = FolderFetcher(str(folder / "files"))
    return host, agent


async def main(folder):
    given = json.loads((folder / "cases.json").read_text())
    wire = turns.Wire(str(folder / "files"))
    host, agent = made(folder, given, wire)

    def forward(seconds):
        MovedClock.ahead += seconds

    gc.freeze()  # what was imported is not looked at again
    taken = turns.Turns(agent, wire, str(folder / "host"), str(folder), forward, in_use)
    await turns.alive(host.run_forever(), turns.run(taken, given))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
