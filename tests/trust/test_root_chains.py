"""Which roots may follow one another, python-tuf's client decides as we do: generated chains that
both walk. 5,000 with MODELWAVE_LONG=1, 150 in an ordinary run."""

import os
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from tuf.api.exceptions import ExpiredMetadataError, RepositoryError
from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet
from tuf.ngclient.config import EnvelopeType

from modelwave_shared import documents
from tests.trust.figures import tell
from tests.trust.root_chains import FAULTS, NOW, OWN_FAULTS, Chain, chains

pytestmark = pytest.mark.slow

LONG = os.environ.get("MODELWAVE_LONG") == "1"
SEED = 2026
CHAINS = 5000 if LONG else 150


def our_walk(chain: Chain) -> tuple[list[bool], bool]:
    """Which steps are taken, and whether the root at the end has expired."""
    root: dict[str, Any] = documents.open_first_root(chain.first[0])
    taken = []
    for step in chain.steps:
        try:
            root = documents.open_next_root(step.ours, root)
        except ValueError:
            taken.append(False)
        else:
            taken.append(True)
    return taken, root.get("expires", NOW + 1) <= NOW  # as the check `root` of an order


def their_walk(chain: Chain) -> tuple[list[bool], bool]:
    trusted = TrustedMetadataSet(chain.first[1], EnvelopeType.METADATA)
    trusted.reference_time = datetime.fromtimestamp(NOW, UTC)
    taken = []
    for step in chain.steps:
        try:
            trusted.update_root(step.theirs)
        except RepositoryError:
            taken.append(False)
        else:
            taken.append(True)
    try:
        trusted.update_timestamp(b"none")
    except ExpiredMetadataError:
        return taken, True
    except RepositoryError:
        return taken, False
    raise AssertionError("it has taken no timestamp for one")


def test_root_chains_are_taken_and_refused_as_by_python_tuf() -> None:
    counts: Counter[str] = Counter()
    accepted = expired = 0
    for number, chain in enumerate(chains(SEED, CHAINS)):
        (ours, is_expired), (theirs, they_expired) = our_walk(chain), their_walk(chain)
        for step, our, their in zip(chain.steps, ours, theirs, strict=True):
            where = (number, step.fault, ours, theirs)
            counts[step.fault] += 1
            if step.fault in OWN_FAULTS:
                assert not our, where
            else:
                assert our is their, where
                assert our or step.fault, where
            accepted += our
        if chain.steps[-1].fault not in OWN_FAULTS:
            assert is_expired is they_expired, (number, is_expired)
            expired += is_expired
    assert set(counts) == {*FAULTS, *OWN_FAULTS}
    assert min(counts.values()) >= 5
    assert expired >= 5
    tell(
        f"{CHAINS:,} chains of {counts.total():,} roots, with {len(FAULTS) - 1} faults: python-tuf "
        f"gives the same verdicts, {accepted:,} taken, {expired:,} expired at the end; our own "
        f"rules refuse {sum(counts[f] for f in OWN_FAULTS):,} more"
    )
