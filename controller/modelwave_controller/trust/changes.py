"""Says in words what a root says, what changes from one root to the next, and what is doubtful
about it. Pure.

Nothing may be signed that is not shown: what this program has no words for is shown as it stands
in the document.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from modelwave_controller.trust.drafts import ROLES, Half
from modelwave_shared import documents

Document = dict[str, Any]
MAX_SHOWN = 400  # characters of a field without words of its own
_DAY_SECONDS = 86400  # how far the clocks of two operators may differ
_SOON_SECONDS = 30 * _DAY_SECONDS
_KNOWN = ("v", "version", "fleet", "epoch", "keys", "roles", "minimum", "expires", "extra")
_KNOWN_EXTRA = ("issued", "file_hosts")


def changes(old: Document, new: Document) -> list[str]:
    """Returns what changes, a line each."""
    return list(_changes(old, new))


def _changes(old: Document, new: Document) -> Iterator[str]:
    for role in ROLES:
        yield from _of_role(role, old, new)
    before, after = old["epoch"], new["epoch"]
    if before != after:
        yield (
            f"epoch: {before} → {after}: order numbers, signed times and bans begin anew on every "
            "device; all orders of before are refused"
        )
    for model in sorted({*old["minimum"], *new["minimum"]}):
        was, least = old["minimum"].get(model), new["minimum"].get(model)
        if was != least:
            told = f"devices take releases from {least} on" if least else "there is none any more"
            yield f"minimum of {model}: {was or 'none'} → {least or 'none'}: {told}"
    was_hosts, hosts = (_extra(root).get("file_hosts") for root in (old, new))
    if was_hosts != hosts:
        yield f"hosts that files may come from: {_hosts(was_hosts)} → {_hosts(hosts)}"
    if old.get("expires") != new.get("expires"):
        yield f"expires: {when(old.get('expires'))} → {when(new.get('expires'))}"
    yield from _others("root.", old, new, _KNOWN)
    yield from _others("root.extra.", _extra(old), _extra(new), _KNOWN_EXTRA)


def _of_role(role: str, old: Document, new: Document) -> Iterator[str]:
    was, now = old["roles"][role], new["roles"][role]
    keys_before = {k: old["keys"][k] for k in was["keyids"]}
    keys_after = {k: new["keys"][k] for k in now["keyids"]}
    for keyid, public in keys_before.items():
        if keys_after.get(keyid) != public:
            yield f"{role} key {keyid} is removed: what it signs counts for nothing from then on"
    for keyid, public in keys_after.items():
        if keys_before.get(keyid) != public:
            yield f"{role} key {keyid} is added (public key {public})"
    before = f"{was['threshold']} of {len(was['keyids'])}"
    after = f"{now['threshold']} of {len(now['keyids'])}"
    if before != after:
        yield f"{role} keys that must sign: {before} → {after}"


def _others(start: str, old: Document, new: Document, known: tuple[str, ...]) -> Iterator[str]:
    """Yields the fields that this program has no words for, and that differ."""
    for field in sorted({*old, *new} - {*known}):
        if old.get(field) != new.get(field):
            yield f"{start}{field}: {_shown(old.get(field))} → {_shown(new.get(field))}"


def warnings(old: Document, new: Document, now: float) -> list[str]:
    """Returns what may be a mistake, a line each; `now` is in Unix seconds."""
    return list(_warnings(old, new, now))


def _warnings(old: Document, new: Document, now: float) -> Iterator[str]:
    expires = new.get("expires")
    if expires is not None and expires <= now:
        yield f"it expired at {when(expires)}: devices take no order under it"
    elif expires is not None and expires < now + _SOON_SECONDS:
        yield f"it expires soon, at {when(expires)}: from then on devices take no order under it"
    yield from _of_date(old, new, now)
    for model, least in sorted(old["minimum"].items()):
        if new["minimum"].get(model, 1) < least:
            yield f"the minimum of {model} is lowered: releases that were withdrawn may come back"
    root = new["roles"]["root"]
    if root["threshold"] == 1:
        yield "one root key alone may replace all keys of the fleet"
    if len(root["keyids"]) == root["threshold"]:
        yield "all root keys must sign: if one is lost, no root can follow this one"
    for keyid in root["keyids"]:
        if keyid in new["roles"]["order"]["keyids"]:
            yield f"root key {keyid} signs orders too: it lies where the service runs"
    shared = {*new["roles"]["release"]["keyids"]} & {*new["roles"]["order"]["keyids"]}
    if shared:
        keyids = ", ".join(sorted(shared))
        yield f"key {keyids} signs releases and orders: who takes it ships models"
    if not (set(old["roles"]["root"]["keyids"]) & set(root["keyids"])):
        yield "no root key stays: keys of both roots must sign"


def _of_date(old: Document, new: Document, now: float) -> Iterator[str]:
    """A device without a clock takes the date of its root for the time that has passed."""
    before, issued = (_extra(root).get("issued", 0) for root in (old, new))
    if issued > now + _DAY_SECONDS:
        yield (
            f"it says that it was made at {when(issued)}, which is to come: devices without a "
            "clock take no order that expires before"
        )
    elif issued < before:
        made = f"was made at {when(issued)}" if issued else "has no date of its own"
        yield (
            f"it says that it {made}, before root {documents.root_version(old)} was made: devices "
            "without a clock may take orders that have expired"
        )


def lacking(halves: tuple[Half, Half]) -> list[str]:
    """Returns which signatures are still needed, a line each."""
    before, after = halves
    if before.lacking and before[1:] == after[1:]:
        return [_lacking(before, f"root {before.version} and root {after.version}")]
    return [_lacking(half, f"root {half.version}") for half in halves if half.lacking]


def _lacking(half: Half, what: str) -> str:
    return (
        f"{half.lacking} more of the root keys of {what} must sign: one of "
        f"{', '.join(half.left) or 'none is left'}"
    )


def when(seconds: int | None) -> str:
    """Returns a moment in UTC; "never" for None."""
    if seconds is None:
        return "never"
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
    except (OverflowError, ValueError, OSError):
        return f"second {seconds}"


def facts(root: Document) -> list[tuple[str, str]]:
    """Returns (field, words) of what a root says."""
    rows = [
        ("fleet", str(root["fleet"])),
        ("root", f"version {documents.root_version(root)}"),
        ("epoch", str(root["epoch"])),
    ]
    for role in ROLES:
        held = root["roles"][role]
        keyids = ", ".join(held["keyids"])
        rows.append((f"{role} keys", f"{held['threshold']} of {len(held['keyids'])}: {keyids}"))
    least = ", ".join(f"{m} from {n} on" for m, n in sorted(root["minimum"].items()))
    rows.append(("minimum", least or "none: every signed release may run"))
    rows.append(("file hosts", _hosts(_extra(root).get("file_hosts"))))
    issued = _extra(root).get("issued")
    rows.append(("issued", "not said" if issued is None else when(issued)))
    rows.append(("expires", when(root.get("expires"))))
    return rows


def held_keys(root: Document) -> list[str]:
    """Returns the whole public keys of a root, a line each: a key with the id of another one can be
    found by trying for a day."""
    return [
        f"{role} key {keyid}: {root['keys'][keyid]}"
        for role in ROLES
        for keyid in root["roles"][role]["keyids"]
    ]


def _extra(root: Document) -> Document:
    return dict(root.get("extra", {}))


def _hosts(hosts: list[str] | None) -> str:
    return ", ".join(hosts) if hosts else "none"


def _shown(value: Any) -> str:
    text = "absent" if value is None else repr(value)
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + " …"
