"""The words of documents, in a small module for code that does not read documents."""

ROOT, MANIFEST, ORDER, HEARTBEAT = "root", "manifest", "order", "heartbeat"
REPORT, METRICS = "report", "metrics"

# The format version of each kind, `v` in the document: the highest that this program reads, and
# for the kinds that it signs the lowest that it writes: an order or a manifest that version 1
# cannot say has version 2 (orders.py, manifests.py). A document without `v` has version 1.
READS = {ROOT: 2, MANIFEST: 2, ORDER: 2, HEARTBEAT: 1, REPORT: 1, METRICS: 1}
WRITES = {MANIFEST: 1, ORDER: 1, HEARTBEAT: 1}

# The field of an order's `extra` with offers of deltas (deltas.py), and the name under which a
# report's `reads` has the highest kind of them that the device applies.
OFFERS, READS_DELTAS = "deltas", "delta"

# {kind: the role, in the root document, whose keys must sign it}
SIGNER = {ROOT: "root", MANIFEST: "release", ORDER: "order", HEARTBEAT: "order"}

PROGRAM = "modelwave-agent"  # begins the field `agent` of a report; its version follows

# Outcomes that a device reports. The controller adds QUEUED, IN_PROGRESS, TIMED_OUT.
SUCCEEDED, SHADOWED, ROLLED_BACK, REJECTED, FAILED, DEFERRED, CANCELED = (
    "SUCCEEDED",
    "SHADOWED",
    "ROLLED_BACK",
    "REJECTED",
    "FAILED",
    "DEFERRED",
    "CANCELED",
)
OUTCOMES = (SUCCEEDED, SHADOWED, ROLLED_BACK, REJECTED, FAILED, DEFERRED, CANCELED)
# States of a model on a device (agent/modelwave_agent/machine.py).
STATES = ("idle", "clearing", "fetching", "proving", "shadow", "trial")

# What a device says of its view of its orders (agent/modelwave_agent/freshness.py).
ASKED, FRESH, WITHHELD, UNANSWERED = "asked", "fresh", "withheld", "unanswered"
VIEWS = (ASKED, FRESH, WITHHELD, UNANSWERED)

TFLITE, ONNX = "tflite", "onnx"  # formats of models that this program knows
# Formats of images for MCUboot (mcuboot.py).
MCUBOOT_IMAGE, MODEL_PARTITION = "mcuboot-image", "model-partition"
TENSORS = "tensors"  # the kind of a tolerance for several outputs (tensors.py)
FILE_ROLES = ("model", "golden", "labels")
