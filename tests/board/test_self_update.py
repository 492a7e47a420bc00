"""A board updates its agent: the boot module, the package that boards install, real MicroPython, a
real broker. A reset ends the process, and the next one is the board after it."""

import contextlib
import json
import os
import threading

import pytest

from modelwave_controller.boards import archive, compiling, package
from modelwave_shared import slots, topics
from modelwave_shared.agent_releases import AGENT
from tests import micropython, signing
from tests.board.agent_releases import agent_release
from tests.board.releases import write_files
from tests.board.updating import DEVICE, FLEET, PROGRAMS, SECONDS, TARGET, Ground, broker

pytestmark = pytest.mark.slow

LONG = os.environ.get("MODELWAVE_LONG") == "1"
HEAP = "192k"
TOPIC = topics.desired_slot(FLEET, TARGET, AGENT, slots.slot(FLEET, DEVICE))
MAIN = "modelwave_agent/board/agent.mpy"
LINK = "modelwave_agent/board/mqtt.mpy"
VERSION = "modelwave_shared/version.mpy"
CRASHES = (MAIN, "raise RuntimeError('the new agent is broken')")
HANGS = (MAIN, "while True: pass")
DEAF = (
    LINK,
    "import asyncio\nfrom modelwave_agent.ports import BrokerLink\n"
    "class MqttLink(BrokerLink):\n"
    "    def __init__(self, *_, **__): pass\n"
    "    async def connect(self, *_): await asyncio.Event().wait()\n",
)
LATER = (
    "modelwave_agent/board/garbage.mpy",
    "import gc, os, sys\ngc.threshold(4096)\n"
    "if 'later' in os.listdir(sys.argv[1].rsplit('/', 1)[0] + '/modelwave'):\n"
    "    raise RuntimeError('it starts no more')\n",
)
NO_MODULE = (MAIN, b"no module that MicroPython reads")


def release(number, files, fault=(), said=""):
    """Release `number` of the agent: the package, in another version, perhaps with a fault."""
    version = f"0.9.{number}"
    changed = dict(package.modules_of(files))
    source = files["source/modelwave_shared/version.py"].decode()
    lines = [f'VERSION = "{version}"' if "VERSION =" in one else one for one in source.split("\n")]
    lines = ['COMMIT = ""' if one.startswith("COMMIT =") else one for one in lines]
    changed[VERSION] = compiling.compiled("\n".join(lines), "version.py")
    if fault:
        path, text = fault
        is_text = isinstance(text, str)
        changed[path] = compiling.compiled(text, "broken.py") if is_text else text
    return agent_release(number, changed, said or version, version=version)


def test_the_boot_module(tmp_path):
    told = {"told.py": b"WORD = 'told'\n", "folder/other.py": b"WORD = 'other'\n"}
    (tmp_path / "good.package").write_bytes(archive.pack(told))
    done = micropython.run(tmp_path, PROGRAMS / "boot_cases.py", tmp_path)
    print(done.stdout + done.stderr)
    assert done.stdout.splitlines()[-1] == "20 passed, 0 failed"


class Board:
    """Board pico-1, which starts anew after each reset."""

    def __init__(self, ground, library, connect_seconds=30):
        self.ground = ground
        self.config = ground.configure([library], connect_seconds=connect_seconds)
        self.folder = self.config.parent / "modelwave"
        self.seq = 0
        self.before = ""  # the place of the agent that is confirmed
        self.said = []

    def order(self, made, **changes):
        self.seq += 1
        write_files(self.ground.folder / "files", made)
        trial = {"seconds": 0, "inferences": 0}
        message = signing.order(made, self.seq, model=AGENT, trial=trial, **changes)
        self.ground.client.publish(TOPIC, message, qos=1, retain=True).wait_for_publish(SECONDS)

    def outcome(self, **limits):
        """Starts the board again and again, until the last order has an outcome; returns what the
        report says of the agent: (place, version, release, outcome, reason)."""
        told = self.until(self._has_outcome, **limits)
        report = told["report"]
        found = report["models"][AGENT]
        version = report["agent"].split()[1].split("+")[0]
        return told["place"], version, found["release"], found["outcome"], found["reason"]

    def _has_outcome(self, told):
        found = told.get("report", {}).get("models", {}).get(AGENT, {})
        settled = found.get("outcome") not in ("", "FAILED", "DEFERRED", None)
        is_done = found.get("seq") == self.seq and found["state"] == "idle" and settled
        # A new agent that finds itself unhealthy reports it, and then gives way.
        return is_done and (found["outcome"] == "SUCCEEDED" or told["place"] == self.before)

    def until(self, wanted, starts=8, seconds=SECONDS):
        for _ in range(starts):
            found = self._life(wanted, seconds)
            if found:
                return found
        raise AssertionError(f"{starts} starts: {self.said[-20:]}")

    def _life(self, wanted, seconds):
        """One life, which ends by a reset, by the watchdog after so many seconds, or by what was
        wanted."""
        program = PROGRAMS / "boot_main.py"
        board = micropython.start(self.ground.folder, program, self.config, heap=HEAP)
        watchdog = threading.Timer(seconds, board.kill)
        watchdog.start()
        try:
            for line in board.stdout:
                self.said.append(line)
                told = json.loads(line) if line.startswith("{") else {}
                if wanted(told):
                    return told
            self.said.append(board.stderr.read())
            return None
        finally:
            watchdog.cancel()
            board.kill()
            board.communicate()


