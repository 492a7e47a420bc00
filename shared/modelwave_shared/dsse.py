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

TYPE_PREFIX = "application/vnd.modelwave."
TYPE_SUFFIX = "+json"

_HEAD = b'{"payload":"'
_TYPE = b'","payloadType":"'
_SIGNATURES = b'","signatures":['
_KEYID = b'{"keyid":"'
_SIG = b'","sig":"'
_SIGNATURE_TEXT_BYTES = 88  # base64 of 64 bytes
_ENTRY_BYTES = len(_KEYID) + 8 + len(_SIG) + _SIGNATURE_TEXT_BYTES + 2


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
            raise EnvelopeError("threshold %d: at least 1 signature is needed" % threshold)
        with VERIFYING:
            good = self._good(keys, threshold)
        if good < threshold:
            raise EnvelopeError(
                "signatures: %d of the %d needed %s keys have signed" % (good, threshold, self.kind)
            )

    def _good(self, keys: "Mapping[str, bytes]", enough: int) -> int:
        """How many distinct keys have signed; counted up to `enough`."""
        from modelwave_shared import ed25519

        prefix = _before(self.kind, len(self.payload))
        good: set[bytes] = set()
        for keyid, signature in self.signatures:
            key = keys.get(keyid)
            if key is None or key in good:
                continue
            if ed25519.verify(key, self.payload, signature, prefix):
                good.add(key)
                if len(good) == enough:
                    break
        return len(good)


def read(data: bytes) -> Envelope:
    """The Envelope in `data` (bytes). Raises EnvelopeError."""
    if len(data) > MAX_ENVELOPE_BYTES:
        raise EnvelopeError("%d bytes: longer than %d" % (len(data), MAX_ENVELOPE_BYTES))
    data = bytes(data)
    payload_end = data.find(_TYPE, len(_HEAD))  # each part ends before the next one starts
    type_end = data.find(_SIGNATURES, payload_end + len(_TYPE))
    if not data.startswith(_HEAD) or payload_end < 0 or type_end < 0 or data[-2:] != b"]}":
        raise EnvelopeError("envelope: not the DSSE template")
    kind = _kind(data[payload_end + len(_TYPE) : type_end])
    signatures = _signatures(data[type_end + len(_SIGNATURES) : -2])
    return Envelope(kind, _unbase64(data[len(_HEAD) : payload_end], "payload"), signatures)


def write(kind: str, payload: bytes, signatures: "Iterable[Signature]") -> bytes:
    """The envelope's bytes. Raises EnvelopeError if it would be too long to be read."""
    entries = [
        _KEYID + keyid.encode() + _SIG + _base64(signature) + b'"}'
        for keyid, signature in signatures
    ]
    data = b"".join(
        (_HEAD, _base64(payload), _TYPE, payload_type(kind), _SIGNATURES, b",".join(entries), b"]}")
    )
    if len(data) > MAX_ENVELOPE_BYTES:
        raise EnvelopeError(
            "%s: its envelope has %d bytes, the limit is %d" % (kind, len(data), MAX_ENVELOPE_BYTES)
        )
    return data


def payload_type(kind: str) -> bytes:
    return (TYPE_PREFIX + kind + TYPE_SUFFIX).encode()


def signed_bytes(kind: str, payload: bytes) -> bytes:
    """What a signature covers (DSSE's PAE)."""
    return _before(kind, len(payload)) + payload


def _before(kind: str, size: int) -> bytes:
    """What stands before a payload of `size` bytes there."""
    name = payload_type(kind)
    return b"DSSEv1 %d %s %d " % (len(name), name, size)


def keyid(public_key: bytes) -> str:
    """First 8 hex digits of sha256 of the raw public key (32 bytes)."""
    return hexdigest(public_key)[:8]


def _kind(name: bytes) -> str:
    word = name[len(TYPE_PREFIX) : -len(TYPE_SUFFIX)]
    kind = word.decode() if all(0x61 <= c <= 0x7A for c in word) else ""
    if not kind or payload_type(kind) != name:
        raise EnvelopeError("payloadType: not one of modelwave's")
    return kind


def _signatures(text: bytes) -> "list[Signature]":
    count = (len(text) + 1) // (_ENTRY_BYTES + 1)
    if not 1 <= count <= MAX_SIGNATURES or len(text) != count * (_ENTRY_BYTES + 1) - 1:
        raise EnvelopeError("signatures: not 1 to %d of 64 bytes each" % MAX_SIGNATURES)
    found: "list[Signature]" = []
    for start in range(0, len(text), _ENTRY_BYTES + 1):
        entry = text[start : start + _ENTRY_BYTES]
        keyid_end = len(_KEYID) + 8
        sig = keyid_end + len(_SIG)
        name = entry[len(_KEYID) : keyid_end]
        if (
            not entry.startswith(_KEYID)
            or entry[keyid_end:sig] != _SIG
            or entry[-2:] != b'"}'
            or text[start + _ENTRY_BYTES : start + _ENTRY_BYTES + 1] not in (b"", b",")
            or not all(c in b"0123456789abcdef" for c in name)
        ):
            raise EnvelopeError("signatures: not the DSSE template")
        found.append((name.decode(), _unbase64(entry[sig:-2], "sig")))
        if len(found[-1][1]) != 64:
            raise EnvelopeError("sig: not 64 bytes")
    return found


def _unbase64(text: bytes, field: str) -> bytes:
    try:
        data = binascii.a2b_base64(text)
    except ValueError:
        raise EnvelopeError("%s: not base64" % field)
    if _base64(data) != text:
        raise EnvelopeError("%s: not the one base64 spelling of its bytes" % field)
    return data


def _base64(data: bytes) -> bytes:
    return binascii.b2a_base64(data).strip()
