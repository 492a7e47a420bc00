"""A model that runs beside the live one before it ever answers (an order with `shadow`): whether
this device can do that, and the port that does it.

A board loads this module only for such an order. It has no port, so it refuses the order, or goes
straight to the trial if the order allows that (`else_trial`).
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwave_agent.types import Document, Record, Shadow


def problem(order: "Document", record: "Record", shadow: "Shadow | None") -> str:
    """Returns why this device cannot run the model of the document `order` beside the live one, ""
    if it can."""
    budget = order.get("extra", {}).get("shadow")
    if not budget:
        return "the order has no budget in extra.shadow"
    if shadow is None:
        return "this device runs no model beside the live one"
    if record["banks"][record["live"]] is None:
        return "no model is live here to run beside"
    return shadow.problem(budget)


def refusal(order: "Document", record: "Record", shadow: "Shadow | None") -> str:
    """As `problem`, but "" too if the order allows the trial instead."""
    told = problem(order, record, shadow)
    return "" if order.get("extra", {}).get("shadow", {}).get("else_trial") else told
