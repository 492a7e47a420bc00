"""The words for how a rollout stands."""

NEW, RUNNING, PAUSED, HELD = "NEW", "RUNNING", "PAUSED", "HELD"
REVERTING, REVERTED, FINISHED, ABORTED = "REVERTING", "REVERTED", "FINISHED", "ABORTED"
UNKNOWN = "UNKNOWN"
ACTIVE = (
    NEW,
    RUNNING,
    PAUSED,
    HELD,
)  # may still open a stage; at most one such per model and target
FINAL = (REVERTED, FINISHED, ABORTED)
