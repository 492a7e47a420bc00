"""The file with a running broker's users, which is read again whenever it has changed."""

from collections.abc import Callable
from pathlib import Path

from modelwave_controller.broker.credentials import Credentials, read_credentials
from modelwave_controller.broker.settings import EmbeddedBrokerSettings

_Stamp = tuple[int, int, int] | None


class UsersFile:
    """`settings_of` makes the broker's settings with the users that the file names."""

    def __init__(
        self, path: Path, settings_of: Callable[[Credentials], EmbeddedBrokerSettings]
    ) -> None:
        self._path = path
        self._settings_of = settings_of
        self._stamp: _Stamp = None

    def read(self) -> EmbeddedBrokerSettings:
        """Raises BrokerError, which names the line."""
        self._stamp = self._stamp_now()
        return self._settings_of(read_credentials(self._path))

    def read_if_changed(self) -> EmbeddedBrokerSettings | None:
        """Returns None if the file is as it was. Raises BrokerError, once for each change."""
        return self.read() if self._stamp_now() != self._stamp else None

    def _stamp_now(self) -> _Stamp:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
