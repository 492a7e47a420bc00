"""Makes the model of a new release from the live one, if the order offers a delta for that.

The delta is downloaded into the bank, as a file of its own, and applied. Only the sha256 of what
comes out counts. Whatever goes wrong, the whole file is downloaded: the model's file is then gone,
or what is there of it is continued. That is also so after a reset in the middle, so that a delta
which makes the device reset is applied once.
"""

from modelwave_agent.banks import DELTA
from modelwave_agent.download import Spoiled
from modelwave_agent.record import said
from modelwave_shared import deltas
from modelwave_shared.words import OFFERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwave_agent.download import Download
    from modelwave_agent.ports import Patcher
    from modelwave_agent.types import AcceptedOrder, Document, Record
    from modelwave_shared.deltas import Offer

TRIES = 3  # of its download


def chosen(offers: "list[str]", base: str, reads: int, size: int) -> "Offer | None":
    """Returns the first offer that can be used, or None. `base`: the sha256 of the live model;
    `reads`: the highest kind that the device applies; `size`: of the new model."""
    for text in offers:
        offer = deltas.read(text) if type(text) is str else None
        if offer and base.startswith(offer.base) and offer.kind <= reads and offer.size < size:
            return offer
    return None


async def bring(
    download: "Download", patcher: "Patcher", record: "Record", order: "AcceptedOrder"
) -> int:
    """Makes the new model, if the order has a delta for the live one, whose files are as they were
    signed. Returns the bytes that need not be downloaded; 0 if the model's file has to be."""
    banks, bank, live = download.banks, download.bank, record["live"]
    entry = _model(order.manifest["files"])
    base = _model(record["banks"][live]["files"])["sha256"]
    offer = chosen(order.extra(OFFERS), base, patcher.reads, entry["size"])
    if not offer or download.retries.restarts or banks.size(bank, "model"):
        banks.remove(bank, DELTA)
        return 0
    if banks.room(bank) < order.manifest["needs"]["flash"] + offer.size:
        return 0
    try:
        file = {"role": DELTA, "sha256": offer.sha256, "size": offer.size}
        await download.bring(file, order.document["urls"], TRIES)
        intake = banks.intake(bank, entry)
        try:
            paths = banks.path(bank, DELTA), banks.path(live, "model")
            await patcher.patch(offer.kind, paths[0], paths[1], intake, download.clock.breathe)
        finally:
            intake.close()
        if not intake.matches():
            raise Spoiled("model: its sha256 is not the one that was signed")
        saved: int = entry["size"] - offer.size
    except Exception as error:
        saved = 0
        banks.remove(bank, "model")
        download.retries.forget()
        told = "delta: %s; the whole file is downloaded" % said(error)
        download.retries.report.tell(told)
    banks.remove(bank, DELTA)
    return saved


def _model(files: "list[Document]") -> "Document":
    return next(entry for entry in files if entry["role"] == "model")
