"""The record that the journal stores of one model. machine.py changes it."""

from modelwave_shared.limits import MAX_TEXT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwave_agent.types import Record


def new_record() -> "Record":
    """Returns the record of a model that has had no order yet."""
    return {
        "state": "idle",
        "live": 0,  # the bank that serves, unless the other is on trial or this one is empty
        # {manifest, release, version, files, limit_us, format, loading, confirmed}
        "banks": [None, None],
        "order": {"epoch": 0, "seq": 0, "sha256": ""},  # the floor: newest accepted order
        "time": 0,  # latest signed time seen
        "tries": 0,  # attempts at proving and trial of this order
        "outcome": "",
        "reason": "",
        "blacklist": [],  # manifests that failed a health check here
    }


def is_of_epoch(record: "Record", epoch: int) -> bool:
    """Whether sequence, time and blacklist of the record count under a root of `epoch`: a new
    epoch starts all three anew."""
    taken: int = record["order"]["epoch"]
    return taken >= epoch


def spare(record: "Record") -> int:
    """Returns the bank that receives a new model."""
    live: int = record["live"]
    return 1 - live


def serving(record: "Record") -> int:
    """Returns the bank that serves now."""
    return spare(record) if record["state"] == "trial" else record["live"]


def is_under_way(record: "Record", digest: str) -> bool:
    """Whether the order in progress is the one whose payload has this digest."""
    return bool(record["state"] != "idle" and record["order"]["sha256"] == digest)


def clean(text: str) -> str:
    """Returns `text` in the form for report and journal: printable ASCII, at most MAX_TEXT
    characters, with "?" for each other character."""
    text = text[:MAX_TEXT]
    if not text.strip(bytes(range(0x20, 0x7F)).decode()):
        return text
    # It goes through the text's UTF-8, as MicroPython never frees a one-character string once it
    # is made: texts with ever new characters would fill its heap.
    found = bytearray()
    for byte in text.encode("utf-8", "replace"):
        if 0x20 <= byte < 0x7F:
            found.append(byte)
        elif byte < 0x80 or byte >= 0xC0:  # the first byte of a character
            found += b"?"
    return found.decode()


def said(error: BaseException) -> str:
    """Returns class and message of `error`: some messages alone ("28", "") say nothing. The class
    alone, if the program's own exception cannot tell its message."""
    name = type(error).__name__
    try:
        return "%s: %s" % (name, error)
    except Exception:
        return name
