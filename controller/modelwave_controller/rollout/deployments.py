"""Computes from the log which device ran which release when.

The log has what devices answered to orders, so a time is that of an answer:

    live     from SUCCEEDED, until SUCCEEDED of another release; until the device is replaced, wiped
             or forgotten; or until it takes the same one anew, as it does when it lost the file
    trial    a release that was put on trial and went back: from the first IN_PROGRESS, which also
             says that it is fetched, until ROLLED_BACK; the one before it stays live in the table
    shadow   a release beside the live one: from the first IN_PROGRESS until SHADOWED

A trial or shadow without IN_PROGRESS begins with its order. A trial that ends well is the beginning
of live. Answers that ran nothing, such as REJECTED, make no row. In memory are the orders, and for
each device what it runs: not the answers.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from modelwave_controller.results.deployments import Deployment
from modelwave_controller.rollout.events import (
    IN_PROGRESS,
    Created,
    Event,
    Forgotten,
    Opened,
    OpenedPart,
    OrderSent,
    Release,
    Reordered,
    Replaced,
    Reported,
    RevertAsked,
    Reverted,
    Unshadowed,
)
from modelwave_shared.words import FAILED, ROLLED_BACK, SHADOWED, SUCCEEDED

LIVE, TRIAL, SHADOW = "live", "trial", "shadow"
REPLACED = "device replaced, or its state deleted"
TAKEN_ANEW = "taken anew, as its file was lost"
SERVICE = "service"


@dataclass(frozen=True, slots=True)
class _Order:
    rollout: int
    seq: int
    model: str
    target: str
    release: Release
    at: float
    purpose: str
    by: str

    def ran(self, device: str, how: str, begin: float, end: float | None, why: str) -> Deployment:
        release = self.release
        return Deployment(
            device=device,
            target=self.target,
            model=self.model,
            release=release.release,
            version=release.version,
            manifest=release.manifest,
            ran=how,
            begin=begin,
            end=end,
            ended_by=why,
            rollout=self.rollout,
            order=self.seq,
            purpose=self.purpose,
            ordered_at=self.at,
            ordered_by=self.by,
        )


class _Since(NamedTuple):
    order: _Order
    begin: float


class Deployments:
    """Takes the events of the log, oldest first. `unknown`: answers to orders that it lacks."""

    def __init__(self) -> None:
        self.unknown = 0
        self._rollouts: dict[int, tuple[str, str]] = {}  # model, and who started it
        self._reverts: dict[int, str] = {}  # who asked for it
        self._orders: dict[tuple[int, int], _Order] = {}  # by rollout and number
        self._live: dict[str, dict[str, _Since]] = defaultdict(dict)  # by device and model
        self._begun: dict[tuple[str, str], _Since] = {}  # orders in progress

    def take(self, event: Event) -> list[Deployment]:
        """Returns the deployments that end with this event."""
        body = event.body
        match body:
            case Created():
                self._rollouts[event.rollout] = body.model, body.actor
            case RevertAsked():
                self._reverts[event.rollout] = body.actor
            case Opened() | OpenedPart():
                self._sent(event, body.orders, f"stage {body.stage + 1}")
            case Reordered():
                self._sent(event, body.orders, "ordered anew")
            case Unshadowed():
                self._sent(event, body.orders, "shadow ended")
            case Reverted():
                self._sent(event, body.orders, "revert", self._reverts.get(event.rollout, SERVICE))
            case Reported():
                return self._answered(event, body)
            case Replaced():
                return self._gone(body.device, body.models, event.at, REPLACED)
            case Forgotten():
                why = f"forgotten by {body.actor}" if body.actor else "forgotten"
                return self._gone(body.device, list(self._live.get(body.device, ())), event.at, why)
        return []

    def running(self) -> Iterator[Deployment]:
        """Yields those that have not ended, by device and model."""
        for device in sorted(self._live):
            for _, since in sorted(self._live[device].items()):
                yield since.order.ran(device, LIVE, since.begin, None, "")

    def _sent(
        self, event: Event, orders: list[OrderSent], purpose: str, by: str | None = None
    ) -> None:
        model, starter = self._rollouts.get(event.rollout, ("", ""))
        for one in orders:
            self._orders[event.rollout, one.seq] = _Order(
                rollout=event.rollout,
                seq=one.seq,
                model=model,
                target=one.target,
                release=one.release,
                at=event.at,
                purpose=f"shadow, {purpose}" if one.shadow else purpose,
                by=starter if by is None else by,
            )

    def _answered(self, event: Event, body: Reported) -> list[Deployment]:
        order = self._orders.get((event.rollout, body.seq))
        if order is None:
            self.unknown += 1
            return []
        key = (body.device, order.model)
        if body.outcome == IN_PROGRESS:
            if self._begin_of(key, order) is None:
                self._begun[key] = _Since(order, event.at)
            return self._lost(body.device, order, event.at, TAKEN_ANEW)
        begin = self._begin_of(key, order) or order.at
        self._begun.pop(key, None)
        if body.outcome == SUCCEEDED:
            return self._confirmed(body.device, order, event.at)
        if body.outcome == SHADOWED:
            return [order.ran(body.device, SHADOW, begin, event.at, body.outcome)]
        found: list[Deployment] = []
        if body.outcome in (FAILED, ROLLED_BACK):
            found += self._lost(body.device, order, event.at, body.outcome)
        if body.outcome == ROLLED_BACK:
            found.append(order.ran(body.device, TRIAL, begin, event.at, body.outcome))
        return found

    def _begin_of(self, key: tuple[str, str], order: _Order) -> float | None:
        """Returns when the device said first that it does this order; None: it has not yet."""
        begun = self._begun.get(key)
        return begun.begin if begun and begun.order is order else None

    def _confirmed(self, device: str, order: _Order, at: float) -> list[Deployment]:
        before = self._live[device].get(order.model)
        if before and before.order.release.manifest == order.release.manifest:
            return []
        self._live[device][order.model] = _Since(order, at)
        if before is None:
            return []
        why = f"release {order.release.release}"
        return [before.order.ran(device, LIVE, before.begin, at, why)]

    def _lost(self, device: str, order: _Order, at: float, why: str) -> list[Deployment]:
        """Ends the release if it is that of the order: it does not run, as it is to be taken."""
        before = self._live[device].get(order.model)
        if not before or before.order.release.manifest != order.release.manifest:
            return []
        del self._live[device][order.model]
        return [before.order.ran(device, LIVE, before.begin, at, why)]

    def _gone(self, device: str, models: list[str], at: float, why: str) -> list[Deployment]:
        live = self._live.get(device, {})
        ended = [live.pop(model) for model in models if model in live]
        return [since.order.ran(device, LIVE, since.begin, at, why) for since in ended]
