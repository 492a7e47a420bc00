"""Releases of the agent for boards, signed."""

from modelwave_controller.boards import archive
from modelwave_shared import dsse, words
from modelwave_shared.agent_releases import AGENT, BOARD_PACKAGE, TOLERANCE, golden_line
from tests import signing


def agent_release(number, modules, says, **more):
    """Release `number` of an agent of these modules, {path: bytes}; it is to say that its version
    is `says`. `more`: as in signing.Release."""
    data = {"model": archive.pack(modules), "golden": golden_line(says)}
    files = [
        {"role": role, "sha256": signing.sha(held), "size": len(held)}
        for role, held in data.items()
    ]
    flash = sum(map(len, data.values()))
    needs = {"flash": flash, "ram": 0, "kernels": [], "accelerator": "", "runtime": "mpy6"}
    made = signing.Release(
        number,
        b"",
        target="rp2040",
        v=2,
        format=BOARD_PACKAGE,
        files=files,
        needs=needs,
        tolerance=TOLERANCE,
        **more,
    )
    made.document["model"] = AGENT
    made.envelope = signing.envelope(words.MANIFEST, made.document, signing.RELEASE_KEY)
    made.digest = dsse.read(made.envelope).digest()
    made.files = {signing.sha(held): held for held in data.values()}
    return made
