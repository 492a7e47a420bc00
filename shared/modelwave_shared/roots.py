"""The fields of the root document: the keys of the fleet and their roles (see schema.py).

Roots are a chain: the one with the next version is signed by the root keys of both, so a device
goes from each to the next (documents.open_next_root). The first has version 1.
"""

from modelwave_shared import dsse
from modelwave_shared.errors import DocumentError
from modelwave_shared.fields import file_host, keyid, name, sha256
from modelwave_shared.limits import (
    MAX_EPOCH,
    MAX_FILE_HOSTS,
    MAX_KEYS,
    MAX_MODELS,
    MAX_SIGNATURES,
    MAX_TIME,
)
from modelwave_shared.roles import public_key
from modelwave_shared.rules import Integer, ListOf, MapOf, Object
from modelwave_shared.schema import EPOCH, RELEASE, Kind
from modelwave_shared.words import ROOT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwave_shared.fields import Document
    from modelwave_shared.rules import Rule

TIME = Integer(0, MAX_TIME)
EXPIRY_FORMAT = 2  # the first format version that has `expires`
# The fields of `extra` that this program knows (docs/documents.md).
EXTRA: "dict[str, Rule]" = {
    "issued": TIME,  # when it was made
    "file_hosts": ListOf(file_host, 0, MAX_FILE_HOSTS),  # that files may come from
}


def _agrees(document: "Document") -> None:
    keys = document["keys"]
    for key in keys:
        found = dsse.keyid(public_key(document, key))
        if found != key:
            raise DocumentError("root.keys." + key, "the id of this key is %s" % found)
    for kind in document["roles"]:
        keyids = document["roles"][kind]["keyids"]
        where = "root.roles." + kind
        for key in keyids:
            if keyids.count(key) > 1:
                raise DocumentError(where + ".keyids", "%s is there twice" % key)
            if key not in keys:
                raise DocumentError(where + ".keyids", "%s is not in root.keys" % key)
        threshold = document["roles"][kind]["threshold"]
        if threshold > len(keyids):
            problem = "%d, but it has %d keys" % (threshold, len(keyids))
            raise DocumentError(where + ".threshold", problem)
    if "expires" in document and document.get("v", 1) < EXPIRY_FORMAT:
        raise DocumentError("root.expires", "it is of format %d" % EXPIRY_FORMAT)
    extra = document.get("extra", {})
    for field in EXTRA:
        if field in extra:
            EXTRA[field](extra[field], "root.extra." + field)


ROLE = Object(
    {
        "keyids": ListOf(keyid, 1, MAX_KEYS),
        # With more than fit into an envelope, nobody could ever sign for the role.
        "threshold": Integer(1, MAX_SIGNATURES),
    }
)
KIND = Kind(
    ROOT,
    {
        "fleet": name,
        "epoch": EPOCH,
        "keys": MapOf(keyid, sha256, 1, MAX_KEYS),  # raw public key, 64 hex digits
        "roles": Object({"root": ROLE, "release": ROLE, "order": ROLE}),
        "minimum": MapOf(name, RELEASE, 0, MAX_MODELS),  # model: least release
    },
    {
        "version": Integer(1, MAX_EPOCH),  # its number in the chain; 1 if it is absent
        "expires": TIME,  # no order is taken under it from then on, only the next root
    },
    _agrees,
)
