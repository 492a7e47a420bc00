"""Tests the commands of docs/boards.md for a partition of modelwave's own, with a file in place of
the board's flash."""

import json
import re

import pytest

from tests import micropython, signing
from tests.board.test_boards_page import PAGE, block

# What boards have for their flash.
BOARD = """
import os, sys, vfs

BLOCK_BYTES = 4096


class Part:
    def __init__(self, start, blocks):
        self.start, self.blocks = start, blocks
        self.file = open("flash", "r+b")

    def readblocks(self, block, buffer, offset=0):
        self.file.seek(self.start + block * BLOCK_BYTES + offset)
        self.file.readinto(buffer)

    def writeblocks(self, block, buffer, offset=0):
        self.file.seek(self.start + block * BLOCK_BYTES + offset)
        self.file.write(buffer)
        self.file.flush()

    def ioctl(self, request, argument):
        return {4: self.blocks, 5: BLOCK_BYTES}.get(request, 0)


class Partition:
    TYPE_DATA = 1

    @staticmethod
    def find(kind, label=None):
        return [Part(262144, 64)] if (kind, label) == (1, "modelwave") else []


def Flash(start=-1, len=262144):
    return Part(start, len // BLOCK_BYTES)


sys.modules["esp32"] = sys.modules["pyb"] = sys.modules[__name__]
"""
UMOUNT = 'vfs.mount(vfs.VfsPosix("."), "/flash")\n'
AGENT = """
from modelwave_agent.board.agent import BoardAgent
from modelwave_agent.ports import BrokerLink, Runtime
import json

class Stand(Runtime):
    name, format, version = "stand-in", "tflite", "1"

models = {"digits": Stand()}
BoardAgent("pico-1", "esp32", models, BrokerLink(), root="/modelwave/root.json")
print(json.dumps([repr(one[0]) for one in vfs.mount() if one[1] == "/modelwave"]))
print(json.dumps([sorted(os.listdir("/modelwave")), os.listdir("/modelwave/digits")]))
"""


def run(folder, text, *modules):
    program = folder / "program.py"
    paths = [str(folder), *(str(micropython.ROOT / name) for name in ("agent", "shared"))]
    program.write_text(
        f"import sys\nsys.path[:0] = {paths}\nimport board\nfrom board import *\n{text}"
    )
    (folder / "board.py").write_text(BOARD)
    done = micropython.run(folder, program)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("port", ["esp32", "stm32"])
def test_agent_lives_in_a_partition_that_the_page_makes(tmp_path, port):
    (tmp_path / "flash").write_bytes(b"\xff" * 524288)
    (command,) = re.findall(r'^mpremote exec "(.*)"\n$', block(f"{port} mkfs", "sh"))
    run(tmp_path, UMOUNT + command)
    (tmp_path / "root.json").write_bytes(signing.root_envelope())
    given = 'held = open("root.json", "rb").read()\n'
    copied = 'with open("/modelwave/root.json", "wb") as file:\n    file.write(held)\n'
    mounted = block(f"{port} boot.py", "python")
    out = run(tmp_path, given + mounted + copied + AGENT).splitlines()
    assert json.loads(out[0]) == ["<VfsLfs2>"]
    folder, bank = json.loads(out[1])
    assert "root.json" in folder
    assert sorted(bank) == ["journal.0", "journal.1"]
    assert "/modelwave/root.json" in PAGE
