"""Measures the sizes of the agent on a board, for the tables of docs/boards.md: bytes of .mpy, heap
of its modules and of a whole update, time and garbage of Ed25519; also those of other libraries.
It compares bytes and heap with the records of footprint.toml (sizes.py).

    python -m benchmarks.footprint [--update]
        [--ota-updater FOLDER] [--senko FOLDER] [--mqtt-as FOLDER]

`--update` records the measured sizes. Each FOLDER holds that library's files as a board has them.
For a library without a FOLDER, its published figures are printed, and marked. Everything runs on
the 32-bit MicroPython of the tests. No figure is from a board; an estimate for a board says how it
was made."""

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import sizes
from tests import micropython
from tests.board.updating import ROM, FromRom, Ground, broker

from modelwave_controller.boards import compiling, package

ON_BOARD = Path(__file__).parent / "on_board"
HEAP = "4m"
FIRMWARE = "asyncio,socket,json,random,hashlib,binascii,struct,time,os,gc,errno,select,tls"
RESIDENT = "modelwave_agent.board.agent,modelwave_agent.board.runtime,modelwave_agent.block_fetcher"
LINK = "modelwave_agent.board.mqtt"
# Modules that some firmware has built in; they cost no heap there, so no figure includes them.
STAND_INS = {
    "network": "STA_IF = AP_IF = 0\nclass WLAN:\n    pass\n",
    "machine": "def unique_id():\n    return b'1234'\ndef reset():\n    pass\nRTC = Pin = None\n",
    "urequests": "",
    "uhashlib": "from hashlib import *\n",
    "usocket": "from socket import *\n",
    "ussl": "",
    "micropython": None,
}

# Published by authors or users: KB of .mpy and of heap after import.
OTHERS = {
    "micropython-ota-updater": ("ota_updater", 6.5, 9.8),
    "senko": ("senko", 0.9, 2.0),
    "mqtt_as": ("mqtt_as", 11.2, 16.0),
}
# MicroPython's tests/perf_bench/bm_pidigits (N=100, M=100: 65 digits), in digits a second. Like
# a verification, it computes mostly with large integers.
#   ESP32 at 240 MHz: 591.97    (micropython pull request 7850)
#   pyboard at 168 MHz: 624.40  (micropython pull request 4858)
# No such score was found for the RP2040. It is slower than the pyboard by a factor of 1.5 (a
# floating-point loop, scruss.com/blog/tag/benchmark: 19.8 s and 13.0 s) to 4.7 (bm_chaos, 154.11
# and 722.58: pull requests 19352 and 4858), so the estimate is a range.
SCORES = {
    "ESP32, 240 MHz": (591.97, 591.97),
    "RP2040, 125 MHz": (624.40 * 154.11 / 722.58, 624.40 * 13.0 / 19.8),
}
DIGITS = 65


def main() -> None:
    given = _arguments()
    recorded = sizes.read()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = package.build()
        package.write(files, folder / "built")
        now = sizes.Sizes(sizes.of_package(files), {})
        _print(files_table(files, recorded.files))
        now.heap.update(import_heaps(files, folder / "built"))
        now.heap.update(update_heaps(folder))
        _print(heap_table(now.heap, recorded.heap))
        _print(others_table(folder, given))
        _print(ed25519_table(folder / "built"))
    if given["update"]:
        sizes.write(now)
        print(f"{sizes.RECORD} records this now.")


def _print(table: Iterator[str]) -> None:
    print("\n".join(table), end="\n\n", flush=True)


def _arguments() -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--update", action="store_true", help="record what was measured")
    options = {name: name.removeprefix("micropython-").replace("_", "-") for name in OTHERS}
    for name, option in options.items():
        parser.add_argument(f"--{option}", dest=name, type=Path, metavar="FOLDER")
    return vars(parser.parse_args())


def files_table(files: package.Files, recorded: dict[str, int]) -> Iterator[str]:
    """Yields a table with the bytes of each file, for each index of the package."""
    now = sizes.of_package(files)
    yield "| file | bytes | over what is recorded |"
    yield "| --- | ---: | ---: |"
    for index in package.INDEXES:
        named = package.installed(files, index)
        yield from sizes.compared(named, recorded)
        yield f"| **{index}** | **{sizes.total(named):,}** | |"
    yield from sizes.gone(now, recorded)
    change = sizes.difference(sizes.total(now), sizes.total(recorded))
    yield f"| **all** | **{sizes.total(now):,}** | {change} |"


def import_heaps(files: package.Files, built: Path) -> dict[str, int]:
    """Returns the heap of our modules: of those that are always loaded, and of all at once."""
    names = [path.removesuffix(".mpy").replace("/", ".") for path in package.installed(files)]
    always = [*RESIDENT.split(","), LINK]
    later = [name for name in names if name not in always]
    found = import_heap(built, FIRMWARE, [*always, *later])
    return {
        "code that is always there: agent, blocks, runtime, MQTT": found[LINK],
        "all code at once, which never is": found[later[-1]],
    }


def heap_table(now: dict[str, int], recorded: dict[str, int]) -> Iterator[str]:
    yield "| heap | bytes | over what is recorded |"
    yield "| --- | ---: | ---: |"
    yield from sizes.compared(now, recorded)
    yield from sizes.gone(now, recorded)


