"""What each page shows: asks the calls that it is made of, and returns the values of its template.

A view gets the fields of the path and the query as texts; the calls check them.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from modelwave_controller.api import devices as device_calls
from modelwave_controller.api import fleet as fleet_calls
from modelwave_controller.api import models as model_calls
from modelwave_controller.api import releases as release_calls
from modelwave_controller.api import rollouts as rollout_calls
from modelwave_controller.api import starts as start_calls
from modelwave_controller.api.call import Call
from modelwave_controller.errors import OperatorError, TrustError
from modelwave_controller.operations import device_words, gateway_words, troubles
from modelwave_controller.operations.device_words import doing
from modelwave_controller.results.models import Arena
from modelwave_controller.rollout.state import FINAL
from modelwave_controller.web.page import acts, forms, pasts, shelf, start_fields, tiles
from modelwave_controller.web.page.asking import Asking
from modelwave_shared.words import OUTCOMES

DEVICES, ROLLOUTS, RELEASES = 100, 100, 50  # of a page
EVENTS, MORE_EVENTS = "100", "1000"
NEWEST_EVENTS = 12  # beside something else
FILTERS = ("named", "target", "tag", "model", "not_on", "gateway", "outcome", "offline", "trouble")

Fields = Mapping[str, str]
Values = dict[str, Any]


class View(NamedTuple):
    """A page: its path, its template, the call that it cannot be without, and what makes its
    values."""

    path: str
    template: str
    needs: Call[Any, Any]
    values: Callable[[Asking, Fields, Fields], Values]


def fleet(asking: Asking, _path: Fields, _query: Fields) -> Values:
    found = asking.ask(fleet_calls.STATUS)
    every = asking.ask(rollout_calls.LIST)
    return {
        "fleet": found,
        "troubles": troubles.of(found),
        "under_way": [one for one in reversed(every) if one.status not in FINAL],
        "events_of_all": asking.ask(fleet_calls.LOG, limit=NEWEST_EVENTS).entries[::-1],
    }


def rollouts(asking: Asking, _path: Fields, query: Fields) -> Values:
    every = asking.ask(rollout_calls.LIST)[::-1]
    before = query.get("before", "")
    if before.isdecimal():
        every = [one for one in every if one.rollout < int(before[:18])]
    return {
        "rollouts": every[:ROLLOUTS],
        "more": len(every) > ROLLOUTS,
        "may_start": asking.may(start_calls.START),
    }


def rollout(asking: Asking, path: Fields, _query: Fields) -> Values:
    status = asking.ask_text(rollout_calls.STATUS, {"rollout": path["rollout"]})
    events = asking.ask(fleet_calls.LOG, rollout=str(status.rollout), limit=NEWEST_EVENTS)
    return {
        "status": status,
        "ladder": tiles.ladder(status),
        "tiles": tiles.tiles(status),
        "acts": acts.offered(status, asking.person),
        "approves_not": acts.approves_not(status, asking.person),
        "newest": events.entries[::-1],
        "done_words": acts.DONE,
    }


def start(asking: Asking, _path: Fields, query: Fields) -> Values:
    known = _known_releases(asking)
    return {
        "models": sorted({one["model"] for one in known}),
        "releases": [one for one in known if one["model"] == query.get("model", one["model"])],
        "given": {name: query.get(name, "") for name in start_fields.FIELDS},
        "default_stages": start_fields.STAGES,
        "most_characters": start_fields.MAX_PLAN_CHARACTERS,
        "beside": start_fields.beside,
        "preview": None,
        "may_start": asking.may(start_calls.START),
        "here": "rollouts",
    }


def _known_releases(asking: Asking) -> list[dict[str, Any]]:
    """Returns manifests of releases that a person may choose from; others are typed."""
    try:
        found = asking.ask(release_calls.LIST, limit=RELEASES).releases
    except (OperatorError, TrustError):  # they are told of one that is started
        return []
    return list(
        {(one.manifest["model"], one.manifest["release"]): one.manifest for one in found}.values()
    )


def devices(asking: Asking, _path: Fields, query: Fields) -> Values:
    fields = {name: query.get(name, "").strip() for name in (*FILTERS, "after")}
    found = asking.ask_text(device_calls.LIST, fields | {"limit": str(DEVICES)})
    last = found.devices[-1]["device"] if found.devices else ""
    return {
        "page": found,
        "filters": {name: fields[name] for name in FILTERS if fields[name]},
        "after": fields["after"],
        "next": last if found.more else "",
        "per_page": DEVICES,
        "outcomes": OUTCOMES,
        "presence": device_words.presence,
        "target_of": device_words.shown_target,
        "gateway_of": gateway_words.of,
        "with_gateways": any(one.get("via") for one in found.devices),
        "done_words": acts.DONE_WITH_DEVICES,
        "now": asking.now,
    }


def device(asking: Asking, path: Fields, _query: Fields) -> Values:
    found = asking.ask_text(device_calls.SHOW, {"device": path["device"]})
    past = asking.ask(device_calls.HISTORY, device=found["device"])
    return {
        "device": found,
        "past": past,
        "measured": pasts.measured(past.windows),
        "may_act": "target" in found and asking.may(device_calls.TAG),
        "remove": forms.REMOVE,
        "done_words": acts.DONE_WITH_DEVICES,
        "doing": doing,
        "presence": device_words.presence,
        "why_silent": gateway_words.why(found),
        "facts": device_words.facts,
        "now": asking.now,
    }


def log(asking: Asking, _path: Fields, query: Fields) -> Values:
    fields = {name: query.get(name, "").strip() for name in ("rollout", "answers")}
    fields["limit"] = MORE_EVENTS if query.get("limit") == MORE_EVENTS else EVENTS
    found = asking.ask_text(fleet_calls.LOG, fields)
    return {"page": found, "entries": found.entries[::-1], "asked": fields}


def models(asking: Asking, _path: Fields, _query: Fields) -> Values:
    return {"models": asking.ask(model_calls.LIST)}


def model(asking: Asking, path: Fields, query: Fields) -> Values:
    fields = {"model": path["model"], "before": query.get("before", ""), "limit": str(RELEASES)}
    return {"found": asking.ask_text(model_calls.SHOW, fields), "before": fields["before"]}


def release(asking: Asking, path: Fields, query: Fields) -> Values:
    which = {"model": path["model"], "release": path["release"]}
    standing = asking.ask_text(model_calls.STANDING, which)
    manifests = asking.ask_text(release_calls.SHOW, which)
    every = asking.ask(rollout_calls.LIST)
    targets = [shelf.target(*both) for both in zip(standing, manifests, strict=True)]
    chosen = query.get("arena", "") or next((t.name for t in targets if t.is_board), "")
    number = targets[0].manifest.release
    return {
        "model": path["model"],
        "release": number,
        "version": targets[0].manifest.version,
        "targets": targets,
        "may_start": asking.may(start_calls.START),
        "rollouts": [
            one for one in every[::-1] if (one.model, one.release) == (path["model"], number)
        ],
        "arena": _arena(asking, which, chosen) if chosen else None,
    }


def _arena(asking: Asking, which: dict[str, str], target: str) -> Arena:
    return asking.ask_text(model_calls.ARENA, which | {"target": target, "wait": "false"})


VIEWS = (
    View("/", "fleet.html", fleet_calls.STATUS, fleet),
    View("/rollouts", "rollouts.html", rollout_calls.LIST, rollouts),
    View("/start", "start.html", start_calls.DRY_RUN, start),
    View("/rollouts/{rollout}", "rollout.html", rollout_calls.STATUS, rollout),
    View("/releases", "models.html", model_calls.LIST, models),
    View("/releases/{model}", "model.html", model_calls.SHOW, model),
    View("/releases/{model}/{release}", "release.html", model_calls.STANDING, release),
    View("/devices", "devices.html", device_calls.LIST, devices),
    View("/devices/{device}", "device.html", device_calls.SHOW, device),
    View("/log", "log.html", fleet_calls.LOG, log),
)
BY_PATH = {view.path: view for view in VIEWS}
