"""Says in words what is wrong in a fleet besides its service: for the command and for the page."""

from modelwave_controller.operations import gateway_words
from modelwave_controller.phrases import clones, listed, plural
from modelwave_controller.results.devices import VIEW_TROUBLES
from modelwave_controller.results.fleet import REQUIRE, Fleet


def of(found: Fleet) -> list[tuple[str, str]]:
    """Returns a word for each trouble, and what it is."""
    told: list[tuple[str, str]] = []
    if found.clock_doubt:
        told.append(("clock", f"{found.clock_doubt}: no order is signed; `modelwave clock show`"))
    if found.key_away:
        told.append(("order key", f"{found.key_away}: no order is signed until it is back"))
    if found.cloned:
        told.append(("clones", clones(found.cloned)))
    told += [(word, _not_fresh(word, names)) for word, names in found.views.items()]
    told += _membership(found) + _unproven(found)
    told += gateway_words.troubles(found.gateways)
    for model, doubt in found.behind.items():
        told.append(("behind", f"{doubt}: `modelwave recover {model}`"))
    if found.restored:
        models = ", ".join(found.restored)
        told.append(("restored", f"no order of {models} is signed until `modelwave recover`"))
    told += [("warning", warning) for warning in found.warnings]
    return told


def _not_fresh(word: str, names: list[str]) -> str:
    return f"{plural(len(names), 'device')} ({listed(names)}): {VIEW_TROUBLES[word]}"


def _membership(found: Fleet) -> list[tuple[str, str]]:
    its = found.membership
    expected, waiting, revoked = its.expected, its.waiting, its.revoked
    head = []
    if expected:
        number = plural(len(expected), "enrolled device")
        head.append(("missing", f"{number} never heard: {listed(expected)}"))
    if waiting:
        head.append(("waiting", f"for `modelwave device approve`: {listed(waiting)}"))
    if revoked:
        head.append(("revoked", f"and still reporting: {listed(revoked)}"))
    return head


def _unproven(found: Fleet) -> list[tuple[str, str]]:
    head = []
    if found.in_doubt:
        told = f"the last report of {plural(len(found.in_doubt), 'device')}"
        head.append(("not proven", f"{told}: {listed(found.in_doubt)}"))
    if found.unproven:
        fate = "does not count" if found.proof == REQUIRE else "counts all the same"
        names = listed(found.unproven)
        head.append(("doubtful", f"what came in the last day in the name of {names}: it {fate}"))
    return head
