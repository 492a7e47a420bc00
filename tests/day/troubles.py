"""What happens to the fleet in the day, by chance: the troubles of tests/heal/faults.py, here with
real processes, and one every EVERY_SECONDS or so. A trouble ends by itself.

Left out are those that take the log of the rollouts away, as their verdicts are what the day is
about (a database that is lost or restored), and those that only a person can end (two devices with
one id, a device that never comes back)."""

import signal
from typing import NamedTuple

from tests.day.controller import BROKER, SERVICE
from tests.heal import faults
from tests.heal.faults import long

EVERY_SECONDS = 300
MOST_SECONDS = 600  # that one lasts; a rollout has 864 seconds of the day


class Trouble(NamedTuple):
    """`draw(random, day)` gives the arguments of `do(day, …)`; `weight`: how often it comes."""

    do: object
    draw: object
    weight: float = 1


# The infrastructure.


def broker_restarts(day, seconds):
    """It has lost what it retained."""
    day.controller.kill(BROKER)
    day.later(seconds, day.controller.start_broker)


def connections_break(day):
    for device in day.devices:
        if device.life:
            device.life.link.lose()


def service_dies(day, seconds):
    day.controller.kill(SERVICE)
    day.later(seconds, day.controller.start)


def service_stops(day, seconds):
    day.controller.kill(SERVICE, signal.SIGTERM)
    day.later(seconds, day.controller.start)


def service_freezes(day, seconds):
    day.controller.freeze(True)
    day.later(seconds, day.controller.freeze, False)


def clock_jumps(day, by, seconds):
    """Of the controller's machine."""
    day.clock.set_wrong(by)
    day.later(seconds, day.clock.set_wrong, 0.0)


# The devices.


def real_dies(day, number, seconds):
    _real_ends(day, number, seconds, signal.SIGKILL)


def real_stops(day, number, seconds):
    _real_ends(day, number, seconds, signal.SIGTERM)


def _real_ends(day, number, seconds, how):
    agent = day.real[number]
    agent.stop(how)
    day.later(seconds, agent.start)


def lasts(random, most=MOST_SECONDS):
    return long(random, least=5, most=most)


def one(random, day):
    return random.randrange(len(day.devices))


def some_real(random, day):
    return random.randrange(len(day.real))


TROUBLES = {
    "server_down": Trouble(
        faults.server_down, lambda r, _: (r.choice(["503", "silent"]), lasts(r))
    ),
    "server_lies": Trouble(faults.server_lies, lambda r, _: (lasts(r),)),
    "broker_restarts": Trouble(broker_restarts, lambda r, _: (lasts(r, 120),)),
    "connections_break": Trouble(connections_break, lambda r, _: ()),
    "service_dies": Trouble(service_dies, lambda r, _: (lasts(r, 120),)),
    "service_stops": Trouble(service_stops, lambda r, _: (lasts(r, 120),)),
    "service_freezes": Trouble(service_freezes, lambda r, _: (lasts(r, 60),)),
    "clock_jumps": Trouble(
        clock_jumps, lambda r, _: (r.choice([7200, 2 * 86400, -3600]), lasts(r)), 0.5
    ),
    "device_resets": Trouble(faults.device_resets, lambda r, d: (one(r, d), lasts(r)), 4),
    "device_stops": Trouble(faults.device_stops, lambda r, d: (one(r, d), lasts(r)), 3),
    "device_offline": Trouble(faults.device_offline, lambda r, d: (one(r, d), lasts(r)), 3),
    "device_busy": Trouble(faults.device_busy, lambda r, d: (one(r, d), lasts(r)), 2),
    "device_replaced": Trouble(faults.device_replaced, lambda r, d: (one(r, d), lasts(r))),
    "medium_fails": Trouble(
        faults.medium_fails,
        lambda r, d: (one(r, d), r.choice(["ENOSPC", "EIO", "EMFILE"]), lasts(r)),
        2,
    ),
    "real_dies": Trouble(real_dies, lambda r, d: (some_real(r, d), lasts(r)), 2),
    "real_stops": Trouble(real_stops, lambda r, d: (some_real(r, d), lasts(r))),
}


def drawn(random, day):
    """Returns the name of a trouble, and its arguments."""
    weights = [trouble.weight for trouble in TROUBLES.values()]
    (name,) = random.choices(list(TROUBLES), weights)
    return name, TROUBLES[name].draw(random, day)
