"""Whom a board trusts over TLS. A file of its own, for boards that use TLS."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def tls_context(ca: bytes) -> "Any":
    """What MqttLink takes as `tls`, to trust only brokers with a certificate from the
    authority `ca` (DER or PEM). ValueError."""
    import tls

    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)  # for which CERT_REQUIRED is the default
    if ca[:5] == b"-----":  # not every board's TLS reads PEM
        from binascii import a2b_base64

        for piece in ca.split(b"-----")[2::4]:
            context.load_verify_locations(a2b_base64(piece))
    else:
        context.load_verify_locations(ca)
    return context
