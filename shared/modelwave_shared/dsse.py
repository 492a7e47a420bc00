"""The signed envelope (DSSE, https://github.com/secure-systems-lab/dsse, version 1.0.2).

An envelope reads, byte for byte, with nothing between:

    {"payload":"BASE64","payloadType":"TYPE","signatures":[{"keyid":"8 HEX","sig":"BASE64"},…]}

It is read by this template, not by a JSON parser: nothing unverified reaches one. What is
signed is `DSSEv1 LEN(type) type LEN(payload) payload`, so the received bytes are verified
and never re-encoded. Base64 is the standard alphabet with padding, and only the one
spelling of its bytes is taken. Signatures are Ed25519; a keyid, the first 8 hex digits of
sha256 of the raw public key, only says which key to try: distinct public keys are counted.
"""

import binascii

from modelwave_shared.digests import hexdigest
from modelwave_shared.errors import EnvelopeError
from modelwave_shared.lean import Phase
from modelwave_shared.limits import MAX_ENVELOPE_BYTES, MAX_SIGNATURES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Signature = tuple[str, bytes]  # keyid, 64 bytes

VERIFYING = Phase("modelwave_shared.ed25519", "modelwave_shared.sha512")

_TYPE = b"application/vnd.modelwave.%s+json"
_KIND_AT, _AFTER_KIND = 26, -5  # in a type
_HEAD = b'{"payload":"%s","payloadType":"%s","signatures":['
_SIGNATURES_AT = 15  # behind the quotation mark that ends the type
_ENTRY = b'{"keyid":"%s","sig":"%s"},'  # after the last one, the comma is none of it
_ENTRY_BYTES = 118  # the keyid has 8, base64 of the signature 88


class Envelope:
    """What an envelope holds: `kind` ("order"), `payload` (bytes), `signatures` (list of
    (keyid, 64 bytes)). Nothing of it is trusted before `verify` has returned."""

    def __init__(self, kind: str, payload: bytes, signatures: "list[Signature]") -> None:
        self.kind = kind
        self.payload = payload
        self.signatures = signatures

    def digest(self) -> str:
        """sha256 of the payload, in hex: the document's name, whoever signed it."""
        return hexdigest(self.payload)

    def verify(self, keys: "Mapping[str, bytes]", threshold: int) -> None:
        """Raises EnvelopeError unless `threshold` of the distinct public keys in `keys`
        ({keyid: 32 bytes}) have signed."""
        if threshold < 1:
            raise EnvelopeError("threshold %d: at least 1 is needed" % threshold)
        with VERIFYING:
            good = self._good(keys, threshold)
        if good < threshold:
            raise EnvelopeError(
                "signatures: %d of the %d needed %s keys have signed" % (good, threshold, self.kind)
            )

    def _good(self, keys: "Mapping[str, bytes]", enough: int) -> int:
        """How many distinct keys have signed; counted up to `enough`."""
        from modelwave_shared import ed25519

        name, size = payload_type(self.kind), len(self.payload)
        prefix = _before(name, size)
        good: set[bytes] = set()
        for keyid, signature in self.signatures:
            key = keys.get(keyid)
            if key is None or key in good or len(good) == enough:
                continue
            if ed25519.verify(key, self.payload, signature, prefix):
                good.add(key)
        return len(good)


def read(data: bytes) -> Envelope:
    """The Envelope in `data` (bytes). Raises EnvelopeError."""
    if len(data) > MAX_ENVELOPE_BYTES:
        raise EnvelopeError("%d bytes: longer than %d" % (len(data), MAX_ENVELOPE_BYTES))
    data = bytes(data)
    parts = data.split(b'"', 8) + [b""] * 8  # what is not there is empty
    payload, kind = parts[3], parts[7][_KIND_AT:_AFTER_KIND]
    # What was found in its places must make up the same bytes again.
    known = data.startswith(_HEAD % (payload, _TYPE % kind)) and data.endswith(b"]}")
    if not known or not kind.isalpha() or not kind.islower():
        raise EnvelopeError("envelope: not the DSSE template")
    signatures = _signatures(parts[8][_SIGNATURES_AT:-2] + b",")
    return Envelope(kind.decode(), _unbase64(payload, "payload"), signatures)


def write(kind: str, payload: bytes, signatures: "Iterable[Signature]") -> bytes:
    """The envelope's bytes. Raises EnvelopeError if it would be too long to be read."""
    entries = [_ENTRY % (keyid.encode(), _base64(signature)) for keyid, signature in signatures]
    head = _HEAD % (_base64(payload), payload_type(kind))
    data = head + b"".join(entries)[:-1] + b"]}"
    if len(data) > MAX_ENVELOPE_BYTES:
        raise EnvelopeError(
            "%s: its envelope has %d bytes, the limit is %d" % (kind, len(data), MAX_ENVELOPE_BYTES)
        )
    return data


def payload_type(kind: str) -> bytes:
    return _TYPE % kind.encode()


def signed_bytes(kind: str, payload: bytes) -> bytes:
    """What a signature covers (DSSE's PAE)."""
    return _before(payload_type(kind), len(payload)) + payload


def _before(name: bytes, size: int) -> bytes:
    """What stands there before a payload of `size` bytes of the type `name`."""
    return b"DSSEv1 %d %s %d " % (len(name), name, size)


def keyid(public_key: bytes) -> str:
    """First 8 hex digits of sha256 of the raw public key (32 bytes)."""
    return hexdigest(public_key)[:8]


def _signatures(text: bytes) -> "list[Signature]":
    """`text`: the entries, a comma after each."""
    if len(text) > MAX_SIGNATURES * _ENTRY_BYTES:
        raise EnvelopeError("signatures: more than %d" % MAX_SIGNATURES)
    found: "list[Signature]" = []
    for start in range(0, len(text), _ENTRY_BYTES):
        entry = text[start : start + _ENTRY_BYTES]
        name, sig = entry[10:18], entry[27:115]
        # Only base64 of a multiple of 3 bytes and one more, here of 64, ends in "==".
        whole = entry == _ENTRY % (name, sig) and sig.endswith(b"==")
        if not whole or name.strip(b"0123456789abcdef"):
            raise EnvelopeError("signatures: not the template, or not 64 bytes")
        found.append((name.decode(), _unbase64(sig, "sig")))
    return found


def _unbase64(text: bytes, field: str) -> bytes:
    try:
        data = binascii.a2b_base64(text)
        if _base64(data) == text:
            return data
    except ValueError:
        pass
    raise EnvelopeError("%s: not base64 in its one spelling" % field)


def _base64(data: bytes) -> bytes:
    return binascii.b2a_base64(data, newline=False)
