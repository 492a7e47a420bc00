"""Lets the agent use the connection of a program that already runs Peter Hinch's mqtt_as.

mqtt_as manages its connection itself: it gets the last will when it is created, reconnects by
itself, and passes messages to the program. So the program must do this, with its own client:

    config["queue_len"] = 7  # at least the number of the agent's topics
    config["will"] = (topics.presence(fleet, device), "offline", True, 1)
    client = MQTTClient(config)
    link = MqttAsLink(client)

    async def ups():                    async def messages():
        while True:                         async for topic, payload, _ in client.queue:
            await client.up.wait()              if topic.startswith(b"modelwave/"):
            client.up.clear()                       await link.give(topic, payload)
            link.up()

and the same with `down`. mqtt_as loads each message completely, of whatever length.
"""

import asyncio

from modelwave_agent.ports import BrokerLink, LinkLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class MqttAsLink(BrokerLink):
    """The link over an mqtt_as client. `connect` waits until the program has called `up`."""

    def __init__(self, client: "Any") -> None:
        """`client`: an mqtt_as.MQTTClient."""
        self.client = client
        self._ups = 0
        self._session = 0  # number of the client's connection (`_ups`); 0 while it has none
        self._mine = 0  # number of the connection that `connect` has returned
        self._held: "tuple[str, bytes] | None" = None  # not yet returned by `receive`
        self._news = asyncio.Event()

    def up(self) -> None:
        """The program calls this when its client has connected or reconnected."""
        self._ups += 1
        self._change(self._ups)

    def down(self) -> None:
        """The program calls this when its client has lost its connection."""
        self._change(0)

    async def give(self, topic: bytes, payload: bytes) -> None:
        """The program calls this with each message; it waits until the one before was taken."""
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
        """As in ports.BrokerLink, but during an outage mqtt_as keeps the message, and publishes
        it on the next connection."""
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
        """Stops using the connection; it stays open, as it belongs to the program."""
        self._mine = 0
        self._tell()

    def _change(self, session: int) -> None:
        self._session = session
        self._held = None  # retained messages come again with the subscriptions
        self._tell()

    def _check(self) -> None:
        if not self._mine or self._mine != self._session:
            raise LinkLost("mqtt_as has lost its connection")

    def _tell(self) -> None:
        self._news.set()
        self._news.clear()
