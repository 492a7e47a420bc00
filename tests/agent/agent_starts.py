"""Starts of simulated agents that update themselves, as the launcher starts them."""

import asyncio

from modelwave_agent.host.self_update.choice import End
from modelwave_shared.agent_releases import AGENT_BUNDLE
from tests import signing
from tests.agent.fakes import TURNS, FakeLink

MAX_RUNS = 20  # of agents in one life of the device
NEEDS = {"flash": 10_000, "ram": 0, "kernels": [], "runtime": AGENT_BUNDLE, "accelerator": ""}


def agent_release(number, data):
    return signing.Release(number, data, v=2, format=AGENT_BUNDLE, needs=NEEDS)


class Line:
    def __init__(self, start):
        self.start = start
        self.words = []

    def say(self, word):
        self.words.append(word)
        return True


class DeafLink(FakeLink):
    async def connect(self, will_topic, will):
        await asyncio.Event().wait()


async def run_agent(world, start, done, turns=TURNS):
    """One run of an agent: (how it ended, whether `done`)."""
    kind = world.kind(start.place)
    if kind == b"CRASHES":
        world.call(lambda: None)
        return End(start, False, False, "it ended with exit code 1"), False
    agent, itself = world.boot_agent(start)
    life = asyncio.create_task(agent.run())
    watch = asyncio.create_task(itself.watch())
    left = []
    itself.leave = lambda: left.append(life.cancel())
    reached = False
    for turn in range(turns if kind != b"DEAF" else 400):
        if life.done() or world.off or (reached := done(None)):
            break
        if kind == b"QUITS" and turn == 3:
            life.cancel()  # it ends by itself, in order
        await asyncio.sleep(0)
    ended_itself = life.done()
    world.off = world.off or reached or not ended_itself
    was_cut = world.off and not (kind == b"DEAF" and not reached)
    life.cancel()
    watch.cancel()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    if not was_cut:
        world.off = False  # the launcher has killed it, and the power is on
    reason = "" if left else "it hangs, or ended"
    return End(start, bool(left), itself.echo.is_heard, reason), reached
