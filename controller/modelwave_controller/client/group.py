"""What the groups of a client's methods share."""

from typing import Any

from modelwave_controller.api.call import AnswerT, AskedT, Call
from modelwave_controller.client.remote import Remote


class Group:
    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def _ask(self, call: Call[AskedT, AnswerT], **said: Any) -> AnswerT:
        return self._remote.ask(call, call.say(**said))
