"""Makes spans of events: one trace for each rollout. Pure.

    span             from                                   until
    rollout          it was created                         it is over for the first time
      stage          it was opened                          the next one was, or it is over
        order        it was signed                          the broker has acknowledged it
          device     the order was signed                   a device's answer to it
        gate         the broker had the stage's orders      the verdict
      revert         its orders were signed                 the devices have answered, or it is over
      others         any other event, such as what an operator did, at its moment

A span is made of the event with which it ends, and has the events' own times. Its ids follow from
the fleet, the rollout and the event that it begins with, so that it is the same whenever and by
whomever it is made.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from modelwave_controller.judge.verdicts import FAIL
from modelwave_controller.rollout.events import (
    IN_PROGRESS,
    Aborted,
    Began,
    Created,
    Event,
    Finished,
    Gated,
    Opened,
    OpenedPart,
    OrderSent,
    Reordered,
    Reported,
    Reverted,
    Unshadowed,
)
from modelwave_controller.rollout.lines import line_of
from modelwave_controller.rollout.numbers import Number
from modelwave_controller.tracing.span import Attributes, Span
from modelwave_shared.words import SHADOWED, SUCCEEDED

MAX_TEXT = 500  # characters of an attribute
WELL = (IN_PROGRESS, SUCCEEDED, SHADOWED)


@dataclass
class _Order:
    sent: OrderSent
    event: int
    at: float
    parent: int  # a span
    acknowledged: bool = False


@dataclass
class _Wave:
    """An opened stage, or the revert."""

    name: str
    event: int
    at: float
    reason: str = ""
    began: float | None = None


def spans(fleet: str, events: Iterable[Event], after: int, devices: int) -> Iterator[Span]:
    """Yields the spans of those events of one rollout that have ids above `after`. `events` has all
    of it in order, but only such answers of devices as are above `after`. About `devices` of each
    order have their answers in the trace."""
    trace: _Trace | None = None
    for event in events:
        if isinstance(event.body, Created) and trace is None:
            trace = _Trace(fleet, event, event.body, devices)
        if trace is not None:
            made = trace.of(event)
            if event.id > after:
                yield from made


class _Trace:
    def __init__(self, fleet: str, event: Event, created: Created, devices: int) -> None:
        begun = f"{fleet}\0{event.rollout}\0{event.at!r}"
        self._key = hashlib.sha256(begun.encode()).digest()[:16]
        self._created_at = event.at
        self._devices = devices
        self._root = self._id("rollout")
        self._orders: dict[Number, _Order] = {}
        self._largest = 1  # known devices of an order so far
        self._wave: _Wave | None = None
        self._over = False
        self._reverted = ""  # why
        first = next(iter(created.releases.values()), None)
        self._its: Attributes = {"rollout": event.rollout, "model": created.model}
        if first is not None:
            self._its |= {"release": first.release, "version": first.version}

    def of(self, event: Event) -> list[Span]:
        """Returns the spans that end with the event."""
        match event.body:
            case Opened(stage=stage, orders=orders):
                found = self._end_wave(event)
                self._wave = _Wave(f"stage {stage + 1}", event.id, event.at)
                self._sign(event, orders)
                return found
            case OpenedPart(orders=orders):
                self._sign(event, orders)
                return []
            case Reverted(orders=orders, reason=reason):
                found = self._end_wave(event)
                self._wave, self._reverted = _Wave("revert", event.id, event.at, reason), reason
                self._sign(event, orders)
                return found
            case Began(begins=begins):
                return [] if begins == "soak" else self._acknowledge(event)
            case Reported():
                return self._answer(event, event.body)
            case Gated():
                return [self._gate(event, event.body)]
            case Reordered(orders=orders) | Unshadowed(orders=orders):
                self._sign(event, orders)
                return [self._moment(event), *self._end_orders(event, acknowledged=False)]
            case Finished() | Aborted():
                ended = [self._moment(event), *self._end_wave(event)]
                return [*ended, *self._end(event, event.body)]
        return [self._moment(event)]

    def _sign(self, event: Event, orders: list[OrderSent]) -> None:
        parent = self._root if self._wave is None else self._id(self._wave.event)
        for sent in orders:
            self._orders[sent.number] = _Order(sent, event.id, event.at, parent)
            self._largest = max(self._largest, sent.known)

    def _acknowledge(self, event: Event) -> list[Span]:
        if self._wave is not None and self._wave.began is None:
            self._wave.began = event.at
        return self._end_orders(event, acknowledged=True)

    def _end_orders(self, event: Event, acknowledged: bool) -> list[Span]:
        found = []
        for number, order in self._orders.items():
            if order.acknowledged:
                continue
            order.acknowledged = True
            said: Attributes = {"acknowledged": "yes" if acknowledged else "not noted"}
            id = self._order_id(number, order)
            attributes = self._of_order(order) | said
            found.append(self._span(id, order.parent, "order", order.at, event, attributes))
        return found

    def _order_id(self, number: Number, order: _Order) -> int:
        return self._id(order.event, number.epoch, number.seq)

    def _answer(self, event: Event, body: Reported) -> list[Span]:
        order = self._orders.get(body.number)
        if order is None or not self._is_sampled(body.device, order.sent):
            return []
        said: Attributes = {"device": body.device, "outcome": body.outcome, "reason": body.reason}
        failed = "" if body.outcome in WELL else body.reason or body.outcome
        parent, attributes = self._order_id(body.number, order), self._of_order(order) | said
        id = self._id(event.id)
        return [self._span(id, parent, "device", order.at, event, attributes, failed)]

    def _is_sampled(self, device: str, sent: OrderSent) -> bool:
        """Whether it is one of those whose answers are shown: the same ones for each order of so
        many devices."""
        drawn = int.from_bytes(hashlib.sha256(self._key + device.encode()).digest()[:4], "big")
        known = self._largest if sent.device else max(sent.known, 1)
        return drawn * known < self._devices << 32

    def _gate(self, event: Event, body: Gated) -> Span:
        wave = self._wave
        began = event.at if wave is None else wave.began or wave.at
        said: Attributes = {
            "stage": body.stage + 1,
            "verdict": body.verdict,
            "reason": body.reason,
        }
        failed = body.reason if body.verdict == FAIL else ""
        return self._span(self._id(event.id), self._within, "gate", began, event, said, failed)

    def _moment(self, event: Event) -> Span:
        line = line_of(event)
        said: Attributes = {"what": line.what, "reason": line.reason, "actor": line.actor}
        return self._span(self._id(event.id), self._within, event.body.kind, event.at, event, said)

    def _end_wave(self, event: Event) -> list[Span]:
        found = self._end_orders(event, acknowledged=False)
        if (wave := self._wave) is not None:
            id = self._id(wave.event)
            said: Attributes = {"reason": wave.reason}
            found.append(self._span(id, self._root, wave.name, wave.at, event, said))
        self._wave = None
        return found

    def _end(self, event: Event, body: Finished | Aborted) -> list[Span]:
        if self._over:  # a revert after the end has a span of its own
            return []
        self._over = True
        word = "REVERTED" if self._reverted else body.kind.upper()
        reason = self._reverted or body.reason
        said: Attributes = {"status": word, "reason": reason}
        failed = "" if word == "FINISHED" else f"{word}: {reason}"
        name = f"rollout {self._its['model']}"
        return [self._span(self._root, 0, name, self._created_at, event, said, failed)]

    @property
    def _within(self) -> int:
        return self._root if self._wave is None else self._id(self._wave.event)

    def _of_order(self, order: _Order) -> Attributes:
        sent = order.sent
        alone: Attributes = {"device": sent.device} if sent.device else {}
        said: Attributes = {"target": sent.target, "seq": sent.seq, "devices": sent.known}
        return said | alone

    def _id(self, *of: object) -> int:
        text = " ".join(map(str, of))
        return int.from_bytes(hashlib.sha256(self._key + b"\0" + text.encode()).digest()[:8], "big")

    def _span(
        self,
        id: int,
        parent: int,
        name: str,
        begin: float,
        event: Event,
        said: Attributes | None = None,
        failed: str = "",
    ) -> Span:
        """One that ends with the event; the wall clock may have been set back meanwhile."""
        given = self._its | (said or {})
        attributes = {f"modelwave.{k}": _short(v) for k, v in given.items() if v != ""}
        trace = int.from_bytes(self._key, "big")
        end = max(begin, event.at)
        return Span(trace, id, parent, name, begin, end, attributes, str(_short(failed)))


def _short(value: str | int) -> str | int:
    if isinstance(value, int):
        return value
    return "".join(c if c.isprintable() else "?" for c in value[:MAX_TEXT])
