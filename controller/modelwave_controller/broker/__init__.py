"""The embedded broker, for tests, the demo, first steps and fleets of up to 2,000 devices.

It speaks MQTT 3.1.1, in one process and one thread, with its messages in memory:

    packets      bytes to values and back                                          pure
    acl          who may publish and subscribe to which topics                     pure
    routes       who hears a topic, and the topics of a filter                     pure
    messages     messages, and those that are retained                             pure
    session      what one client is to be sent: queue, window, retained            pure
    limits       all limits, each with its reason
    pipe         the bytes of a connection: bounded reading and writing
    connection   a client's packets, answered in order
    admission    users, passwords (passwords.py, credentials.py) and rules
    embedded     the broker: sessions, subscriptions and messages together

Why it is our own is in docs/decisions/0021-the-embedded-broker-is-our-own.md.

Passwords and messages travel in the clear: on a network that is not your own, put a TLS
proxy in front, or use Mosquitto.
"""

from modelwave_controller.broker.acl import FleetAcl
from modelwave_controller.broker.credentials import hash_password, read_credentials
from modelwave_controller.broker.embedded import EmbeddedBroker
from modelwave_controller.broker.errors import BrokerError
from modelwave_controller.broker.running import run_broker
from modelwave_controller.broker.settings import EmbeddedBrokerSettings

__all__ = [
    "BrokerError",
    "EmbeddedBroker",
    "EmbeddedBrokerSettings",
    "FleetAcl",
    "hash_password",
    "read_credentials",
    "run_broker",
]
