"""Writes signed.py: envelopes for tests on boards, which cannot sign. CPython only.

    python -m tests.core.make_signed

The keys come from fixed seeds and Ed25519 is deterministic, so the same documents give the
same bytes.
"""

from pathlib import Path

from modelwave_shared.words import HEARTBEAT, MANIFEST, ORDER, READS, ROOT
from tests import signing
from tests.signing import ORDER_KEY, RELEASE_KEY, ROOT_KEYS, STRANGER, envelope

SIGNED = Path(__file__).with_name("signed.py")
HEAD = '"""Signed envelopes, each a line of what it is. Made by make_signed.py; do not edit."""\n'
CHUNK_BYTES = 88


def envelopes():
    """[(name, what it is, bytes)]"""
    root = signing.root()
    second = {**root, "version": 2, "epoch": 1}
    release = signing.Release(3, b"a model")
    manifest = release.document
    order = signing.order_document(release, 7)
    unknown = {**order, "condition": "only at night"}
    extra = {**order, "extra": {"site": "north"}}
    newer = {**unknown, "v": READS[ORDER] + 1}
    heartbeat = signing.heartbeat_document(signing.NONCE, models={"digits": 7})
    next_epoch = {**heartbeat, "epoch": 1}
    by_next_root = {**next_epoch, "root": 2}
    of_another = {**heartbeat, "device": "pi-2"}
    ahead = {**heartbeat, "time": signing.ISSUED + 11 * 365 * 86400}
    return [
        ("ROOT", "by two of its three root keys", envelope(ROOT, root, *ROOT_KEYS[:2])),
        ("SECOND_ROOT", "version 2, of a new epoch", envelope(ROOT, second, *ROOT_KEYS[1:])),
        ("SECOND_ROOT_BY_ONE", "by one root key", envelope(ROOT, second, ROOT_KEYS[0])),
        ("THIRD_ROOT", "version 3", envelope(ROOT, {**second, "version": 3}, *ROOT_KEYS[:2])),
        ("MANIFEST", "by the release key", envelope(MANIFEST, manifest, RELEASE_KEY)),
        ("MANIFEST_BY_ORDER_KEY", "by the online key", envelope(MANIFEST, manifest, ORDER_KEY)),
        ("ORDER", "of that manifest, by the online key", envelope(ORDER, order, ORDER_KEY)),
        ("ORDER_BY_STRANGER", "by a key of another fleet", envelope(ORDER, order, STRANGER)),
        ("ORDER_UNKNOWN_FIELD", "well signed", envelope(ORDER, unknown, ORDER_KEY)),
        ("ORDER_WITH_EXTRA", "as a newer controller may", envelope(ORDER, extra, ORDER_KEY)),
        ("ORDER_NEXT_FORMAT", "of a newer controller", envelope(ORDER, newer, ORDER_KEY)),
        ("HEARTBEAT", "for pi-1, by the online key", envelope(HEARTBEAT, heartbeat, ORDER_KEY)),
        ("HEARTBEAT_BY_STRANGER", "by a thief", envelope(HEARTBEAT, heartbeat, STRANGER)),
        ("HEARTBEAT_OF_ANOTHER", "for pi-2", envelope(HEARTBEAT, of_another, ORDER_KEY)),
        ("HEARTBEAT_NEXT_EPOCH", "of no root", envelope(HEARTBEAT, next_epoch, ORDER_KEY)),
        ("HEARTBEAT_NEXT_ROOT", "of root 2", envelope(HEARTBEAT, by_next_root, ORDER_KEY)),
        ("HEARTBEAT_AHEAD", "11 years ahead", envelope(HEARTBEAT, ahead, ORDER_KEY)),
        ("TINY", "an order without fields, by the online key", envelope(ORDER, {}, ORDER_KEY)),
    ]


def module_text():
    parts = [HEAD]
    for name, what, data in envelopes():
        chunks = [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)]
        lines = "".join(f"    {_literal(chunk)}\n" for chunk in chunks)
        parts.append(f"\n# {what}\n{name} = (\n{lines})\n")
    parts.append("\n# public keys, raw\n")
    for name, key in (("ORDER_KEY", ORDER_KEY), ("STRANGER_KEY", STRANGER)):
        parts.append(f'{name} = bytes.fromhex("{key.public.hex()}")\n')
    return "".join(parts)


def _literal(chunk):
    """In the quotes that the formatter would choose; there is nothing to escape."""
    quote = "'" if b'"' in chunk else '"'
    return f"b{quote}{chunk.decode()}{quote}"


if __name__ == "__main__":
    SIGNED.write_text(module_text(), encoding="utf-8")
