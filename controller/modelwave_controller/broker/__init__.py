"""The embedded broker, for tests, the demo and first steps (up to about 1,000 devices).

It is amqtt 0.12.1 with these faults closed; tests/controller/test_broker.py shows each of
them on plain amqtt, and fails when a later amqtt has fixed one:

- a client that subscribed to nothing was sent the retained messages that match anyone's
  filter: they now follow a client's own SUBSCRIBE only (embedded.py)
- a rule `x/+` let a client subscribe to `x/#`, and without a publish rule everyone could
  publish: a rule must cover the whole filter, and nothing is allowed by default (acl.py)
- a denied publish was acknowledged: it now ends the connection (handler.py)
- silence beyond the keep-alive had no effect: after 1.5 times the keep-alive the client is
  disconnected and its will is published (handler.py)
- packets had no size limit: now 64 KiB, checked in the fixed header (wire.py)
- argon2 ran on the event loop: now in two threads of its own (credentials.py)
- shutdown() could hang on a client that does not read: writes and closing are bounded in
  time (wire.py)
- a client took over the session of its client id before its password was checked: now
  after the check, and only the same user can (embedded.py)

Passwords and messages travel in the clear: on a network that is not your own, put a TLS
proxy in front, or use Mosquitto.
"""

from modelwave_controller.broker.acl import FleetAcl
from modelwave_controller.broker.credentials import hash_password, read_credentials
from modelwave_controller.broker.embedded import EmbeddedBroker, run_broker
from modelwave_controller.broker.errors import BrokerError
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
