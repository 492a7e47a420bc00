"""Tries from outside what modelwave needs of a broker: `modelwave broker check`.

It uses topics of its own, under controller/ of the fleet, and clears what it has retained there.
"""

import contextlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from modelwave_controller.phrases import plural
from modelwave_controller.service import broker_rules
from modelwave_controller.service.broker_address import ServiceBroker, mend_of
from modelwave_controller.service.broker_probe import Probe, ProbeError
from modelwave_controller.service.broker_rules import Device, Finding
from modelwave_shared.authorities import Authorities
from modelwave_shared.limits import MAX_REPORT_BYTES
from modelwave_shared.proofs import PROOF_BYTES
from modelwave_shared.topics import under

BURST = 200  # messages to one topic
# Retained messages that are published at once: for each acknowledgement paho looks at all of them.
CHUNK = 200
PACKET_BYTES = MAX_REPORT_BYTES + PROOF_BYTES
READ = (
    *("reported/+", "presence/+", "metrics/+", "file/+/get"),
    *("desired/#", "root/#", "controller/#"),
)


class Check:
    """The checks of one broker."""

    def __init__(
        self,
        broker: ServiceBroker,
        fleet: str,
        devices: int,
        device: Device | None = None,
        tell: Callable[[str, int, int], None] = lambda *_: None,
    ) -> None:
        """`devices` is the number of devices that the broker has to hold. `tell` is told what is
        being done, and how many messages of how many."""
        self.broker = broker
        self.fleet = fleet
        self.devices = devices
        self.device = device
        self.tell = tell
        self.place = broker.places[0]  # the first that answers
        self.has_filters = True  # retained messages are sent for those with +
        self.own = under(fleet, "controller", f"CHECK-{secrets.token_hex(6)}")

    def run(self) -> Iterator[Finding]:
        """Yields what is found; only that if no address answers."""
        found = [self._address(place) for place in self.broker.places]
        yield from found
        reached = [place for place, one in zip(self.broker.places, found, strict=True) if one.holds]
        if not reached:
            return
        self.place = reached[0]
        try:
            yield from self._tried(reached[1:])
        except ProbeError as error:
            yield Finding("the connection of the check", False, f"it is lost: {error}")

    def _tried(self, others: Sequence[tuple[str, int]]) -> Iterator[Finding]:
        with contextlib.closing(_Cleared(self)) as self.cleared:
            for check in (
                self._client_ids,
                self._reads,
                self._retained,
                self._wildcard,
                self._order,
                self._packet,
                self._will,
                self._queue,
                self._strangers,
            ):
                yield check()
            for place in others:
                yield self._on_all_nodes(place)
            if self.device is not None:
                yield broker_rules.tried(self.device, self.broker, self.place, self.fleet)

    def connect(self, **settings: str) -> Probe:
        return Probe(self.broker, self.place, **settings)

    def _address(self, place: tuple[str, int]) -> Finding:
        where = f"{place[0]}:{place[1]}"
        try:
            with Probe(self.broker, place):
                return Finding(f"connect to {where}", True, "it lets the controller in")
        except ProbeError as error:
            mend = mend_of(str(error)) or "start the broker, or correct [broker]"
            return Finding(f"connect to {where}", False, str(error), f"{mend} in controller.toml")

    def _client_ids(self) -> Finding:
        with self.connect() as first, self.connect() as second:
            second.subscribe([self.own])
            first.publish([self.own], b"1")
            both = second.wait(lambda: bool(second.heard)) and not first.lost
        return Finding(
            "two connections of the controller",
            both,
            "both stand" if both else "one ends the other",
            "" if both else "no `use_username_as_clientid` on the controller's listener",
        )

    def _reads(self) -> Finding:
        with self.connect() as probe:
            denied = probe.subscribe([under(self.fleet, one) for one in READ])
        return Finding(
            "the controller's subscriptions",
            not denied,
            f"denied: {', '.join(denied)}" if denied else f"all {len(READ)} are granted",
            f"topic readwrite {under(self.fleet, '#')}" if denied else "",
        )

    def _retained(self) -> Finding:
        topic = f"{self.own}/retained"
        with self.connect() as probe:
            self.cleared.publish(probe, [topic], b"kept")
        with self.connect() as probe:
            probe.subscribe([topic])
            kept = probe.wait(lambda: any(one.retained for one in probe.heard))
        with self.connect() as probe:
            probe.publish([topic], b"", retain=True)
            probe.subscribe([topic, self.own])
            probe.publish([self.own], b"fence")
            probe.wait(lambda: any(one.payload == b"fence" for one in probe.heard))
            gone = not any(one.topic == topic and one.payload for one in probe.heard)
        seen = "kept for who comes later, and cleared" if kept else "not there for who comes later"
        return Finding(
            "retained messages",
            kept and gone,
            seen if gone else "an empty one does not clear it",
            "" if kept and gone else "retain_available true",
        )

    def _wildcard(self) -> Finding:
        with self.connect() as probe:
            self.cleared.publish(probe, [f"{self.own}/wild/1"], b"kept")
        with self.connect() as probe:
            probe.subscribe([f"{self.own}/wild/+"])
            self.has_filters = kept = probe.wait(lambda: bool(probe.heard))
        return Finding(
            "retained messages for filters with +",
            kept,
            "sent" if kept else "not sent: the service reads those of known devices one by one",
            "" if kept else "another broker, such as Mosquitto or NATS",
        )

    def _order(self) -> Finding:
        topic = f"{self.own}/order"
        with self.connect() as probe:
            probe.subscribe([topic])
            for number in range(BURST):
                probe.send(topic, str(number).encode())
            came = probe.wait(lambda: len(probe.heard) >= BURST)
            numbers = [int(one.payload) for one in probe.heard]
        sorted_ = all(one < other for one, other in pairwise(numbers))
        told = "come in their order" if sorted_ else "come in another order"
        return Finding(
            "order of messages",
            came and sorted_,
            f"{len(numbers)} of {BURST} {told}",
            "" if came and sorted_ else "max_inflight_messages 100, max_queued_messages 40000",
        )

    def _packet(self) -> Finding:
        topic, payload = f"{self.own}/packet", bytes(PACKET_BYTES)
        with self.connect() as probe:
            probe.subscribe([topic])
            probe.publish([topic], payload)
            whole = probe.wait(lambda: bool(probe.heard)) and probe.heard[0].payload == payload
        return Finding(
            "size of messages",
            whole,
            f"{PACKET_BYTES:,} bytes {'arrive' if whole else 'do not arrive'}",
            "" if whole else "message_size_limit 65536",
        )

    def _will(self) -> Finding:
        topic = f"{self.own}/will"
        with self.connect() as probe, self.connect(will=topic) as other:
            probe.subscribe([topic])
            other.vanish()
            came = probe.wait(lambda: bool(probe.heard))
        return Finding(
            "last will of a lost device",
            came,
            "sent" if came else "not sent: a device that has gone counts as online",
            "" if came else "allow the topic of the will to its user",
        )

    def _queue(self) -> Finding:
        number = 2 * self.devices
        names = [f"{self.own}/queue/{index}" for index in range(number)]
        with self.connect() as probe:
            for start in range(0, number, CHUNK):
                self.cleared.publish(probe, names[start : start + CHUNK], b"kept")
                self.tell("retaining messages for the queue", start + CHUNK, number)
        with self.connect() as probe:
            probe.subscribe([f"{self.own}/queue/+"])
            came = probe.wait(lambda: len(probe.heard) >= number) or not self.has_filters
            seen = len(probe.heard)
        return Finding(
            f"queue for a client, with {plural(self.devices, 'device')}",
            came,
            f"{seen:,} of {number:,} retained messages come after one subscription"
            if self.has_filters
            else "not tried: retained messages are not sent at once",
            "" if came else f"max_queued_messages {2 * number}",
        )

    def _strangers(self) -> Finding:
        nobody = replace(self.broker, user="", password="")
        if nobody.tls is not None:
            nobody = replace(nobody, tls=Authorities(nobody.tls.ca_file))
        try:
            with Probe(nobody, self.place):
                pass
        except ProbeError:
            return Finding("clients without a user", True, "are refused")
        mends = "allow_anonymous false, password_file; of `modelwave broker`: --users"
        return Finding("clients without a user", False, "are let in", mends)

    def _on_all_nodes(self, place: tuple[str, int]) -> Finding:
        topic = f"{self.own}/nodes"
        with self.connect() as probe:
            self.cleared.publish(probe, [topic], b"kept")
        with Probe(self.broker, place) as probe:
            probe.subscribe([topic])
            kept = probe.wait(lambda: bool(probe.heard))
        return Finding(
            f"retained messages at {place[0]}:{place[1]}",
            kept,
            "the same"
            if kept
            else "not those of the first address: a device there gets late what it has missed, "
            "when the service sends it again",
            "" if kept else "a cluster that shares retained messages, such as NATS, or one address",
        )


class _Cleared:
    """Publishes retained messages, and clears them at the end."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._topics: list[str] = []

    def publish(self, probe: Probe, names: Sequence[str], payload: bytes) -> None:
        self._topics += names
        probe.publish(names, payload, retain=True)

    def close(self) -> None:
        with contextlib.suppress(ProbeError), self._check.connect() as probe:
            for start in range(0, len(self._topics), CHUNK):
                probe.publish(self._topics[start : start + CHUNK], b"", retain=True)
                self._check.tell("clearing them", start + CHUNK, len(self._topics))
