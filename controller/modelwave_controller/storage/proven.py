"""Finds out which messages prove the device that sent them, and stores what they are known by.

What `[devices] proof` in controller.toml says:

    off      nobody asks
    show     what is not proven counts, and is shown
    require  what is not proven does not count, and is shown
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, bindparam, delete, insert, select

from modelwave_controller.results.fleet import OFF as OFF
from modelwave_controller.results.fleet import REQUIRE as REQUIRE
from modelwave_controller.results.fleet import SHOW as SHOW
from modelwave_controller.storage import clock, enrolled, proven_numbers
from modelwave_controller.storage.chunks import rows_with
from modelwave_controller.storage.installs import LATE, OLDER, Heard
from modelwave_controller.storage.messages import Incoming, Measured, ReportMessage, Unproven
from modelwave_controller.storage.proven_numbers import Numbers
from modelwave_controller.storage.tables import proven
from modelwave_controller.trust.documents import Metrics, Report
from modelwave_controller.trust.report_keys import device_report_key

STRANGER = "the device is not enrolled, or was revoked"
BARE = "it has no proof: the agent has no report key, or somebody else has sent it"
FORGED = "its proof is of another key: enrol the device anew, if nobody else has sent it"
REPLAYED = {
    OLDER: "a replay: an older report than the newest one that was proven",
    LATE: "a replay, or two devices use this id: of an install that was replaced; if it is the "
    "right one, enrol the device anew",
}


@dataclass(frozen=True)
class Policy:
    """What a service asks of reports and windows; `master` is the secret of trust/report_keys.py,
    empty with OFF."""

    proof: str = OFF
    master: bytes = field(default=b"", repr=False)


NOTHING_ASKED = Policy()


def judged(
    connection: Connection, incoming: Sequence[Incoming], policy: Policy
) -> Sequence[Incoming]:
    """Returns the messages, with what they prove. One that should prove its device and does not is
    an Unproven, and with REQUIRE nothing else."""
    if policy.proof == OFF:
        return incoming
    names = sorted({m.device for m in incoming if isinstance(m, ReportMessage | Measured)})
    judge = _Judge(connection, names, policy)
    found: list[Incoming] = []
    for message in incoming:
        if not isinstance(message, ReportMessage | Measured):
            found.append(message)
            continue
        reason, message = judge.judge(message)
        if reason:
            found.append(Unproven(message.device, reason))
        if not reason or policy.proof == SHOW:
            found.append(message)
    judge.write(connection)
    return found


class _Judge:
    """Judges the messages of one batch, in the order in which they came."""

    def __init__(self, connection: Connection, names: Sequence[str], policy: Policy) -> None:
        self.policy = policy
        self.now = clock.stored(connection).seconds
        self.generations = {
            device: its.generation
            for device, its in enrolled.of(connection, names).items()
            if its.active and its.generation
        }
        # What an earlier key has proved says nothing: the device begins anew with each.
        self.stored = {
            row.device: proven_numbers.load(row.numbers)
            for row in rows_with(connection, select(proven), proven.c.device, names)
            if row.generation == self.generations.get(row.device)
        }
        self.numbers: dict[str, Numbers | None] = defaultdict(lambda: None, self.stored)

    def judge(self, message: ReportMessage | Measured) -> tuple[str, ReportMessage | Measured]:
        """Returns why the message is not proven, "" if it is, and the message."""
        device = message.device
        generation = self.generations.get(device)
        if generation is None:
            return STRANGER, message
        if not message.seal.proof:
            return BARE, message
        if not message.seal.is_of(device_report_key(self.policy.master, device, generation)):
            return FORGED, message
        held = self.numbers[device]
        if isinstance(message, Measured):
            told, after = proven_numbers.judge_window(held, _heard(message.metrics), self.now)
            self.numbers[device] = after
            return told and f"a replay: a window {told}", message
        word, after = proven_numbers.judge_report(held, _heard(message.report), self.now)
        self.numbers[device] = after
        told = REPLAYED.get(word, "")
        return told, message if told else message._replace(proven=word)

    def write(self, connection: Connection) -> None:
        changed = {
            device: numbers.dump()
            for device, numbers in self.numbers.items()
            if numbers is not None and numbers != self.stored.get(device)
        }
        if changed:
            connection.execute(
                delete(proven).where(proven.c.device == bindparam("its_device")),
                [{"its_device": device} for device in changed],
            )
            rows = [
                {"device": device, "generation": self.generations[device], "numbers": dump}
                for device, dump in changed.items()
            ]
            connection.execute(insert(proven), rows)


def _heard(document: Report | Metrics) -> Heard:
    return Heard(document.install, document.boot, document.n)


def newest(connection: Connection, names: Sequence[str]) -> dict[str, Heard]:
    """Returns the newest proven report of each of these devices that has sent one."""
    rows = rows_with(connection, select(proven), proven.c.device, names)
    return {row.device: proven_numbers.load(row.numbers).current for row in rows}
