"""docs/boards.md says what is: its main.py runs, in a heap of a Pico W, from the package."""

import json
import re

import pytest

from modelwave_controller.boards import package
from modelwave_shared import topics
from tests.board.updating import FLEET, REPO, Ground, broker

PAGE = (REPO / "docs/boards.md").read_text()
HEAP = "192064"  # targets.toml
SECONDS = 30
# What a Pico W has beside the interpreter; the watchdog bites as the real one does.
BOARD = {
    "machine": """
import time

class WDT:
    def __init__(self, timeout):
        self.timeout, self.fed = timeout, time.ticks_ms()

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
        pass

    def active(self, on):
        pass

    def connect(self, name, password):
        pass
""",
}


def main_py():
    return re.search(r"<!-- main.py: .* -->\n```python\n(.*?)```", PAGE, re.S)[1]


def test_main_py_connects_and_reports(tmp_path):
    with broker(tmp_path, "amqtt") as port, Ground(tmp_path, port) as ground:
        library = tmp_path / "lib"
        package.write(package.build(), library)
        for name, text in BOARD.items():
            (library / f"{name}.py").write_text(text)
        places = f'folder="{tmp_path}/modelwave", root="{tmp_path}/root.json"'
        text = main_py().replace('"192.0.2.10", 1883', f'"127.0.0.1", {port}')
        text = text.replace("feed=", places + ", feed=")
        paths = [str(library), str(REPO / "examples/digits/board")]
        program = tmp_path / "main.py"
        program.write_text(f"import sys\nsys.path[:0] = {paths}\n{text}")
        heard = ground.listen(topics.reported(FLEET, "pico-1"))
        with ground.board(program, "", HEAP, SECONDS) as board:
            try:
                report = heard.get(timeout=SECONDS)
            finally:
                board.kill()
                print(board.stdout.read() + board.stderr.read())
    assert json.loads(report)["target"] == "pico-w"


def test_arguments_of_the_table_are_those_there_are():
    source = (REPO / "agent/modelwave_agent/board/agent.py").read_text()
    given = re.search(r"class BoardAgent.*?def __init__\(\s*self,(.*?)\n    \):", source, re.S)[1]
    wanted = [line.split("=")[0].strip(" ,") for line in given.split("\n") if line.strip()]
    table = PAGE.split("| argument |")[1].split("\n\n")[0]
    first = [row.split("|")[1] for row in table.splitlines()[2:]]
    told = [name for cell in first for name in re.findall(r"`(\w+)`", cell)]
    assert told == wanted


@pytest.mark.parametrize("name", ["http.json", "ml.json", "microlite.json"])
def test_parts_that_the_page_names_are_there(name):
    assert name in PAGE
    assert name in package.PARTS
