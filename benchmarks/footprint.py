"""What the agent takes of a board, for the tables of docs/boards.md: bytes of .mpy, heap of its
modules and of a whole update, time and garbage of Ed25519; beside it other libraries.

    python -m benchmarks.footprint [--ota-updater FOLDER] [--senko FOLDER] [--mqtt-as FOLDER]

Each FOLDER holds that library's files as a board has them. Of what is not given its published
figures are printed, and marked. Everything runs on the 32-bit MicroPython of the tests; no
figure here is from a board, and what is estimated for one says how."""

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests import micropython
from tests.board.updating import ROM, FromRom, Ground, broker

from modelwave_controller.boards import compiling, linker, package, sources

ON_BOARD = Path(__file__).parent / "on_board"
HEAP = "4m"
FIRMWARE = "asyncio,socket,json,random,hashlib,binascii,struct,time,os,gc,errno,select,tls"
RESIDENT = "modelwave_agent.board.agent,modelwave_agent.board.runtime,modelwave_agent.board.blocks"
LINK = "modelwave_agent.board.mqtt"
# What only some firmware has; on a board they cost nothing, so they are no part of a figure.
STAND_INS = {
    "network": "STA_IF = AP_IF = 0\nclass WLAN:\n    pass\n",
    "machine": "def unique_id():\n    return b'1234'\ndef reset():\n    pass\nRTC = Pin = None\n",
    "urequests": "",
    "uhashlib": "from hashlib import *\n",
    "usocket": "from socket import *\n",
    "ussl": "",
    "micropython": None,
}

# Published: KB of .mpy and of heap after import, as their authors or users found them.
OTHERS = {
    "micropython-ota-updater": ("ota_updater", 6.5, 9.8),
    "senko": ("senko", 0.9, 2.0),
    "mqtt_as": ("mqtt_as", 11.2, 16.0),
}
# MicroPython's tests/perf_bench/bm_pidigits (N=100, M=100: 65 digits), in digits a second. It
# is large integers and little else, as a verification is.
#   ESP32 at 240 MHz: 591.97    (micropython pull request 7850)
#   pyboard at 168 MHz: 624.40  (micropython pull request 4858)
# For the RP2040 no such score was found. Between it and the pyboard lie a factor of 1.5 (a
# floating-point loop, scruss.com/blog/tag/benchmark: 19.8 s and 13.0 s) and one of 4.7
# (bm_chaos, 154.11 and 722.58: pull requests 19352 and 4858), so it is a range.
SCORES = {
    "ESP32, 240 MHz": (591.97, 591.97),
    "RP2040, 125 MHz": (624.40 * 154.11 / 722.58, 624.40 * 13.0 / 19.8),
}
DIGITS = 65


def main() -> None:
    given = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        for table in (
            files_table(),
            heap_table(Path(folder)),
            others_table(Path(folder), given),
            update_table(Path(folder)),
            ed25519_table(Path(folder)),
        ):
            print("\n".join(table), end="\n\n", flush=True)


def _arguments() -> dict[str, Path | None]:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    options = {name: name.removeprefix("micropython-").replace("_", "-") for name in OTHERS}
    for name, option in options.items():
        parser.add_argument(f"--{option}", dest=name, type=Path, metavar="FOLDER")
    return vars(parser.parse_args())


def files_table() -> Iterator[str]:
    """Bytes of each file."""
    files = package.build()
    yield "| file | bytes |"
    yield "| --- | ---: |"
    for index in package.INDEXES:
        if index in files:
            sizes = package.installed(files, index)
            yield from (f"| {path} | {size:,} |" for path, size in sizes.items())
            yield f"| **{index}** | **{sum(sizes.values()):,}** |"
    plain = sum(_plain_bytes(name) for name in _linked_modules())
    yield f"\nWithout the linker, file by file, all these would be {plain:,} bytes."


def _linked_modules() -> list[str]:
    folders = sources.package_folders()
    return list(sources.read(linker.ROOTS, folders))


def _plain_bytes(name: str) -> int:
    path = sources.find(name, sources.package_folders())
    assert path is not None
    return len(compiling.compiled(path.read_text(encoding="utf-8"), path.name))


