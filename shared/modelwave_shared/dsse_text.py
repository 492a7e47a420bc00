"""Reads and writes the text of a signed envelope (see dsse.py) by a fixed template:

    {"payload":"BASE64","payloadType":"TYPE","signatures":[{"keyid":"8 HEX","sig":"BASE64"},…]}

The text must match the template byte for byte, without spaces. No JSON parser reads it, as
unverified bytes must not reach one. Base64 has the standard alphabet and padding; only the
canonical encoding of the bytes is accepted.
"""

import binascii

from modelwave_shared.errors import EnvelopeError
from modelwave_shared.limits import KEYID_CHARACTERS, MAX_ENVELOPE_BYTES, MAX_SIGNATURES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Signature = tuple[str, bytes]  # keyid, 64 bytes

# The constant parts of the template, in order.
PAYLOAD = b'{"payload":"'
TYPE = b'","payloadType":"'
SIGNATURES = b'","signatures":['
KEYID = b'{"keyid":"'
SIG = b'","sig":"'
SIGNATURE_END = b'"}'
END = b"]}"

HEX_DIGITS = b"0123456789abcdef"
SIGNATURE_BYTES = 64


def read(data: bytes) -> "tuple[bytes, bytes, list[Signature]]":
    """Returns (payload type, payload, signatures) of the envelope in `data`. Raises
    EnvelopeError."""
    if len(data) > MAX_ENVELOPE_BYTES:
        raise EnvelopeError("%d bytes, at most %d are allowed" % (len(data), MAX_ENVELOPE_BYTES))
    scanner = _Scanner(bytes(data))
    scanner.expect(PAYLOAD)
    payload = scanner.base64("payload")
    scanner.expect(TYPE)
    payload_type = scanner.until_quote()
    scanner.expect(SIGNATURES)
    signatures = [_signature(scanner)]
    while scanner.comes(b","):
        scanner.expect(b",")
        signatures.append(_signature(scanner))
        if len(signatures) > MAX_SIGNATURES:
            raise EnvelopeError("signatures: more than %d" % MAX_SIGNATURES)
    scanner.expect(END)
    scanner.expect_end()
    return payload_type, payload, signatures


def write(payload_type: bytes, payload: bytes, signatures: "Iterable[Signature]") -> bytes:
    """Returns the envelope's bytes. Raises EnvelopeError if it would be too long to be read."""
    entries = []
    for keyid, signature in signatures:
        entries.append(KEYID + keyid.encode() + SIG + _base64(signature) + SIGNATURE_END)
    head = PAYLOAD + _base64(payload) + TYPE + payload_type + SIGNATURES
    data = head + b",".join(entries) + END
    if len(data) > MAX_ENVELOPE_BYTES:
        raise EnvelopeError(
            "%s: the envelope has %d bytes, at most %d are allowed"
            % (payload_type.decode(), len(data), MAX_ENVELOPE_BYTES)
        )
    return data


class _Scanner:
    """Reads an envelope's bytes part by part, in the template's order."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def comes(self, part: bytes) -> bool:
        return self.data[self.at : self.at + len(part)] == part

    def expect(self, part: bytes) -> None:
        if not self.comes(part):
            raise EnvelopeError(
                "not the DSSE template: expected %s at byte %d" % (part.decode(), self.at)
            )
        self.at += len(part)

    def expect_end(self) -> None:
        if self.at != len(self.data):
            raise EnvelopeError("not the DSSE template: text after the end, at byte %d" % self.at)

    def until_quote(self) -> bytes:
        """Returns the bytes before the next quotation mark, and moves to that mark."""
        end = self.data.find(b'"', self.at)
        if end < 0:
            raise EnvelopeError("not the DSSE template: cut off after byte %d" % self.at)
        found = self.data[self.at : end]
        self.at = end
        return found

    def base64(self, field: str) -> bytes:
        """Decodes the bytes before the next quotation mark. Raises EnvelopeError."""
        text = self.until_quote()
        try:
            data = binascii.a2b_base64(text)
        except ValueError:
            data = b""
        if _base64(data) != text:
            raise EnvelopeError("%s: not canonical base64 of the standard alphabet" % field)
        return data


def _signature(scanner: _Scanner) -> "Signature":
    scanner.expect(KEYID)
    keyid = scanner.until_quote()
    if len(keyid) != KEYID_CHARACTERS or keyid.strip(HEX_DIGITS):
        raise EnvelopeError("signatures: a keyid has %d lower-case hex digits" % KEYID_CHARACTERS)
    scanner.expect(SIG)
    signature = scanner.base64("sig")
    if len(signature) != SIGNATURE_BYTES:
        raise EnvelopeError(
            "signatures: a signature has %d bytes, this one %d" % (SIGNATURE_BYTES, len(signature))
        )
    scanner.expect(SIGNATURE_END)
    return keyid.decode(), signature


def _base64(data: bytes) -> bytes:
    return binascii.b2a_base64(data, newline=False)
