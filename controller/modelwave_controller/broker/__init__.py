"""The embedded broker, for tests, the demo and first steps (up to about 1,000 devices).

It is amqtt 0.12.1 with these faults closed; tests/controller/test_broker.py shows each of
them on plain amqtt, and will tell when a later amqtt has mended one:

- a client that subscribes to nothing was sent what is retained on anyone's filter: retained
  messages now follow a client's own SUBSCRIBE only (embedded.py)
- a rule `x/+` let a client subscribe to `x/#`, and without a publish rule everyone could
  publish: a filter must be covered whole, and nothing is allowed by default (acl.py)
- a denied publish was acknowledged: it now ends the connection (handler.py)
- silence beyond the keep-alive had no effect: at 1.5 times the keep-alive the client is
  gone and its will is published (handler.py)
- packets had no size limit: 64 KiB, judged by the fixed header (wire.py)
- argon2 ran on the event loop: now beside it, two at once (credentials.py)
- shutdown() could hang on a client that does not read: writes and closing are bounded in
  time (wire.py)
- whoever gave a client id took over its session before its password was looked at: now
  after, and only the same user can (embedded.py)

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
