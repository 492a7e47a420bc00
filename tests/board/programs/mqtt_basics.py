"""MqttLink on a real broker: mqtt_basics.py LIB PORT"""

import asyncio
import sys

from mqtt_parts import (
    PRESENCE,
    TOPIC,
    connected,
    link_to,
    open_files,
    problem,
    run,
    waiting_for_sockets,
)

PORT = int(sys.argv[2])
OTHER = "modelwave/1/demo/desired/device/pico-1/digits"


async def watcher(topic):
    link = await connected(link_to(PORT, "watcher"))
    await link.subscribe([topic])
    return link


async def publish_reaches_a_subscriber_and_is_retained():
    link = await connected(link_to(PORT))
    await link.publish(TOPIC, b"first", True)
    other = await watcher(TOPIC)
    assert await other.receive() == (TOPIC, b"first")
    await link.publish(TOPIC, b"second" * 1000, False)
    topic, payload = await other.receive()
    assert topic == TOPIC
    assert payload == b"second" * 1000
    assert type(payload) is bytes
    await link.publish(TOPIC, b"", True)
    assert await other.receive() == (TOPIC, b"")
    again = await watcher(TOPIC)  # takes the name over
    assert "the broker closed the connection" in await problem(other.receive())
    await link.publish(TOPIC, b"not retained", False)
    assert await again.receive() == (TOPIC, b"not retained")
    await again.close()
    await link.close()


async def retained_messages_of_two_topics_wait_for_the_subscriber():
    link = await connected(link_to(PORT))
    await link.publish(TOPIC, b"one", True)
    await link.publish(OTHER, b"two", True)
    await link.subscribe([TOPIC, OTHER])
    found = {await link.receive(), await link.receive()}
    assert found == {(TOPIC, b"one"), (OTHER, b"two")}
    await link.close()
    await connected(link)
    for topic in (TOPIC, OTHER):
        await link.publish(topic, b"", True)
    await link.close()


async def retained_messages_of_several_topics_wait_while_more_is_subscribed_to():
    """However late they come, also after the answer to their own subscription."""
    link = await connected(link_to(PORT))
    many = ["modelwave/1/demo/desired/rp2040/digits/%d" % slot for slot in range(5)]
    for topic in many:
        await link.publish(topic, b"x" * 2000, True)
    await link.subscribe(many)
    for topic in (OTHER, TOPIC):
        await link.subscribe([topic])
    found = set()
    while len(found) < len(many):
        found.add((await link.receive())[0])
    assert found == set(many)
    for topic in many:
        await link.publish(topic, b"", True)
        await link.receive()
    await link.close()


async def will_is_told_and_retained_when_the_device_dies():
    link = await connected(link_to(PORT))
    await link.publish(PRESENCE, b"online", True)
    other = await watcher(PRESENCE)
    assert await other.receive() == (PRESENCE, b"online")
    link._lose("power cut")  # the socket is closed, no DISCONNECT
    assert await other.receive() == (PRESENCE, b"offline")
    await other.close()
    late = await watcher(PRESENCE)
    assert await late.receive() == (PRESENCE, b"offline")
    await late.close()


async def closing_tells_no_will():
    link = await connected(link_to(PORT))
    await link.publish(PRESENCE, b"online", True)
    other = await watcher(PRESENCE)
    assert await other.receive() == (PRESENCE, b"online")
    await link.close()
    assert "closed" in await problem(link.receive())
    await connected(link)
    await link.publish(PRESENCE, b"here again", True)
    assert await other.receive() == (PRESENCE, b"here again")
    await link.publish(PRESENCE, b"", True)
    await link.close()
    await other.close()


async def several_publish_at_once():
    link = await connected(link_to(PORT))
    other = await watcher(TOPIC)
    payloads = [bytes([65 + number]) * 700 for number in range(8)]
    tasks = [asyncio.create_task(link.publish(TOPIC, one, False)) for one in payloads]
    found = []
    while len(found) < len(payloads):
        found.append((await other.receive())[1])
    for task in tasks:
        await task
    assert sorted(found) == payloads
    await link.close()
    await other.close()


async def messages_wait_and_are_all_taken():
    link = await connected(link_to(PORT))
    await link.subscribe([TOPIC])
    sender = await connected(link_to(PORT, "sender"))
    for number in range(30):
        await sender.publish(TOPIC, b"%d" % number + b"-" * 1000, False)
        assert len(link._held) <= 1
    for number in range(30):
        assert (await link.receive())[1].startswith(b"%d-" % number)
    await link.close()
    await sender.close()


async def publish_that_was_given_up_spoils_nothing():
    link = await connected(link_to(PORT))
    for turns in range(6):
        task = asyncio.create_task(link.publish(TOPIC, b"x" * 3000, False))
        for _ in range(turns):
            await asyncio.sleep_ms(0)
        task.cancel()
        await link.publish(TOPIC, b"y", False)
    await link.close()


async def closing_without_a_connection_is_nothing():
    link = link_to(PORT)
    await link.close()
    assert await problem(link.publish(TOPIC, b"", True)) == "not connected"
    assert await problem(link.receive()) == "not connected"


async def nothing_waits_for_the_next_connection():
    link = await connected(link_to(PORT))
    tasks = [asyncio.create_task(problem(link.publish(TOPIC, b"x", False))) for _ in range(2)]
    await asyncio.sleep_ms(0)  # one waits for its answer, the other for its turn
    link._lose("power cut")
    for task in tasks:
        assert "power cut" in await task
    assert "power cut" in await problem(link.publish(TOPIC, b"x", False))
    assert "power cut" in await problem(link.subscribe([TOPIC]))


async def main():
    await publish_reaches_a_subscriber_and_is_retained()
    before = open_files()
    for case in (
        retained_messages_of_two_topics_wait_for_the_subscriber,
        retained_messages_of_several_topics_wait_while_more_is_subscribed_to,
        will_is_told_and_retained_when_the_device_dies,
        closing_tells_no_will,
        several_publish_at_once,
        messages_wait_and_are_all_taken,
        publish_that_was_given_up_spoils_nothing,
        closing_without_a_connection_is_nothing,
        nothing_waits_for_the_next_connection,
    ):
        print(case.__name__)
        await case()
        assert open_files() == before, case
        assert waiting_for_sockets() == 0, case


run(main())
