"""Says in one line what an event of the log means. `rollout log`, `fleet log` and the service's
own log use these words.

An event of a kind that has no words here is called by the name of its kind.
"""

from collections.abc import Sequence
from typing import NamedTuple

from modelwave_controller.phrases import listed, moment, offline_gateways, plural
from modelwave_controller.rollout.events import (
    Aborted,
    AlertGivenUp,
    ApprovalAsked,
    Approved,
    Began,
    Body,
    CertificateMade,
    ClockAccepted,
    Condensed,
    Continued,
    Created,
    DeviceApproved,
    DeviceRevoked,
    DevicesEnrolled,
    EpochBegan,
    Event,
    Finished,
    Forgotten,
    FoundNewer,
    Gated,
    Held,
    InTrouble,
    KeyAway,
    KeyBack,
    Looked,
    NotUnderstood,
    Opened,
    OpenedPart,
    OrderSent,
    Paused,
    Promoted,
    Recovered,
    ReleaseAdded,
    ReleasesSigned,
    Reordered,
    Replaced,
    Reported,
    Restored,
    Resumed,
    Retried,
    RevertAsked,
    Reverted,
    RootPublished,
    StartedNow,
    Tagged,
    TargetAdded,
    TokenMade,
    TokenRevoked,
    TroubleOver,
    Unshadowed,
)

SERVICE, DEVICE, OPERATOR = "service", "device", "operator"

_HELD_BY = {
    "gate": "its gate",
    "format": "devices that cannot read it",
    "nobody": "a stage without devices",
}


class Line(NamedTuple):
    """What happened, and why. `stage` counts from 1; None: it belongs to no stage. `actor` is
    user@host; OPERATOR if the log does not have the name; SERVICE or DEVICE otherwise."""

    what: str
    reason: str
    actor: str
    stage: int | None = None
    device: str = ""


def line_of(event: Event) -> Line:
    body = event.body
    stage = getattr(body, "stage", None)
    return Line(
        what=_what(body),
        reason=_reason(body),
        actor=_actor(body),
        stage=None if stage is None else stage + 1,
        device=getattr(body, "device", ""),
    )


def _what(body: Body | NotUnderstood) -> str:
    match body:
        case Created():
            at = "" if body.start_at is None else f", to begin at {moment(body.start_at)}"
            return f"created: {_release(body)}, {_draw(body)}{at}"
        case Opened():
            return f"stage {body.stage + 1} opened: {_orders(body.orders)}"
        case OpenedPart():
            return f"part of stage {body.stage + 1} opened: {_orders(body.orders)}"
        case Began(stage=stage, begins="soak"):
            return f"enough devices of stage {(stage or 0) + 1} have answered: its soak begins"
        case Began(stage=stage):
            wave = "the revert" if stage is None else f"stage {stage + 1}"
            return f"the broker has the orders of {wave}: its deadline begins"
        case Reported():
            return f"{body.device} answered {body.outcome} to order {body.seq}"
        case Gated():
            return f"gate of stage {body.stage + 1}: {body.verdict}"
        case Looked():
            return f"look {body.look + 1} of stage {body.stage + 1}, after {_windows(body)}"
        case Held():
            return f"held by {_HELD_BY[body.by]}"
        case Continued():
            return "continued by itself"
        case Resumed(accepted=accepted):
            return "resumed, and its gate overruled" if accepted else "resumed"
        case StartedNow():
            return "begins at once, before its start time"
        case ApprovalAsked():
            return f"stage {body.stage + 1} waits for approval"
        case Approved():
            return f"stage {body.stage + 1} approved"
        case Promoted(full=full, forced=forced):
            whom = "and those after it promoted" if full else "promoted"
            return f"stage {body.stage + 1} {whom}{' by force' if forced else ''}"
        case Retried():
            return f"{plural(len(body.devices), 'device')} to be ordered anew"
        case Reordered(settled=True):
            return f"ordered anew for all: {_orders(body.orders)}"
        case Reordered():
            return f"ordered anew: {_orders(body.orders)}"
        case Condensed():
            return f"{plural(body.answers, 'answer')} of devices deleted, their counts kept"
        case Unshadowed():
            return f"shadows ended: {_orders(body.orders) if body.orders else 'orders withdrawn'}"
        case RevertAsked():
            return "revert asked for"
        case Reverted():
            return f"reverted: {_orders(body.orders) if body.orders else 'its orders withdrawn'}"
        case Paused() | Finished() | Aborted():
            return body.kind
        case ClockAccepted():
            return "the controller's clock accepted"
        case Replaced(device=device, models=models):
            return f"device {device} was replaced, or its state deleted: {', '.join(models)} lost"
        case Forgotten():
            return f"device {body.device} forgotten"
        case Tagged():
            changes = [f"+{tag}" for tag in body.added] + [f"-{tag}" for tag in body.removed]
            return f"device {body.device} tagged {' '.join(changes)}"
        case DevicesEnrolled():
            return f"enrolled {_enrolled(body)}"
        case DeviceRevoked():
            return f"device {body.device} revoked"
        case DeviceApproved():
            return f"device {body.device} approved"
        case TokenMade():
            until = moment(body.expires_at)
            return f"access token {body.token} made for {body.name} ({body.role}) until {until}"
        case TokenRevoked():
            return f"access token {body.token} of {body.name} revoked"
        case Restored():
            return f"database restored from a backup of {moment(body.made_at)}"
        case Recovered():
            return f"the next order of {body.model} is above {body.floor}"
        case RootPublished():
            return f"root {body.version} published"
        case ReleaseAdded():
            return (
                f"release {body.release} ({body.version}) of {body.model} for {body.target} added"
            )
        case ReleasesSigned():
            return f"manifests of {body.model} {listed([*map(str, body.releases)])} signed anew"
        case TargetAdded():
            return f"target {body.target} added"
        case CertificateMade():
            names = f" for {', '.join(body.hosts)}" if body.hosts else ""
            return f"certificate of the {body.of} made{names}"
        case FoundNewer():
            return body.told
        case EpochBegan():
            return f"epoch {body.epoch} of the root begins: orders are numbered from 1 on"
        case InTrouble(devices=devices, of=of, back=back):
            return f"{devices} of {of} devices in trouble{' on the way back' if back else ''}"
        case TroubleOver(devices=devices, of=of):
            return f"no longer too many devices in trouble: {devices} of {of}"
        case AlertGivenUp(alert=alert, number=number):
            return f"{plural(number, 'message')} of alert {alert} not sent"
        case KeyAway():
            return "no order can be signed"
        case KeyBack():
            return "orders can be signed again"
        case NotUnderstood():
            return f"{body.kind}: not understood by this modelwave"
    return str(body.kind).replace("_", " ")


