"""The words that stand in documents, for code that reads no documents."""

ROOT, MANIFEST, ORDER, REPORT, METRICS = "root", "manifest", "order", "report", "metrics"

# The format of each kind, `v` in the document: the highest that this program reads, and the
# one that it writes of the kinds that it signs. A document without `v` is of format 1.
READS = {ROOT: 1, MANIFEST: 1, ORDER: 1, REPORT: 1, METRICS: 1}
WRITES = {MANIFEST: 1, ORDER: 1}

# Whose signature a document needs: the role's name in the root document.
SIGNER = {ROOT: "root", MANIFEST: "release", ORDER: "order"}

# Outcomes that a device reports. The controller adds QUEUED, IN_PROGRESS, TIMED_OUT.
SUCCEEDED, ROLLED_BACK, REJECTED, FAILED, CANCELED = (
    "SUCCEEDED",
    "ROLLED_BACK",
    "REJECTED",
    "FAILED",
    "CANCELED",
)
OUTCOMES = (SUCCEEDED, ROLLED_BACK, REJECTED, FAILED, CANCELED)
# States of a model on a device (agent/modelwave_agent/machine.py).
STATES = ("idle", "clearing", "fetching", "proving", "trial")

FORMATS = ("tflite",)
FILE_ROLES = ("model", "golden", "labels")