def import_heap(folder: Path, known: str, modules: list[str]) -> dict[str, int]:
    """Returns {module: bytes of heap in use after its import and the imports before it}."""
    done = micropython.run(folder, ON_BOARD / "heap.py", folder, known, *modules, heap=HEAP)
    if done.returncode:
        raise SystemExit(f"{folder}: {done.stderr}")
    return {name: int(size) for name, size in map(str.split, done.stdout.splitlines())}


def others_table(folder: Path, given: dict[str, Path | None]) -> Iterator[str]:
    """Yields a table with the same measurement for all libraries."""
    stand_ins = folder / "stand-ins"
    stand_ins.mkdir()
    for name, text in STAND_INS.items():
        if text is not None:
            (stand_ins / f"{name}.py").write_text(text)
    yield "| library | verifies signatures | .mpy | import heap | figures |"
    yield "| --- | --- | ---: | ---: | --- |"
    for name, (module, size, heap) in OTHERS.items():
        place = given[name]
        if place is None:
            yield f"| {name} | no | {size} KB | {heap} KB | published |"
        else:
            measured = other(folder / f"other-{name}", place, module)
            yield f"| {name} | no | {measured[0]:,} | {measured[1]:,} | measured here |"
    files, built = package.build(), folder / "built"
    sizes_now = package.installed(files)
    link = sizes_now[package.place(LINK)] + sizes_now[package.place("modelwave_agent.ports")]
    alone = import_heap(built, FIRMWARE, [LINK])[LINK]
    yield f"| modelwave's MQTT alone | - | {link:,} | {alone:,} | measured here |"
    resident = import_heap(built, FIRMWARE, [*RESIDENT.split(","), LINK])[LINK]
    whole = sizes.total(sizes_now)
    yield f"| modelwave, all of it | yes | {whole:,} | {resident:,} | measured here |"


def other(target: Path, place: Path, module: str) -> tuple[int, int]:
    """Returns (bytes of .mpy, heap) of a library's files in `place`."""
    size = 0
    for path in sorted(place.rglob("*.py")):
        made = target / path.relative_to(place).with_suffix(".mpy")
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_bytes(compiling.compiled(path.read_text(encoding="utf-8"), path.name))
        size += made.stat().st_size
    for name, text in STAND_INS.items():
        if text is not None:
            (target / f"{name}.py").write_text(text)
    known = FIRMWARE + "".join(f",{name}" for name, text in STAND_INS.items() if text is not None)
    return size, import_heap(target, known, [module])[module]


def update_heaps(folder: Path) -> dict[str, int]:
    """Returns the heap of a whole update over a real broker: 100 KB in blocks, two signatures,
    golden set."""
    ground_folder = folder / "ground"
    ground_folder.mkdir()
    with _quiet(), broker(ground_folder, "mosquitto") as port:
        with Ground(ground_folder, port) as ground:
            files = _update(ground, folder / "built")
        with FromRom(ground_folder, port, folder / "built") as ground:
            rom = _update(ground, ROM)
    found = {f"{what}, code in files": bytes_ for what, bytes_ in files.items()}
    return found | {f"{what}, code in ROMFS": bytes_ for what, bytes_ in rom.items()}


def _update(ground: Ground, place: Path | str) -> dict[str, int]:
    """Returns {figure: bytes} of an update by the agent whose modules are in `place`."""
    sampled = ground.update(HEAP, [place], sample=True)
    if "end" not in sampled:
        raise SystemExit(f"a whole update does not succeed: {sampled['error']}")
    works, idle = ground.smallest_heap([place])
    return {
        "smallest of a whole update": works,
        "smallest of an agent that is connected and idle": idle,
        "in use when idle": sampled["idle"]["heap"],
        "most in use in an update": sampled["end"]["peak"],
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Sends the output of the programs around the board to stderr."""
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
        sys.stdout.flush()
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)


def ed25519_table(built: Path) -> Iterator[str]:
    """Yields a table with time and garbage of a verification."""
    done = micropython.run(built, ON_BOARD / "verify.py", built, heap="8m")
    if done.returncode:
        raise SystemExit(done.stderr)
    ours, plain, pi, left, plain_left = map(int, done.stdout.split())
    yield "| Ed25519 verification | time | garbage |"
    yield "| --- | ---: | ---: |"
    yield f"| ours, here | {ours / 1000:.1f} ms | {left:,} bytes |"
    yield f"| a plain loop, here | {plain / 1000:.1f} ms | {plain_left:,} bytes |"
    score = DIGITS * 1e6 / pi
    for board, scores in SCORES.items():
        slow, fast = (ours / 1e6 * score / there for there in scores)
        shown = f"{slow:.2f} s" if slow == fast else f"{fast:.1f} to {slow:.1f} s"
        yield f"| ours, estimated for {board} | {shown} | |"
    yield (
        f"\nThe estimates scale by digits of pi a second ({score:,.0f} here), MicroPython's "
        "bm_pidigits; see SCORES in benchmarks/footprint.py."
    )


if __name__ == "__main__":
    main()
