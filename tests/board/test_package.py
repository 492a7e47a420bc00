"""Tests the package for boards on real MicroPython: what boards install and mount works like the
sources, and its tracebacks are as good as theirs."""

import asyncio
import functools
import re
import threading
from pathlib import Path

import pytest
from benchmarks import sizes

from modelwave_controller.boards import installer, package
from modelwave_controller.cli import run
from modelwave_controller.service.files import FileServer
from modelwave_controller.service.vitals import Vitals
from tests import micropython
from tests.agent.host_server import serving
from tests.board.updating import PROGRAMS, ROM, FromRom, Ground, broker

pytestmark = pytest.mark.slow

REPO = Path(__file__).parents[2]
SECONDS = 60
HEAP, ROM_HEAP = "160k", "96k"  # of a whole update; the smallest that do are `make footprint`'s


@functools.cache
def built():
    return package.build()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The package with its image, as the command makes it."""
    made = tmp_path_factory.mktemp("made") / "board"
    assert run(["board", "build", str(made), "--romfs"]) == 0
    return made


# What is in it.


def test_package_has_not_grown_much_over_what_is_recorded():
    now, recorded = sizes.total(sizes.of_package(built())), sizes.total(sizes.read().files)
    assert now <= recorded + sizes.MAY_GROW_BYTES, (
        f"the agent for boards has grown from {recorded:,} to {now:,} bytes of .mpy: make it "
        "smaller, or record the new sizes by `make footprint UPDATE=1`"
    )


def test_every_file_of_an_index_is_there_and_none_is_a_hosts():
    named = [path for index in package.INDEXES for path in package.installed(built(), index)]
    assert "modelwave_agent/board/agent.mpy" in named
    assert set(named) == {path for path in built() if path.endswith(".mpy")}
    assert not any("/host/" in path for path in named)


def test_every_module_of_the_board_folder_is_in_the_package():
    here = {path.stem for path in (REPO / "agent/modelwave_agent/board").glob("[!_]*.py")}
    there = {Path(path).stem for path in built() if path.startswith("modelwave_agent/board/")}
    assert there | {"boot"} == here  # which is `modelwave_boot`, outside of what it starts
    assert package.installed(built(), "boot.json").keys() == {"modelwave_boot.mpy"}


def test_every_module_of_the_package_finds_what_it_imports(folder, tmp_path):
    """What is imported later, in functions, the whole updates below come to."""
    for name in ("ml", "microlite"):  # of other firmware
        (tmp_path / f"{name}.py").write_text("")
    names = [path[: -len(".mpy")].replace("/", ".") for path in built() if path.endswith(".mpy")]
    code = f"import sys\nsys.path[:0] = {[str(folder), str(tmp_path)]}\n"
    code += "".join(f"import {name}\n" for name in names) + "print(len(sys.modules))"
    done = micropython.run(tmp_path, "-c", code)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > len(names) > 30


def test_building_twice_gives_the_same_bytes():
    assert package.build() == built()


class Serving:
    """A FileServer in a thread of its own; `url` is what a board is told."""

    def __init__(self, folder):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.server = FileServer(folder, Vitals())

    def __enter__(self):
        self.thread.start()
        files = self._wait(self.server.start("127.0.0.1", 0))
        self.url = files.rpartition("/")[0] + "/board"
        return self

    def __exit__(self, *_):
        self._wait(self.server.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def _wait(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(SECONDS)


@pytest.fixture
def board_folder(tmp_path):
    """What a real MicroPython has installed from the controller by the operator's line."""
    target = tmp_path / "lib"
    target.mkdir()
    with Serving(tmp_path) as serving:
        done = micropython.run(tmp_path, "-c", line(serving.url, target))
    print(done.stdout + done.stderr)
    assert done.returncode == 0
    return target


def line(url, target):
    return installer.line(built(), url, ["http"], str(target))


def test_file_or_installer_that_was_exchanged_on_the_way_is_neither_kept_nor_run(tmp_path):
    """For each of them: as the network of a thief may answer."""
    exchanged = b"print('the thief runs')\n"
    module = "modelwave_agent/board/agent.mpy"
    for path in (installer.INSTALLER, module):

        async def answer(request, path=path):
            asked = request.head.split(" ")[1].removeprefix("/board/")
            good = installer.program(built()) if asked == installer.INSTALLER else built()[asked]
            body = exchanged if asked == path else good
            request.head_of("200 OK", f"Content-Length: {len(body)}")
            request.say(body)

        async def main(answer=answer):
            async with serving(answer) as port:
                code = line(f"http://127.0.0.1:{port}/board", tmp_path / "lib")
                return await asyncio.to_thread(micropython.run, tmp_path, "-c", code)

        (tmp_path / "lib").mkdir(exist_ok=True)
        done = asyncio.run(main())
        assert done.returncode != 0
        assert "the thief runs" not in done.stdout
        assert "ValueError: " in done.stdout + done.stderr
        assert not (tmp_path / "lib" / module).exists()
    assert (tmp_path / "lib/modelwave_agent").exists()  # what came before it was the right one


