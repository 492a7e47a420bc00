"""Rules for the update of the agent itself, the same on hosts and on boards."""

from modelwave_agent.banks import NAMES
from modelwave_agent.record import serving

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelwave_agent.types import Record
    from modelwave_agent.update import Update

OWN = ""  # the agent that was installed by a person, in no bank
BUSY = ("proving", "trial")  # states in which no other update may go on trial


def place_of(record: "Record") -> str:
    """Returns which agent should run by the journal's record: the name of a bank, or OWN."""
    bank = serving(record)
    entry = record["banks"][bank]
    on_trial = record["state"] == "trial"
    return NAMES[bank] if entry and (on_trial or entry["confirmed"]) else OWN


def at_work(record: "Record") -> str:
    """Returns why no model may go on trial now, or ""."""
    return "the agent itself is being updated" if record["state"] in BUSY else ""


def others_at_work(others: "Mapping[str, Update]") -> str:
    """Returns why no new agent may go on trial now, or ""; `others`: the updates of the models."""
    busy = [model for model in sorted(others) if others[model].record["state"] in BUSY]
    return "an update of %s is under way" % ", ".join(busy) if busy else ""


def is_at_rest(update: "Update") -> bool:
    """Whether the journal says what should run: not before the work after a reset is done, nor once
    the agent ends, which takes a trial back."""
    return update.work.booted.is_set() and not update.work.stopping
