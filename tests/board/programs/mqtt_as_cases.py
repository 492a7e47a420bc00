"""MqttAsLink with a client that has mqtt_as's interface: mqtt_as_cases.py LIB

mqtt_as itself wants a board: it imports `network`.
"""

import asyncio

from mqtt_parts import PRESENCE, TOPIC, problem, run

from modelwave_agent.board.mqtt_as import MqttAsLink

LOST = "mqtt_as has lost its connection"


class Queue:
    """As mqtt_as.MsgQueue: (topic, message, retained)."""

    def __init__(self):
        self.messages = []
        self.event = asyncio.Event()

    def put(self, *message):
        self.messages.append(message)
        self.event.set()

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.messages:
            self.event.clear()
            await self.event.wait()
        return self.messages.pop(0)


class Client:
    """As mqtt_as.MQTTClient with `queue_len`: waits while the broker is away."""

    def __init__(self):
        self.up, self.down, self.queue = asyncio.Event(), asyncio.Event(), Queue()
        self.connected = asyncio.Event()
        self.sent = []

    def connect(self):
        self.connected.set()
        self.up.set()

    def lose(self):
        self.connected.clear()
        self.down.set()

    async def subscribe(self, topic, qos=0):
        await self.connected.wait()
        self.sent.append((topic, qos))

    async def publish(self, topic, msg, retain=False, qos=0):
        await self.connected.wait()
        self.sent.append((topic, msg, retain, qos))


async def ups(client, link):
    while True:
        await client.up.wait()
        client.up.clear()
        link.up()


async def downs(client, link):
    while True:
        await client.down.wait()
        client.down.clear()
        link.down()


async def messages(client, link):
    async for topic, payload, _ in client.queue:
        if topic.startswith(b"modelwave/"):
            await link.give(topic, payload)


async def turns(count=5):
    for _ in range(count):
        await asyncio.sleep_ms(0)


async def program():
    client = Client()
    link = MqttAsLink(client)
    client.tasks = [asyncio.create_task(task(client, link)) for task in (ups, downs, messages)]
    return client, link


async def session(link):
    await link.connect(PRESENCE, b"offline")
    await link.publish(PRESENCE, b"online", True)
    await link.subscribe([TOPIC, "other"])


EXPECTED = [(PRESENCE, b"online", True, 1), (TOPIC, 1), ("other", 1)]


async def connect_waits_for_the_program():
    client, link = await program()
    task = asyncio.create_task(session(link))
    await turns()
    assert not task.done()
    assert await problem(link.publish(TOPIC, b"", False)) == LOST
    client.connect()
    await task
    assert client.sent == EXPECTED


async def messages_come_one_at_a_time_as_text_and_bytes():
    client, link = await program()
    client.connect()
    await session(link)
    client.queue.put(b"the/program's/own", b"x", False)
    client.queue.put(TOPIC.encode(), memoryview(b"one"), True)
    client.queue.put(TOPIC.encode(), b"two", False)
    client.queue.put(TOPIC.encode(), b"three", False)
    await turns()
    assert len(client.queue.messages) == 1  # one is held, the next waits to be given
    for payload in (b"one", b"two", b"three"):
        found = await link.receive()
        assert found == (TOPIC, payload)
        assert type(found[1]) is bytes


async def outage_is_a_lost_link_and_the_next_connection_subscribes_anew():
    client, link = await program()
    client.connect()
    await session(link)
    receiver = asyncio.create_task(problem(link.receive()))
    await turns()
    client.lose()
    assert await receiver == LOST
    assert await problem(link.subscribe([TOPIC])) == LOST
    task = asyncio.create_task(session(link))
    await turns()
    assert not task.done()
    client.sent.clear()
    client.connect()
    await task
    assert client.sent == EXPECTED


async def outage_that_is_over_at_once_is_noticed():
    client, link = await program()
    client.connect()
    await session(link)
    client.queue.put(TOPIC.encode(), b"of the last connection", False)
    await turns()
    link.up()
    assert await problem(link.receive()) == LOST
    assert await problem(session(link)) == ""


async def publish_during_an_outage_goes_out_after_it():
    client, link = await program()
    client.connect()
    await session(link)
    client.sent.clear()
    client.connected.clear()  # not told yet
    task = asyncio.create_task(link.publish(TOPIC, b"late", False))
    await turns()
    assert not task.done()
    client.connect()
    await task
    assert client.sent == [(TOPIC, b"late", False, 1)]


async def message_of_a_lost_connection_does_not_stop_the_program():
    client, link = await program()
    client.connect()
    await turns()
    client.queue.put(TOPIC.encode(), b"1", False)
    client.queue.put(TOPIC.encode(), b"2", False)
    await turns()
    client.lose()
    await turns()
    client.queue.put(TOPIC.encode(), b"3", False)
    await turns()
    assert not client.queue.messages
    assert await problem(link.receive()) == LOST


async def main():
    for case in (
        connect_waits_for_the_program,
        messages_come_one_at_a_time_as_text_and_bytes,
        outage_is_a_lost_link_and_the_next_connection_subscribes_anew,
        outage_that_is_over_at_once_is_noticed,
        publish_during_an_outage_goes_out_after_it,
        message_of_a_lost_connection_does_not_stop_the_program,
    ):
        await case()
        print(case.__name__)


run(main())
