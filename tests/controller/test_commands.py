"""Tests that a command's modules are imported only when it is used, and that it is found all the
same: in the help, by the shell's completion, and where it is misspelt."""

import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest
from operator_home import make_home

from modelwave_controller import cli
from modelwave_controller.cli import device, release, rollout
from modelwave_controller.cli.commands import COMMANDS
from modelwave_controller.cli.later import Place
from modelwave_controller.storage.store import Store

SLOW = (
    *("sqlalchemy", "alembic", "pydantic", "cryptography", "aiohttp", "argon2", "numpy", "paho"),
    *("sqlalchemy.dialects.postgresql", "cryptography.x509", "modelwave_controller.fit"),
)
PROGRAM = f"""
import sys
from modelwave_controller.cli import run
code = run(sys.argv[1:])
print([name for name in {SLOW} if name in sys.modules], file=sys.stderr)
sys.exit(code)
"""


def ran(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_what_needs_no_command_imports_nothing_slow(option: str) -> None:
    done = ran(option)
    assert (done.returncode, done.stderr) == (0, "[]\n")


@pytest.mark.parametrize(
    ("command", "imports"),
    [
        ("rollout status", ["sqlalchemy", "pydantic", "cryptography"]),
        ("broker --users nowhere", ["pydantic", "argon2"]),
    ],
)
def test_command_imports_only_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, imports: list[str]
) -> None:
    home = make_home(tmp_path / "home", monkeypatch)
    Store(home.database_url).close()
    done = ran(*command.split())
    said, _, imported = done.stderr.strip().rpartition("\n")
    assert (done.returncode, imported) == (2, str(imports)), said


@pytest.mark.parametrize(
    "command",
    [
        "rollout status",
        "rollout list",
        "release list",
        "device list",
        "device show d1",
        "fleet status",
    ],
)
def test_command_at_a_service_imports_neither_database_nor_keys(command: str) -> None:
    where = ["--server", "http://127.0.0.1:1"]
    done = ran(*where, *command.split(), MODELWAVE_TOKEN="a-token")
    said, _, imported = done.stderr.strip().rpartition("\n")
    assert (done.returncode, imported) == (1, "['pydantic']"), said
    assert "not reached" in said


def test_help_lists_all_commands() -> None:
    listed = " ".join(ran("--help", COLUMNS="200").stdout.split())
    for name, place in COMMANDS.items():
        summary, _, _ = place.help.partition("\n\n")
        assert f"{name} {summary}" in listed


@pytest.mark.parametrize(
    "place",
    [
        one
        for places in (COMMANDS, rollout.LATER, release.LATER, device.LATER)
        for one in places.values()
        if one.function
    ],
)
def test_help_in_the_list_is_the_one_of_the_command(place: Place) -> None:
    module = importlib.import_module(f"modelwave_controller.cli.{place.module}")
    first, _, _ = (inspect.getdoc(getattr(module, place.function)) or "").partition("\n\n")
    assert place.help == first.replace("\n", " ")


def completed(words: str) -> list[str]:
    """Returns what bash completes at the end of this line."""
    number = len(words.split(" ")) - 1
    done = ran(_MODELWAVE_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(number))
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_shell_completes_commands_and_their_parts() -> None:
    assert completed("modelwave de") == ["device", "demo"]
    assert "--trouble" in completed("modelwave device list --")


def test_unknown_command_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["devise", "list"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("modelwave: No such command 'devise'")
    assert said.count("\n") == 1
