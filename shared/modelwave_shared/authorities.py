"""Makes the TLS contexts of a client, for hosts. It needs CPython's ssl, so no board imports it."""

import logging
import ssl
from collections.abc import Callable

logger = logging.getLogger(__name__)


class Authorities:
    """The certificate authorities that a client trusts. The file is read for each connection, so
    that a rotated one is used without a restart."""

    def __init__(self, ca_file: str = "") -> None:
        """`ca_file` is a PEM file; "" means the system's authorities. Raises OSError if it cannot
        be used."""
        self.ca_file = ca_file
        self.problem = ""  # what is wrong with the file now
        self.tell: Callable[[str], None] = lambda problem: None  # called when `problem` changes
        self._last = self._read()

    def context(self) -> ssl.SSLContext:
        """Returns the context for a new connection. If the file cannot be used at the moment, this
        is the one of the last time that it could; the log and `problem` say so."""
        try:
            self._last = self._read()
            problem = ""
        except OSError as error:  # the file, or the certificates in it
            said = error.strerror or str(error)
            problem = f"{self.ca_file}: {said}; the authorities read before are still trusted"
        if problem != self.problem:
            self.problem = problem
            logger.warning("%s", problem or f"{self.ca_file}: it can be used again")
            self.tell(problem)
        return self._last

    def _read(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca_file or None)
