"""Puts offers of deltas into an order."""

import json
from collections.abc import Sequence
from typing import Any

from modelwave_shared import dsse, fields
from modelwave_shared.deltas import MAX_OFFERS, Offer
from modelwave_shared.errors import DocumentError
from modelwave_shared.words import OFFERS


def model_sha256(manifest: bytes) -> str:
    """Returns the sha256 of the model in a manifest's envelope; "" if it has none."""
    files = json.loads(dsse.read(manifest).payload).get("files", [])
    return next((file["sha256"] for file in files if file["role"] == "model"), "")


def with_offers(extra: dict[str, Any], offers: Sequence[Offer]) -> dict[str, Any]:
    """Returns an order's field `extra` with as many of the offers as it has room for."""
    found = extra
    for number in range(1, min(len(offers), MAX_OFFERS) + 1):
        more = extra | {OFFERS: [offer.text() for offer in offers[:number]]}
        try:
            fields.extra(more, "order.extra")
        except DocumentError:
            break
        found = more
    return found
