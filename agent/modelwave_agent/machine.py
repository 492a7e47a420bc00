"""The state machine of one model on a device, as a table.

A device has two banks. The live bank serves; the spare bank receives the new model.

    idle      no order is in progress; the live bank serves, or there is no model yet
    clearing  an order was accepted; the spare bank is being emptied for it
    fetching  the order's files are downloaded into the spare bank
    proving   the spare bank is complete; its golden set runs, the live bank still serves
    shadow    the spare bank's model runs beside the live one, which serves; it answers nothing
    trial     the spare bank serves, but is not confirmed yet

Rules:

  1. A step is written to the journal before it is done: `step` returns the new record, the
     caller writes it durably, and only then does the effects. Each effect may be repeated.
  2. Every state has a `boot` row: after a reset the device continues from the journal alone.
     If it needs the order for that, it waits: the broker retains the order and sends it again,
     and the same order (same payload) continues where it was (`again`).
  3. A reset during proving, shadow or trial ends the attempt: the live bank serves again. There are
     at most MAX_TRIES attempts; then the model is rolled back (`worn`). An attempt counts when
     it begins; a clean stop gives it back (`stopped`), so a power cut in between counts. A shadow
     that has run for a while gives it back too (`lasted`), and the next life goes on with the rest
     of its time: only a model that makes the device reset soon, again and again, wears out.
  4. Only a failed health check blacklists a release (`unhealthy`). A power cut never does, nor
     does a golden set or a shadow that this device could not run (`unproven`, `stuck`), nor a
     shadow that needs more than the order allows (`over`). An order may lift that ban.
  5. Only the record that confirms the bank says SUCCEEDED. The one exception: the ordered
     release is confirmed already (`running`).
  6. A newer order cancels the one in progress (`superseded`), then begins from idle.
  7. A fault that may pass (network, server, flash, RAM) ends nothing: the driver rests and tries
     again (retries.py), until the order expires (`failed`). A reset meanwhile costs no attempt.
  8. The program is asked before the download, and again before the new model serves. If it says
     "not now" (`deferred`), the device waits in `fetching`, where a reset costs no attempt, and
     asks again until the order expires (`expired`).
  9. An order may want a shadow instead of the trial (`beside`). Whatever ends it, the live bank is
     as it was, and the spare bank is whole but not confirmed: an order for the same release takes
     it from there (`held`). An order that has expired begins no shadow (`expired`).
 10. The agent itself is a model too. It goes on trial by a reset, so the platform tells it what the
     reset was: the new agent goes on with its trial (`resumed`), and the one before takes its place
     again if it crashed, hung or did not connect (`crashed`), which is a failed health check.

 11. The models of some agents run on another device (ports.Undecided). If that does not answer on
     trial, the live bank serves again and the work is tried again: an attempt that told nothing of
     the model is given back (`unproven`), one in which the model ran counts like a reset (`lost`,
     and at last `worn`).

Nothing here reads a file, a clock or the network.
"""

from modelwave_agent.record import is_of_epoch, spare
from modelwave_shared.words import CANCELED, FAILED, ROLLED_BACK, SHADOWED, SUCCEEDED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from modelwave_agent.types import Detail, Record

    Change = Callable[[Record, Detail], None]
    Row = tuple[str, Change, str]  # next state, change, effects

MAX_TRIES = 3
MAX_BLACKLIST = 8
ATTEMPTS = ("proving", "shadow", "trial")  # the states that a reset ends
AFTER_A_RESET = ("boot", "worn")  # what boot_event gives


# The changes of the rows: what a row changes in the record, besides its state.


def keep(record: "Record", detail: "Detail") -> None:
    pass


def take(record: "Record", detail: "Detail") -> None:
    """Stores an accepted order: its floor, and its release as the content of the spare bank."""
    take_floor(record, detail)
    record["banks"][spare(record)] = detail["bank"]


def take_floor(record: "Record", detail: "Detail") -> None:
    """Stores an accepted order, and the time floor that it gives. The first one of an epoch ends
    all bans. If it lifts a ban, the ban is gone when the order is durable; the next failed health
    check bans the release again."""
    if not is_of_epoch(record, detail["order"]["epoch"]):
        record["blacklist"] = []
    record["order"] = detail["order"]
    record["time"] = detail["time"]
    record["tries"] = 0
    record["outcome"] = record["reason"] = ""
    record.pop("shadow_seconds", None)
    if detail.get("lift_ban"):
        lifted = detail["bank"]["manifest"]
        record["blacklist"] = [banned for banned in record["blacklist"] if banned != lifted]


