"""Says in words what is known of a device: for the command and for the page.

`device` is an entry as in device_entries.py, `now` in Unix seconds.
"""

from typing import Any

from modelwave_controller.operations import gateway_words
from modelwave_controller.phrases import clones, moment, plural, span
from modelwave_controller.results.devices import VIEW_TROUBLES


def presence(device: dict[str, Any], now: float) -> str:
    if device["online"] is None:
        return "unknown"
    if device["silent_since"] is not None:
        return f"silent for {span(now - device['silent_since'])}"
    return "online" if device["online"] else "offline"


def presence_and_why(device: dict[str, Any], now: float) -> str:
    """Returns the presence; of a device whose gateway is down, with that reason."""
    found, why = presence(device, now), gateway_words.why(device)
    return f"{found}: {why}" if why else found


def target_of(entry: dict[str, Any]) -> str | None:
    """Returns the target that a device reported, or else that it was enrolled with."""
    enrolment = entry["enrolment"] or {}
    found: str | None = entry.get("target", enrolment.get("target"))
    return found


def shown_target(entry: dict[str, Any]) -> str:
    """Returns the target, or what else it is known to be."""
    if entry["speaks_for"] is not None:
        return "gateway"
    return target_of(entry) or "unknown"


def doing(model: dict[str, Any], seen_at: float, now: float) -> str:
    """Returns the state of one of a device's models, and its tries: "fetching, 3 tries, next in
    40 s". `seen_at` is when the device reported it."""
    if not model["tries"]:
        return str(model["state"])
    left = seen_at + model["next_seconds"] - now
    then = f"next in {span(left)}" if left > 0 else "next one is due"
    return f"{model['state']}, {model['tries']} {'try' if model['tries'] == 1 else 'tries'}, {then}"


def facts(device: dict[str, Any], now: float) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = [
        ("device", device["device"]),
        ("presence", presence_and_why(device, now)),
        ("enrolled", _enrolment(device)),
    ]
    if device["speaks_for"] is not None:
        rows.append(("gateway of", plural(device["speaks_for"], "device")))
    if "target" in device:
        runtimes = (f"{name} {version}".strip() for name, version in device["runtimes"].items())
        rows += [
            ("target", device["target"]),
            *([("gateway", gateway_words.of(device))] if device["via"] else []),
            ("slot", device["slot"]),
            ("tags", ", ".join(device["tags"]) or "none"),
            ("last report", f"{span(now - device['seen_at'])} ago, {moment(device['seen_at'])}"),
            ("boot, report", f"{device['boot']}, {device['n']}"),
            ("agent", device["agent"]),
            ("reads", ", ".join(f"{kind} v {v}" for kind, v in device["reads"].items())),
            ("free flash", f"{device['free_flash']:,} bytes"),
            ("free RAM", f"{device['free_ram']:,} bytes, largest piece"),
            ("runtimes", ", ".join(runtimes) or "none"),
            ("accelerator", device["accelerator"] or "none"),
        ]
        if device["root"]:
            rows.append(("root", f"version {device['root']}"))
        if device["view"]:
            rows.append(("view of orders", _view(device["view"])))
        if device["install"]:
            rows.append(("install", device["install"]))
        if device["replaced_at"]:
            at = moment(device["replaced_at"])
            ago = span(now - device["replaced_at"])
            rows.append(("replaced", f"at {at}, {ago} ago: it began with an empty state"))
        if device["cloned"]:
            ignored = plural(device["clones"], "report")
            rows.append(
                (
                    "clone",
                    f"{clones([device['device']])}; {ignored} of the other one ignored. If the "
                    "other one is the right one and this one is gone: modelwave device forget "
                    f"{device['device']}",
                )
            )
        if device["refused"]:
            is_board = gateway_words.of_its_board(device)
            rows.append(("board" if is_board else "last refusal", device["refused"]))
        if device["stale"]:
            rows.append(
                (
                    "old reports",
                    f"{device['stale']} older than this one were ignored; if the device was "
                    f"reinstalled, run: modelwave device forget {device['device']}",
                )
            )
    if device["proven"] is not None:
        rows.append(("proven", "its last report" if device["proven"] else "no"))
    if device["unproven"]:
        said = device["unproven"]
        when = span(now - said["at"])
        rows.append(("not proven", f"{said['count']}; {when} ago: {said['reason']}"))
    if device["bad"]:
        bad = device["bad"]
        when = span(now - bad["at"])
        rows.append(("ignored", f"{bad['count']}; {when} ago: {bad['reason']}"))
    return rows


def _view(word: str) -> str:
    return f"{word}: {VIEW_TROUBLES[word]}" if word in VIEW_TROUBLES else word


def _enrolment(device: dict[str, Any]) -> str:
    found = device["enrolment"]
    if not found:
        return f"no; {device['trouble']}" if device["waiting"] else "no"
    if found["revoked_at"]:
        return f"revoked at {moment(found['revoked_at'])}"
    if not found["generation"]:
        return f"no; approved at {moment(found['approved_at'])}"
    at = f"as {found['target'] or 'a gateway'} at {moment(found['enrolled_at'])}"
    is_heard = "target" in device or (device["gateway"] and device["gateway"]["since"])
    return at if is_heard else f"{at}; never heard"
