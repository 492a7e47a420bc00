"""Signs the orders of a rollout, and puts them into the outbox."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, insert, select

from modelwave_controller.rollout import cohorts
from modelwave_controller.rollout.events import Cleared, OrderSent, Release
from modelwave_controller.rollout.facts import Known
from modelwave_controller.rollout.state import Rollout, State
from modelwave_controller.storage import outbox
from modelwave_controller.storage.tables import orders
from modelwave_controller.trust import keys
from modelwave_controller.trust.documents import Root, of_our_format
from modelwave_controller.trust.keys import SigningKey
from modelwave_shared import topics
from modelwave_shared.limits import MAX_SLOT_RANGES
from modelwave_shared.slots import ranges_of
from modelwave_shared.words import ORDER


@dataclass(frozen=True)
class Issuer:
    """The root, signing key and file URLs for new orders."""

    root: Root
    key: SigningKey
    urls: Sequence[str]


@dataclass(frozen=True)
class Sender:
    """Sends the orders of one rollout in one tick, within its transaction."""

    connection: Connection
    issuer: Issuer
    state: State
    rollout: Rollout
    known: Known
    now: float  # Unix seconds

    def send(self, target: str, release: Release, slots: Sequence[int]) -> list[OrderSent]:
        """Orders `release` for the slots: one order, or several if it has too many slot ranges."""
        ranges = ranges_of(slots)
        return [
            self._send_one(target, release, ranges[start : start + MAX_SLOT_RANGES])
            for start in range(0, len(ranges), MAX_SLOT_RANGES)
        ]

    def _send_one(self, target: str, release: Release, ranges: list[list[int]]) -> OrderSent:
        model, seq = self.rollout.model, self._next_seq()
        plan = self.rollout.created.plan
        order = {
            "fleet": self.issuer.root.fleet,
            "target": target,
            "model": model,
            "epoch": self.issuer.root.epoch,
            "seq": seq,
            "slots": ranges,
            "manifest": release.manifest,
            "urls": list(self.issuer.urls),
            "issued": int(self.now),
            "expires": int(self.now) + plan.expires_seconds,
            "trial": {"seconds": plan.trial.seconds, "inferences": plan.trial.inferences},
            "shadow": False,
        } | self._extra(target, release)
        payload = keys.canonical(of_our_format(ORDER, order))
        envelope = keys.sign(ORDER, payload, [self.issuer.key])
        lines = envelope + b"\n" + outbox.blob(self.connection, release.envelope)
        outbox.put(self.connection, self._topics(target, ranges), lines)
        self.connection.execute(
            insert(orders).values(
                model=model,
                seq=seq,
                epoch=order["epoch"],
                rollout=self.rollout.id,
                target=target,
                manifest=release.manifest,
                slots=json.dumps(ranges),
            )
        )
        known = cohorts.count_devices(self.known.counts(target), ranges)
        return OrderSent(target=target, seq=seq, release=release, slots=ranges, known=known)

    def _extra(self, target: str, release: Release) -> dict[str, Any]:
        """Returns the field `extra`, if the order needs it: old agents do not know it. A ban of the
        release to which a rollout reverts stays."""
        created, extra = self.rollout.created, dict[str, Any]()
        if allowed := created.plan.trial.max_failed_ppm:
            extra["max_failed_ppm"] = allowed
        if created.lift_ban and release == created.releases[target]:
            extra["lift_ban"] = True
        return {"extra": extra} if extra else {}

    def clear(self, target: str, slots: Sequence[int]) -> Cleared:
        """Clears the topics of the slots: no order is wanted there."""
        ranges = ranges_of(slots)
        outbox.put(self.connection, self._topics(target, ranges), b"")
        known = cohorts.count_devices(self.known.counts(target), ranges)
        return Cleared(target=target, slots=ranges, known=known)

    def _topics(self, target: str, ranges: list[list[int]]) -> list[str]:
        return [
            topics.desired_slot(self.issuer.root.fleet, target, self.rollout.model, slot)
            for first, last in ranges
            for slot in range(first, last + 1)
        ]

    def _next_seq(self) -> int:
        """Returns the next sequence number of the model; a failed tick leaves a gap. It depends
        only on the controller's own orders, because forged reports could use the numbers up. The
        table also has the orders whose events are not understood."""
        model = self.rollout.model
        newest = select(func.max(orders.c.seq)).where(orders.c.model == model)
        given = self.connection.scalar(newest) or 0
        seq = max(given, self.state.seqs.get(model, 0)) + 1
        self.state.seqs[model] = seq
        return seq
