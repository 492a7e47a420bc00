"""All targets: a row for each. To add one, write its function, and beside it FUNCTION_seeds() that
returns valid inputs; `make fuzz TARGETS=NAME KEEP=1` makes its corpus."""

from tests.fuzz.shapes import JSON, QUOTED
from tests.fuzz.target import Target

_USED = "the controller's JSON reader; accepted ones are written and read again, and used"
_DOCUMENT = {"shape": JSON, "unfollowed": ("modelwave_shared.strict_json",)}
_ROWS = (
    Target(
        "envelope",
        "the envelope of signed documents",
        "json, base64 and securesystemslib: the canonical ones are taken, with the same parts",
        "envelopes.envelope",
        shape=QUOTED,
    ),
    Target(
        "json",
        "the JSON of documents",
        "the quick reader of the controller, and json with the rules of documents as conditions",
        "texts.strict",
        longest=512,
    ),
    Target("root", "the payload of a root", _USED, "documents.root", **_DOCUMENT),
    Target("manifest", "the payload of a manifest", _USED, "documents.manifest", **_DOCUMENT),
    Target("order", "the payload of an order", _USED, "documents.order", **_DOCUMENT),
    Target("heartbeat", "the payload of a heartbeat", _USED, "documents.heartbeat", **_DOCUMENT),
)
TARGETS = {row.name: row for row in _ROWS}
