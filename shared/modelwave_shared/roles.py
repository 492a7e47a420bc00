"""Finds the keys that may sign a kind of document under a root document."""

import binascii

from modelwave_shared.words import SIGNER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwave_shared.fields import Document


def public_key(root: "Document", keyid: str) -> bytes:
    """Returns the raw 32 bytes of a key in a root document."""
    return binascii.unhexlify(root["keys"][keyid])


def role_keys(root: "Document", kind: str) -> "tuple[dict[str, bytes], int]":
    """Returns ({keyid: 32 bytes}, threshold): the keys that may sign documents of `kind` under the
    checked `root`, and how many of them must sign."""
    role = root["roles"][SIGNER[kind]]
    keys = {}
    for keyid in role["keyids"]:
        keys[keyid] = public_key(root, keyid)
    return keys, role["threshold"]
