"""Sends alerts while the service leads, in a thread of its own: a receiver that hangs holds up its
own alert and nothing else."""

import asyncio
import contextlib
import functools
import logging
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from modelwave_controller.alerts.carrier import carrier, require
from modelwave_controller.errors import StorageError
from modelwave_controller.home import Home
from modelwave_controller.rollout.alert_message import Place
from modelwave_controller.service.alert_course import Clocks, Course
from modelwave_controller.service.leader import LeaderStore
from modelwave_controller.service.trouble import Trouble
from modelwave_controller.storage.lease import LeaseLost
from modelwave_controller.storage.open_file import DatabaseGone

AGAIN_SECONDS = 5.0  # after the database did not answer
BUG_SECONDS = 60.0
STOP_SECONDS = 5.0

logger = logging.getLogger(__name__)


def require_alerts(home: Home) -> None:
    """Raises OperatorError if the settings of an alert cannot be used."""
    for settings in home.config.alerts:
        require(settings, home.path)


class Alerting:
    """The alerts of the home's settings."""

    def __init__(
        self, home: Home, store: LeaderStore, wall: Callable[[], float] = time.time
    ) -> None:
        """`wall` returns Unix seconds."""
        self._stopping = threading.Event()
        clocks = Clocks(wall, time.monotonic, random.random)
        fleet, page = home.config.fleet, home.config.api.url
        self.courses = [
            Course(
                store,
                one,
                Place(fleet, one.name, page),
                carrier(one, home.path, self._stopping),
                clocks,
            )
            for one in home.config.alerts
        ]
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        self._end: Callable[[], object] = lambda: None

    def start(self) -> None:
        if self.courses:
            self._thread.start()

    def stop(self) -> None:
        """What is under way is brought again by the next service that leads."""
        self._stopping.set()
        self._end()
        if self._thread.ident is not None:
            self._thread.join(STOP_SECONDS)  # longer only if a name is being looked up

    def _run(self) -> None:
        asyncio.run(self._work())

    async def _work(self) -> None:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        # Each alert may have a command run, or a name looked up, and the one before that hangs.
        loop.set_default_executor(ThreadPoolExecutor(2 * len(self.courses), "alert"))
        self._end = functools.partial(_tell, loop, ended)
        tasks = [asyncio.create_task(_follow(course)) for course in self.courses]
        if not self._stopping.is_set():
            await ended.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _tell(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(ended.set)


async def _follow(course: Course) -> None:
    """Goes on until another service leads."""
    trouble, name = Trouble(), course.settings.name
    while True:
        try:
            pause = await course.step()
            trouble.over()
        except (LeaseLost, DatabaseGone):  # the loop that leads says so
            return
        except StorageError as error:
            trouble.say(f"alert {name}: {error}")
            pause = AGAIN_SECONDS
        except Exception:
            logger.exception("alert %s failed; it goes on in %d s", name, BUG_SECONDS)
            pause = BUG_SECONDS
        await asyncio.sleep(pause)
