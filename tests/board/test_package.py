"""The package for boards on real MicroPython: what is left of the sources does the same."""

import ast
import asyncio
import functools
import shutil
import threading
from pathlib import Path

import pytest

from modelwave_controller.boards import compiling, linker, package, sources
from modelwave_controller.files import FileServer
from tests import micropython
from tests.board.updating import Ground, broker

REPO = Path(__file__).parents[2]
CORE_TESTS = REPO / "tests/core"
CORE_HEAP = "1m"
SECONDS = 60
HEAP = "96k"  # of a whole update; the smallest that does is `make footprint`'s to find
MAX_BYTES = 36 * 1024


@functools.cache
def built():
    return package.build()


# The core's tests, on what the linker makes of the core.


def core_names():
    """(modules of ours that the core's tests import, all names in them)"""
    modules, names = set(), set()
    for path in CORE_TESTS.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules |= {name for name in sources.imported(node) if sources.is_own(name)}
            for field in ("id", "attr", "arg", "name"):
                word = getattr(node, field, None)
                names |= set(word.split(".")) if isinstance(word, str) else set()
    folders = sources.package_folders()
    return {name for name in modules if sources.find(name, folders)}, names


def lay_out(folder, texts):
    for name, text in texts.items():
        path = folder.joinpath(*name.split(".")).with_suffix(".mpy")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(compiling.compiled(text, name))


def run_core_tests(folder):
    done = micropython.run(folder, "tests/core/run.py", heap=CORE_HEAP)
    print(done.stdout + done.stderr)
    return done.stdout.splitlines()[-1]


def test_the_cores_tests_pass_on_what_the_linker_makes_of_it(tmp_path):
    modules, names = core_names()
    linked = linker.link(modules, sources.package_folders(), keep=names, apart=())
    renamed = [
        long
        for table in linked.names.values()
        for short, longs in table.items()
        for long in longs
        if long.rpartition(".")[2] != short
    ]
    assert len(renamed) > 30  # what the tests do not name
    lay_out(tmp_path, linked.texts)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/__init__.py").write_text("")
    for part in ("core", "vectors"):
        shutil.copytree(REPO / "tests" / part, tmp_path / "tests" / part)
    assert run_core_tests(tmp_path) == run_core_tests(REPO)


# The package.


def test_all_that_a_board_gets_is_small():
    sizes = package.installed(built())
    assert sum(sizes.values()) <= MAX_BYTES, sizes


def test_every_file_of_an_index_is_there_and_none_is_a_hosts():
    indexes = [index for index in package.INDEXES if index in built()]
    named = {path for index in indexes for path in package.installed(built(), index)}
    assert "modelwave_agent/board/agent.mpy" in named
    assert named == {path for path in built() if path.endswith(".mpy")}
    assert not any("host" in path for path in named)


def test_building_twice_gives_the_same_bytes():
    assert package.build() == built()


def test_readable_names_stay():
    readable = package.build(rename=False)
    assert b"hexdigest" in readable["source/modelwave_agent/board/agent.py"]
    assert b"hexdigest" not in built()["source/modelwave_agent/board/agent.py"]
    assert set(readable) == set(built())


class Serving:
    """A FileServer in a thread of its own; `url` is what a board is told."""

    def __init__(self, folder):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.server = FileServer(folder)

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
    """What mip.install of a real MicroPython has brought from the controller."""
    target = tmp_path / "lib"
    target.mkdir()
    with Serving(tmp_path) as serving:
        urls = [serving.url, serving.url + "/http.json"]
        code = "import mip\n" + "".join(
            f"mip.install({u!r}, target={str(target)!r})\n" for u in urls
        )
        done = micropython.run(tmp_path, "-c", code)
    print(done.stdout + done.stderr)
    assert done.returncode == 0
    return target


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
        found = ground.update(HEAP, [board_folder])
        assert found["end"]["outcome"] == "SUCCEEDED", found
        found = ground.update(HEAP, [board_folder], healthy=False)
        assert found["end"]["outcome"] == "ROLLED_BACK", found


def test_the_sources_for_firmware_do_the_same(tmp_path):
    package.write(built(), tmp_path / "package")
    code = "from modelwave_agent.board import agent, mqtt; print(agent.BoardAgent, mqtt.MqttLink)"
    done = micropython.run(tmp_path / "package/source", "-c", code)
    assert done.stdout == "<class 'BoardAgent'> <class 'MqttLink'>\n", done.stderr
