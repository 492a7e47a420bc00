"""What is shown of devices that were approved or revoked."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Approved:
    """`proof`: what the controller asks of reports ([devices] proof)."""

    approved: list[str]
    proof: str


@dataclass(frozen=True)
class Revoked:
    """broker: the folder on the controller's machine with the broker's users and rules
    has_user: whether the controller itself has a user at the broker
    """

    revoked: list[str]
    broker: str
    has_user: bool
