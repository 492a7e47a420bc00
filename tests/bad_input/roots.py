"""Roots and heartbeats that are signed by the right keys, and say what they must not. The device
has root 2, and waits for root 3."""

from tests import signing
from tests.bad_input import fleet
from tests.bad_input.case import HEARTBEAT, ROOT, Case, always
from tests.bad_input.fleet import heartbeat, heartbeat_document, payload, signed_root
from tests.signing import ISSUED, ORDER_KEY, RELEASE_KEY, ROOT_KEYS, STRANGER

NEW_ROOT_KEYS = [signing.Key(seed) for seed in (11, 12, 13)]


def changed(**changes):
    return signed_root({**fleet.root(3), **changes})


def with_roles(**roles):
    made = fleet.root(3)
    return signed_root({**made, "roles": {**made["roles"], **roles}})


def role(keyids, threshold):
    return {"keyids": keyids, "threshold": threshold}


def of_new_keys(*signers):
    """A root 3 that has other root keys."""
    made = fleet.root(3)
    made["keys"].update({key.id: key.public.hex() for key in NEW_ROOT_KEYS})
    made["roles"]["root"] = role([key.id for key in NEW_ROOT_KEYS], 2)
    return signed_root(made, *signers)


def under_another_id():
    made = fleet.root(3)
    made["keys"]["00000000"] = ROOT_KEYS[0].public.hex()
    return signed_root(made)


IDS = [key.id for key in ROOT_KEYS]
ROOTS = [
    ("version + 2", signed_root(fleet.root(4)), "root.version: 4, the next one is 3"),
    ("the same version", signed_root(fleet.root(2)), "root.version: 2, the next one is 3"),
    ("no version", changed(version=None), "root.version"),
    ("signed by the old keys only", of_new_keys(*ROOT_KEYS[:2]), "signatures: 0 of the 2 needed"),
    ("signed by the new keys only", of_new_keys(*NEW_ROOT_KEYS[:2]), "signatures: 0 of the 2"),
    ("threshold 0", with_roles(order=role([ORDER_KEY.id], 0)), "root.roles.order.threshold"),
    ("threshold 0 of roots", with_roles(root=role(IDS, 0)), "root.roles.root.threshold"),
    ("threshold true", with_roles(root=role(IDS, True)), "root.roles.root.threshold"),
    ("threshold above its keys", with_roles(root=role(IDS, 4)), "root.roles.root.threshold"),
    ("no keys of a role", with_roles(release=role([], 1)), "root.roles.release.keyids"),
    ("one key twice", with_roles(root=role([IDS[0]] * 2, 2)), "root.roles.root.keyids"),
    ("key that it has not", with_roles(order=role(["ffffffff"], 1)), "root.roles.order.keyids"),
    ("one key under two ids", under_another_id(), "root.keys.00000000: the id of this key is"),
    ("lower epoch", changed(epoch=0), "root.epoch: 0, it was 1 already"),
    ("epoch of 2^31", changed(epoch=2**31), "root.epoch"),
    ("another fleet", changed(fleet="other"), "root.fleet: other, not demo"),
    ("unknown field", changed(condition=1), "root.condition: an unknown field"),
    ("newer format", changed(v=3), "root.v: 3 is a newer format"),
    ("minimum that is negative", changed(minimum={"digits": -1}), "root.minimum"),
    ("minimum of a path", changed(minimum={"../x": 1}), "root.minimum"),
    ("list", fleet.envelope("root", b"[]", *ROOT_KEYS[:2]), "root: a list is no object"),
    ("two lines", changed() + b"\n" + changed(), "not the DSSE template: text after the end"),
    ("heartbeat", heartbeat(payload(heartbeat_document())), "a heartbeat instead of a root"),
]


def beat(**changes):
    return heartbeat(payload(heartbeat_document(**changes)))


def with_key(key):
    return heartbeat(payload(heartbeat_document()), key)


HEARTBEATS = [
    ("another nonce", beat(nonce="f" * 16), "the heartbeat answers another nonce"),
    ("of another device", beat(device="pi-2"), "the heartbeat is for device pi-2"),
    ("of another fleet", beat(fleet="other"), "the heartbeat is for fleet other"),
    ("by a stranger", with_key(STRANGER), "signatures: 0 of the 1 needed heartbeat keys"),
    ("by the release key", with_key(RELEASE_KEY), "signatures: 0 of the 1"),
    ("by the revoked key", with_key(fleet.REVOKED_KEY), "signatures: 0 of the 1"),
    ("of an older epoch", beat(epoch=0), "the heartbeat is of epoch 0"),
    ("of an epoch without a root", beat(epoch=2), "the heartbeat is of epoch 2, no root says so"),
    ("from the future", beat(time=ISSUED + 5000), "the heartbeat is 4940 seconds ahead"),
    ("time of 2^63", beat(time=2**63), "no value at byte"),
    ("sequence that is true", beat(models={"digits": True}), "heartbeat.models"),
    ("unknown field", beat(condition=1), "heartbeat.condition: an unknown field"),
    ("newer format", beat(v=2), "heartbeat.v: 2 is a newer format"),
    ("root", signed_root(fleet.root(3)), "a root instead of a heartbeat"),
]
CASES = [
    *(
        Case("root: " + name, always(data), "root 3: " + says, topic=ROOT)
        for name, data, says in ROOTS
    ),
    *(
        Case("heartbeat: " + name, always(data), "heartbeat: " + says, topic=HEARTBEAT)
        for name, data, says in HEARTBEATS
    ),
]
