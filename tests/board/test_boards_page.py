"""Tests that docs/boards.md is right: its settings start a service, and its main.py runs from the
package, in the heap of a Pico W."""

import asyncio
import json
import re
import signal

import pytest

from modelwave_controller import home as homes
from modelwave_controller.boards import package
from modelwave_controller.service.files import FileServer
from modelwave_controller.service.serve import Service
from modelwave_controller.storage.store import Store
from modelwave_controller.trust import pkcs8
from modelwave_shared import topics
from tests import micropython
from tests.board.updating import FLEET, REPO, Ground, broker

pytestmark = pytest.mark.slow

PAGE = (REPO / "docs/boards.md").read_text()
HEAP = "192064"  # targets.toml
SECONDS = 120
# What a Pico W has beside the interpreter. The watchdog bites as the real one does; the network
# takes the second try.
BOARD = {
    "machine": """
import time

class WDT:
    def __init__(self, timeout):
        self.timeout, self.fed = timeout, time.ticks_ms()
        print("watchdog")

    def feed(self):
        late = time.ticks_diff(time.ticks_ms(), self.fed)
        assert late < self.timeout, "the watchdog bit after %d ms" % late
        self.fed = time.ticks_ms()

def reset():
    print("reset")
""",
    "network": """
STA_IF = 0

class WLAN:
    def __init__(self, which):
        self.tries = 0

    def active(self, on):
        pass

    def isconnected(self):
        return self.tries == 2

    def disconnect(self):
        pass

    def connect(self, name, password):
        self.tries += 1
        print("joins")
""",
}
# In place of BoardAgent: the releases that are live in turn, then what ends its run.
ACTED = """
import asyncio

class Live:
    path = "model"

    def __init__(self, release):
        self.release = release

class BoardAgent:
    def __init__(self, *args, **kwargs):
        print("made")
        self.turns = %r

    async def run(self):
        while self.turns:
            await asyncio.sleep_ms(1)
        raise OSError("the agent's end")

    def live(self, model):
        release = self.turns.pop(0) if self.turns else 0
        return Live(release) if release else None

    def observe(self, model, release):
        print("ran", release)
"""


def block(name, language):
    return re.search(rf"<!-- {name}: [^\n]* -->\n```{language}\n(.*?)```", PAGE, re.S)[1]


def hurried(text):
    """Without the waits of people and networks."""
    text = re.sub(r"asyncio\.sleep\(\d+\)", "asyncio.sleep_ms(1)", text)
    return text.replace("time.sleep(10)", 'print("time to read")')


def program(folder, text, modules):
    """main.py with these modules before all others: {name: source}."""
    library = folder / "lib"
    for name, source in {**BOARD, **modules}.items():
        path = library / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    main = folder / "main.py"
    paths = [str(library), str(REPO / "examples/digits/board")]
    main.write_text(f"import sys\nsys.path[:0] = {paths}\n{text}")
    return main


def acted(folder, turns, **modules):
    """What main.py prints whose agent has these releases live in turn."""
    modules = {
        "modelwave_agent/board/agent": ACTED % turns,
        "modelwave_agent/board/mqtt": "def MqttLink(*args, **kwargs):\n    pass",
        "modelwave_agent/board/runtime": "def FunctionRuntime(load):\n    pass",
        "tflite_dense": "def load(path):\n    return lambda data: data",
        **modules,
    }
    main = program(folder, hurried(block("main.py", "python")), modules)
    done = micropython.run(folder, main, heap=HEAP)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if line != "joins"]


def test_settings_of_the_page_start_a_service(tmp_path, monkeypatch):
    monkeypatch.setattr(pkcs8, "PBKDF2_ROUNDS", 1000)
    home = homes.make_home(tmp_path / "home", FLEET, b"a passphrase")
    text = block("settings", "toml").replace("192.0.2.10:1883", "127.0.0.1:1")
    (home.path / "controller.toml").write_text(f'fleet = "{FLEET}"\n{text}')
    asked = []
    start = FileServer.start

    def start_here(server, host, port):
        asked.append((host, port))
        return start(server, "127.0.0.1", 0)

    monkeypatch.setattr(FileServer, "start", start_here)
    store = Store(home.database_url)
    try:
        service = Service(home, store)
        ready = []
        asyncio.run(service.run(lambda found: (ready.append(found), service.stop())))
    finally:
        store.close()
    assert asked == [("0.0.0.0", 8180)]
    assert len(ready) == 1
    (url,) = home.config.files.urls
    assert f"modelwave board line {url.removesuffix('/files')}" in PAGE


