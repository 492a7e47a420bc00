"""Tests that docs/relay.md is right: its main.py, on a pseudo-terminal, meets a gateway there."""

import asyncio
import json
import os
import re
import subprocess
import tty

import pytest

from modelwave_agent.host.clock import HostClock
from modelwave_agent.line import Line
from modelwave_controller.boards import package
from modelwave_shared import line_messages as messages
from modelwave_shared import topics
from tests import micropython, signing
from tests.agent.pty_boards import BAUD, Descriptor
from tests.board.test_boards_page import hurried, program
from tests.board.updating import FLEET, REPO, SOURCES

pytestmark = pytest.mark.slow

PAGE = (REPO / "docs/relay.md").read_text()
SECONDS = 60
ENROLLED = {
    "v": 1,
    "device": "pico-1",
    "target": "rp2040",
    "models": ["digits"],
    "host": "192.0.2.10",
    "port": 1883,
    "report_key": "",
    "root": signing.root_envelope().decode(),
}


def board(folder):
    """main.py of the page, whose flash is `folder`."""
    (folder / "enrolled.json").write_text(json.dumps(ENROLLED))
    text = re.search(r"<!-- main.py: [^\n]* -->\n```python\n(.*?)```", PAGE, re.S)[1]
    text = text.replace('"/enrolled.json"', f'"{folder}/enrolled.json", "{folder}/root.json"')
    places = f'folder="{folder}/modelwave", root="{folder}/root.json"'
    text = hurried(text).replace("feed=", places + ", feed=")
    return program(folder, f"sys.path[:0] = {SOURCES}\n{text}", {})


async def met(number):
    """The device that says HELLO, and its first message."""
    said = []
    line = Line(Descriptor(number), HostClock(), BAUD, 8, said.append)
    reading = asyncio.create_task(line.run())
    try:
        async with asyncio.timeout(SECONDS):
            device = await line.meet_as_gateway("gw-1")
            message = await line.receive()
    finally:
        reading.cancel()
    return device, messages.unpack(message, messages.FROM_BOARD), b"".join(said)


def test_main_py_meets_its_gateway(tmp_path):
    command = micropython.command(board(tmp_path), heap="512k")
    theirs, ours = os.openpty()
    tty.setraw(ours)
    errors = (tmp_path / "errors").open("w")
    with errors, subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=errors) as process:
        try:
            device, message, said = asyncio.run(met(ours))
        finally:
            process.kill()
            os.close(ours)
            os.close(theirs)
    assert device == "pico-1"
    assert message == (messages.CONNECT, [topics.presence(FLEET, "pico-1"), b"offline"])
    assert b"watchdog" in said  # console output beside the frames


def test_parts_that_the_page_installs_are_there():
    installed = set(re.findall(r"agent-for-boards/(\w+\.json)", PAGE))
    assert installed == {"package.json", "serial.json", "enrolled.json"}
    assert installed <= set(package.INDEXES)
