"""What is shown of alerts."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AlertState:
    """on: what it tells
    way: how it is brought, without what may be secret
    cursor: event up to which all was told or given up; None: no service has led with it yet
    waiting: alerts that are to be told, at most those of the next MAX_READ events
    sent: messages; sent_at: the last, in Unix seconds; None: never
    tries: of the message under way, that have failed
    given_up: alerts that were not told
    error: why the last try failed, at error_at, in Unix seconds; "": it did not
    """

    name: str
    on: list[str]
    way: str
    cursor: int | None
    waiting: int
    sent: int
    sent_at: float | None
    tries: int
    given_up: int
    error: str
    error_at: float | None


@dataclass(frozen=True)
class Tested:
    """A message that was taken. `id` is as its receiver has it."""

    alert: str
    id: str
    way: str