@pytest.fixture(scope="module")
def files():
    return package.build()


@contextlib.contextmanager
def board(tmp_path, library, **how):
    with broker(tmp_path, "mosquitto") as port, Ground(tmp_path, port) as ground:
        yield Board(ground, library, **how)


def test_a_new_agent_takes_over_and_a_broken_one_gives_way(tmp_path, compiled, files):
    with board(tmp_path, compiled) as one:
        one.order(release(1, files))
        assert one.outcome()[:4] == ("b", "0.9.1", 1, "SUCCEEDED")
        one.before = "b"
        one.order(release(2, files, CRASHES))
        place, version, number, outcome, reason = one.outcome()
        assert (place, version, number, outcome) == ("b", "0.9.1", 1, "ROLLED_BACK")
        assert "the new agent is broken" in reason


@pytest.mark.skipif(not LONG, reason="long: it waits for time limits, and starts many times")
@pytest.mark.parametrize(
    ("fault", "said", "told"),
    [
        (DEAF, "", "no report of it came back from the broker within 5 seconds"),
        (HANGS, "", "reset 3 times before the model was confirmed"),
        (NO_MODULE, "", "ValueError: incompatible .mpy file"),
        ((), "1.0", "it says that it is modelwave-agent 0.9.1, released was modelwave-agent 1.0"),
    ],
    ids=["deaf", "hangs", "no module", "another version"],
)
def test_a_new_agent_that_does_not_work_gives_way(tmp_path, compiled, files, fault, said, told):
    with board(tmp_path, compiled, connect_seconds=5) as one:
        one.order(release(1, files, fault, said))
        place, version, number, outcome, reason = one.outcome(seconds=20)
        assert (place, number, outcome) == ("", 0, "ROLLED_BACK")
        assert version != "0.9.1"
        assert told in reason


@pytest.mark.skipif(not LONG, reason="long: an update that fails, and one that is taken")
def test_a_package_that_was_exchanged_is_never_imported(tmp_path, compiled, files):
    """On the way, where another signed hash keeps it out, and later on the flash."""
    with board(tmp_path, compiled) as one:
        made = release(1, files)
        (model,) = [sha for sha, data in made.files.items() if data.startswith(b"MWP1 ")]
        good, thief = made.files[model], release(9, files, CRASHES).files
        bad = next(data for data in thief.values() if data.startswith(b"MWP1 "))
        made.files[model] = (bad + good)[: len(good)]
        one.order(made)
        one.until(lambda told: "sha256 is not the one that was signed" in str(told))
        (one.ground.folder / "files" / model).write_bytes(good)
        assert one.outcome()[:4] == ("b", "0.9.1", 1, "SUCCEEDED")
        package_file = one.folder / "agent/b.model"
        package_file.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        lost = one.until(lambda told: told.get("place") == "")["report"]
        assert not lost["agent"].startswith("modelwave-agent 0.9.1")
        assert one.outcome()[:4] == ("a", "0.9.1", 1, "SUCCEEDED")


@pytest.mark.skipif(not LONG, reason="long: eleven starts")
def test_a_confirmed_agent_that_no_longer_starts_is_passed_over(tmp_path, compiled, files):
    with board(tmp_path, compiled) as one:
        one.order(release(1, files, LATER))
        assert one.outcome()[:4] == ("b", "0.9.1", 1, "SUCCEEDED")
        (one.folder / "later").write_text("")
        found = one.until(lambda told: told.get("place") == "", starts=12)["report"]
        assert not found["agent"].startswith("modelwave-agent 0.9.1")
