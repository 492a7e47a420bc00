"""What a device says of its view of its orders, by its report: `extra.view`, a word of
modelwave_shared.words.VIEWS. The column `view` has it; "": the device does not say."""

from modelwave_controller.trust.documents import Report
from modelwave_shared.words import UNANSWERED, VIEWS, WITHHELD

# {a word that is a trouble: what it means}
TROUBLES = {
    WITHHELD: "an order or a root is withheld from it",
    UNANSWERED: "its view may be frozen: it hears no heartbeat",
}


def column(report: Report) -> str:
    """Returns the text for the column `view`."""
    said = report.extra.get("view")
    return said if isinstance(said, str) and said in VIEWS else ""