def heap_table(folder: Path) -> Iterator[str]:
    """Heap of our modules: what is always there, and what comes and goes."""
    built = folder / "built"
    package.write(package.build(), built)
    modules = [Path(path).with_suffix("") for path in package.installed(package.build())]
    names = [".".join(path.parts) for path in modules]
    always = [*RESIDENT.split(","), LINK]
    later = [name for name in names if name not in always and not name.endswith(".ports")]
    found = import_heap(built, FIRMWARE, [*always, *later])
    yield "| modules | heap after import |"
    yield "| --- | ---: |"
    yield f"| always there: agent, blocks, runtime, MQTT | {found[always[-1]]:,} |"
    before = found[always[-1]]
    for name in later:
        yield f"| while it is needed: {name.rpartition('.')[2]} | {found[name] - before:,} |"
        before = found[name]


def import_heap(folder: Path, known: str, modules: list[str]) -> dict[str, int]:
    """{module: bytes in use after it and those before it}"""
    done = micropython.run(folder, ON_BOARD / "heap.py", folder, known, *modules, heap=HEAP)
    if done.returncode:
        raise SystemExit(f"{folder}: {done.stderr}")
    return {name: int(size) for name, size in map(str.split, done.stdout.splitlines())}


def others_table(folder: Path, given: dict[str, Path | None]) -> Iterator[str]:
    """All libraries by the same measure."""
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
    files = package.build()
    link = len(files[package.place(LINK)]) + len(files[package.place("modelwave_agent.ports")])
    built = folder / "built"
    alone = import_heap(built, FIRMWARE, [LINK])[LINK]
    yield f"| modelwave's MQTT alone | - | {link:,} | {alone:,} | measured here |"
    whole = sum(package.installed(files).values())
    names = [*RESIDENT.split(","), LINK]
    resident = import_heap(built, FIRMWARE, names)[LINK]
    yield f"| modelwave, all of it | yes | {whole:,} | {resident:,} | measured here |"


def other(target: Path, place: Path, module: str) -> tuple[int, int]:
    """(bytes of .mpy, heap) of a library's files in `place`."""
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


def update_table(folder: Path) -> Iterator[str]:
    """A whole update over a real broker, in the smallest heap that does."""
    ground_folder = folder / "ground"
    ground_folder.mkdir()
    with _quiet(), broker(ground_folder, "mosquitto") as port:
        with Ground(ground_folder, port) as ground:
            files = _update(ground, folder / "built")
        with FromRom(ground_folder, port, folder / "built") as ground:
            rom = _update(ground, ROM)
    yield "| a whole update: 100 KB in blocks, two signatures, golden set | in files | in ROMFS |"
    yield "| --- | ---: | ---: |"
    yield from (f"| {what} | {files[what]:,} | {rom[what]:,} |" for what in files)


def _update(ground: Ground, place: Path | str) -> dict[str, int]:
    """{what: bytes}, of the agent whose modules are in `place`."""
    sampled = ground.update(HEAP, [place], sample=True)
    if "end" not in sampled:
        raise SystemExit(f"a whole update does not succeed: {sampled['error']}")
    works, idle = ground.smallest_heap([place])
    return {
        "smallest heap in which it succeeds, the test's program included": works,
        "smallest heap in which the agent is connected and idle": idle,
        "in use when idle": sampled["idle"]["heap"],
        "most in use after a collection, above that": (
            sampled["end"]["peak"] - sampled["idle"]["heap"]
        ),
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What the programs say that stand around the board goes to stderr."""
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
        sys.stdout.flush()
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)


def ed25519_table(folder: Path) -> Iterator[str]:
    """Time and garbage of a verification."""
    roots = ("modelwave_shared.ed25519", "modelwave_shared.sha512")
    linked = linker.link(roots, sources.package_folders(), keep=("verify", "sha512"), apart=())
    place = folder / "ed25519"
    for name, text in linked.texts.items():
        path = place / package.place(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(compiling.compiled(text, name))
    done = micropython.run(place, ON_BOARD / "verify.py", place, heap="8m")
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
