"""Runs a story in simulated time, and ends what it left."""

import asyncio

from tests.agent.simulated_time import SimulatedLoop


def run(main, usual):
    """Runs the coroutine `main` in simulated time, and cancels what it left. Nobody has to ask for
    an exception of the class `usual` that has ended a task."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        runner.get_loop().set_exception_handler(lambda loop, told: _tell(loop, told, usual))
        return runner.run(main)


def _tell(loop, context, usual):
    if not isinstance(context.get("exception"), usual):
        loop.default_exception_handler(context)
