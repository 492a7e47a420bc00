"""The expected errors, by who has to act. A message is one line that names the field or file and
says what to do; `modelwave` prints it and exits with `exit_code`.

    OperatorError  a command, a file or a setting is wrong     2
    TrustError     a signature, a hash or a golden set fails   1
    StorageError   the disk or the database fails              1
    KeyAwayError   an agent or a token with a key is away      1
    ServerError    a remote service is not reached, or fails   1
    NotTakenError  an alert is not taken by its receiver       1
"""

from math import ceil


class ModelwaveError(Exception):
    """An expected error, with a message for people."""

    exit_code = 1


class OperatorError(ModelwaveError):
    """The operator's command or input is wrong; nothing was changed."""

    exit_code = 2


class WrongKeyError(OperatorError):
    """A key that the fleet's root does not name for this."""


class NotFoundError(OperatorError):
    """There is no such rollout, device, release or other thing."""


class UnknownPersonError(OperatorError):
    """A token is missing, wrong, expired or revoked. `reason` says which, for the log alone: who
    asks is told the same in each case. It has nothing of the secret."""

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class ForbiddenError(OperatorError):
    """The role of who asks does not allow it."""


class BusyError(OperatorError):
    """Who asks has asked too often, and is to wait for `seconds`."""

    def __init__(self, message: str, seconds: float = 1.0) -> None:
        super().__init__(f"{message}: wait {ceil(seconds)} s")
        self.seconds = seconds


class MalformedError(OperatorError):
    """What came is no request of HTTP."""


class MethodError(OperatorError):
    """A path has not this method of HTTP."""


class TooLargeError(OperatorError):
    """A body is too long."""


class ContentTypeError(OperatorError):
    """A body is of another type than is wanted."""


class ConflictError(OperatorError):
    """Another request is in the way of this one."""


class NoDeviceError(OperatorError):
    """No device that the command could apply to has reported yet; one may report soon."""


class TrustError(ModelwaveError):
    """A check of trust failed: a wrong key, too few signatures, other bytes, or a failed golden
    set."""


class StorageError(ModelwaveError):
    """The home folder or its database cannot be read or written."""


class KeyAwayError(ModelwaveError):
    """What holds a key (an ssh-agent, a token) cannot sign now, and may later; nothing was
    signed."""


class ServerError(ModelwaveError):
    """The service at --server is not reached, or its answer is none."""


class NotTakenError(ModelwaveError):
    """The receiver of an alert, or its command, did not take a message."""
