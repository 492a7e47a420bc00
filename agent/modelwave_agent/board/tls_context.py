"""Makes the TLS context of a board. It has its own file, as only boards with TLS need it."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def tls_context(ca: bytes, certificate: bytes = b"", key: bytes = b"") -> "Any":
    """Returns a context for MqttLink's `tls` that trusts only brokers with a certificate of the
    authority `ca` (DER or PEM). `certificate` and `key`: the board's own, if the broker asks for
    one. Raises ValueError."""
    import tls

    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)  # CERT_REQUIRED by default
    for piece in _pieces(ca):
        context.load_verify_locations(piece)
    if certificate:
        context.load_cert_chain(_pieces(certificate)[0], _pieces(key)[0])
    return context


def _pieces(data: bytes) -> "list[bytes]":
    """Returns DER: the TLS of some boards cannot read PEM."""
    if data[:5] != b"-----":
        return [data]
    from binascii import a2b_base64

    return [a2b_base64(piece) for piece in data.split(b"-----")[2::4]]
