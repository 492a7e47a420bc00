"""Tests a rollout of firmware to boards with MCUboot, with real parts: `release create` of an
image, the service, and `modelwave-agent relay`. It speaks SMP by UDP with boards of ours, which run
the model in the image with a real runtime (tests/agent/smp_board.py).

Only MODELWAVE_LONG=1 runs it; tests/agent/test_carried_smp.py has the same without processes.
"""

import asyncio
import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("smpclient", reason="needs the extra relay")

from modelwave_controller.demo.examples import release_arguments
from modelwave_controller.demo.processes import AGENT
from tests.agent.smp_board import Board, Program, hash_of
from tests.agent.smp_wires import by_udp
from tests.core.mcuboot_images import image
from tests.e2e.conftest import DIGITS, House
from tests.e2e.test_whole_path import PLAN
from tests.tools import LONG_SWEEPS

NAMES = ("nrf-1", "nrf-2", "nrf-3")
TARGET = """
[digits-board]
description = "a board of ours"
class = "mcu"
flash_bytes = 1048576
ram_bytes = 262144
slot_bytes = 4096
runtime = "mcuboot"
profile = "cortex-m4:cmsis-nn"
source = "its linker script"
"""
BOARD = """
[[board]]
device = "{name}"
kind = "mcuboot"
target = "digits-board"
models = ["digits"]
address = "{address}"
health_seconds = 2
"""
FACTORY = image(b"from its maker" * 9)
FIRMWARE = {
    version: image(b"code" * 20 + (DIGITS / f"digits-{version}.tflite").read_bytes())
    for version in ("v1", "v2")
}


def program(version: str) -> Program:
    """Runs the model as the firmware would."""
    interpreters = pytest.importorskip("tflite_runtime.interpreter")
    path = DIGITS / f"digits-{version}.tflite"
    interpreter = interpreters.Interpreter(str(path))
    interpreter.allocate_tensors()
    given, found = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def run(data: bytes) -> bytes:
        import numpy as np

        picture = np.frombuffer(data, given["dtype"]).reshape(given["shape"])
        interpreter.set_tensor(given["index"], picture)
        interpreter.invoke()
        return bytes(interpreter.get_tensor(found["index"]).tobytes())

    return Program(run, model=hashlib.sha256(path.read_bytes()).digest())


@contextmanager
def boards() -> Iterator[tuple[list[Board], list[str]]]:
    """Boards, and their addresses, served in a thread of their own."""
    programs = {hash_of(FIRMWARE[version]): program(version) for version in FIRMWARE}
    there = [
        Board(FACTORY, {hash_of(FACTORY): Program(lambda data: data), **programs}) for _ in NAMES
    ]
    addresses: list[str] = []
    ready, loop = threading.Event(), asyncio.new_event_loop()
    over = asyncio.Event()

    async def serve() -> None:
        async with by_udp(there[0]) as one, by_udp(there[1]) as two, by_udp(there[2]) as three:
            addresses.extend((one, two, three))
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    ready.wait()
    try:
        yield there, addresses
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()


def release(house: House, version: str) -> None:
    written = house.operator.asks(
        *("model", "export", str(DIGITS / f"digits-{version}.tflite")),
        *("--out", str(house.folder / version), "--target", "digits-board"),
    )
    record = next(path for path in written if path.endswith(".json"))
    path = house.folder / f"{version}.signed.bin"
    path.write_bytes(FIRMWARE[version])
    arguments = release_arguments(DIGITS, version, "digits-board")
    arguments[arguments.index("--file") + 1] = str(path)
    house.operator.asks(*arguments, "--format", "mcuboot-image", "--holds", record)


def start_gateway(house: House, addresses: list[str]) -> None:
    config = house.folder / "relay.toml"
    config.write_text(
        f'gateway = "gw-1"\nstate = "{house.folder / "relay"}"\n'
        f'root = "{house.operator.home / "root.json"}"\n'
        f'[broker]\nurl = "{house.broker_url}"\n'
        f'[files]\nhosts = ["{house.files}"]\n'
        + "".join(
            BOARD.format(name=name, address=address)
            for name, address in zip(NAMES, addresses, strict=True)
        )
    )
    house.running.start("relay", [*AGENT, "relay", "--config", str(config)])


def run_on(there: list[Board]) -> set[tuple[bytes, bool]]:
    return {(board.primary, board.is_confirmed) for board in there}


@pytest.mark.e2e
@pytest.mark.skipif(os.environ.get("MODELWAVE_LONG") != "1", reason=LONG_SWEEPS)
def test_firmware_is_rolled_out_and_one_that_is_not_well_reverts(
    house: House, tmp_path: Path
) -> None:
    house.init()
    house.start_broker("embedded")
    house.start_service()
    operator = house.operator
    (tmp_path / "target.toml").write_text(TARGET)
    assert operator.shows("target", "add", str(tmp_path / "target.toml")) == 0
    release(house, "v1")
    with boards() as (there, addresses):
        start_gateway(house, addresses)
        found: list[dict[str, Any]] = operator.waits(
            ["device", "list"], lambda found: len(found) >= len(NAMES)
        )
        assert {device["target"] for device in found} == {"digits-board"}
        assert operator.shows("rollout", "start", "digits", "v1", *PLAN) == 0
        assert operator.shows("rollout", "watch") == 0
        assert run_on(there) == {(FIRMWARE["v1"], True)}
        assert all(board.ran for board in there)

        release(house, "v2")
        for board in there:
            board.programs[hash_of(FIRMWARE["v2"])].ok = False
            board.programs[hash_of(FIRMWARE["v2"])].why = "no sensor"
        assert operator.shows("rollout", "start", "digits", "v2", *PLAN) == 0
        assert operator.shows_outside("rollout", "watch") == 3  # REVERTED
        assert "no sensor" in operator.asks("rollout", "status")["problems"][0]["reason"]
        assert run_on(there) == {(FIRMWARE["v1"], True)}
