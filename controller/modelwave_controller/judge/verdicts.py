"""The words of a verdict: what a look, or the gate of a stage, says of a release."""

PASS, FAIL, HOLD, INCONCLUSIVE = "PASS", "FAIL", "HOLD", "INCONCLUSIVE"
WORST_FIRST = (FAIL, HOLD, INCONCLUSIVE, PASS)


def rank(verdict: str) -> int:
    """Returns the place of a verdict, the worst is 0; of a newer program's word that of a PASS."""
    return WORST_FIRST.index(verdict) if verdict in WORST_FIRST else WORST_FIRST.index(PASS)
