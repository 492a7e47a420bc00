"""The operator: does anything in times of trouble, and follows the status after it."""

import contextlib
import functools
import re

from modelwave_controller.errors import OperatorError
from modelwave_controller.operations import overview, rollouts, status
from modelwave_controller.operations import recover as recovery
from modelwave_controller.operations.rollouts import Request
from modelwave_controller.rollout import state
from modelwave_controller.storage import clock, forgetting, log, outbox
from modelwave_shared import topics
from tests.heal.fleet import FLEET, GOOD, MODEL, PLAN

STAYS = (state.PAUSED, state.HELD, state.UNKNOWN)  # until somebody does something
# But for these: the next one comes where more devices have rolled back than when it was held.
GOES_ON = ("by itself at the service's next tick", "its devices are ordered back")
RECOVER = f"modelwave recover {MODEL}"
PATIENCE = 2  # how often they let a rollout wait anew before they decide about it


class Person:
    def __init__(self, world, random):
        self.world = world
        self.random = random
        self.number = 0  # of the newest release
        self.wished = set()  # releases that they have reverted
        self.waited = {}  # rollout: how often they let it wait anew
        self.did = []  # what, and when
        self.words = set()  # the statuses that they have seen
        self._seen = None  # (a moment, the status then)

    @property
    def store(self):
        return self.world.controller.store

    @property
    def now(self):
        return self.world.controller_time

    def seen(self):
        """What `rollout status` shows, or None if there is no rollout. It is read once at each
        moment, as that costs real time, and again after each command."""
        moment = (self.world.loop.time(), self.store)
        if self._seen is None or self._seen[0] != moment:
            self._seen = (moment, self._read())
        return self._seen[1]

    def _read(self):
        with self.store.read() as connection:
            if log.next_rollout(connection) == 1:
                return None
            found = status.StatusReader(connection, None).read(connection, self.now)
        self.words.add(found.status)
        return found

    def tries(self, what, *given):
        """Does it, as far as it is allowed: a refusal tells what to do instead."""
        with contextlib.suppress(OperatorError):
            getattr(self, what)(*given)

    # Commands.

    def start(self, quality=GOOD, plan=PLAN):
        self.number += 1
        release = self.world.fleet.release(self.number, quality)
        request = Request(MODEL, release.signed, (), plan, self.random.randrange(1000))
        rollout = rollouts.start(self.store, request, self.now)
        beside = " in shadow first" if plan.shadow else ""
        self._note(f"rollout start {self.number} ({quality}){beside}")
        return rollout

    def start_as_told(self):
        """Starts the next release. If that is refused, does what the refusal says before."""
        try:
            self.start()
            return
        except OperatorError as error:
            if RECOVER not in str(error):
                raise
            self.number -= 1
        self.recover()
        self._does_as_told(RECOVER, self.start)

    def pause(self):
        self._on_newest("pause", "why not")

    def resume(self):
        self._on_newest("resume", "")

    def overrule(self):
        self._on_newest("resume", "it is good")

    def retry(self):
        rollouts.retry(self.store, MODEL, [], [], "try again", self.now)
        self._note("rollout retry")

    def abort(self):
        self._on_newest("abort", "enough")

    def revert(self):
        found = self.seen()
        self._on_newest("revert", "it smells")
        if found:
            self.wished.add(found.release)

    def forget(self, name):
        with self.store.write() as connection:
            if forgetting.forget(connection, name):
                outbox.put(connection, [topics.reported(FLEET, name)], b"")
                outbox.put(connection, [topics.presence(FLEET, name)], b"")
        self._note(f"device forget {name}")

    def recover(self):
        recovery.recover(self.store, MODEL, self.world.fleet.home.root.epoch, None, self.now)
        self._note("recover")

    def accept_clock(self):
        with self.store.write() as connection:
            clock.accept(connection, self.now, "it is right")
        self._note("clock accept")

    # Following the status.

    def follow(self):
        """Reads the status, and does what it says where nothing goes on by itself."""
        due = self.due()
        for told, act in due.items():
            self._does_as_told(told, act)
        found = self.seen() if not due else None  # else they look again later
        if found is None:
            return
        asked = [(words, act) for words, act in WAYS_OUT if words in _commands(found.next)]
        goes_on = any(words in found.next for words in GOES_ON)
        stays = (found.status in STAYS and not goes_on) or "clock accept" in found.next
        if stays and not asked:
            self.world.fault("no way out", f"{found.status}: {found.why}; next: {found.next}")
        if stays and asked:
            acts = [act for _, act in asked]
            self._does_as_told(f"{found.status}: {found.next}", self._choose, found, acts)
        if found.status == state.FINISHED and "rollout retry" in found.next and self.world.wrong():
            self.retry()

    def _does_as_told(self, told, act, *given):
        try:
            act(*given)
        except OperatorError as error:
            self.world.fault("named and refused", f"{told}: {error}")

    def _choose(self, found, acts):
        if "accept_clock" in acts:
            return self.accept_clock()
        if found.status == state.PAUSED:
            return self.resume()
        waited = self.waited.get(found.rollout, 0)
        if "resume" in acts and waited < PATIENCE:
            self.waited[found.rollout] = waited + 1
            return self.resume()
        choices = [act for act in acts if act != "resume"] or acts
        getattr(self, self.random.choice(choices))()

    def due(self):
        """What `fleet status`, and the warnings of `rollout status`, say is to be done, and how."""
        with self.store.read() as connection:
            fleet = overview.fleet(connection, FLEET, self.now)
        found = {f"clone {n}": functools.partial(self.rename_one, n) for n in fleet.cloned}
        if fleet.clock_doubt:
            found["clock accept"] = self.accept_clock
        rollout = self.seen()
        if MODEL in fleet.restored or (rollout and RECOVER in " ".join(rollout.warnings)):
            found[RECOVER] = self.recover
        return found

    def rename_one(self, name):
        """Gives one of the devices that use the id another one."""
        using = [device for device in self.world.alive if device.name == name]
        if len(using) > 1:
            self.world.rename(self.random.choice(using))
            self._note(f"one of the devices {name} has another id now")

    def _on_newest(self, what, reason):
        getattr(rollouts, what)(self.store, MODEL, reason, self.now)
        self._note(f"rollout {what} {reason}".strip())

    def _note(self, what):
        self._seen = None
        self.did.append(f"{self.world.loop.time():.0f} s: {what}")


# What a status may tell to do: its words, and what the person then does.
WAYS_OUT = (
    ("clock accept", "accept_clock"),
    ("rollout resume", "resume"),
    ("rollout retry", "retry"),
    ("--accept REASON", "overrule"),
    ("rollout revert", "revert"),
    ("rollout abort", "abort"),
)


def _commands(text):
    """The commands in a text: all in backquotes, and the option that stands beside them."""
    found = " ".join(re.findall("`([^`]+)`", text))
    return found + (" --accept REASON" if "--accept REASON" in text else "")
