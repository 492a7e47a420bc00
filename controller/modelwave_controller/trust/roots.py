"""Makes and verifies root documents, and verifies documents under them. A root names the keys
of each role of the fleet, and how many of them must sign."""

from collections.abc import Iterable, Sequence
from typing import Any

from modelwave_controller.errors import TrustError, WrongKeyError
from modelwave_controller.trust import keys
from modelwave_controller.trust.keys import Signer
from modelwave_shared import documents, dsse, ed25519, roles, words
from modelwave_shared.errors import NewerFormatError, advised

ROOT_THRESHOLD = 2


def first_root(
    fleet: str, root_keys: Sequence[Signer], release_key: Signer, order_key: Signer
) -> bytes:
    """Returns the envelope of a fleet's first root, signed by all of `root_keys`."""
    everyone = [*root_keys, release_key, order_key]
    document = {
        "v": 1,  # the first agents require it; it meant what `version` means now
        "fleet": fleet,
        "epoch": 0,
        "keys": {key.keyid: key.public.hex() for key in everyone},
        "roles": {
            "root": _role(root_keys, ROOT_THRESHOLD),
            "release": _role([release_key], 1),
            "order": _role([order_key], 1),
        },
        "minimum": {},
    }
    return keys.sign(words.ROOT, keys.canonical(document), root_keys)


def _role(signers: Sequence[Signer], threshold: int) -> dict[str, Any]:
    return {"keyids": [key.keyid for key in signers], "threshold": threshold}


def require_signer(root: dict[str, Any], kind: str, key: Signer, field: str = "--key") -> None:
    """Raises WrongKeyError unless `key`, which `field` names, may sign documents of `kind` under
    `root`."""
    allowed, _ = roles.role_keys(root, kind)
    if key.public not in allowed.values():
        raise WrongKeyError(
            f"{field}: {key.keyid} is not one of the {words.SIGNER[kind]} keys of fleet "
            f"{root['fleet']} (its root names {', '.join(allowed)})"
        )


def counting(
    root: dict[str, Any], kind: str, payload: bytes, signatures: Iterable[tuple[str, bytes]]
) -> dict[str, bytes]:
    """Returns {key id: signature} of those signatures of a document of `kind` that are valid and by
    keys that `root` names for it."""
    allowed, _ = roles.role_keys(root, kind)
    message = dsse.signed_bytes(kind, payload)
    return {
        keyid: signature
        for keyid, signature in signatures
        if keyid in allowed and ed25519.verify(allowed[keyid], message, signature)
    }


def open_signed(
    kind: str, data: bytes, root: dict[str, Any], what: str
) -> tuple[dict[str, Any], str]:
    """Returns (document, hex sha256 of its payload) of the envelope in `data`. Raises TrustError,
    which names `what`, unless it is a valid document of `kind` for the fleet of `root` and signed
    by keys that `root` names."""
    try:
        envelope: dsse.Envelope = dsse.read(data)
        document = dict(documents.open_signed(kind, envelope, root))
    except NewerFormatError as error:
        raise TrustError(f"{what}: {advised(error, 'controller')}") from error
    except ValueError as error:
        raise TrustError(f"{what}: {error}; get it again from its signer") from error
    if document["fleet"] != root["fleet"]:
        raise TrustError(
            f"{what}: it is for fleet {document['fleet']}, and this fleet is {root['fleet']}"
        )
    return document, envelope.digest()


def open_root(data: bytes, what: str) -> dict[str, Any]:
    """Returns the document of a root envelope that its own keys have signed. Raises TrustError."""
    try:
        return dict(documents.open_first_root(data))
    except ValueError as error:
        raise TrustError(f"{what}: {advised(error, 'controller')}") from error
