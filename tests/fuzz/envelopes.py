"""Envelopes of signed documents."""

import base64
import binascii
import json
from typing import Any

from securesystemslib.dsse import Envelope

from modelwave_shared import dsse
from modelwave_shared.errors import EnvelopeError
from modelwave_shared.limits import MAX_ENVELOPE_BYTES, MAX_SIGNATURES
from tests.core import signed
from tests.fuzz.judging import refuse_if, require_plain


def envelope(data: bytes) -> bool:
    try:
        found = dsse.read(data)
    except EnvelopeError as error:
        require_plain(str(error))
        refuse_if(_is_canonical(data), str(error))
        return False
    assert dsse.write(found.kind, found.payload, found.signatures) == data
    assert _is_canonical(data)
    document = json.loads(data)
    assert [(one["keyid"], base64.b64decode(one["sig"])) for one in document["signatures"]] == (
        found.signatures
    )
    if len({keyid for keyid, _ in found.signatures}) == len(found.signatures):  # else it refuses
        others = Envelope.from_dict(document)
        assert others.payload == found.payload
        assert others.pae() == dsse.signed_bytes(found.kind, found.payload)
        theirs = {keyid: bytes.fromhex(one.signature) for keyid, one in others.signatures.items()}
        assert theirs == dict(found.signatures)
    return True


def _is_canonical(data: bytes) -> bool:
    """Whether these are the bytes of an envelope, said anew with the JSON and the base64 of
    Python."""
    try:
        document = json.loads(data.decode("ascii"))
        return (
            len(data) <= MAX_ENVELOPE_BYTES
            and 1 <= len(document["signatures"]) <= MAX_SIGNATURES
            and all(_is_signature(one) for one in document["signatures"])
            and _is_base64(document["payload"])
            and _is_type(document["payloadType"])
            and json.dumps(document, separators=(",", ":")).encode() == data
            and list(document) == ["payload", "payloadType", "signatures"]
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


def _is_signature(value: Any) -> bool:
    return (
        list(value) == ["keyid", "sig"]
        and len(value["keyid"]) == 8
        and set(value["keyid"]) <= set("0123456789abcdef")
        and _is_base64(value["sig"])
        and len(base64.b64decode(value["sig"])) == 64
    )


def _is_base64(text: str) -> bool:
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)).decode() == text
    except binascii.Error:
        return False


def _is_type(text: str) -> bool:
    kind = text.removeprefix("application/vnd.modelwave.").removesuffix("+json")
    return (
        text == f"application/vnd.modelwave.{kind}+json"
        and kind != ""
        and set(kind) <= set("abcdefghijklmnopqrstuvwxyz")
    )


def envelope_seeds() -> list[bytes]:
    short = dsse.write("order", b"{}", [("0123abcd", bytes(64))])
    twice = dsse.write("root", b"[1]", [("0123abcd", bytes(64)), ("0123abcd", bytes(64))])
    return [short, twice, signed.HEARTBEAT, signed.ORDER]