def test_main_py_connects_and_reports(tmp_path):
    with broker(tmp_path, "embedded") as port, Ground(tmp_path, port) as ground:
        package.write(package.build(), tmp_path / "lib")
        places = f'folder="{tmp_path}/modelwave", root="{tmp_path}/root.json"'
        text = block("main.py", "python").replace('"192.0.2.10", 1883', f'"127.0.0.1", {port}')
        text = text.replace("feed=", places + ", feed=").replace("sleep(30)", "sleep(1)")
        main = program(tmp_path, text, {})
        heard = ground.listen(topics.reported(FLEET, "pico-1"))
        with ground.board(main, "", HEAP, SECONDS) as board:
            try:
                report = heard.get(timeout=SECONDS)
            finally:
                board.send_signal(signal.SIGINT)  # Ctrl-C
                out, error = board.communicate(timeout=SECONDS)
                print(out + error)
    assert json.loads(report)["target"] == "pico-w"
    # While it collects garbage, MicroPython raises another exception in its place, and resets.
    is_locked = "MemoryError: memory allocation failed, heap is locked" in out
    lines = out.splitlines()
    assert (lines[:3] if is_locked else lines) == ["joins", "joins", "watchdog"]
    assert ("reset" in lines) if is_locked else ("KeyboardInterrupt" in error)


def test_main_py_stops_running_a_first_release_that_went_back(tmp_path):
    ran = [line for line in acted(tmp_path, [0, 1, 1, 0, 0, 2, 0]) if line.startswith("ran")]
    assert ran == ["ran 1", "ran 1", "ran 2"]


def test_what_ends_the_agent_is_shown_before_the_reset(tmp_path):
    out = acted(tmp_path, [0])
    assert out[:2] == ["made", "watchdog"]
    assert out[-3:] == ["OSError: the agent's end", "time to read", "reset"]


def test_a_board_without_a_root_says_so_and_has_no_watchdog_to_lock_people_out(tmp_path):
    missing = (
        "class BoardAgent:\n    def __init__(self, *args, **kwargs):\n        open('root.json')"
    )
    out = acted(tmp_path, [], **{"modelwave_agent/board/agent": missing})
    assert "watchdog" not in out
    assert out[-3:] == ["OSError: [Errno 2] ENOENT", "time to read", "reset"]


def test_arguments_of_the_table_are_those_there_are():
    source = (REPO / "agent/modelwave_agent/board/agent.py").read_text()
    given = re.search(
        r"class BoardAgent.*?def __init__\(\s*self,(.*?)\n    \) -> None:", source, re.S
    )[1]
    wanted = [line.split(":")[0].strip() for line in given.split("\n") if line.strip()]
    table = PAGE.split("| argument |")[1].split("\n\n")[0]
    first = [row.split("|")[1] for row in table.splitlines()[2:]]
    told = [name for cell in first for name in re.findall(r"`(\w+)`", cell)]
    assert told == wanted


@pytest.mark.parametrize(
    "name", ["http.json", "ml.json", "microlite.json", "tls.json", "enrolled.json", "serial.json"]
)
def test_parts_that_the_page_names_are_there(name):
    assert name in PAGE
    assert name in package.PARTS


def test_what_the_page_imports_is_in_the_package():
    found = re.findall(r"from (modelwave_\S+) import (.+)", PAGE)
    assert len(found) >= 5
    files = package.build()
    for module, names in found:
        source = files["source/" + package.place(module, "py")].decode()
        for name in names.split(", "):
            assert re.search(rf"^(class|def) {name}\b", source, re.M), f"{module}: {name}"