def take_and_succeed(record: "Record", detail: "Detail") -> None:
    take_floor(record, detail)
    record["outcome"] = SUCCEEDED


def count_try(record: "Record", detail: "Detail") -> None:
    record["tries"] += 1


def receive(record: "Record", detail: "Detail") -> None:
    """The files are there. `saved`: the bytes that a delta has spared of the download."""
    count_try(record, detail)
    if detail.get("saved"):
        record["banks"][spare(record)]["saved"] = detail["saved"]


def forget_savings(record: "Record", detail: "Detail") -> None:
    """All files are downloaded again."""
    record["banks"][spare(record)].pop("saved", None)


def give_try_back(record: "Record", detail: "Detail") -> None:
    """The attempt said nothing about the model."""
    record["tries"] = max(0, record["tries"] - 1)


def last(record: "Record", detail: "Detail") -> None:
    """The shadow has run for `seconds` in all."""
    record["shadow_seconds"] = detail["seconds"]
    give_try_back(record, detail)


def end_shadow(record: "Record", detail: "Detail") -> None:
    record["outcome"], record["reason"] = SHADOWED, detail["reason"]


def exceed(record: "Record", detail: "Detail") -> None:
    record["outcome"], record["reason"] = ROLLED_BACK, detail["reason"]


def confirm(record: "Record", detail: "Detail") -> None:
    record["live"] = spare(record)
    record["banks"][record["live"]]["confirmed"] = True
    record["outcome"] = SUCCEEDED


def fail(record: "Record", detail: "Detail") -> None:
    record["outcome"], record["reason"] = FAILED, detail["reason"]


def break_bank(record: "Record", detail: "Detail") -> None:
    """Marks the spare bank as empty: the medium failed, so its content is not trusted."""
    fail(record, detail)
    record["banks"][spare(record)] = None


def cancel(record: "Record", detail: "Detail") -> None:
    record["outcome"], record["reason"] = CANCELED, detail["reason"]


def worn_out(record: "Record", detail: "Detail") -> None:
    record["outcome"] = ROLLED_BACK
    record["reason"] = "reset %d times before the model was confirmed" % MAX_TRIES
    if detail.get("reason"):  # of the last one
        record["reason"] = "%d times in vain: %s" % (MAX_TRIES, detail["reason"])


def roll_back(record: "Record", detail: "Detail") -> None:
    exceed(record, detail)
    failed = record["banks"][spare(record)]["manifest"]
    record["blacklist"] = (record["blacklist"] + [failed])[-MAX_BLACKLIST:]


def lose_live(record: "Record", detail: "Detail") -> None:
    """Marks the damaged live bank as empty. In state idle, the other bank becomes the live one
    if it was confirmed once. The empty outcome allows the same order again."""
    record["banks"][record["live"]] = None
    record["outcome"], record["reason"] = "", detail["reason"]
    other = record["banks"][spare(record)]
    if record["state"] == "idle" and other and other["confirmed"]:
        record["live"] = spare(record)


