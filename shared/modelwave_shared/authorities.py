"""Makes the TLS contexts of a client, for hosts. It needs CPython's ssl, so no board imports it."""

import logging
import ssl
from collections.abc import Callable

logger = logging.getLogger(__name__)


class Authorities:
    """The certificate authorities that a client trusts, and its own certificate, if it has one. The
    files are read for each connection, so that rotated ones are used without a restart."""

    def __init__(self, ca_file: str = "", certificate: str = "", key: str = "") -> None:
        """`ca_file` is a PEM file; "" means the system's authorities. `certificate` and `key` are
        PEM files too; the key has no passphrase. Raises UnusableFile."""
        self.ca_file = ca_file
        self.certificate = certificate
        self.key = key
        self.problem = ""  # what is wrong with a file now
        self.tell: Callable[[str], None] = lambda problem: None  # called when `problem` changes
        self._last = self._read()

    def context(self) -> ssl.SSLContext:
        """Returns the context for a new connection. If a file cannot be used at the moment, this
        is the one of the last time that all could; the log and `problem` say so."""
        try:
            self._last = self._read()
            problem = ""
        except UnusableFile as error:
            problem = f"{error}; what was read before is still used"
        if problem != self.problem:
            self.problem = problem
            logger.warning("%s", problem or "the files for TLS can be used again")
            self.tell(problem)
        return self._last

    def _read(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
        except OSError as error:  # the file, or the certificates in it
            raise UnusableFile("ca", f"{self.ca_file}: {_said(error)}") from error
        if self.certificate:
            try:
                context.load_cert_chain(self.certificate, self.key, lambda: "")
            except (OSError, ValueError) as error:  # ValueError: a passphrase is asked for
                told = f"{self.certificate}, {self.key}: {_said(error)}"
                raise UnusableFile("certificate", told) from error
        return context


class UnusableFile(OSError):
    """A file cannot be read, or has something else in it; the message names it. `setting`: "ca" or
    "certificate"."""

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(problem)
        self.setting = setting


def _said(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
