"""The words for what devices of a rollout answered, or did not."""

from modelwave_shared.words import OUTCOMES, REJECTED, ROLLED_BACK, SHADOWED, SUCCEEDED

IN_PROGRESS = "IN_PROGRESS"
QUEUED, TIMED_OUT = "QUEUED", "TIMED_OUT"
WORDS = (*OUTCOMES, IN_PROGRESS, QUEUED, TIMED_OUT)
# Ordering such a device anew changes nothing by itself.
_NOT_BY_DEFAULT = (SUCCEEDED, SHADOWED, ROLLED_BACK, REJECTED, IN_PROGRESS, QUEUED)
BY_DEFAULT = tuple(word for word in WORDS if word not in _NOT_BY_DEFAULT)
AFTER_A_HOLD = (*BY_DEFAULT, QUEUED)
