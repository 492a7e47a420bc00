"""The words of a verdict: what a look, or the gate of a stage, says of a release."""

PASS, FAIL, HOLD, INCONCLUSIVE = "PASS", "FAIL", "HOLD", "INCONCLUSIVE"
