"""What the groups of a client's methods share."""

from pathlib import Path
from typing import Any

from modelwave_controller.api.call import AnswerT, AskedT, Call
from modelwave_controller.client.remote import Remote


class Group:
    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def _ask(self, call: Call[AskedT, AnswerT], **said: Any) -> AnswerT:
        return self._remote.ask(call, call.say(**said))

    def _send(self, call: Call[AskedT, AnswerT], file: Path | str, **said: Any) -> AnswerT:
        return self._remote.ask(call, call.say(**said), Path(file))
