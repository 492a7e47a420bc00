"""Says in fixed words what went wrong on a connection.

What a device reports can be read by many, and the order key alone decides which server it asks. So
the words are ours or the operating system's, with a number; nothing that the other side sent is in
them, and so no banner of a service, no name in a certificate and no token.
"""

import os
import socket
import ssl

# X509_V_ERR_… of OpenSSL's x509_vfy.h.
_CERTIFICATES = {
    9: "not valid yet",
    10: "expired",
    18: "signed by itself, not by a trusted authority",
    19: "not from a trusted authority",
    20: "not from a trusted authority",
    62: "for another host name",
    64: "for another address",
}


def in_words(error: OSError) -> str:
    """Returns what `error` means, with its number."""
    if isinstance(error, ssl.SSLCertVerificationError):
        code = error.verify_code
        return f"the certificate is {_CERTIFICATES.get(code, 'not valid')} (OpenSSL {code})"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed (ssl {error.errno})"
    if isinstance(error, socket.gaierror):
        return f"the name server says no (getaddrinfo {error.errno})"
    if isinstance(error, TimeoutError) and error.errno is None:
        return "it does not answer in time"
    if error.errno is None:
        return "the connection failed"
    return f"{os.strerror(error.errno)} (errno {error.errno})"
