"""A long life on a real broker: mqtt_life.py LIB PORT RECONNECTS

Connects and closes, or loses, the connection again and again, and gives up at every await;
nothing is left of it.
"""

import asyncio
import sys

from mqtt_parts import (
    PRESENCE,
    TOPIC,
    connected,
    heap,
    link_to,
    open_files,
    problem,
    run,
    waiting_for_sockets,
)

PORT, RECONNECTS = int(sys.argv[2]), int(sys.argv[3])


async def settle():
    """Cancelled tasks end."""
    for _ in range(3):
        await asyncio.sleep_ms(0)


async def session(link, number):
    await connected(link)
    await link.publish(PRESENCE, b"online", True)
    await link.subscribe([TOPIC])
    if number % 2:
        await link.close()
    else:
        link._lose("power cut")


async def reconnects(link):
    for number in range(4):
        await problem(session(link, number))
    await settle()
    files, before, lost = open_files(), heap(), 0
    for number in range(RECONNECTS):
        # A broker may take the new connection for a second one of the same name.
        lost += bool(await problem(session(link, number)))
    await settle()
    grown = heap() - before
    print("reconnects", RECONNECTS, "lost", lost, "heap", grown, "files", open_files() - files)
    assert abs(grown) <= 512, grown
    assert open_files() == files
    assert waiting_for_sockets() == 0


async def given_up(link, start, turns):
    """Whether `start()` was still at work after so many turns of the loop; then nothing is
    left of its connection."""
    task = asyncio.create_task(problem(start()))  # a broker may mind so many of one name
    for _ in range(turns):
        await asyncio.sleep_ms(0)
    working = not task.done()
    task.cancel()
    await settle()
    assert task.done()
    return working


async def connect_given_up_at_any_time(link):
    files, turns = open_files(), 0

    def start():
        return connected(link)

    while await given_up(link, start, turns):
        assert open_files() == files
        assert waiting_for_sockets() == 0
        assert all(task.done() for task in link._tasks)
        turns += 1 + turns // 16
    print("given up after up to", turns, "turns")
    assert turns > 3
    await link.close()
    await settle()
    assert open_files() == files


async def whole_session_given_up_at_any_time(link):
    files, turns = open_files(), 0

    async def start():
        await connected(link)
        try:
            await link.subscribe([TOPIC])
            await link.publish(TOPIC, b"x" * 2000, False)
            await link.receive()
        finally:
            await link.close()

    while await given_up(link, start, turns):
        await settle()
        assert open_files() == files
        assert waiting_for_sockets() == 0
        assert all(task.done() for task in link._tasks)
        turns += 1 + turns // 16
    print("given up after up to", turns, "turns")
    assert open_files() == files


async def main():
    link = link_to(PORT)
    await problem(session(link, 1))
    await connect_given_up_at_any_time(link)
    await whole_session_given_up_at_any_time(link)
    await reconnects(link)


run(main(), 100)
