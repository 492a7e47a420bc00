"""Releases of the agent itself, which are ordered, judged and rolled back like those of a model.

Their model has the name AGENT. Their files are

    model    the new agent, in the format AGENT_BUNDLE (hosts: a tar of wheels) or BOARD_PACKAGE
    golden   one line: what the new agent says that it is, as in the field `agent` of its report

`needs.runtime` names what the device must have: a host reports its platform as a runtime, such as
"cp311-aarch64-glibc" with the version of its libc.
"""

from modelwave_shared.words import PROGRAM

AGENT = "agent"
AGENT_BUNDLE, BOARD_PACKAGE = "agent-bundle", "board-package"
# There is one expected answer, and it must come.
TOLERANCE = {"kind": "labels", "least_ppm": 1000000}
MAX_GOLDEN_BYTES = 201  # a text of MAX_TEXT characters, and the end of its line


def golden_line(version: str) -> bytes:
    """Returns the golden file of a release of the agent in this version."""
    return ("%s %s\n" % (PROGRAM, version)).encode()


def expected(golden: bytes) -> str:
    """Returns what the new agent has to say that it is. Raises ValueError if `golden` is no golden
    file of an agent."""
    is_line = golden[-1:] == b"\n" and b"\n" not in golden[:-1]
    if len(golden) > MAX_GOLDEN_BYTES or not is_line or not golden.startswith(PROGRAM.encode()):
        raise ValueError("golden: not one line that begins with %s" % PROGRAM)
    return golden[:-1].decode()
