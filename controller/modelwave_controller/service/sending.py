"""Signs the orders of a rollout, and puts them into the outbox."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert

from modelwave_controller.releases.delta_offers import model_sha256, with_offers
from modelwave_controller.rollout import cohorts, formats, slot_sets
from modelwave_controller.rollout.events import Cleared, OrderSent, Release
from modelwave_controller.rollout.facts import Population
from modelwave_controller.rollout.slot_sets import EVERY_SLOT, contains, ranges_of
from modelwave_controller.rollout.state import Rollout, State
from modelwave_controller.storage import ahead, outbox, retained, soundness
from modelwave_controller.storage.soundness import InHome
from modelwave_controller.storage.tables import orders
from modelwave_controller.trust import keys
from modelwave_controller.trust.documents import Root, of_our_format, view
from modelwave_controller.trust.keys import Signer
from modelwave_shared import topics
from modelwave_shared.deltas import Offer
from modelwave_shared.maintenance import in_extra
from modelwave_shared.words import ORDER

Deltas = Callable[[str, str], Sequence[Offer]]


class Issuer:
    """The root, signing key and file URLs for new orders. While the service runs, a new root or key
    may take the place of those (roots_in_use.py)."""

    def __init__(
        self,
        document: dict[str, Any],
        key: Signer,
        urls: Sequence[str],
        in_home: InHome = lambda _model, _release, _target: None,
        deltas: Deltas = lambda _target, _model: [],
    ) -> None:
        """`document` is the newest root. `in_home` is asked for manifests that it does not trust as
        they are signed in the database. `deltas(target, sha256)` returns those for the model with
        this sha256, the best one first."""
        self.urls = urls
        self.in_home = in_home
        self.deltas = deltas
        self.take(document, key)

    def take(self, document: dict[str, Any], key: Signer) -> None:
        self.document = document
        self.root = view(Root, document)
        self.key = key
        self.trouble = ""  # why nothing may be signed now


@dataclass(frozen=True)
class Sender:
    """Sends the orders of one rollout in one tick, within its transaction."""

    connection: Connection
    issuer: Issuer
    state: State
    rollout: Rollout
    known: Population
    now: float  # Unix seconds

    def send(
        self,
        target: str,
        release: Release,
        slots: Sequence[int],
        quiet: bool = False,
        shadow: bool = False,
    ) -> list[OrderSent]:
        """Orders `release` for the slots: one order, or several with few slot ranges each if a
        known device in the slots reads no other. `quiet`: it says again what earlier orders have
        said. It lifts no ban, and answers that a device runs the release already are not logged.
        `shadow`: it runs beside the live one."""
        ranges = ranges_of(slots)
        most = formats.most_ranges(self.known.reads(target, set(slots)))
        return [
            self._send_slots(target, release, ranges[start : start + most], quiet, shadow)
            for start in range(0, len(ranges), most)
        ]

    def send_alone(
        self, target: str, release: Release, slot: int, device: str, shadow: bool = False
    ) -> OrderSent:
        """Orders `release` for one device, on its own topic."""
        place = [[slot, slot]]
        seq, message = self._signed(target, release, {"device": device}, False, shadow, place)
        topic = topics.desired_device(self.fleet, device, self.rollout.model)
        outbox.put(self.connection, [topic], message)
        return OrderSent(
            target=target,
            seq=seq,
            release=release,
            slots=place,
            known=1,
            device=device,
            shadow=shadow,
            epoch=self.issuer.root.epoch,
        )

    def clear(self, target: str, slots: Sequence[int]) -> Cleared:
        """Clears the topics of the slots, and of the devices in them: no order is wanted there."""
        ranges = ranges_of(slots)
        self._clear(target, ranges)
        known = cohorts.count_devices(self.known.counts(target), ranges)
        return Cleared(target=target, slots=ranges, known=known)

    def clear_alone(self, target: str, slot: int, device: str) -> Cleared:
        """Clears the topic of a device's own order."""
        topic = topics.desired_device(self.fleet, device, self.rollout.model)
        outbox.put(self.connection, [topic], b"")
        return Cleared(target=target, slots=[[slot, slot]], known=1, device=device)

    def clear_all(self, target: str) -> None:
        """Clears the topic of the order for all slots, if it holds one."""
        topic = topics.desired_all(self.fleet, target, self.rollout.model)
        if retained.on(self.connection, [topic]):
            outbox.put(self.connection, [topic], b"")

    @property
    def fleet(self) -> str:
        return self.issuer.root.fleet

    def _send_slots(
        self, target: str, release: Release, ranges: list[list[int]], quiet: bool, shadow: bool
    ) -> OrderSent:
        """Signs an order for slots. It is put on the topics of the slots with known devices, and of
        those that hold an older order; on the one topic for all if it names all slots."""
        whom, v = {"slots": slot_sets.named(ranges)}, slot_sets.format_of(ranges)
        seq, message = self._signed(target, release, whom, quiet, shadow, ranges, v)
        counts, model = self.known.counts(target), self.rollout.model
        if ranges == EVERY_SLOT:
            self._clear(target, ranges)
            found = [topics.desired_all(self.fleet, target, model)]
        else:
            self._clear_devices(target, ranges)
            held = retained.slots_held(self.connection, self.fleet, target, model)
            slots = sorted(slot for slot in {*counts, *held} if contains(ranges, slot))
            found = [topics.desired_slot(self.fleet, target, model, slot) for slot in slots]
        outbox.put(self.connection, found, message)
        known = cohorts.count_devices(counts, ranges)
        return OrderSent(
            target=target,
            seq=seq,
            release=release,
            slots=ranges,
            known=known,
            shadow=shadow,
            epoch=self.issuer.root.epoch,
        )

    def _signed(
        self,
        target: str,
        release: Release,
        whom: dict[str, Any],
        quiet: bool,
        shadow: bool,
        ranges: list[list[int]],
        v: int = 1,
    ) -> tuple[int, bytes]:
        """Signs an order of format version `v` and keeps it; `whom` is its slots or its device,
        which is in `ranges`. Returns its number and its message."""
        model, seq = self.rollout.model, self._next_seq()
        plan = self.rollout.created.plan
        manifest = soundness.manifest(
            self.connection, self.issuer.document, self.issuer.in_home, target, model, release
        )
        order = (
            {
                "fleet": self.fleet,
                "target": target,
                "model": model,
                "epoch": self.issuer.root.epoch,
                "seq": seq,
                "manifest": release.manifest,
                "urls": list(self.issuer.urls),
                "issued": int(self.now),
                "expires": int(self.now) + plan.expires_seconds,
                "trial": {"seconds": plan.trial.seconds, "inferences": plan.trial.inferences},
                "shadow": shadow,
            }
            | whom
            | self._extra(target, release, quiet, shadow, manifest)
        )
        payload = keys.canonical(of_our_format(ORDER, order, v))
        envelope = keys.sign(ORDER, payload, [self.issuer.key])
        message = envelope + b"\n" + manifest
        self.connection.execute(
            insert(orders).values(
                model=model,
                seq=seq,
                epoch=order["epoch"],
                rollout=self.rollout.id,
                target=target,
                manifest=release.manifest,
                slots=json.dumps(ranges),
                message=outbox.keep_blob(self.connection, message),
                device=whom.get("device", ""),
                issued=order["issued"],
                expires=order["expires"],
                quiet=quiet,
                shadow=shadow,
            )
        )
        return seq, message

    def _extra(
        self, target: str, release: Release, quiet: bool, shadow: bool, manifest: bytes
    ) -> dict[str, Any]:
        """Returns the field `extra`, if the order needs it: old agents do not know it. A ban of the
        release to which a rollout reverts stays. So does one in spite of a `quiet` order: the
        device may have banned the release after it was given another try. A revert waits for no
        maintenance window."""
        created, extra = self.rollout.created, dict[str, Any]()
        if allowed := created.plan.trial.max_failed_ppm:
            extra["max_failed_ppm"] = allowed
        if created.lift_ban and not quiet and release == created.releases[target]:
            extra["lift_ban"] = True
        if shadow:
            assert created.plan.shadow is not None, "the plan was checked"
            extra["shadow"] = created.plan.shadow.in_order
        if created.plan.maintenance and release == created.releases[target]:
            extra |= in_extra(created.plan.maintenance.week)
        if offers := self.issuer.deltas(target, model_sha256(manifest)):
            extra = with_offers(extra, offers)
        return {"extra": extra} if extra else {}

    def _clear(self, target: str, ranges: list[list[int]]) -> None:
        """Clears what the topics of the slots, and of the devices in them, hold."""
        self._clear_devices(target, ranges)
        model = self.rollout.model
        found = [
            topics.desired_slot(self.fleet, target, model, slot)
            for slot in retained.slots_held(self.connection, self.fleet, target, model)
            if contains(ranges, slot)
        ]
        outbox.put(self.connection, found, b"")

    def _clear_devices(self, target: str, ranges: list[list[int]]) -> None:
        """Clears the topics of the devices in the slots that have an older order of their own."""
        model = self.rollout.model
        alone = self.state.alone_in(model, target, ranges)
        found = [topics.desired_device(self.fleet, device, model) for device in alone]
        outbox.put(self.connection, found, b"")

    def _next_seq(self) -> int:
        """Returns the next sequence number of the model in this epoch, above its floor; a failed
        tick leaves a gap. It depends only on the controller's own orders, because forged reports
        could use the numbers up. The table also has the orders whose events are not understood."""
        model, epoch, state = self.rollout.model, self.issuer.root.epoch, self.state
        given = ahead.newest_given(self.connection, model, epoch)
        used = state.seqs.get(model, 0) if state.epochs.get(model, 0) == epoch else 0
        state.seqs[model], state.epochs[model] = max(given, used) + 1, epoch
        return state.seqs[model]
