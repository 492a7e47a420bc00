"""The programs of README and docs/boards.md, as they stand in examples/inference, on fresh devices:
they start before there is a broker, and start again when it is gone."""

import json
import os
import shutil
import sys
import time
from pathlib import Path

import pytest

from modelwave_controller.demo import service
from modelwave_controller.demo.examples import release_arguments
from tests import micropython
from tests.board.test_boards_page import BOARD as BOARD_MODULES
from tests.e2e.conftest import DIGITS, REPO, House, free_port

INFERENCE = REPO / "examples/inference"
PLAN = ("--soak", "0", "--trial-seconds", "0", "--deadline", "60")
SECONDS = 40
BOARD_HEAP = "192064"  # of a Pico W, as targets.toml has it
MY_DEVICE = """
import time

def read_sensor():
    time.sleep(0.02)
    print("ran", flush=True)
    return bytes(64)

def is_moving():
    return False

def is_right(output):
    return len(output) == 10
"""


def wait_until(house: House, what: str, found: object) -> None:
    """Returns once `found()` is true. `what` is asked for."""
    deadline = time.monotonic() + SECONDS
    while not found():  # type: ignore[operator]
        assert time.monotonic() < deadline, f"never: {what}"
        assert house.running.dead() == []
        time.sleep(0.05)


def said(house: House, name: str) -> str:
    return (house.folder / f"{name}.log").read_text(errors="replace")


def start_controller(house: House, port: int, target: str) -> None:
    """The broker and the controller, with the release that is to be rolled out."""
    ready = house.folder / "broker.json"
    command = house.operator.command(["broker", "--port", str(port), "--ready-file", str(ready)])
    house.running.start("broker", command)
    house.running.wait_for("broker", ready, SECONDS)
    house.start_service()
    house.operator.asks(*release_arguments(DIGITS, "v2", target))


def roll_out(house: House) -> None:
    house.operator.waits(["device", "list"], lambda found: len(found) == 1)
    assert house.operator.shows("rollout", "start", "digits", "v2", *PLAN) == 0
    assert house.operator.shows("rollout", "watch") == 0


def inferences(house: House) -> int:
    return sum(sums["inferences"] for sums in house.operator.asks("fleet", "status")["metrics"])


def fresh(house: House) -> int:
    """The port where the broker will be."""
    house.init()
    port = free_port()
    house.broker_url = f"mqtt://127.0.0.1:{port}"
    house.files = service.settle(house.operator, house.broker_url)
    return port


def waits_for_a_model_and_runs_it_without_a_broker(
    house: House, port: int, command: list[str], begun: Path, target: str, runs: int
) -> None:
    """The program `command` begins before there is a broker, gets its first model, and runs it
    after a restart with the broker gone: more than `runs` times each."""
    house.running.start("first", command)
    wait_until(house, "the agent has begun", begun.exists)
    start_controller(house, port, target)
    roll_out(house)
    wait_until(house, "what it observed", lambda: inferences(house) > runs)
    for name in ("serve", "broker", "first"):
        house.running.end(name)

    house.running.start("again", command)
    wait_until(house, "it runs the model", lambda: said(house, "again").count("ran") > runs)
    assert "Traceback" not in said(house, "first") + said(house, "again")


@pytest.mark.e2e
def test_program_on_a_host_waits_for_its_first_model_and_runs_it_without_a_broker(
    house: House,
) -> None:
    port = fresh(house)
    device = house.folder / "pi-1"
    device.mkdir()
    shutil.copy(INFERENCE / "on_a_host.py", device)
    shutil.copy(house.operator.home / "root.json", device)
    (device / "my_device.py").write_text(MY_DEVICE)
    settings = ['device = "pi-1"', 'target = "linux-cpu"', 'models = ["digits"]', 'state = "state"']
    settings += ['root = "root.json"', "metrics_seconds = 0.5"]
    settings += ["[broker]", f'url = "{house.broker_url}"']
    settings += ["[download]", f'hosts = ["{house.files}"]']
    (device / "agent.toml").write_text("\n".join(settings))
    command = ["env", "-C", str(device), sys.executable, "on_a_host.py"]

    begun = device / "state/digits/journal.1"
    waits_for_a_model_and_runs_it_without_a_broker(house, port, command, begun, "linux-cpu", 10)


@pytest.mark.e2e
def test_program_on_a_board_waits_for_its_first_model_and_runs_it_without_a_broker(
    house: House,
) -> None:
    port = fresh(house)
    command = micropython.command(board_program(house, port), heap=BOARD_HEAP)
    os.mkdir(house.folder / "flash")

    begun = house.folder / "flash/digits/journal.1"
    waits_for_a_model_and_runs_it_without_a_broker(house, port, command, begun, "pico-w", 2)


def board_program(house: House, port: int) -> Path:
    """main.py with the places of this test, and what its board has beside the interpreter."""
    library = house.folder / "lib"
    library.mkdir()
    for name, source in BOARD_MODULES.items():
        (library / f"{name}.py").write_text(source)
    runtime = (REPO / "examples/digits/board/tflite_dense.py").read_text()
    told = "\n\n_load = load\n\ndef load(path):\n    print('ran')\n    return _load(path)\n"
    (library / "tflite_dense.py").write_text(runtime + told)
    paths = [str(path) for path in (library, REPO / "shared", REPO / "agent")]
    text = (INFERENCE / "main.py").read_text()
    root = json.dumps(str(house.operator.home / "root.json"))
    places = f'folder="{house.folder}/flash", root={root}, metrics_seconds=1, feed='
    for old, new in (
        ('"192.0.2.10", 1883', f'"127.0.0.1", {port}'),
        ("feed=", places),
        ("asyncio.sleep(5)", "asyncio.sleep_ms(1)"),
        ("asyncio.sleep(1)\n    await", "asyncio.sleep_ms(20)\n    await"),
        ("asyncio.sleep(30)", "asyncio.sleep(1)"),
        ("scores = model(bytes(64))", "print('ran'); scores = model(bytes(64))"),
    ):
        assert old in text, old
        text = text.replace(old, new)
    main = house.folder / "main.py"
    main.write_text(f"import sys\nsys.path[:0] = {paths}\n{text}")
    return main
