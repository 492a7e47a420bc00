"""An MQTT broker in memory: retained messages, last wills, acknowledgements, clients of one name
that disconnect each other. Clients without a session: what comes while one is away is lost."""

import asyncio
import json

from modelwave_agent import ports
from modelwave_shared import dsse
from modelwave_shared.words import MANIFEST, ORDER, ROOT

LATENCY_SECONDS = 0.05


FIRST_FORMATS = dict.fromkeys((ROOT, MANIFEST, ORDER), 1)


class Lost(Exception):
    """The connection does not exist any more."""


class Broker:
    def __init__(self):
        self.up = True
        self.retained = {}
        self.since = {}  # (topic, payload): when it was retained there for the first time
        self.clients = {}  # by client id

    def connect(self, name, deliver, lost, will=None):
        """`deliver(topic, payload)` gets messages; `lost()` is called when the connection ends, but
        by the client itself. `will` is (topic, payload). Raises Lost."""
        if not self.up:
            raise Lost("no broker")
        if name in self.clients:
            self.clients[name].lose()
        self.clients[name] = Client(self, name, deliver, lost, will)
        return self.clients[name]

    def send(self, topic, payload, retain):
        if retain and payload:
            self.retained[topic] = payload
            self.since.setdefault((topic, payload), asyncio.get_running_loop().time())
        elif retain:
            self.retained.pop(topic, None)
        for client in list(self.clients.values()):
            if client.wants(topic):
                client.deliver(topic, payload)

    def stop(self):
        self.up = False
        self.lose_all()

    def lose_all(self):
        for client in list(self.clients.values()):
            client.lose()


class Client:
    """The broker's side of a connection."""

    def __init__(self, broker, name, deliver, lost, will):
        self.broker = broker
        self.name = name
        self.deliver = deliver
        self.lost = lost
        self.will = will
        self.alive = True
        self.topics = set()

    def wants(self, topic):
        return _matches(topic, self.topics)

    def subscribe(self, topics):
        self._check()
        self.topics.update(topics)
        for topic, payload in list(self.broker.retained.items()):
            if _matches(topic, topics):
                self.deliver(topic, payload)

    def publish(self, topic, payload, retain):
        self._check()
        self.broker.send(topic, payload, retain)

    def lose(self):
        """The connection breaks: the broker sends the last will."""
        if self.leave():
            if self.will and self.broker.up:
                self.broker.send(*self.will, True)
            self.lost()

    def leave(self):
        """The client disconnects in order. Returns whether there was a connection."""
        was_alive, self.alive = self.alive, False
        if self.broker.clients.get(self.name) is self:
            del self.broker.clients[self.name]
        return was_alive

    def _check(self):
        if not self.alive:
            raise Lost("the connection is lost")


def _matches(topic, filters):
    """A filter may end with a wildcard."""
    return topic in filters or any(f[-1] in "+#" and topic.startswith(f[:-1]) for f in filters)


class DeviceLink(ports.BrokerLink):
    """The link of a device. While `reachable()` is false there is no network. `old`: its agent is
    one of the first, which reads only slot ranges. Here the link says so in its place, and drops
    the other orders: that agent only notes that it cannot read them."""

    def __init__(self, broker, name, reachable, old=False):
        self.broker = broker
        self.old = old
        self.name = name
        self.reachable = reachable
        self.client = None
        self.arrived = asyncio.Queue()

    async def connect(self, will_topic, will):
        await self._travel()
        self.arrived = arrived = asyncio.Queue()
        try:
            self.client = self.broker.connect(
                self.name,
                lambda *message: arrived.put_nowait(message),
                lambda: arrived.put_nowait(None),
                (will_topic, will),
            )
        except Lost as error:
            raise ports.LinkLost(str(error)) from error

    async def subscribe(self, topics):
        await self._do("subscribe", topics)

    async def publish(self, topic, payload, retain):
        if self.old and "/reported/" in topic:
            payload = json.dumps(json.loads(payload) | {"reads": FIRST_FORMATS}).encode()
        await self._do("publish", topic, payload, retain)

    async def receive(self):
        while True:
            message = await self.arrived.get()
            if message is None:
                raise ports.LinkLost("the connection is lost")
            if not (self.old and has_bitmap(*message)):
                return message

    async def close(self):
        if self.client:
            self.client.leave()

    def lose(self):
        if self.client:
            self.client.lose()

    async def _travel(self):
        await asyncio.sleep(LATENCY_SECONDS)
        if not self.reachable():
            raise ports.LinkLost("no network")

    async def _do(self, what, *given):
        await self._travel()
        if self.client is None:
            raise ports.LinkLost("never connected")
        try:
            getattr(self.client, what)(*given)
        except Lost as error:
            raise ports.LinkLost(str(error)) from error
        await asyncio.sleep(LATENCY_SECONDS)  # the acknowledgement
        if not self.client.alive:
            raise ports.LinkLost("the connection was lost before the acknowledgement")


def has_bitmap(topic, payload):
    """Whether the message is an order that names its slots by a bitmap."""
    if not payload or "/desired/" not in topic:
        return False
    return b'"v":2' in dsse.read(payload.split(b"\n")[0]).payload
