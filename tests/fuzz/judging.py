"""What the targets require of any answer."""

from modelwave_shared.rules import PRINTABLE

LONGEST_MESSAGE = 300


def require_plain(message: str) -> None:
    """A message goes into logs and reports, whoever has sent what it is about."""
    assert len(message) <= LONGEST_MESSAGE, message
    assert not message.strip(PRINTABLE), message


def refuse_if(is_valid: bool, message: str) -> None:
    """What the oracle takes must not be refused."""
    assert not is_valid, "refused, but it is valid: " + message
