"""The carrier of boards with MCUboot, against a server of ours (smp_board.py)."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("smpclient", reason="needs the extra relay")

from modelwave_agent.host.carried.port import CarrierError
from modelwave_agent.host.carried.smp import SmpCarrier
from modelwave_agent.host.carried.smp_session import Patience
from tests.agent.smp_board import SLOT_BYTES, Board, Program, hash_of
from tests.agent.smp_update import (
    INPUTS,
    NEW,
    OLD,
    OTHER,
    TOLERANCE,
    Files,
    board,
    program,
    update,
)
from tests.agent.smp_wires import Wire, by_serial, by_udp


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def carrier(there: Board, fault: Callable[[int], str] = lambda n: "") -> SmpCarrier:
    return SmpCarrier(Wire(there, fault).line)


def run(there: Board, files: Files) -> str:
    return asyncio.run(update(carrier(there), files))


def test_image_is_uploaded_tested_proven_and_confirmed(files: Files) -> None:
    there = board()
    assert run(there, files) == ""
    assert (there.primary, there.spare, there.is_confirmed) == (NEW, OLD, True)
    assert there.ran == INPUTS
    assert there.boots == 2
    there.power_cut()
    assert there.primary == NEW


def test_image_that_fails_its_golden_set_is_left_to_revert(files: Files) -> None:
    there = board(program(is_good=False))
    assert "outputs off" in run(there, files)
    assert (there.primary, there.spare, there.is_confirmed) == (OLD, NEW, True)


def test_image_that_is_not_healthy_is_left_to_revert(files: Files) -> None:
    there = board(program())
    there.program.why = ""
    there.programs[hash_of(NEW)].ok = False
    there.programs[hash_of(NEW)].why = "no sensor"
    assert run(there, files) == "no sensor"
    assert (there.primary, there.is_confirmed) == (OLD, True)


def test_firmware_that_runs_another_model_is_not_confirmed(files: Files) -> None:
    there = board()
    there.programs[hash_of(NEW)].model = bytes(32)
    assert "it runs the model 00" in run(there, files)
    assert there.primary == OLD


def test_firmware_without_our_commands_is_not_confirmed(files: Files) -> None:
    there = board(Program())
    assert "docs/mcuboot.md" in run(there, files)
    assert there.primary == OLD


def test_image_that_the_boot_loader_refuses_never_runs(files: Files) -> None:
    there = board()
    there.unsigned.add(hash_of(NEW))
    assert "boot loader refused" in run(there, files)
    assert (there.primary, there.spare) == (OLD, b"")


def test_file_that_is_no_image_or_damaged_or_too_large_is_not_sent(files: Files) -> None:
    there = board()
    files.new.write_bytes(NEW[:-1] + b"?")
    with pytest.raises(ValueError, match="hash is wrong"):
        run(there, files)

    async def write() -> str:
        path, sha256 = files.named(files.new)
        return await carrier(there).write(path, sha256, lambda have, size: None)

    assert "hash is wrong" in asyncio.run(write())
    from tests.core.mcuboot_images import image

    files.new.write_bytes(image(bytes(SLOT_BYTES)))
    assert "too large for the slot" in asyncio.run(write())
    assert there.erased == 0


def test_upload_goes_on_where_it_stopped(files: Files) -> None:
    there = board()
    told: list[int] = []

    async def write(fault: Callable[[int], str]) -> int:
        wire = Wire(there, fault)
        path, sha256 = files.named(files.new)
        try:
            await SmpCarrier(wire.line).write(path, sha256, lambda have, size: told.append(have))
        finally:
            told.append(-1)
        return wire.n

    with pytest.raises(CarrierError, match="gone"):
        asyncio.run(write(lambda n: "unplugged" if n == 6 else ""))
    before = max(told)
    assert 0 < before < len(NEW)
    asyncio.run(write(lambda n: ""))
    after = told[told.index(-1) + 1 :]
    assert after[0] > before
    assert there.erased == 1
    assert there.primary == NEW


def test_upload_begins_again_on_a_board_that_was_reset(files: Files) -> None:
    there = board()
    wire = Wire(there, lambda n: "board cut before, all the same" if n == 9 else "")
    assert asyncio.run(update(SmpCarrier(wire.line), files)) == ""
    assert there.erased == 2
    assert there.primary == NEW


def test_another_image_that_waits_for_its_test_is_ended_first(files: Files) -> None:
    there = board()
    there.spare, there.is_pending = OTHER, True
    assert run(there, files) == ""
    assert (there.primary, there.is_confirmed) == (NEW, True)
    there = board()
    there.primary, there.spare, there.is_confirmed = OTHER, OLD, False
    assert run(there, files) == ""
    assert (there.primary, there.spare) == (NEW, OLD)


def test_older_image_is_sent_again_only_if_the_board_has_it_no_more(files: Files) -> None:
    there = board()
    assert run(there, files) == ""
    asyncio.run(carrier(there).back(*files.named(files.old)))
    assert (there.primary, there.is_confirmed, there.erased) == (OLD, True, 1)
    there.primary, there.spare = NEW, OTHER
    asyncio.run(carrier(there).back(*files.named(files.old)))
    assert (there.primary, there.is_confirmed, there.erased) == (OLD, True, 2)


def test_trial_without_an_older_file_is_left(files: Files) -> None:
    there = board()
    there.spare, there.is_pending = NEW, True
    there.power_cut()
    asyncio.run(carrier(there).leave())
    assert (there.primary, there.is_confirmed) == (OLD, True)
    boots = there.boots
    asyncio.run(carrier(there).leave())
    assert there.boots == boots


def test_state_says_what_the_board_has(files: Files) -> None:
    there = board()
    found = asyncio.run(carrier(there).state())
    assert (found.runs, found.is_confirmed) == (hash_of(OLD), True)
    assert (found.slot_bytes, found.ram_bytes, found.runtime) == (SLOT_BYTES, 9000, "mcuboot")
    assert found.kernels == ("CONV_2D", "SOFTMAX", "ADD")
    there.programs.clear()
    mute = SmpCarrier(Wire(there).line, slot_bytes=1, ram_bytes=2)
    found = asyncio.run(mute.state())
    assert (found.slot_bytes, found.ram_bytes, found.kernels) == (1, 2, None)


def test_observations_are_counted_once(files: Files) -> None:
    there = board()
    wire = Wire(there, lambda n: "answer lost" if n == 2 else "")
    carried = SmpCarrier(wire.line)

    async def twice() -> list[int]:
        return [len(await carried.observed()), len(await carried.observed())]

    (found,) = asyncio.run(SmpCarrier(Wire(there).line).observed())
    assert (found.runs, found.inferences, found.failures) == (hash_of(OLD), 5, 1)
    assert found.latencies_ms == (1.5, 2.5)
    assert asyncio.run(twice()) == [1, 1]
    there.programs.clear()
    assert asyncio.run(carrier(there).observed()) == []


def test_board_that_answers_nothing_or_garbage_is_an_error_that_names_it(files: Files) -> None:
    for kind, told in (
        ("request lost", "no answer"),
        ("garbage", "no answer|cannot be read|only answers"),
    ):
        with pytest.raises(CarrierError, match=told):
            asyncio.run(carrier(board(), lambda n, kind=kind: kind).state())


def test_board_that_never_obeys_is_given_up(files: Files) -> None:
    class Stubborn(Board):
        def power_cut(self) -> None:
            """Stays as it is."""

    there = Stubborn(OLD, {})
    with pytest.raises(CarrierError, match="does not obey"):
        run(there, files)


def test_board_that_falls_silent_in_its_trial_says_that_it_had_begun(files: Files) -> None:
    class Hanging(Board):
        def power_cut(self) -> None:
            super().power_cut()
            self.answer = lambda frame: b""  # type: ignore[method-assign]

    there = board()
    there = Hanging(OLD, there.programs)
    with pytest.raises(CarrierError, match="does not answer after its reset") as raised:
        run(there, files)
    assert raised.value.has_begun
    with pytest.raises(CarrierError) as raised:
        asyncio.run(update(carrier(board(), lambda n: "unplugged" if n == 8 else ""), files))
    assert not raised.value.has_begun


def test_update_by_udp_and_by_a_serial_port_with_console_output(files: Files) -> None:
    patience = Patience(answer=20, poll=0)

    async def by(line: object) -> None:
        async with line as address:
            assert await update(SmpCarrier.at(address, patience=patience), files) == ""

    for make in (by_udp, lambda there: by_serial(there, b"[00:01] <inf> app: \x06 running\r\n")):
        there = board()
        asyncio.run(by(make(there)))
        assert (there.primary, there.is_confirmed) == (NEW, True)


def test_looks_at_a_board_leave_no_lines_of_the_library_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """They do not name the board, and there is a look a minute at each."""

    async def looked() -> None:
        async with by_udp(board()) as address:
            await SmpCarrier.at(address, patience=Patience(answer=20, poll=0)).state()

    caplog.set_level(logging.INFO)
    asyncio.run(looked())
    assert caplog.messages == []


def test_line_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    there = SmpCarrier.at(str(tmp_path / "ttyACM0"), patience=Patience(answer=0.05))
    with pytest.raises(CarrierError, match="ttyACM0"):
        asyncio.run(there.state())


def test_golden_set_says_what_is_wrong(files: Files) -> None:
    there, unnamed = board(), {"tolerance": TOLERANCE}
    there.programs[hash_of(OLD)] = program(is_good=False)
    path = str(files.golden)
    assert "2 of 2 outputs off" in asyncio.run(carrier(there).prove(path, unnamed))
    there.program.run = lambda data: b"short"
    assert "5 bytes, not 150" in asyncio.run(carrier(there).prove(path, unnamed))
    files.golden.write_bytes(files.golden.read_bytes()[:-1])
    assert "cut off" in asyncio.run(carrier(board()).prove(path, unnamed))
