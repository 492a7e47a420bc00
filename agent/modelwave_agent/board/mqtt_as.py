"""The connection of a program that already runs Peter Hinch's mqtt_as, as the agent's link.

mqtt_as owns its connection: it takes the last will when it is made, connects again by itself,
and hands messages to the program. So the program does these parts, with its own client:

    config["queue_len"] = 4  # at least the number of topics of the agent
    config["will"] = (topics.presence(fleet, device), "offline", True, 1)
    client = MQTTClient(config)
    link = MqttAsLink(client)

    async def ups():                    async def messages():
        while True:                         async for topic, payload, _ in client.queue:
            await client.up.wait()              if topic.startswith(b"modelwave/"):
            client.up.clear()                       await link.give(topic, payload)
            link.up()

and the same with `down`. mqtt_as takes a message whole, however long it is.
"""

import asyncio

from modelwave_agent.ports import BrokerLink, LinkLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class MqttAsLink(BrokerLink):
    """`connect` waits until the program has told `up`."""

    def __init__(self, client: "Any") -> None:
        """`client`: an mqtt_as.MQTTClient."""
        self.client = client
        self._ups = 0
        self._session = 0  # of the client's connections, by `_ups`; 0 while it has none
        self._mine = 0  # the one that `connect` has found
        self._held: "tuple[str, bytes] | None" = None  # a message that nobody has taken yet
        self._news = asyncio.Event()

    def up(self) -> None:
        """The program tells that its client has connected, or has connected again."""
        self._ups += 1
        self._change(self._ups)

    def down(self) -> None:
        """The program tells that its client has lost its connection."""
        self._change(0)

    async def give(self, topic: bytes, payload: bytes) -> None:
        """The program hands a message over; returns when the one before was taken."""
        while self._held:
            await self._news.wait()
        if self._session:
            self._held = (topic.decode(), bytes(payload))
            self._tell()

    async def connect(self, will_topic: str, will: bytes) -> None:
        while not self._session:
            await self._news.wait()
        self._mine = self._session

    async def subscribe(self, topics: "list[str]") -> None:
        for topic in topics:
            self._check()
            await self.client.subscribe(topic, 1)
        self._check()

    async def publish(self, topic: str, payload: bytes, retain: bool) -> None:
        """Over an outage mqtt_as keeps it, and publishes it on the next connection."""
        self._check()
        await self.client.publish(topic, payload, retain, 1)

    async def receive(self) -> "tuple[str, bytes]":
        while not self._held:
            self._check()
            await self._news.wait()
        self._check()
        found = self._held
        self._held = None
        self._tell()
        return found

    async def close(self) -> None:
        """The connection is the program's."""
        self._mine = 0

    def _change(self, session: int) -> None:
        self._session = session
        self._held = None  # what is retained comes again with the subscriptions
        self._tell()

    def _check(self) -> None:
        if not self._mine or self._mine != self._session:
            raise LinkLost("mqtt_as has lost its connection")

    def _tell(self) -> None:
        self._news.set()
        self._news.clear()
