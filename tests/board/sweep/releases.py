"""The releases of the sweep: of a model, and of the agent itself."""

from tests import signing
from tests.board.agent_releases import agent_release


def _agent(number, marker):
    """An agent that is this module `marker`, and what fills some pages."""
    modules = {
        "marker.py": marker.encode(),
        "modelwave_agent/board/agent.mpy": b"%d" % number * 5000,
    }
    return agent_release(number, modules, str(number))


CONTENTS = (b"1st model ", b"old model ", b"new model ", b"BAD model ", b"last model")
FIRST, OLD, GOOD, BAD, LAST = (
    signing.Release(number, content * 600, target="rp2040")
    for number, content in enumerate(CONTENTS, 1)
)
FIRST_AGENT = _agent(1, "VERSION = '1'\n")
GOOD_AGENT = _agent(2, "VERSION = '2'\n")
BROKEN_AGENT = _agent(3, "raise RuntimeError('broken')\n")
