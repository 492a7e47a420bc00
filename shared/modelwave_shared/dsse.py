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

# The template's constant parts, in their order.
PAYLOAD = b'{"payload":"'
TYPE = b'","payloadType":"'
SIGNATURES = b'","signatures":['
KEYID = b'{"keyid":"'
SIG = b'","sig":"'
SIGNATURE_END = b'"}'
END = b"]}"
# A payload type is the document's kind between these two.
TYPE_START = b"application/vnd.modelwave."
TYPE_END = b"+json"

HEX_DIGITS = b"0123456789abcdef"
KEYID_CHARACTERS = 8
SIGNATURE_BYTES = 64


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
            good = self._good_keys(keys, threshold)
        if good < threshold:
            raise EnvelopeError(
                "signatures: %d of the %d needed %s keys have signed" % (good, threshold, self.kind)
            )

    def _good_keys(self, keys: "Mapping[str, bytes]", enough: int) -> int:
        """Counts the distinct keys that have signed, up to `enough`."""
        from modelwave_shared import ed25519

        prefix = pae_prefix(self.kind, len(self.payload))
        good: set[bytes] = set()
        for keyid, signature in self.signatures:
            key = keys.get(keyid)
            if key is None or key in good or len(good) == enough:
                continue
            if ed25519.verify(key, self.payload, signature, prefix):
                good.add(key)
        return len(good)


def read(data: bytes) -> Envelope:
    """Reads the Envelope in `data` (bytes). Raises EnvelopeError."""
    if len(data) > MAX_ENVELOPE_BYTES:
        raise EnvelopeError("%d bytes, at most %d are allowed" % (len(data), MAX_ENVELOPE_BYTES))
    scanner = _Scanner(bytes(data))
    scanner.expect(PAYLOAD)
    payload = scanner.base64("payload")
    scanner.expect(TYPE)
    kind = _kind(scanner.until_quote())
    scanner.expect(SIGNATURES)
    signatures = [_signature(scanner)]
    while scanner.comes(b","):
        scanner.expect(b",")
        signatures.append(_signature(scanner))
        if len(signatures) > MAX_SIGNATURES:
            raise EnvelopeError("signatures: more than %d" % MAX_SIGNATURES)
    scanner.expect(END)
    scanner.expect_end()
    return Envelope(kind, payload, signatures)


def write(kind: str, payload: bytes, signatures: "Iterable[Signature]") -> bytes:
    """Returns the envelope's bytes. Raises EnvelopeError if it would be too long to be read."""
    entries = []
    for keyid, signature in signatures:
        entries.append(KEYID + keyid.encode() + SIG + _base64(signature) + SIGNATURE_END)
    head = PAYLOAD + _base64(payload) + TYPE + payload_type(kind) + SIGNATURES
    data = head + b",".join(entries) + END
    if len(data) > MAX_ENVELOPE_BYTES:
        raise EnvelopeError(
            "%s: its envelope has %d bytes, at most %d are allowed"
            % (kind, len(data), MAX_ENVELOPE_BYTES)
        )
    return data


def payload_type(kind: str) -> bytes:
    return TYPE_START + kind.encode() + TYPE_END


def signed_bytes(kind: str, payload: bytes) -> bytes:
    """Returns what a signature covers (DSSE's pre-authentication encoding, PAE)."""
    return pae_prefix(kind, len(payload)) + payload


def pae_prefix(kind: str, payload_bytes: int) -> bytes:
    """Returns what stands in the PAE before a payload of that length. Ed25519 hashes the two
    as parts, so that a board need not hold them in one piece."""
    name = payload_type(kind)
    return b"DSSEv1 %d %s %d " % (len(name), name, payload_bytes)


def keyid(public_key: bytes) -> str:
    """Returns the first 8 hex digits of sha256 of the raw public key (32 bytes)."""
    return hexdigest(public_key)[:KEYID_CHARACTERS]


class _Scanner:
    """Moves through an envelope's bytes, part by part, as the template has them."""

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
        """Returns what stands before the next quotation mark, and moves to that mark."""
        end = self.data.find(b'"', self.at)
        if end < 0:
            raise EnvelopeError("not the DSSE template: cut off after byte %d" % self.at)
        found = self.data[self.at : end]
        self.at = end
        return found

    def base64(self, field: str) -> bytes:
        """Decodes what stands before the next quotation mark."""
        text = self.until_quote()
        try:
            data = binascii.a2b_base64(text)
        except ValueError:
            data = b""
        if _base64(data) != text:
            raise EnvelopeError(
                "%s: not base64 of the standard alphabet in its one spelling" % field
            )
        return data


def _kind(payload_type: bytes) -> str:
    """Returns the kind in a payload type: lower-case letters, nothing else."""
    kind = payload_type[len(TYPE_START) : -len(TYPE_END)]
    is_ours = payload_type == TYPE_START + kind + TYPE_END
    if not is_ours or not kind.isalpha() or not kind.islower():
        raise EnvelopeError("payloadType: not %sKIND%s" % (TYPE_START.decode(), TYPE_END.decode()))
    return kind.decode()


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
