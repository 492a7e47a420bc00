"""The faults of a wire, one at each write of an update in turn, and storms of them.

python -m tests.agent.line_sweep [STEP] [FAULT …]       every STEP-th case, of these faults
"""

import argparse
import random
import sys
import tempfile
import zlib
from pathlib import Path

from modelwave_shared import line_frames as wire
from tests.agent.line_world import LineWorld
from tests.arguments import whole

BOARD, GATEWAY = 0, 1
NOISE = b'Traceback (most recent call last):\r\n  File "main.py", line 7\r\n'
ZEROS = b"\0\0x\0" + bytes(range(40)) + b"\0\2\1\0"
HOLE_SECONDS = 100


def at(number, change):
    """A plan that changes one write."""
    return lambda n, data: change(data) if n == number else data


def flipped(data, chance):
    spoilt = bytearray(data)
    spoilt[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(spoilt)


def inserted(data, chance, noise):
    place = chance.randrange(len(data))
    return data[:place] + noise + data[place:]


def without(data, chance):
    place = chance.randrange(len(data))
    return data[:place] + data[place + 1 :]


def doubled_byte(data, chance):
    place = chance.randrange(len(data))
    return data[:place] + data[place : place + 1] + data[place:]


# What becomes of one write.
CHANGES = {
    "lost": lambda data, chance: b"",
    "doubled": lambda data, chance: data + data,
    "tripled": lambda data, chance: data * 3,
    "flipped": flipped,
    "byte lost": without,
    "byte doubled": doubled_byte,
    "end cut": lambda data, chance: data[: chance.randrange(len(data))],
    "begin cut": lambda data, chance: data[1 + chance.randrange(len(data) - 1) :],
    "noise before": lambda data, chance: NOISE + data,
    "noise within": lambda data, chance: inserted(data, chance, NOISE),
    "zeros before": lambda data, chance: ZEROS + data,
    "zeros after": lambda data, chance: data + ZEROS,
    "random after": lambda data, chance: data + chance.randbytes(300),
}
# What happens at one write.
EVENTS = ("board without power", "gateway pulled", "hole", "second gateway", "old bytes")
OLD_AT_ONCE, OLD_ROUNDS = 3, 100  # old writes that come once more in another session
RATES = (0.02, 0.1, 0.25)
STORMS = 40


def changed(world, side, number, name):
    chance = random.Random(zlib.crc32(f"{side} {number} {name}".encode()))
    world.plans[side] = at(number, lambda data: CHANGES[name](data, chance))


def happening(world, side, number, name):
    def plan(n, data):
        if n == number:
            if name == "hole":
                world.silent_until = world.time.seconds + HOLE_SECONDS
            elif name == "board without power":
                world.later(world.reset())
            elif name == "gateway pulled":
                world.later(world.pull())
            elif name == "old bytes":
                world.later(replayed(world))
            else:
                world.plug()
        return data

    def silent(plan):
        def silence(n, data):
            data = plan(n, data) if plan else data
            return b"" if world.time.seconds < world.silent_until else data

        return silence

    world.silent_until = 0
    world.plans[side] = plan
    world.plans = [silent(plan) for plan in world.plans]


async def replayed(world):
    """A new session, in which the bytes of the old one come once more, before the new ones."""
    plans = world.plans
    world.plans = [repeating(plan, old) for plan, old in zip(plans, world.written, strict=True)]
    await world.pull()


def repeating(plan, old):
    old = [data for data in old if wire.unpack(data[1:-1])[0] != wire.HELLO]
    turns = iter(range(OLD_ROUNDS if old else 0))

    def repeat(n, data):
        data = plan(n, data) if plan else data
        turn = next(turns, None)
        if turn is None:
            return data
        again = [old[(turn * OLD_AT_ONCE + more) % len(old)] for more in range(OLD_AT_ONCE)]
        return b"".join(again) + data

    return repeat


def storming(world, seed, rate):
    chance = random.Random(seed)
    changes = sorted(CHANGES)

    def plan(n, data):
        if chance.random() < rate:
            return CHANGES[chance.choice(changes)](data, chance)
        return data

    world.plans = [plan, plan]


def cases(counts):
    """Yields (name, what it does to a world, baud); `counts`: writes of each side."""
    for side, count in enumerate(counts):
        for number in range(1, count + 1):
            for name in CHANGES:
                yield (f"{name} {side} {number}", _call(changed, side, number, name), 115_200)
            for name in EVENTS:
                yield (f"{name} {side} {number}", _call(happening, side, number, name), 115_200)
            yield (f"300 baud lost {side} {number}", _call(changed, side, number, "lost"), 300)
    for rate in RATES:
        for seed in range(STORMS):
            yield (f"storm {rate} {seed}", _call(storming, seed, rate), 115_200)
            if seed % 4 == 0:
                yield (f"300 baud storm {rate} {seed}", _call(storming, seed, rate), 300)


def _call(function, *arguments):
    return lambda world: function(world, *arguments)


def lived(do=None, baud=115_200):
    """Returns the world after a whole update, and what was wrong."""
    with tempfile.TemporaryDirectory() as folder:
        world = LineWorld(Path(folder), baud)
        if do:
            do(world)
        try:
            return world, world.run()
        except AssertionError as error:
            return world, [str(error)]


def sweep(step=1, names=()):
    """Returns the number of cases, and {name: faults} of the bad ones."""
    world, faults = lived()
    assert not faults, faults
    found = [case for case in cases(world.writes) if not names or case[0].startswith(names)]
    bad = {}
    for name, do, baud in found[::step]:
        _, faults = lived(do, baud)
        if faults:
            bad[name] = faults
    return len(found[::step]), bad


def main():
    parser = argparse.ArgumentParser(prog="tests.agent.line_sweep", description="Disturb a wire.")
    parser.add_argument("step", nargs="?", type=whole(1), default=1, help="every N-th case")
    parser.add_argument("faults", nargs="*", metavar="FAULT", help="all, unless some are named")
    given = parser.parse_args()
    count, bad = sweep(given.step, tuple(given.faults))
    if count == 0:
        parser.error(f"{', '.join(given.faults)}: no case's name begins so")
    for name, faults in bad.items():
        print(name, faults)
    print(f"{count} cases, {len(bad)} bad")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
