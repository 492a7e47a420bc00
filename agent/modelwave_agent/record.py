"""What the journal keeps of one model, and how it is read; machine.py is what changes it."""

from modelwave_shared.limits import MAX_TEXT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwave_agent.types import Record


def new_record() -> "Record":
    """The record of a model that no order has named yet."""
    return {
        "state": "idle",
        "live": 0,  # the bank that serves, or would
        "banks": [None, None],  # {manifest, release, version, files, confirmed}
        "order": {"epoch": 0, "seq": 0, "sha256": ""},  # the floor: newest accepted order
        "time": 0,  # latest signed time seen
        "tries": 0,  # of its trial
        "spoils": 0,  # downloads that were not what was signed
        "outcome": "",
        "reason": "",
        "blacklist": [],  # manifests that failed a health check here
    }


def spare(record: "Record") -> int:
    """The bank that takes what is new."""
    live: int = record["live"]
    return 1 - live


def serving(record: "Record") -> int:
    """The bank that serves now."""
    return spare(record) if record["state"] == "trial" else record["live"]


def is_under_way(record: "Record", digest: str) -> bool:
    """Whether the device is at work on the order whose payload has this digest."""
    return bool(record["state"] != "idle" and record["order"]["sha256"] == digest)


def clean(text: str) -> str:
    """`text` as a report and the journal carry it: a line of printable ASCII, not too long."""
    text = text[:MAX_TEXT]
    # MicroPython keeps a character that was once taken from a text for ever, so a plain text
    # is not looked at one by one.
    if text.strip(bytes(range(0x20, 0x7F)).decode()):
        text = "".join(c if " " <= c <= "~" else "?" for c in text)
    return text


def said(error: BaseException) -> str:
    """The error with its class, as some messages alone say nothing ("28", "")."""
    return "%s: %s" % (type(error).__name__, error)
