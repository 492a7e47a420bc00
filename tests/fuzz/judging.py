"""What the targets require of any answer, and how they run code that waits."""

from collections.abc import Coroutine
from typing import Any

from modelwave_shared.rules import PRINTABLE

LONGEST_MESSAGE = 300
LONGEST_LINE = 3000


def require_plain(message: str) -> None:
    """A message goes into logs and reports, whoever has sent what it is about."""
    assert len(message) <= LONGEST_MESSAGE, message
    assert not message.strip(PRINTABLE), message


def require_line(error: Exception) -> None:
    """What a person is told is one line, which moves no cursor."""
    assert str(error).isprintable(), repr(str(error))
    assert len(str(error)) <= LONGEST_LINE, str(error)


def refuse_if(is_valid: bool, message: str) -> None:
    """What the oracle takes must not be refused."""
    assert not is_valid, "refused, but it is valid: " + message


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Runs a coroutine that never has to wait, without the cost of an event loop."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    work.close()
    raise AssertionError("it waits for something that never comes")
