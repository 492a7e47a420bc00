"""What a device says of its view of the fleet, by its report: of its orders in `extra.view`, a word
of modelwave_shared.words.VIEWS, and of the root that it trusts in `extra.root`. The columns `view`
and `root` have them; "" and 0: the device does not say."""

from modelwave_controller.trust.documents import Report
from modelwave_shared.limits import MAX_EPOCH
from modelwave_shared.words import VIEWS


def column(report: Report) -> str:
    """Returns the text for the column `view`."""
    said = report.extra.get("view")
    return said if isinstance(said, str) and said in VIEWS else ""


def root(report: Report) -> int:
    """Returns the number for the column `root`."""
    said = report.extra.get("root")
    return said if type(said) is int and 0 < said <= MAX_EPOCH else 0
