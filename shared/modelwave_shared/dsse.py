"""The signed envelope (DSSE, https://github.com/secure-systems-lab/dsse, version 1.0.2).

An envelope holds a payload, its type and signatures; dsse_text.py reads and writes it. Signatures
cover `DSSEv1 LEN(type) type LEN(payload) payload`, so the received bytes are verified and never
re-encoded. Signatures are Ed25519. A keyid (first 8 hex digits of sha256 of the raw public key)
only says which key to try; a threshold counts distinct public keys.
"""

from modelwave_shared.digests import hexdigest
from modelwave_shared.errors import EnvelopeError
from modelwave_shared.lean import Phase
from modelwave_shared.limits import KEYID_CHARACTERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from modelwave_shared.dsse_text import Signature

SCANNING = Phase("modelwave_shared.dsse_text")
VERIFYING = Phase("modelwave_shared.ed25519")

# A payload type is the start, the document's kind, and the end.
TYPE_START = b"application/vnd.modelwave."
TYPE_END = b"+json"


class Envelope:
    """A decoded envelope: `kind` (such as "order"), `payload` (bytes), `signatures` (list of
    (keyid, 64 bytes)). Trust nothing of it before `verify` has returned."""

    def __init__(self, kind: str, payload: bytes, signatures: "list[Signature]") -> None:
        self.kind = kind
        self.payload = payload
        self.signatures = signatures

    def digest(self) -> str:
        """Returns the sha256 of the payload, in hex. It identifies the document, whoever signed."""
        return hexdigest(self.payload)

    def verify(self, keys: "Mapping[str, bytes]", threshold: int) -> None:
        """Raises EnvelopeError unless `threshold` of the distinct public keys in `keys`
        ({keyid: 32 bytes}) have signed."""
        for _ in self.verifying(keys, threshold):
            pass

    def verifying(self, keys: "Mapping[str, bytes]", threshold: int) -> "Iterator[None]":
        """Does the same, and yields after each signature, which takes a board a second. Only the
        first one of a key is looked at, so a stranger cannot make the work longer."""
        if threshold < 1:
            raise EnvelopeError("threshold %d: at least 1 is needed" % threshold)
        good = 0
        tried: set[bytes] = set()
        with VERIFYING:
            for keyid, signature in self.signatures:
                key = keys.get(keyid)
                if key is None or key in tried or good == threshold:
                    continue
                tried.add(key)
                if self._is_signed_by(key, signature):
                    good += 1
                yield
        if good < threshold:
            raise EnvelopeError(
                "signatures: %d of the %d needed %s keys have signed" % (good, threshold, self.kind)
            )

    def _is_signed_by(self, key: bytes, signature: bytes) -> bool:
        from modelwave_shared import ed25519

        prefix = pae_prefix(self.kind, len(self.payload))
        return ed25519.verify(key, self.payload, signature, prefix)


def read(data: bytes) -> Envelope:
    """Reads the Envelope in `data` (bytes). Raises EnvelopeError."""
    with SCANNING:
        payload_type, payload, signatures = _scanned(data)
    return Envelope(_kind(payload_type), payload, signatures)


def _scanned(data: bytes) -> "tuple[bytes, bytes, list[Signature]]":
    from modelwave_shared import dsse_text

    return dsse_text.read(data)


def write(kind: str, payload: bytes, signatures: "Iterable[Signature]") -> bytes:
    """Returns the envelope's bytes. Raises EnvelopeError if it would be too long to be read."""
    from modelwave_shared import dsse_text  # not in memory by default: no device writes envelopes

    return dsse_text.write(payload_type(kind), payload, signatures)


def payload_type(kind: str) -> bytes:
    return TYPE_START + kind.encode() + TYPE_END


def signed_bytes(kind: str, payload: bytes) -> bytes:
    """Returns what a signature covers (DSSE's pre-authentication encoding, PAE)."""
    return pae_prefix(kind, len(payload)) + payload


def pae_prefix(kind: str, payload_bytes: int) -> bytes:
    """Returns the part of the PAE before the payload. Ed25519 hashes the two one after the other,
    so a board does not need memory for both in one piece."""
    name = payload_type(kind)
    return b"DSSEv1 %d %s %d " % (len(name), name, payload_bytes)


def keyid(public_key: bytes) -> str:
    """Returns the first 8 hex digits of sha256 of the raw public key (32 bytes)."""
    return hexdigest(public_key)[:KEYID_CHARACTERS]


def _kind(payload_type: bytes) -> str:
    """Returns the kind in a payload type. Raises EnvelopeError unless it is lower-case letters."""
    kind = payload_type[len(TYPE_START) : -len(TYPE_END)]
    is_ours = payload_type == TYPE_START + kind + TYPE_END
    if not is_ours or not kind.isalpha() or not kind.islower():
        raise EnvelopeError("payloadType: not %sKIND%s" % (TYPE_START.decode(), TYPE_END.decode()))
    return kind.decode()
