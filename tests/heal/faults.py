"""What may happen in a history: a row for each kind. Trouble of some length ends by itself."""

from typing import NamedTuple

from tests.heal.fleet import GOOD, SHADOW_PLAN, UNWELL, WRONG
from tests.heal.world import DEVICES

HOUR, DAY, YEAR = 3600, 86400, 365 * 86400
MAX_DEVICES = DEVICES + 2  # with the clones
ACTS = ["pause", "resume", "retry", "overrule", "abort", "revert", "recover"]


class Kind(NamedTuple):
    """`draw(random)` gives the arguments of `do(world, …)`; `weight` says how often it comes."""

    do: object
    draw: object
    weight: float = 1


# The infrastructure.


def server_down(world, how, seconds):
    world.files.trouble = how
    world.later(seconds, setattr, world.files, "trouble", "")


def server_lies(world, seconds):
    world.files.lies = True
    world.later(seconds, setattr, world.files, "lies", False)


def broker_down(world, seconds):
    world.broker.stop()
    world.later(seconds, setattr, world.broker, "up", True)


def broker_drops(world):
    world.broker.lose_all()


def broker_forgets(world, seconds):
    """It loses its retained messages; with `seconds` it is down for so long, else nobody notices
    (a failover behind a balancer)."""
    if seconds:
        broker_down(world, seconds)
    world.broker.retained.clear()


def broker_remembers(world, back, seconds):
    """The same, and then it has the retained messages of an earlier moment."""
    broker_forgets(world, seconds)
    world.broker.retained = dict(world.snapshots[-1 - back % len(world.snapshots)])


def clock_jumps(world, seconds, until):
    world.offset += seconds
    world.later(until, setattr, world, "offset", 0.0)


def service_dies(world, seconds):
    """The one that leads, if one does."""
    service = world.controller.leader
    if service:
        world.controller.kill(service.name)
        world.later(seconds, world.controller.start, service.name)


def service_freezes(world, seconds):
    """Its process, or its machine, hangs with what it was about to send."""
    service = world.controller.leader
    if service:
        service.frozen = True
        world.later(seconds, setattr, service, "frozen", False)


def second_service(world, seconds):
    world.controller.start("second")
    world.later(seconds, world.controller.kill, "second")


# The database.


def database_lost(world):
    world.lose_database()


def database_restored(world, back):
    """From a backup that was made before one of the last steps."""
    world.restore_database(back)


# The devices.


def device_resets(world, number, seconds):
    device = world.devices[number]
    if device.life and device.wears_out:
        return device_stops(world, number, seconds)  # three resets on trial speak for themselves
    device.cut()
    world.later(seconds, _power_on, world, device)


def device_stops(world, number, seconds):
    device = world.devices[number]
    device.stop()
    world.later(seconds, _power_on, world, device)


def device_offline(world, number, seconds):
    device = world.devices[number]
    device.drop_network()
    world.later(seconds, setattr, device, "has_network", True)


def device_gone(world, number):
    device = world.devices[number]
    if len(world.alive) > DEVICES - 1:
        device.cut()
        world.gone.add(device)


def device_replaced(world, number, seconds):
    """By a new one of the same name; nobody says so to the controller."""
    device = world.devices[number]
    device.wipe()
    world.later(seconds, _power_on, world, device)


def device_cloned(world, number):
    """A second device is installed with the id of another one."""
    if len(world.devices) < MAX_DEVICES:
        clone = world.new_device(world.devices[number].name, has_clock=True)
        world.devices.append(clone)
        clone.start()


def device_busy(world, number, seconds):
    device = world.devices[number]
    device.is_busy = True
    world.later(seconds, device.rest)


def medium_fails(world, number, how, seconds):
    device = world.devices[number]
    device.medium = how
    world.later(seconds, setattr, device, "medium", "")


def _power_on(world, device):
    """Also if it has got another id meanwhile."""
    if device.newest not in world.gone:
        device.newest.start()


# The operator.


def starts(world, quality):
    world.person.tries("start", quality)


def starts_beside(world, quality):
    """Devices run it beside the live one first, and its stages open in parts."""
    world.person.tries("start", quality, SHADOW_PLAN)


def does(world, what):
    world.person.tries(what)


def forgets(world, number):
    world.person.forget(world.devices[number].name)


# How much of what.


def long(random, least=5, most=3 * HOUR):
    """Seconds: short ones and long ones are as likely."""
    return round(least * (most / least) ** random.random())


def short(random):
    return random.choice([0, long(random, most=600)])


def device(random):
    return random.randrange(DEVICES)


KINDS = {
    "server_down": Kind(server_down, lambda r: (r.choice(["503", "silent"]), long(r))),
    "server_lies": Kind(server_lies, lambda r: (long(r),)),
    "broker_down": Kind(broker_down, lambda r: (long(r),)),
    "broker_drops": Kind(broker_drops, lambda r: ()),
    "broker_forgets": Kind(broker_forgets, lambda r: (short(r),)),
    "broker_remembers": Kind(broker_remembers, lambda r: (r.randrange(8), short(r))),
    "clock_jumps": Kind(
        clock_jumps, lambda r: (r.choice([2 * HOUR, 2 * DAY, -HOUR, 12 * YEAR]), long(r))
    ),
    "service_dies": Kind(service_dies, lambda r: (long(r),)),
    "service_freezes": Kind(service_freezes, lambda r: (long(r, most=HOUR),)),
    "second_service": Kind(second_service, lambda r: (long(r, least=300, most=8 * HOUR),), 2),
    "database_lost": Kind(database_lost, lambda r: (), 0.7),
    "database_restored": Kind(database_restored, lambda r: (r.randrange(8),), 1.3),
    "device_resets": Kind(device_resets, lambda r: (device(r), long(r, most=HOUR)), 3),
    "device_stops": Kind(device_stops, lambda r: (device(r), long(r, most=HOUR)), 2),
    "device_offline": Kind(device_offline, lambda r: (device(r), long(r, most=DAY)), 2),
    "device_gone": Kind(device_gone, lambda r: (device(r),), 0.3),
    "device_replaced": Kind(device_replaced, lambda r: (device(r), long(r))),
    "device_cloned": Kind(device_cloned, lambda r: (device(r),)),
    "device_busy": Kind(device_busy, lambda r: (device(r), long(r, most=DAY)), 1.5),
    "medium_fails": Kind(
        medium_fails, lambda r: (device(r), r.choice(["ENOSPC", "EIO", "EMFILE"]), long(r))
    ),
    "starts": Kind(starts, lambda r: (r.choice([GOOD, GOOD, WRONG, UNWELL]),), 6),
    "starts_beside": Kind(starts_beside, lambda r: (r.choice([GOOD, GOOD, WRONG, UNWELL]),), 3),
    "does": Kind(does, lambda r: (r.choice(ACTS),), 3),
    "forgets": Kind(forgets, lambda r: (device(r),)),
}
