"""Keeps the root of trust that a device has taken last, besides the one that it is enrolled with.

The enrolled root is a file that a person has put there. Each later one comes from the broker
(root_walk.py) and is stored here: two files that are written in turn (journal.py), made with the
first of them. The newer one is the trusted one, so

  - a power cut in a write leaves the root before it, and the broker still has the next one
  - a device that is enrolled anew with a newer root, or into another fleet, trusts that one
"""

from modelwave_agent.journal import Journal, file_length
from modelwave_shared import documents
from modelwave_shared.limits import MAX_ROOT_JOURNAL_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwave_agent.types import Document

NAME = "root"  # of the files


def newest(folder: str, enrolled: "Document") -> "tuple[Document, str]":
    """Returns the root to trust, and why the stored one cannot be used ("" if it can, or there is
    none). `folder`: of the agent's own files. `enrolled`: the checked root document that the device
    is enrolled with."""
    try:
        stored = _stored(folder)
    except (OSError, ValueError) as error:
        return enrolled, "the stored root cannot be used: %s" % error
    if stored is None or stored["fleet"] != enrolled["fleet"]:
        return enrolled, ""
    is_newer = documents.root_version(stored) > documents.root_version(enrolled)
    return (stored if is_newer else enrolled), ""


def write(folder: str, envelope: bytes) -> None:
    """Stores a verified root; it is durable on return. Raises OSError."""
    journal = _journal(folder)
    journal.read()
    journal.write({"envelope": envelope.decode()})


def _stored(folder: str) -> "Document | None":
    lengths = [file_length("%s/%s.%d" % (folder, NAME, number)) for number in (0, 1)]
    if not any(lengths):
        return None
    journal = _journal(folder)
    record = journal.read()
    if record:
        return documents.open_first_root(record.get("envelope", "").encode())
    if journal.is_lost:
        raise ValueError("no whole record was found")
    return None


def _journal(folder: str) -> Journal:
    return Journal(folder, NAME, MAX_ROOT_JOURNAL_BYTES)