def test_a_board_installs_it_from_its_controller(board_folder):
    found = {p.relative_to(board_folder).as_posix(): p for p in board_folder.rglob("*.mpy")}
    files = built()
    wanted = package.installed(files) | package.installed(files, "http.json")
    assert set(found) == set(wanted)
    assert all(found[path].read_bytes() == files[path] for path in wanted)


def test_a_whole_update_with_the_package_over_a_real_broker(board_folder, tmp_path):
    ground_folder = tmp_path / "ground"
    ground_folder.mkdir()
    with broker(ground_folder, "mosquitto") as port, Ground(ground_folder, port) as ground:
        assert ground.outcome(HEAP, [board_folder]) == "SUCCEEDED"
        assert ground.outcome(HEAP, [board_folder], healthy=False) == "ROLLED_BACK"


def test_a_whole_update_with_all_code_in_a_romfs(folder, tmp_path):
    with broker(tmp_path, "mosquitto") as port, FromRom(tmp_path, port, folder) as ground:
        assert ground.outcome(ROM_HEAP, [ROM]) == "SUCCEEDED"


@pytest.mark.parametrize("name", ["agent", "http"])
def test_the_image_that_is_built_holds_the_agent_and_its_parts(folder, name):
    """MicroPython mounts it, and imports the module from there (programs/from_rom.py)."""
    image, module = folder / package.ROMFS, f"modelwave_agent.board.{name}"
    done = micropython.run(folder.parent, PROGRAMS / "from_rom.py", image, module)
    assert done.returncode == 0, done.stderr
    done = micropython.run(folder.parent, PROGRAMS / "from_rom.py", image, module + "_missing")
    assert "ImportError: no module named" in done.stderr


def test_the_sources_for_firmware_do_the_same(folder, tmp_path):
    code = "from modelwave_agent.board import agent, mqtt; print(agent.BoardAgent, mqtt.MqttLink)"
    done = micropython.run(folder / "source", "-c", code)
    assert done.stdout == "<class 'BoardAgent'> <class 'MqttLink'>\n", done.stderr


# What it says when something is wrong.


def line_of(path, text):
    """The number of the only line of a source of ours with this text."""
    lines = (REPO / path).read_text().splitlines()
    (number,) = [number for number, line in enumerate(lines, 1) if text in line]
    return number


def test_a_traceback_names_our_files_lines_and_functions(folder, tmp_path):
    (tmp_path / "root.json").write_bytes(b"no envelope")
    code = (
        f"import sys; sys.path.insert(0, {str(folder)!r})\n"
        "from modelwave_agent.board.agent import BoardAgent\n"
        "BoardAgent('pico-1', 'rp2040', {}, None, 'state', 'root.json')\n"
    )
    done = micropython.run(tmp_path, "-c", code)
    place = "modelwave_agent/board/agent.py"
    made = line_of(
        f"agent/{place}", "trusted, problem = _trusted(device, target, models, root, folder)"
    )
    raised = line_of(f"agent/{place}", 'advised(error, "agent")')
    assert f'File "{place}", line {made}, in __init__\n' in done.stderr
    assert f'File "{place}", line {raised}, in _trusted\n' in done.stderr


def test_an_exception_is_reported_by_the_name_of_its_class(folder, tmp_path):
    """Every class of ours has its own name on a board, and `said` is what reports say of one."""
    ours = [
        (path[len("source/") : -len(".py")].replace("/", "."), name)
        for path, text in built().items()
        if path.startswith("source/")
        for name in re.findall(r"^class (\w+)\(\w*(?:Error|Exception)\):", text.decode(), re.M)
    ]
    code = f"import sys; sys.path.insert(0, {str(folder)!r})\n"
    for module, name in ours:
        code += f"from {module} import {name} as Ours\nprint(Ours.__name__)\n"
    code += "from modelwave_agent.ports import LinkLost\n"
    code += "from modelwave_agent.record import said\nprint(said(LinkLost('no answer')))\n"
    done = micropython.run(tmp_path, "-c", code)
    assert done.stdout.splitlines() == [*(name for _, name in ours), "LinkLost: no answer"]
    assert len(ours) > 5