def _reason(body: Body | NotUnderstood) -> str:
    if isinstance(body, Resumed):
        return body.accepted
    if isinstance(body, Promoted):
        return "; ".join(part for part in (body.reason, f"skipped {body.skipped}") if part)
    if isinstance(body, Created):
        return _accepted(body)
    if isinstance(body, NotUnderstood):
        return body.problem
    if isinstance(body, Looked):
        found = [f"{f.gate}: {f.verdict}" for f in body.findings if not f.target]
        return "; ".join(found) if body.observed else "no device sends windows"
    if isinstance(body, Opened | OpenedPart) and body.rest:
        return f"{plural(body.rest.devices, 'device')} in further parts"
    if isinstance(body, InTrouble):
        return f"told from {100 * body.share:g} % on{offline_gateways(body.gateways)}"
    if isinstance(body, FoundNewer):
        return f"`modelwave recover {body.model}`"
    return str(getattr(body, "reason", ""))


def _accepted(created: Created) -> str:
    """Returns what the operator let pass at the start, and why."""
    named = (
        ("bans are lifted", created.lift_ban),
        ("starts with a gate that it cannot judge", created.accept_blind),
    )
    return "; ".join(f"{what}: {why}" for what, why in named if why)


def _actor(body: Body | NotUnderstood) -> str:
    if isinstance(body, Reported | Replaced):
        return DEVICE
    actor = getattr(body, "actor", None)
    return SERVICE if actor is None else actor or OPERATOR


def _windows(body: Looked) -> str:
    return plural(body.windows, "window")


def _release(created: Created) -> str:
    first = next(iter(created.releases.values()), None)
    named = f"release {first.release} ({first.version})" if first else "no release"
    return f"{created.model} {named} for {', '.join(sorted(created.releases))}"


def _draw(created: Created) -> str:
    if created.seed is None:
        return f"slots from {created.start_slot} on"
    return f"slots drawn by seed {created.seed}"


def _enrolled(body: DevicesEnrolled) -> str:
    more = [f"and {body.number - len(body.first)} more"] if body.number > len(body.first) else []
    renewed = f" ({body.renewed} with new secrets)" if body.renewed else ""
    return f"{plural(body.number, 'device')}{renewed}: {', '.join([*body.first, *more])}"


def _orders(orders: Sequence[OrderSent]) -> str:
    if not orders:
        return "no order was needed"
    seqs = [order.seq for order in orders]
    numbers = f"order {seqs[0]}" if len(seqs) == 1 else f"orders {min(seqs)} to {max(seqs)}"
    return f"{numbers} for {plural(sum(order.known for order in orders), 'known device')}"
