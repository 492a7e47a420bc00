"""Chains of our roots from a seed, right and wrong ones, and the same in the form of The Update
Framework, signed by the same keys."""

import json
import random
from datetime import UTC, datetime
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import Signature, SSlibKey
from tuf.api.metadata import Metadata, Role, Root, Targets

from modelwave_shared import dsse
from modelwave_shared.words import MANIFEST, ROOT

NOW = 1_800_000_000
YEAR = 365 * 86400
# What a root may have wrong, one at a time; "" is nothing.
FAULTS = (
    "",
    "a version left out",
    "the version of before",
    "old keys only",
    "new keys only",
    "too few keys",
    "one key twice",
    "keys of other roles",
    "removed keys",
    "a changed signature",
    "another kind",
    "no signature that counts",
)
# What only our rules refuse.
OWN_FAULTS = ("an epoch of before", "another fleet", "one key under two ids")


class Key:
    def __init__(self, seed: int) -> None:
        self.private = Ed25519PrivateKey.from_private_bytes(seed.to_bytes(32, "big"))
        self.public = self.private.public_key().public_bytes_raw()
        self.id = str(dsse.keyid(self.public))


KEYS = [Key(seed) for seed in range(1, 13)]
BY_ID = {key.id: key for key in KEYS}
OTHERS = KEYS[10:]  # the release key, the order key


class Signed(NamedTuple):
    """Who signs: a key, under which id, and whether the signature is right."""

    key: Key
    keyid: str
    right: bool = True


class Step(NamedTuple):
    """A root after the first, in both forms. `fault` is what is wrong, "" for nothing."""

    fault: str
    ours: bytes
    theirs: bytes


class Chain(NamedTuple):
    first: tuple[bytes, bytes]
    steps: list[Step]


def chains(seed: int, number: int) -> list[Chain]:
    return [_chain(random.Random(f"{seed} {n}")) for n in range(number)]


def _chain(chance: random.Random) -> Chain:
    keys = chance.sample(KEYS[:10], chance.randint(1, 4))
    root = _document(keys, chance.randint(1, len(keys)), version=1, epoch=chance.randint(0, 2))
    first = _both(root, [Signed(key, key.id) for key in keys])
    steps = []
    for _ in range(chance.randint(1, 5)):
        fault = chance.choice(FAULTS if chance.random() < 0.4 else (*OWN_FAULTS, *[""] * 9))
        step, following = _step(chance, root, fault)
        steps.append(step)
        if fault in OWN_FAULTS:
            break  # from here on the two would walk different chains
        root = following
    return Chain(first, steps)


def _document(keys: list[Key], threshold: int, version: int, epoch: int) -> dict[str, Any]:
    return {
        "v": 2,
        "version": version,
        "fleet": "demo",
        "epoch": epoch,
        "keys": {key.id: key.public.hex() for key in [*keys, *OTHERS]},
        "roles": {
            "root": {"keyids": [key.id for key in keys], "threshold": threshold},
            "release": {"keyids": [OTHERS[0].id], "threshold": 1},
            "order": {"keyids": [OTHERS[1].id], "threshold": 1},
        },
        "minimum": {},
    }


def _step(chance: random.Random, old: dict[str, Any], fault: str) -> tuple[Step, dict[str, Any]]:
    """Returns a root after `old`, and the root that the next one follows: `old` if it is wrong."""
    before = [BY_ID[keyid] for keyid in old["roles"]["root"]["keyids"]]
    strangers = [key for key in KEYS[:10] if key not in before]
    change = chance.random()
    after = list(before)
    if fault in ("old keys only", "new keys only", "removed keys") or change < 0.3:
        after = chance.sample(strangers, chance.randint(1, 3))
    elif change < 0.6:
        after = [*before[1:], strangers[0]]
    threshold = chance.randint(1, len(after))
    if fault in ("too few keys", "one key twice", "one key under two ids"):
        after, threshold = [*before, *strangers[: max(0, 2 - len(before))]], 2
    new = _document(after, threshold, old["version"] + 1, old["epoch"] + chance.choice((0, 0, 1)))
    if chance.random() < 0.3:
        new["expires"] = NOW + chance.choice((-YEAR, YEAR))
    signers = [Signed(key, key.id) for key in dict.fromkeys([*before, *after])]
    kind = ROOT
    match fault:
        case "a version left out":
            new["version"] += chance.randint(1, 3)
        case "the version of before":
            new["version"] -= chance.randint(1, min(2, old["version"]))
        case "old keys only":
            signers = [Signed(key, key.id) for key in before]
        case "new keys only":
            signers = [Signed(key, key.id) for key in after]
        case "too few keys":
            signers = signers[:1]
        case "one key twice":
            signers = [signers[0], signers[0]]
        case "keys of other roles":
            signers = [Signed(key, key.id) for key in OTHERS]
        case "removed keys":
            signers = [Signed(key, key.id) for key in before if key not in after]
        case "a changed signature":
            signers = [one._replace(right=False) for one in signers]
        case "another kind":
            kind = MANIFEST
        case "no signature that counts":
            gone = [key for key in strangers if key not in after]
            signers = [Signed(key, key.id) for key in gone[:2]]
        case "an epoch of before":
            new["epoch"] = max(0, old["epoch"] - 1)
        case "another fleet":
            new["fleet"] = "other"
        case "one key under two ids":
            _under_two_ids(new, after[0])
            signers = [*signers, Signed(after[0], "00000000")]
    if fault == "an epoch of before" and new["epoch"] == old["epoch"]:
        fault = ""
    ours, theirs = _both(new, signers, kind)
    return Step(fault, ours, theirs), (old if fault else new)


def _under_two_ids(new: dict[str, Any], key: Key) -> None:
    new["keys"]["00000000"] = key.public.hex()
    new["roles"]["root"]["keyids"] = [key.id, "00000000"]
    new["keys"] = {
        keyid: public
        for keyid, public in new["keys"].items()
        if keyid in (key.id, "00000000", *(other.id for other in OTHERS))
    }


def _both(root: dict[str, Any], signers: list[Signed], kind: str = ROOT) -> tuple[bytes, bytes]:
    payload = json.dumps(root, sort_keys=True, separators=(",", ":")).encode()
    message = dsse.signed_bytes(kind, payload)
    ours = dsse.write(kind, payload, [(one.keyid, _sign(one, message)) for one in signers[:8]])
    signed = _translated(root) if kind == ROOT else Targets()
    metadata = Metadata(signed)
    for one in signers[:8]:
        signature = Signature(one.keyid, _sign(one, metadata.signed_bytes).hex())
        metadata.signatures[one.keyid] = signature
    return ours, metadata.to_bytes()


def _sign(one: Signed, message: bytes) -> bytes:
    signature = one.key.private.sign(message)
    return signature if one.right else bytes([signature[0] ^ 1]) + signature[1:]


def _translated(root: dict[str, Any]) -> Root:
    """The root in the form of The Update Framework: our release role signs its targets, our order
    role what is online. A root that does not expire does so in 100 years."""
    expires = root.get("expires", NOW + 100 * YEAR)
    keys = {
        keyid: SSlibKey(keyid, "ed25519", "ed25519", {"public": public})
        for keyid, public in root["keys"].items()
    }
    role = {name: Role(held["keyids"], held["threshold"]) for name, held in root["roles"].items()}
    return Root(
        version=root["version"],
        expires=datetime.fromtimestamp(expires, UTC),
        keys=keys,
        roles={
            Root.type: role["root"],
            "targets": role["release"],
            "snapshot": role["order"],
            "timestamp": role["order"],
        },
    )
