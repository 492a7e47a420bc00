"""Authenticates clients, and says what they may do. A CONNECT is judged before any session is
changed."""

from modelwave_controller.broker import packets
from modelwave_controller.broker.acl import is_topic_name
from modelwave_controller.broker.errors import ClientRefused
from modelwave_controller.broker.limits import MAX_LEVELS
from modelwave_controller.broker.packets import Connect
from modelwave_controller.broker.passwords import Passwords, TooManyChecks
from modelwave_controller.broker.routes import is_filter
from modelwave_controller.broker.settings import EmbeddedBrokerSettings


class NotAdmitted(ClientRefused):
    """The client is refused with a return code in the CONNACK (MQTT 3.1.1, section 3.2.2.3)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Admission:
    """The users, passwords and rules of one broker; without them everything is allowed."""

    def __init__(self, settings: EmbeddedBrokerSettings) -> None:
        self._acl = settings.acl
        self._passwords = Passwords(settings.users) if settings.users is not None else None

    async def judge(self, connect: Connect, address: str) -> None:
        """Raises NotAdmitted if the client at this address may not connect so."""
        user, client_id = connect.user, connect.client_id
        if connect.level != packets.PROTOCOL_LEVEL:
            raise NotAdmitted(packets.WRONG_VERSION, f"speaks MQTT of level {connect.level}")
        if self._acl is not None and self._passwords is not None:
            try:
                good = await self._passwords.check(user, connect.password, address)
            except TooManyChecks as error:
                raise NotAdmitted(packets.SERVER_UNAVAILABLE, str(error)) from error
            if not good:
                said = f"gave a wrong user name ({user!r}) or password"
                raise NotAdmitted(packets.NOT_AUTHORIZED, said)
            if not self._acl.may_connect(user or "", client_id):
                raise NotAdmitted(
                    packets.IDENTIFIER_REJECTED,
                    f"as user {user!r} may not use the client id {client_id!r}",
                )
        if connect.will is not None and not self.may_publish(user, connect.will.topic):
            raise NotAdmitted(
                packets.NOT_AUTHORIZED, f"may not have a will on {connect.will.topic!r}"
            )

    def check_owner(self, user: str | None, owner: str | None, client_id: str) -> None:
        """Raises NotAdmitted if the session kept for this client id belongs to another user."""
        if self._acl is not None and owner != user:
            raise NotAdmitted(
                packets.IDENTIFIER_REJECTED,
                f"as user {user!r} asked for {owner!r}'s client id {client_id!r}",
            )

    def is_controller(self, user: str | None) -> bool:
        return self._acl is None or user in self._acl.controllers

    def may_publish(self, user: str | None, topic: str) -> bool:
        if topic.count("/") >= MAX_LEVELS:
            return False
        if self._acl is None:
            return is_topic_name(topic)
        return self._acl.may_publish(user or "", topic)

    def may_subscribe(self, user: str | None, topic_filter: str) -> bool:
        if not is_filter(topic_filter, MAX_LEVELS):
            return False
        return self._acl is None or self._acl.may_subscribe(user or "", topic_filter)

    def replace(self, settings: EmbeddedBrokerSettings) -> set[str]:
        """Takes the users and rules of other settings, and returns the users who are gone or have
        another password or target now: their connections have to end."""
        if self._acl is None or self._passwords is None:
            raise ValueError("an open broker has no users")
        old, new = self._acl.targets, settings.acl.targets if settings.acl else {}
        self._acl = settings.acl
        changed = self._passwords.replace(settings.users or {})
        return changed | {user for user in {*old, *new} if old.get(user) != new.get(user)}

    def close(self) -> None:
        if self._passwords is not None:
            self._passwords.close()
