"""The fleet of the devices that get the bad messages: its keys, its roots and what it orders.

A device is enrolled with root 1, takes one order under it, and then root 2, which revokes that
order key. So its floor is of epoch 1, and an order of the old key is one of a revoked key.
"""

import json

from modelwave_shared import dsse, words
from tests import signing
from tests.board.releases import release
from tests.signing import ORDER_KEY, RELEASE_KEY, ROOT_KEYS

DEVICE, TARGET, MODEL = "pi-1", "linux-cpu", "digits"
NOW = signing.ISSUED + 60
REVOKED_KEY = signing.Key(6)  # the order key of root 1
FIRST_FLOOR = 10  # the sequence of the first order under root 2
STEP = 10  # from the floor in one case to the floor in the next

# Three encodings that are no key: a careless fleet has let them sign orders. The first is the
# neutral point, of small order; the second is the same point with y >= p; the third says "x = -0".
SMALL_ORDER = bytes([1]) + bytes(31)
Y_ABOVE_P = (2**255 - 19 + 1).to_bytes(32, "little")
MINUS_ZERO = (1 | 1 << 255).to_bytes(32, "little")
NO_KEYS = (SMALL_ORDER, Y_ABOVE_P, MINUS_ZERO)

LIVE = release(5, b"the model that is live" * 40, target=TARGET)
NEXT = release(6, b"the model that comes next" * 40, target=TARGET)
# Its golden set is that of another model.
MIXED = release(7, b"a model with a golden set" * 40, healthy=False, target=TARGET)
TOO_OLD = release(2, b"a model of long ago" * 40, target=TARGET)
LEAST_RELEASE = 3


def payload(document):
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def envelope(kind, data, *keys):
    """The envelope of the payload `data`, which may be anything, with the keys' signatures."""
    message = dsse.signed_bytes(kind, data)
    return dsse.write(kind, data, [(key.id, key.sign(message)) for key in keys])


def root(version, **changes):
    """Root 1 has the order key that the later ones revoke."""
    made = signing.root(
        version=version, epoch=min(version - 1, 1), minimum={MODEL: LEAST_RELEASE}, **changes
    )
    order_keys = [REVOKED_KEY.public] if version == 1 else [ORDER_KEY.public, *NO_KEYS]
    ids = [dsse.keyid(key) for key in order_keys]
    del made["keys"][ORDER_KEY.id]
    made["keys"].update({dsse.keyid(key): key.hex() for key in order_keys})
    made["roles"]["order"]["keyids"] = ids
    return made


def signed_root(document, *keys):
    return envelope(words.ROOT, payload(document), *(keys or ROOT_KEYS[:2]))


def order_document(seq, made=NEXT, **changes):
    at_once = {"epoch": 1, "trial": {"seconds": 0, "inferences": 0}}
    return signing.order_document(made, seq, **{**at_once, **changes})


def order(seq, made=NEXT, key=ORDER_KEY, **changes):
    """The two lines of a message on a desired topic."""
    return lines(payload(order_document(seq, made, **changes)), made, key)


def lines(data, made=NEXT, *keys):
    """The same with any payload in the place of the order's."""
    return envelope(words.ORDER, data, *(keys or [ORDER_KEY])) + b"\n" + made.envelope


def manifest_order(seq, document, *keys):
    """An order for a manifest that may be anything: a document, or a payload's bytes."""
    data = document if isinstance(document, bytes) else payload(document)
    line = envelope(words.MANIFEST, data, *(keys or [RELEASE_KEY]))
    asked = order_document(seq, manifest=dsse.read(line).digest())
    return envelope(words.ORDER, payload(asked), ORDER_KEY) + b"\n" + line


def heartbeat(data, *keys):
    return envelope(words.HEARTBEAT, data, *(keys or [ORDER_KEY]))


def heartbeat_document(**changes):
    known = {"epoch": 1, "root": 2, "models": {}, "time": NOW}
    return {**signing.heartbeat_document(signing.NONCE), **known, **changes}
