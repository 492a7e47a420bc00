"""Lists devices for people and programs, a page at a time, and shows single ones.

Each page is a transaction of its own. So a reader who stops for a while, as in a pager, does not
hold an old state of the database, and the fleet is never in memory as a whole. The database leaves
out most of the devices that are not wanted (storage/listed.py); what is left is looked at here.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from sqlalchemy import Connection

from modelwave_controller.errors import OperatorError
from modelwave_controller.operations import device_words, observations
from modelwave_controller.operations.device_entries import Entry, entries_of, silent_before
from modelwave_controller.operations.health import health
from modelwave_controller.storage import clock, listed, log
from modelwave_controller.storage.listed import Wanted
from modelwave_controller.storage.proven import OFF
from modelwave_controller.storage.store import Store

PAGE = 500  # devices
NAMED_MODELS = 5  # in an error


@dataclass(frozen=True)
class Only:
    """Which devices to list: those to which all of it applies."""

    target: str | None = None
    tag: str | None = None
    model: str | None = None  # that report it
    not_on: int | None = None  # that report a model, or `model`, with another release live
    offline: bool = False  # or silent
    trouble: bool = False
    named: str | None = None  # with this in their names
    outcome: str | None = None  # that report a model, or `model`, with this last answer
    gateway: str | None = None  # that are reached through it

    @property
    def leaves_nothing_out(self) -> bool:
        return self == EVERY_DEVICE

    def applies(self, entry: Entry) -> bool:
        models = [m for m in entry["models"] if self.model in (None, m["model"])]
        return (
            (self.named is None or self.named in entry["device"])
            and self.target in (None, device_words.target_of(entry))
            and (self.tag is None or self.tag in entry["tags"])
            and self.gateway in (None, entry.get("via"))
            and (self.model is None or bool(models))
            and (self.not_on is None or any(m["release"] != self.not_on for m in models))
            and (self.outcome is None or any(m["outcome"] == self.outcome for m in models))
            and (not self.offline or not entry["online"] or entry["silent_since"] is not None)
            and (not self.trouble or entry["trouble"] != "" or entry["silent_since"] is not None)
        )


EVERY_DEVICE = Only()


class DeviceList:
    """The known and the expected devices to which `only` applies, by name (device_entries.py).

    problem: why the database is not up to date, and what to do; ""
    last, more: when all were read, the last device, and whether others follow it that are left out
        because of the limit
    """

    def __init__(
        self,
        store: Store,
        now: float,
        only: Only = EVERY_DEVICE,
        proof: str = OFF,
        after: str = "",
        limit: int | None = None,
    ) -> None:
        """Only devices after `after`, at most `limit`. `now` is in Unix seconds, `proof` that of
        [devices] in controller.toml. Raises OperatorError if `only` asks for what is not known."""
        self._store, self._now, self._only, self._proof = store, now, only, proof
        self._limit = limit
        self.last, self.more = after, False
        with store.read() as connection:
            state = health(connection, now)
            self.problem, self._up_to_date = state.problem, state.up_to_date
            self._wanted = _wanted(connection, only, proof)
        if only.offline and not state.up_to_date:
            raise OperatorError(f"--offline: not known which devices are: {state.problem}")

    def __iter__(self) -> Iterator[Entry]:
        left = self._limit
        for entry in self._found():
            if left == 0:
                self.more = True
                return
            left = None if left is None else left - 1
            self.last = entry["device"]
            yield entry

    def _found(self) -> Iterator[Entry]:
        after, size = self.last, PAGE
        if self._limit is not None:
            size = min(PAGE, self._limit + 1)
        while page := self._page(after, size):
            yield from (entry for entry in page if self._only.applies(entry))
            after = page[-1]["device"]

    def _page(self, after: str, size: int) -> list[Entry]:
        with self._store.read() as connection:
            names = listed.names(connection, self._wanted, after, size)
            return entries_of(connection, names, self._now, self._up_to_date, self._proof)


def device(connection: Connection, name: str, now: float, proof: str = OFF) -> Entry:
    """Returns the entry of a device, with what it observed last of each model. Raises OperatorError
    if it is unknown."""
    [entry] = entries_of(connection, [name], now, health(connection, now).up_to_date, proof)
    parts = ("target", "bad", "enrolment", "waiting", "unproven", "speaks_for")
    if not any(entry.get(part) for part in parts):
        raise OperatorError(
            f"DEVICE: no message from {name[:64]!r} was received, and it is not enrolled; see "
            "`modelwave device list`"
        )
    models = [model["model"] for model in entry["models"]]
    clock_now = clock.shown(clock.stored(connection), log.service_seen_at(connection), now)
    observed = observations.newest(connection, name, models, clock_now)
    return entry | {"observed": [asdict(one) for one in observed]}


def _wanted(connection: Connection, only: Only, proof: str) -> Wanted:
    if only.not_on is not None and only.model is None:
        _require_one_model(connection)
    return Wanted(
        **asdict(only),
        silent_before=silent_before(clock.stored(connection).seconds),
        with_unproven=proof != OFF,
    )


def _require_one_model(connection: Connection) -> None:
    models = listed.models(connection, NAMED_MODELS)
    if len(models) > 1:
        raise OperatorError(
            f"--not-on: the devices report {', '.join(models)}: name one with --model"
        )
