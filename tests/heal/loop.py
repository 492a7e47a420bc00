"""Runs a story in simulated time, and ends what it left."""

import asyncio

from tests.agent.simulated_time import SimulatedLoop


def run(main, usual):
    """Runs the coroutine `main` in simulated time, and cancels what it left. Nobody has to ask for
    an exception of the class `usual` that has ended a task."""
    loop = SimulatedLoop()
    loop.set_exception_handler(lambda loop, context: _tell(loop, context, usual))
    try:
        return loop.run_until_complete(main)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()


def _tell(loop, context, usual):
    if not isinstance(context.get("exception"), usual):
        loop.default_exception_handler(context)
