"""What can go wrong, grouped by whose turn it is. Each message is one line that names the
field or file and says what to do; `modelwave` prints it and exits with `exit_code`.

    OperatorError  the command, a file or a setting is not as it must be     2
    TrustError     a signature, a hash or a golden set does not vouch for it 1
    StorageError   the disk or the database did not do its part              1
"""


class ModelwaveError(Exception):
    """Something expected went wrong; the message is fit for a person."""

    exit_code = 1


class OperatorError(ModelwaveError):
    """What was asked for or handed in is wrong, and nothing has been changed."""

    exit_code = 2


class NoDeviceError(OperatorError):
    """No device that it could be for has reported yet; one may soon."""


class TrustError(ModelwaveError):
    """What was to be trusted is not: wrong key, too few signatures, other bytes, a golden
    set that fails."""


class StorageError(ModelwaveError):
    """The home folder or its database cannot be read or written."""
