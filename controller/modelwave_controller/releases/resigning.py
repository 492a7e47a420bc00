"""Signs a manifest that exists anew, with the release keys of the newest root."""

from collections.abc import Sequence
from typing import Any

from modelwave_controller.errors import OperatorError
from modelwave_controller.releases.bundles import Signed
from modelwave_controller.trust import roots
from modelwave_controller.trust.keys import Signer
from modelwave_shared import dsse, roles
from modelwave_shared.limits import MAX_SIGNATURES
from modelwave_shared.words import MANIFEST


def signed(release: Signed, signers: Sequence[Signer], root: dict[str, Any]) -> tuple[bytes, int]:
    """Returns the manifest's envelope with the signatures that count under `root`, those of
    `signers` added, and how many are lacking. Raises OperatorError for a key that may not sign."""
    allowed, needed = roles.role_keys(root, MANIFEST)
    held = dsse.read(release.envelope)
    message = dsse.signed_bytes(MANIFEST, held.payload)
    found = roots.counting(root, MANIFEST, held.payload, held.signatures)
    for signer in signers:
        if signer.public not in allowed.values():
            raise OperatorError(
                f"--key: {signer.keyid} is not one of the release keys of fleet {root['fleet']} "
                f"(its root names {', '.join(allowed)})"
            )
        found[signer.keyid] = signer.sign(message)
    if len(found) > MAX_SIGNATURES:
        raise OperatorError(f"--key: more than {MAX_SIGNATURES} signatures; sign with fewer keys")
    return bytes(dsse.write(MANIFEST, held.payload, found.items())), max(0, needed - len(found))