# state: {event: (next state, change, effects)}. The effects are what the driver (driver.py)
# does after the record is durable:
#     check   hash the live bank again: its bytes may have changed in flash
#     clear   empty the spare bank
#     rest    wait until the next try after a fault is due
#     defer   wait until the program is to be asked again
#     fetch   ask the program, then download the files into the spare bank
#     prove   run its golden set, then ask the program again
#     serve   tell the program which bank serves now
#     shadow  run its model beside the live one until its time is over
#     watch   wait until the trial is over
#     report  send the device's report
TABLE: "dict[str, dict[str, Row]]" = {
    "idle": {
        "boot": ("idle", keep, "check serve report"),
        "damaged": ("idle", lose_live, "check serve report"),
        "running": ("idle", take_and_succeed, "report"),
        "held": ("fetching", take, "report fetch"),
        "accepted": ("clearing", take, "report clear"),
    },
    "clearing": {
        "boot": ("clearing", keep, "check serve report"),
        "damaged": ("clearing", lose_live, "serve report"),
        "again": ("clearing", keep, "clear"),
        "cleared": ("fetching", keep, "report fetch"),
        "stuck": ("clearing", keep, "rest clear"),
        "failed": ("idle", break_bank, "report"),
        "superseded": ("idle", cancel, "report"),
    },
    "fetching": {
        "boot": ("fetching", keep, "check serve report"),
        "damaged": ("fetching", lose_live, "serve report"),
        "again": ("fetching", keep, "fetch"),
        "spoiled": ("clearing", forget_savings, "rest clear"),
        "failed": ("idle", fail, "report"),
        "deferred": ("fetching", keep, "defer fetch"),
        "expired": ("idle", cancel, "report"),
        "crashed": ("idle", roll_back, "check serve report"),
        "fetched": ("proving", receive, "report prove"),
        "superseded": ("idle", cancel, "report"),
    },
    "proving": {
        "boot": ("fetching", keep, "check serve report"),
        "worn": ("idle", worn_out, "check serve report"),
        "stopped": ("fetching", give_try_back, ""),
        "again": ("proving", keep, "prove"),
        "proved": ("trial", keep, "serve report watch"),
        "beside": ("shadow", keep, "report shadow"),
        "unproven": ("fetching", give_try_back, "rest fetch"),
        "deferred": ("fetching", give_try_back, "defer fetch"),
        "unhealthy": ("idle", roll_back, "serve report"),
        "superseded": ("idle", cancel, "serve report"),
    },
    "shadow": {
        "boot": ("fetching", keep, "check serve report"),
        "worn": ("idle", worn_out, "check serve report"),
        "stopped": ("fetching", give_try_back, ""),
        "again": ("shadow", keep, "shadow"),
        "lasted": ("shadow", last, ""),
        "stuck": ("shadow", give_try_back, "rest shadow"),
        "failed": ("idle", fail, "report"),
        "shadowed": ("idle", end_shadow, "report"),
        "over": ("idle", exceed, "report"),
        "unhealthy": ("idle", roll_back, "report"),
        "expired": ("idle", cancel, "report"),
        "superseded": ("idle", cancel, "report"),
    },
    "trial": {
        "boot": ("fetching", keep, "check serve report"),
        "worn": ("idle", worn_out, "check serve report"),
        "stopped": ("fetching", give_try_back, ""),
        "resumed": ("trial", keep, "check report"),
        "crashed": ("idle", roll_back, "check serve report"),
        "unproven": ("fetching", give_try_back, "serve rest fetch"),
        "lost": ("fetching", keep, "serve rest fetch"),
        "again": ("trial", keep, "serve watch"),
        "healthy": ("idle", confirm, "report"),
        "unhealthy": ("idle", roll_back, "serve report"),
        "superseded": ("idle", cancel, "serve report"),
    },
}


def step(record: "Record", event: str, detail: "Detail") -> "tuple[Record, list[str]]":
    """Returns (new record, effects) for `event`; `record` itself is not changed. `detail` is the
    input of the row's change: order, time and bank of an accepted order, or a reason. Raises
    KeyError if the state has no such row, which is always an error in the caller."""
    state, change, effects = TABLE[record["state"]][event]
    new: "Record" = copy(record)
    change(new, detail)
    new["state"] = state
    return new, effects.split()


def boot_event(record: "Record") -> str:
    """Returns the event of a reset: `worn` after the last try, else `boot`."""
    on_trial = record["state"] in ATTEMPTS
    return "worn" if on_trial and record["tries"] >= MAX_TRIES else "boot"


def lost_event(record: "Record") -> str:
    """Returns the event when the device on which the model is on trial fell silent, or was reset:
    `worn` after the last try, else `lost`."""
    return "worn" if record["tries"] >= MAX_TRIES else "lost"


def order_event(record: "Record", manifest: str) -> str:
    """Returns the event of an accepted order for `manifest`; the state is idle."""
    if _holds(record, record["live"], manifest):
        return "running"
    return "held" if _holds(record, spare(record), manifest) else "accepted"


def _holds(record: "Record", bank: int, manifest: str) -> bool:
    entry = record["banks"][bank]
    return entry is not None and entry["manifest"] == manifest


def copy(value: "Any") -> "Any":
    """Returns a deep copy of dicts and lists."""
    if type(value) is dict:
        return {key: copy(value[key]) for key in value}
    if type(value) is list:
        return [copy(entry) for entry in value]
    return value
