"""The parts of a board's agent, on MicroPython: its clock, its memory, its runtimes.

The modules `ml` and `microlite`, which only some firmware has, are stand-ins written from
their sources' behaviour: what is tested is that our adapters keep to it.
"""

import asyncio
import gc
import os
import struct
import sys

HERE = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
ROOT = HERE + "/../../.."
sys.path[:0] = [ROOT, ROOT + "/shared", ROOT + "/agent"]

from tests.board.programs import cases  # noqa: E402

from modelwave_agent.board import clock as clocks  # noqa: E402
from modelwave_agent.board.memory import largest  # noqa: E402
from modelwave_agent.board.runtime import FunctionRuntime  # noqa: E402
from modelwave_shared import golden  # noqa: E402
from modelwave_shared.limits import EARLIEST_TIME  # noqa: E402

FOLDER = sys.argv[1]
TICKS_PERIOD = 1 << 30
SET = 1_800_000_000  # a plausible Unix time


class Time:
    """In the place of the module `time`, as far as the clock uses it."""

    def __init__(self, ticks=0, epoch=1970):
        self.ticks = ticks
        self.epoch = epoch

    def ticks_ms(self):
        return self.ticks % TICKS_PERIOD

    def ticks_diff(self, end, start):
        half = TICKS_PERIOD // 2
        return (end - start + half) % TICKS_PERIOD - half

    def gmtime(self, seconds):
        return (self.epoch, 1, 1, 0, 0, 0, 0, 1)


def board_clock(time, **more):
    clocks.time = time
    return clocks.BoardClock(**more)


# The clock.


def test_clock_goes_on_where_ticks_come_round():
    time = Time(TICKS_PERIOD - 500)
    clock = board_clock(time)
    start = clock.now()
    time.ticks += 1500
    assert clock.now() - start == 1.5
    for _ in range(10):  # 60 days in steps of 6
        time.ticks += 518_400_000
        clock.now()
    assert clock.now() - start == 1.5 + 5_184_000


def test_clock_is_kept_going_by_whoever_waits():
    time = Time()
    clock = board_clock(time)
    time.ticks += TICKS_PERIOD // 2 - 1
    asyncio.run(clock.sleep(0))
    time.ticks += TICKS_PERIOD // 2 - 1
    asyncio.run(clock.wait(asyncio.Event(), 0))
    time.ticks += 2
    assert clock.now() == TICKS_PERIOD / 1000


def test_wall_clock_that_was_never_set_is_none():
    assert board_clock(Time()).wall() is None
    assert board_clock(Time(), wall=lambda: 0).wall() is None
    assert board_clock(Time(epoch=2000), wall=lambda: 600).wall() is None
    assert board_clock(Time(), wall=lambda: EARLIEST_TIME - 1).wall() is None


def test_clock_of_a_program_is_believed_once_it_was_set():
    assert not board_clock(Time()).is_synchronised()
    assert not board_clock(Time(), wall=lambda: 0).is_synchronised()
    assert board_clock(Time(), wall=lambda: SET).is_synchronised()


def test_wall_clock_of_a_program_that_cannot_tell_it_is_none():
    def broken():
        raise OSError("no battery")

    for wall in (lambda: None, lambda: float("nan"), lambda: "noon", broken):
        assert board_clock(Time(), wall=wall).wall() is None


def test_wall_clock_is_unix_time_whatever_the_port_begins_with():
    assert board_clock(Time(), wall=lambda: SET + 0.5).wall() == SET
    assert board_clock(Time(epoch=2000), wall=lambda: SET - clocks.LATE_EPOCH).wall() == SET


def test_watchdog_is_fed_at_breaths_and_never_by_time_alone():
    fed = []
    clock = board_clock(Time(), feed=lambda: fed.append(1))
    asyncio.run(clock.sleep(0.001))
    asyncio.run(clock.wait(asyncio.Event(), 0.001))
    assert fed == []
    asyncio.run(clock.sleep(0))
    assert fed == [1]


def test_wait_ends_with_its_event_or_with_its_time():
    clock = board_clock(Time())
    event = asyncio.Event()

    async def set_soon():
        setting = asyncio.create_task(soon())
        assert await clock.wait(event, 20)
        await setting

    async def soon():
        event.set()

    assert asyncio.run(clock.wait(event, 0.005)) is False
    asyncio.run(set_soon())


# The memory.


def test_largest_piece_is_there():
    size = largest()
    assert size > 0
    assert len(bytearray(size)) == size


