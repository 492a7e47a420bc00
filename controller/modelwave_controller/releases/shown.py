"""Makes what is shown of a release."""

from modelwave_controller.releases import heldout
from modelwave_controller.releases.bundles import Signed
from modelwave_controller.results.releases import HeldOut, Release


def shown(stored: Signed) -> Release:
    shares = heldout.shares(stored.manifest.lineage.metrics)
    held_out = {name: HeldOut(share.value, share.n) for name, share in shares.items()}
    return Release(stored.digest, stored.document, held_out, stored.trouble)
