"""Roles: what a person or a program may do. Pure.

    role      may
    viewer    VIEW: see everything but secrets
    operator  VIEW, OPERATE: start, promote, pause, revert and abort rollouts, tag devices, add
              releases that are signed
    approver  VIEW, APPROVE: give the approval that a rollout waits for
    admin     all of it, and ADMINISTER: tokens, which devices count, the log's pruning, the
              clock, order numbers

An operator does not approve, so that nobody but an admin can do both.

Who runs a command on the home itself is an admin: the file system lets them read the keys and
write the database. The log has them as user@host.
"""

from typing import NamedTuple

VIEW, OPERATE, APPROVE, ADMINISTER = "view", "operate", "approve", "administer"
VIEWER, OPERATOR, APPROVER, ADMIN = "viewer", "operator", "approver", "admin"

PERMISSIONS = {
    VIEWER: frozenset({VIEW}),
    OPERATOR: frozenset({VIEW, OPERATE}),
    APPROVER: frozenset({VIEW, APPROVE}),
    ADMIN: frozenset({VIEW, OPERATE, APPROVE, ADMINISTER}),
}
ROLES = tuple(PERMISSIONS)


class Person(NamedTuple):
    """Who acts: a person or a program. `name` is the actor in the log."""

    name: str
    role: str

    def may(self, permission: str) -> bool:
        return permission in PERMISSIONS.get(self.role, ())


def at_home(actor: str) -> Person:
    """Returns who runs a command on the home itself; `actor` is user@host."""
    return Person(actor, ADMIN)
