"""Makes the TLS context of a board. It has its own file, as only boards with TLS need it."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def tls_context(ca: bytes) -> "Any":
    """Returns a context for MqttLink's `tls` that trusts only brokers with a certificate of the
    authority `ca` (DER or PEM). Raises ValueError."""
    import tls

    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)  # CERT_REQUIRED by default
    if ca[:5] == b"-----":  # the TLS of some boards cannot read PEM
        from binascii import a2b_base64

        for piece in ca.split(b"-----")[2::4]:
            context.load_verify_locations(a2b_base64(piece))
    else:
        context.load_verify_locations(ca)
    return context