def test_largest_piece_is_not_what_is_free_in_all():
    before = largest()
    full = []
    try:
        while True:
            full.append(bytearray(2048))
    except MemoryError:
        pass
    for index in range(0, len(full), 2):
        full[index] = None  # every second piece is free, none is larger
    gc.collect()
    size = largest()
    assert gc.mem_free() > before // 3, (gc.mem_free(), before)
    assert 1024 < size < 8192, size
    full.clear()
    assert largest() > before // 2


# The runtimes.


class Whole:
    """Answers with its own bytes, cut to 4, and the input's length."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()

    def __call__(self, data):
        return self.data[:4] + bytes((len(data),))


def provide(kind="o", types="bb", given=(b"\1\2", b"\3\4"), expected=(b"abcd\2", b"abcd\2")):
    """The paths of a model and its golden set."""
    model, proof = FOLDER + "/model", FOLDER + "/golden"
    with open(model, "wb") as file:
        file.write(b"abcdef")
    with open(proof, "wb") as file:
        file.write(golden.pack(kind, types[0], types[1], given, expected))
    return model, proof


async def breathe():
    pass


def verdict(runtime, model, proof, **steps):
    tolerance = {"kind": "outputs", "steps": steps or {"any": 0}}
    return asyncio.run(runtime.prove(model, proof, {"tolerance": tolerance}, breathe))


def test_function_is_proven_and_let_go():
    runtime = FunctionRuntime(Whole, name="mine")
    assert verdict(runtime, *provide(), mine=0) == ""
    assert runtime.model is None
    assert "golden set" in verdict(runtime, *provide(expected=(b"abcd\2", b"abcx\2")), mine=0)


def test_memory_set_aside_is_what_a_model_may_have():
    assert FunctionRuntime(Whole, ram=777).free_ram() == 777
    assert FunctionRuntime(Whole).free_ram() > 777


class Array:
    """Of ulab, what the adapter uses."""

    def __init__(self, data):
        self.data = data

    def tobytes(self):
        return bytearray(self.data)


class Ml:
    """OpenMV's ml, of a model with 2 int8 in and 2 int8 out: each is 1 more."""

    class Model:
        def __init__(self, path):
            os.stat(path)
            self.tensor = bytearray(2)

        def predict(self, inputs, callback=None):
            inputs[0](self.tensor, (1, 2), ord("b"))
            outputs = [Array(bytes((v + 1) & 255 for v in self.tensor))]
            return callback(self, inputs, outputs)


def test_openmv_gets_and_gives_the_tensors_as_they_are():
    sys.modules["ml"] = Ml
    from modelwave_agent.board.runtime_ml import MlRuntime

    runtime = MlRuntime()
    assert (runtime.name, runtime.format) == ("ml", "tflite")
    paths = provide(given=(b"\1\2", b"\xfe\xff"), expected=(b"\2\3", b"\xff\0"))
    assert verdict(runtime, *paths) == ""
    paths = provide(given=(b"\1\2\3",), expected=(b"\2\3",))
    assert verdict(runtime, *paths) == "3 bytes given, the model takes 2"


class Tensor:
    def __init__(self):
        self.values = [0] * 3

    def setValue(self, index, value):
        # As C casts it to int8.
        self.values[index] = struct.unpack("b", bytes((value & 255,)))[0]

    def getValue(self, index):
        return self.values[index]


class Microlite:
    """tensorflow-micropython's microlite, of a model with 2 int8 in and 3 out: their negatives
    and -1."""

    class interpreter:
        def __init__(self, model, arena, give, take):
            assert (bytes(model), arena) == (b"abcdef", 5000)
            self.give, self.take = give, take
            self.given, self.taken = Tensor(), Tensor()

        def getInputTensor(self, index):
            return self.given

        def getOutputTensor(self, index):
            return self.taken

        def invoke(self):
            self.give(self)
            self.taken.values = [-self.given.values[0], -self.given.values[1], -1]
            self.take(self)


def test_microlite_gets_and_gives_bytes():
    sys.modules["microlite"] = Microlite
    from modelwave_agent.board.runtime_microlite import MicroliteRuntime

    runtime = MicroliteRuntime(5000, 2, 3)
    paths = provide(given=(b"\1\xfe",), expected=(b"\xff\2\xff",))
    assert verdict(runtime, *paths) == ""
    paths = provide(given=(b"\1\2\3",), expected=(b"\xff\2\xff",))
    assert verdict(runtime, *paths) == "3 bytes given, the model takes 2"


def test_firmware_without_the_module_says_so_at_once():
    for name in ("ml", "microlite"):
        sys.modules.pop(name, None)
        ours = "modelwave_agent.board.runtime_" + name
        sys.modules.pop(ours, None)
        said = ""
        try:
            __import__(ours)
        except ImportError as error:
            said = str(error)
        assert name in said


cases.run(globals())
