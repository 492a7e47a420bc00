"""Models run without secrets, network and sight of the operator's files (releases/confinement.py).
A program that attacks stands for a model that has taken over its runtime."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelwave_controller.releases import confinement

HOSTILE = Path(__file__).parent / "hostile_model.py"
CONFINED = Path(__file__).parents[2] / "agent/modelwave_agent/host/confined.py"
NOT_KEPT = {"SECRET", "MODELWAVE_PASSPHRASE", "SSH_AUTH_SOCK", "AWS_SECRET_ACCESS_KEY"}
# What a kernel without Landlock and seccomp refuses, too: the model has no rights over others.
RIGHTS = ["0000000000000000", "1"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Of the hostile program, whose victim is a process of its own: it may be stopped."""
    for name in NOT_KEPT:
        monkeypatch.setenv(name, "correct horse")
    key = tmp_path / "home" / "release.key"
    key.parent.mkdir()
    key.write_text("the key")
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as agent,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log,
        subprocess.Popen(["sleep", "600"]) as victim,
    ):
        agent.bind(str(tmp_path / "agent"))
        agent.listen()
        log.bind(str(tmp_path / "log"))
        port = str(tcp.getsockname()[1])
        yield [str(victim.pid), str(key), port, str(tmp_path / "agent"), str(tmp_path)]
        victim.kill()


def ran(command: list[str], env: dict[str, str] | None = None) -> Any:
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_hostile_model_gets_nothing(arguments: list[str]) -> None:
    if not all(confinement.possible().values()):
        pytest.skip("this kernel has no Landlock, or no seccomp")
    program = [sys.executable, "-P", str(HOSTILE), *arguments]
    with confinement.confined(program, [HOSTILE]) as (command, env):
        found = ran(command, env)
    assert not NOT_KEPT & set(found.pop("environment"))
    assert found.pop("core") == [0, 0]
    assert found.pop("rights") == RIGHTS
    assert [name for name, what in found.items() if what == "got"] == []
    assert not (Path(arguments[-1]) / "left").exists()


def test_the_same_model_gets_all_of_it_when_it_is_not_confined(arguments: list[str]) -> None:
    """So the other tests would notice."""
    found = ran([sys.executable, "-P", str(HOSTILE), *arguments])
    assert set(found["environment"]) >= NOT_KEPT
    for name in ("key", "another file", "TCP", "UDP", "agent of keys", "log", "signal", "limits"):
        assert found[name] == "got", name
    if os.geteuid() == 0:
        for name in ("shadow", "environment of the parent", "memory of the parent", "attach"):
            assert found[name] == "got", name


WITHOUT = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("confined", sys.argv[1])
confined = importlib.util.module_from_spec(spec)
spec.loader.exec_module(confined)
if "files" in sys.argv[2]:
    confined._landlock_version = lambda: -1
if "network" in sys.argv[2]:
    confined._knows_calls = lambda: False
sys.exit(confined.main(sys.argv[3:]))
"""


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("files", "the model ran with sight of your files: this kernel has no Landlock"),
        ("network", "the model ran with network: this kernel has no seccomp"),
        ("files network", "this kernel has neither Landlock nor seccomp"),
    ],
)
def test_what_a_kernel_cannot_take_away_is_left_and_said(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, missing: str, words: str
) -> None:
    without = [sys.executable, "-I", "-S", "-c", WITHOUT, str(CONFINED), missing]
    monkeypatch.setattr(confinement, "_confine", lambda: without)
    confinement.possible.cache_clear()
    try:
        assert words in confinement.words()
        program = [sys.executable, "-P", str(HOSTILE), *arguments]
        with confinement.confined(program, [HOSTILE]) as (command, env):
            found = ran(command, env)
    finally:
        confinement.possible.cache_clear()
    assert (found["key"] == "got") == ("files" in missing)
    # Landlock refuses TCP by itself where it can (version 4), but no other socket.
    assert (found["UDP"] == "got") == ("network" in missing)
    assert not NOT_KEPT & set(found["environment"])
    assert (found["core"], found["rights"]) == ([0, 0], RIGHTS)


def test_guarded_process_cannot_be_read_and_leaves_no_core_file() -> None:
    code = (
        "import ctypes, resource; from modelwave_controller.releases import confinement as c;"
        "c.guard(); print([ctypes.CDLL(None).prctl(3), resource.getrlimit(resource.RLIMIT_CORE)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[0, (0, 0)]"


def test_program_that_is_none_cannot_be_started(tmp_path: Path) -> None:
    with (
        pytest.raises(FileNotFoundError),
        confinement.confined([str(tmp_path / "python"), "-c", ""], []),
    ):
        pass


def test_other_python_imports_our_packages_and_nothing_else(tmp_path: Path) -> None:
    """Under another name this Python is another one."""
    other = tmp_path / "bin" / "python"
    other.parent.mkdir()
    other.symlink_to(os.path.realpath(sys.executable))
    code = "import modelwave_shared.version, modelwave_agent.ports; print('[]')"
    with confinement.confined([str(other), "-P", "-c", code], []) as (command, env):
        assert ran(command, env) == []
