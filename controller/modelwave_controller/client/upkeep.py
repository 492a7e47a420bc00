"""What administrators ask of a service: tokens, the devices that belong to the fleet, alerts, the
clock, the log and order numbers."""

from collections.abc import Sequence

from modelwave_controller.api import alerts, enrolment, tokens, upkeep
from modelwave_controller.client.group import Group
from modelwave_controller.people.lifetimes import DEFAULT_SECONDS
from modelwave_controller.results.alerts import AlertState, Tested
from modelwave_controller.results.enrolment import Approved, Revoked
from modelwave_controller.results.tokens import NewToken, RevokedTokens, TokenState
from modelwave_controller.results.upkeep import (
    ClockState,
    Numbers,
    PrunedRollout,
    RecoveredNumbers,
    VerifiedLog,
)


class Tokens(Group):
    def list(self, over: bool = False) -> list[TokenState]:
        """`over`: also those that were revoked or have expired."""
        return self._ask(tokens.LIST, over=over)

    def create(self, name: str, role: str, seconds: int = DEFAULT_SECONDS) -> NewToken:
        """Makes a token, which only this answer has; it expires after so many seconds."""
        return self._ask(tokens.CREATE, name=name, role=role, seconds=seconds)

    def revoke(self, token: str) -> RevokedTokens:
        """`token` is an id, or the name whose tokens are all revoked."""
        return self._ask(tokens.REVOKE, token=token)


class Enrolment(Group):
    def approve(self, devices: Sequence[str]) -> Approved:
        return self._ask(enrolment.APPROVE, devices=list(devices))

    def revoke(self, devices: Sequence[str]) -> Revoked:
        return self._ask(enrolment.REVOKE, devices=list(devices))


class Alerts(Group):
    def list(self) -> list[AlertState]:
        return self._ask(alerts.LIST)

    def test(self, alert: str) -> Tested:
        """Sends a message that tells nothing, once."""
        return self._ask(alerts.TEST, alert=alert)


class Upkeep(Group):
    def clock(self) -> ClockState:
        return self._ask(upkeep.CLOCK)

    def accept_clock(self, reason: str) -> ClockState:
        """Accepts that the clock of the controller's machine is right; the log has the reason."""
        return self._ask(upkeep.ACCEPT_CLOCK, reason=reason)

    def verify_log(self, head: str | None = None) -> VerifiedLog:
        """`head`: that of an earlier answer, with which the log has to begin."""
        return self._ask(upkeep.VERIFY_LOG, head=head)

    def prunable(self, older_than: int = upkeep.PRUNED_AFTER) -> list[PrunedRollout]:
        """Returns what `prune_log` would delete."""
        return self._ask(upkeep.PRUNABLE, older_than=older_than)

    def prune_log(self, older_than: int = upkeep.PRUNED_AFTER) -> list[PrunedRollout]:
        """Deletes devices' answers to rollouts over which so many seconds have passed."""
        return self._ask(upkeep.PRUNE_LOG, older_than=older_than)

    def order_numbers(self) -> list[Numbers]:
        return self._ask(upkeep.NUMBERS)

    def order_numbers_of(self, model: str, to: int | None = None) -> Numbers:
        """`to`: the number to go on above, in place of what devices report."""
        return self._ask(upkeep.NUMBERS_OF, model=model, to=to)

    def recover(self, model: str, to: int | None = None) -> RecoveredNumbers:
        """Goes on above the devices' order numbers; `to` as in `order_numbers_of`."""
        return self._ask(upkeep.RECOVER, model=model, to=to)
