"""What happens on the board of the sweep. Each scene begins on a medium that has gone through
`before`, and has an end that is reached wherever the power goes."""

from modelwave_shared.agent_releases import AGENT
from modelwave_shared.words import REJECTED, ROLLED_BACK, SUCCEEDED
from tests import signing
from tests.agent import root_chain
from tests.board.sweep.releases import (
    BAD,
    BROKEN_AGENT,
    FIRST,
    FIRST_AGENT,
    GOOD,
    GOOD_AGENT,
    LAST,
    OLD,
)

PIECE_BYTES = 512  # of a download, as of sweep/device.py
NO_TRIAL = {"seconds": 0, "inferences": 0}


class Scene:
    """`orders`: of these the second takes the place of the first in the middle of its download.
    `ends`: the outcome of the last one, and the number of the release that runs then."""

    program, model = "device.py", "digits"

    def __init__(self, before, orders, ends, roots=(), banned=(), received=0, **order):
        """`roots`: envelopes of those that come before the order. `banned`: releases that are so at
        the end. `received`: bytes of the model that the board has when it begins; the power went
        then. `order`: fields of the order."""
        self.before, self.orders, self.ends = before, orders, ends
        self.roots, self.received, self.order = list(roots), received, order
        self.banned = [one.digest for one in banned]
        self.releases = [*before, *orders]
        self.last = len(self.releases)  # the number of the last order
        good = [one for one in before if one is not BAD]
        self.runs = good[-1].document["release"] if good else 0

    def payload(self, number):
        """What is on the desired topic for the order `number`."""
        release, fields = self.releases[number - 1], {"model": self.model, "trial": NO_TRIAL}
        if number > len(self.before):
            fields |= self.order
        return signing.order(release, number, **fields)

    def at_boot(self, boot, facts):
        """What is wrong with what stands on the medium, and serves, before there is any network;
        `facts`: of the lives before."""
        yield from _forgotten(boot, facts)
        if boot["damage"]:
            yield f"serves a damaged {boot['damage']}"
        if boot["served"] and not boot["confirmed"]:
            yield "serves what the journal does not confirm"
        if boot["served"] not in (self.runs, self.ends[1]):
            yield f"serves release {boot['served']}"
        if facts.outcome == SUCCEEDED and boot["served"] != self.ends[1]:
            yield f"reported {SUCCEEDED}, and serves release {boot['served']}"
        if facts.outcome == ROLLED_BACK and set(self.banned) - set(boot["blacklist"]):
            yield f"reported {ROLLED_BACK}, and the ban is forgotten"
        if boot["boot"] <= facts.boot:
            yield f"boot {boot['boot']} again"
        if boot["root"] < facts.root:
            yield f"reported root {facts.root}, and trusts root {boot['root']}"

    def at_the_end(self, end, outcome):
        """`outcome`: as reported."""
        found = (outcome, end["served"], end["damage"], end["state"])
        if found != (*self.ends, "", "idle"):
            yield f"at the end: {found} {end['reason']}"
        if end["confirmed"] != bool(end["served"]):
            yield "at the end: confirmed is what does not serve, or serves what is not"
        if end["root"] != 1 + len(self.roots):
            yield f"at the end: root {end['root']}"
        if end["blacklist"] != self.banned:
            yield f"at the end: {len(end['blacklist'])} bans"


class AgentScene(Scene):
    """An update of the agent itself. It has several lives, as a new agent is started by a reset."""

    program, model = "own_device.py", AGENT

    def at_boot(self, boot, facts):
        yield from _forgotten(boot, facts)
        if boot["damage"]:
            yield f"the package of bank {boot['place']} is damaged: {boot['damage']}"
        if not boot["confirmed"] and not boot["on_trial"]:
            yield f"bank {boot['place']} is neither confirmed nor on trial"
        if boot["version"] not in (str(self.runs), str(self.ends[1])):
            yield f"agent {boot['version']} runs"

    def at_the_end(self, end, outcome):
        found = (outcome, end["version"], end["damage"], end["confirmed"], end["state"])
        if found != (self.ends[0], str(self.ends[1]), "", True, "idle"):
            yield f"at the end: {found} {end['reason']}"


def _forgotten(boot, facts):
    """What was told or done before the cut, and the journal does not know."""
    known = boot["order"]["seq"]
    if known < max(facts.seq, facts.acted):
        yield f"told or acted on order {max(facts.seq, facts.acted)}, and knows {known}"
    if facts.outcome not in ("", REJECTED, boot["outcome"]):
        yield f"reported {facts.outcome}, and the journal says {boot['outcome'] or 'nothing'}"
    if boot["kept"] is not None and boot["kept"] < (facts.received - PIECE_BYTES) // 2:
        yield f"{boot['kept']} of {facts.received} received bytes are kept"


def _root(version, keys, *signers, **changes):
    document = root_chain.document(version, root_keys=keys, **changes)
    return signing.envelope("root", document, *signers)


OLD_KEYS, NEW_KEYS = signing.ROOT_KEYS, root_chain.NEW_ROOT_KEYS
ROOTS = (
    _root(2, NEW_KEYS, *OLD_KEYS[:2], *NEW_KEYS[:2]),
    _root(3, NEW_KEYS, *NEW_KEYS[1:], order_key=root_chain.NEW_KEY, epoch=1),
)
SCENES = {
    # On a file system that has the root alone: folders and journals are made as well.
    "first": Scene([], [FIRST], (SUCCEEDED, 1)),
    # From here on both banks hold something, but for the bans.
    "update": Scene([FIRST, OLD], [GOOD], (SUCCEEDED, 3)),
    "failed-health": Scene([FIRST, OLD], [BAD], (ROLLED_BACK, 2), banned=[BAD]),
    "revert": Scene([FIRST, OLD], [FIRST], (SUCCEEDED, 1)),
    "resumed": Scene([FIRST, OLD], [GOOD], (SUCCEEDED, 3), received=3000),
    "superseded": Scene([FIRST, OLD], [GOOD, LAST], (SUCCEEDED, 5)),
    "root-walk": Scene(
        [FIRST, OLD], [GOOD], (SUCCEEDED, 3), roots=ROOTS, key=root_chain.NEW_KEY, epoch=1
    ),
    "banned": Scene([OLD, BAD], [BAD], (REJECTED, 2), banned=[BAD]),
    "ban-lifted": Scene(
        [OLD, BAD], [BAD], (ROLLED_BACK, 2), banned=[BAD], extra={"lift_ban": True}
    ),
    "first-agent": AgentScene([], [FIRST_AGENT], (SUCCEEDED, 1)),
    "new-agent": AgentScene([FIRST_AGENT], [GOOD_AGENT], (SUCCEEDED, 2)),
    "broken-agent": AgentScene([FIRST_AGENT], [BROKEN_AGENT], (ROLLED_BACK, 1)),
}
