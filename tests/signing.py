"""Signed documents for tests: a fleet's keys made from fixed seeds, and its documents."""

import base64
import copy
import hashlib
import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from modelwave_shared import dsse, golden, words

ISSUED = 1_800_000_000
EXPIRES = ISSUED + 86_400
NONCE = "0123456789abcdef"


class Key:
    def __init__(self, seed):
        self.private = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        self.public = self.private.public_key().public_bytes_raw()
        self.id = dsse.keyid(self.public)

    def sign(self, message):
        return self.private.sign(message)


ROOT_KEYS = [Key(1), Key(2), Key(3)]
RELEASE_KEY = Key(4)
ORDER_KEY = Key(5)
STRANGER = Key(9)


def envelope(kind, document, *keys):
    payload = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    message = dsse.signed_bytes(kind, payload)
    return dsse.write(kind, payload, [(key.id, key.sign(message)) for key in keys])


def root(fleet="demo", **changes):
    keys = [*ROOT_KEYS, RELEASE_KEY, ORDER_KEY]
    document = {
        "v": 1,
        "fleet": fleet,
        "epoch": 0,
        "keys": {key.id: key.public.hex() for key in keys},
        "roles": {
            "root": {"keyids": [key.id for key in ROOT_KEYS], "threshold": 2},
            "release": {"keyids": [RELEASE_KEY.id], "threshold": 1},
            "order": {"keyids": [ORDER_KEY.id], "threshold": 1},
        },
        "minimum": {},
    }
    return {**document, **changes}


def root_envelope(document=None):
    return envelope(words.ROOT, document or root(), *ROOT_KEYS[:2])


class Release:
    """A manifest with its files. The fake runtime finds a `model` unhealthy if its bytes start with
    b"BAD"."""

    def __init__(self, number, model, fleet="demo", target="linux-cpu", **changes):
        proof = golden.pack("o", "b", "b", [b"\1\2"], [b"\3"])
        self.files = {sha(data): data for data in (model, proof)}
        self.document = {
            "fleet": fleet,
            "model": "digits",
            "release": number,
            "version": f"v{number}",
            "target": target,
            "format": "tflite",
            "files": [
                {"role": "model", "sha256": sha(model), "size": len(model)},
                {"role": "golden", "sha256": sha(proof), "size": len(proof)},
            ],
            "needs": {
                "flash": len(model) + len(proof),
                "ram": 1000,
                "kernels": [],
                "runtime": "tflite",
                "accelerator": "",
            },
            "tolerance": {"kind": "outputs", "steps": {"any": 0}},
            "lineage": {"dataset": "none", "metrics": {}, "quantisation": "int8"},
            "forced": "",
            "deltas": [],
        }
        self.document.update(copy.deepcopy(changes))
        self.envelope = envelope(words.MANIFEST, self.document, RELEASE_KEY)
        self.digest = dsse.read(self.envelope).digest()


# What a device has, for the manifests of this module.
ROOM = {
    "flash": 10**6,
    "ram": 10**6,
    "runtime": "tflite",
    "runtime_version": "2.14.0",
    "accelerator": "",
    "kernels": None,
}
# The fields of an order to run a model beside the live one.
SHADOW = {
    "shadow": True,
    "extra": {
        "shadow": {
            "seconds": 3600,
            "share_ppm": 100_000,
            "ram": 2**20,
            "latency_us": 20_000,
            "classes": False,
            "else_trial": False,
        }
    },
}


def order_document(release, seq, **changes):
    document = {
        "fleet": "demo",
        "target": release.document["target"],
        "model": "digits",
        "epoch": 0,
        "seq": seq,
        "slots": [[0, 999]],
        "manifest": release.digest,
        "urls": ["http://files.test"],
        "issued": ISSUED,
        "expires": EXPIRES,
        "trial": {"seconds": 10, "inferences": 0},
        "shadow": False,
    }
    return {**document, **changes}


def order(release, seq, key=ORDER_KEY, **changes):
    """Returns the two lines of a message on a desired topic."""
    document = order_document(release, seq, **changes)
    return envelope(words.ORDER, document, key) + b"\n" + release.envelope


def heartbeat_document(nonce, **changes):
    document = {
        "fleet": "demo",
        "device": "pi-1",
        "nonce": nonce,
        "time": ISSUED + 60,
        "epoch": 0,
        "root": 1,
        "models": {"digits": 0},
    }
    return {**document, **changes}


def heartbeat(nonce, key=ORDER_KEY, **changes):
    return envelope(words.HEARTBEAT, heartbeat_document(nonce, **changes), key)


def bitmap(numbers):
    """Returns the fields of an order for these slots, in format 2."""
    bits = sum(1 << number for number in set(numbers))
    return {"v": 2, "slots": base64.b64encode(bits.to_bytes(125, "little")).decode()}


def sha(data):
    return hashlib.sha256(data).hexdigest()
