"""Every file that a command or a program reads, with what it must not have in it: it is refused in
a line that names it, and nothing is changed."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import typer.main

from modelwave_agent.host.config import read_config as read_agent
from modelwave_agent.host.relay.config import read_config as read_relay
from modelwave_agent.host.settings_reader import ConfigError
from modelwave_controller import cli
from modelwave_controller.client import contexts
from modelwave_controller.errors import OperatorError
from modelwave_controller.home import read_config as read_home
from modelwave_controller.models.targets import read_targets
from modelwave_controller.rollout.plan import parse_plan
from tests import signing
from tests.bad_input import envelopes, fields, fleet
from tests.bad_input.commands import ENDLESS, Leaf, leaves
from tests.bad_input.test_commands import made  # noqa: F401  a fixture
from tests.controller.operator_home import Run, runner

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
IS_LONG = bool(os.environ.get("MODELWAVE_LONG"))
EVERY = 5  # in the short form each command gets every fifth of them
CONTENTS = {
    "empty": b"",
    "NUL": b"\0" * 100,
    "invalid UTF-8": b"\xff\xfe" * 50,
    "BOM alone": b"\xef\xbb\xbf",
    "100,000 [": b"[" * 100_000,
    "50,000 [ of TOML": b"a = " + b"[" * 50_000,
    "10,000 objects": b'{"a":' * 10_000,
    "one number": b"7",
    "5,000 digits": b"9" * 5_000,
    "NaN": b"NaN",
    "null": b"null",
    "text": b'"a text"',
    "list of a list": b"[[]]",
    "empty object": b"{}",
    "one line of 1 MB": b"x" * 1_000_000,
    "escape sequences": b"\x1b[2J\r\nmodelwave: done\n",
    "a half of a zip": b"PK\x03\x04" + b"\xff" * 60,
    "a tar of nothing": b"\0" * 1024,
    "a model's begin": b"\x1c\0\0\0TFL3",
}
# Parameters whose value is a file that the command reads.
READ = {
    *("file", "envelope", "root", "key", "draft", "bundle", "golden_set", "golden"),
    *("plan_file", "plan", "labels", "inputs", "tolerance", "reliability", "model_signature_file"),
    *("model_signer", "from_file", "ca", "token_file", "wheels", "package"),
}
WRITTEN = {("backup",)}  # its FILE is made


def read_by(leaf: Leaf) -> list[str]:
    """The parameters of a command that are files which it reads. A passphrase may be anything."""
    is_model = "golden" in leaf.words  # elsewhere it is a model's name
    return [one for one in leaf.parameters if one in READ or (one == "model" and is_model)]


LEAVES = [
    leaf
    for leaf in leaves(typer.main.get_command(cli.whole_application()))
    if leaf.words not in ENDLESS | WRITTEN and read_by(leaf)
]


@pytest.fixture
def home(
    made: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """An operator's home, which the commands use."""
    shutil.copytree(made, tmp_path / "home")
    monkeypatch.setenv("MODELWAVE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: " ".join(leaf.words))
def test_no_file_that_a_command_reads_makes_it_crash(
    leaf: Leaf,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    before = files(home)
    call = runner(capsys)
    for at, (name, data) in enumerate(CONTENTS.items()):
        (tmp_path / "given").write_bytes(data)
        for parameter in read_by(leaf):
            if not IS_LONG and (at + LEAVES.index(leaf)) % EVERY:
                continue
            code, out, err = call(*leaf.line(parameter, "given"))
            where = f"{parameter}: {name}"
            assert code, where
            assert err.splitlines()[-1].startswith("modelwave: "), (where, err[:300])
            assert not set(out + err) & set("\x1b\r\0"), where
            assert len(err) < 2000, where
    assert files(home) == before


def files(folder: Path) -> dict[str, bytes]:
    """What is there, but the database: a look at it makes files of its own."""
    return {
        str(path): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".db" not in path.name
    }


def lines() -> dict[str, bytes]:
    """The envelopes among the bad messages, and payloads that are none, well signed."""
    found = {}
    for case in envelopes.MESSAGES:
        found[case.name] = case.messages(fleet.FIRST_FLOOR)[0].split(b"\n")[0]
    for name, data, _ in envelopes.PAYLOADS:
        found["signed: " + name] = fleet.envelope("manifest", data, signing.RELEASE_KEY)
    for name, data in fields.NUMBERS:
        payload = fields.put(fleet.NEXT.document, "files.0.size", data)
        found["size: " + name] = fleet.envelope("manifest", payload, signing.RELEASE_KEY)
    return found


# The first line of these is good, at least as a document of another kind.
WHOLE = {
    "root in the place of an order",
    "lines exchanged",
    *("NUL at the end", "JSON after the end", "blank at the end", "one line", "three lines"),
    "line break at the end",
}
LINES = {name: line for name, line in lines().items() if name not in WHOLE}
READERS: dict[str, Callable[[Path], list[object]]] = {
    "key verify": lambda folder: ["key", "verify", folder / "manifest.json"],
    "root show": lambda folder: ["root", "show", folder / "manifest.json"],
    "root publish": lambda folder: ["root", "publish", folder / "manifest.json"],
    "release add": lambda folder: ["release", "add", folder],
}


@pytest.mark.parametrize("reader", READERS)
def test_an_envelope_that_is_none_is_refused_by_the_command(
    reader: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each envelope that a device is given, in the place of a file of the operator's."""
    (home / "root.json").write_bytes(signing.root_envelope())
    before = files(home)
    (tmp_path / "bundle").mkdir()
    call: Run = runner(capsys)
    for name, line in list(LINES.items())[:: 1 if IS_LONG else 3]:
        (tmp_path / "bundle" / "manifest.json").write_bytes(line)
        code, out, err = call(*READERS[reader](tmp_path / "bundle"))
        assert code, name
        assert err.startswith("modelwave: "), (name, err)
        assert not set(out + err) & set("\x1b\r\0"), name
        assert "verified" not in out, name
    assert files(home) == before


def agent_settings(folder: Path, text: str) -> None:
    (folder / "agent.toml").write_text(text)
    read_agent(folder / "agent.toml")


def relay_settings(folder: Path, text: str) -> None:
    (folder / "relay.toml").write_text(text)
    read_relay(folder / "relay.toml")


def home_settings(folder: Path, text: str) -> None:
    (folder / "controller.toml").write_text(text)
    read_home(folder / "controller.toml", "demo")


def known_contexts(folder: Path, text: str) -> None:
    contexts.file().parent.mkdir(parents=True, exist_ok=True)
    contexts.file().write_text(text)
    contexts.file().chmod(0o600)
    contexts.read()


SETTINGS: dict[str, Callable[[Path, str], object]] = {
    "agent.toml": agent_settings,
    "relay.toml": relay_settings,
    "controller.toml": home_settings,
    "contexts.toml": known_contexts,
    "plan": lambda _, text: parse_plan(text.encode(), "plan"),
    "target": lambda _, text: read_targets(text, "target"),
}
BAD_TOML = {
    "unknown key": "surprise = 1",
    "unknown table": "[surprise]\nx = 1",
    "deep nesting": "a = " + "[" * 20_000,
    "deep tables": "a = " + "{a = " * 5_000,
    "5,000 digits": "surprise = " + "9" * 5_000,
    "not TOML": "{}",
    "key twice": "surprise = 1\nsurprise = 2",
    "escape sequences": '"\\u001b[2J" = 1',
}


@pytest.mark.parametrize("given", BAD_TOML)
@pytest.mark.parametrize("read", SETTINGS)
def test_toml_with_an_unknown_key_is_refused_by_its_name(
    read: str, given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises((OperatorError, ConfigError)) as refused:
        SETTINGS[read](tmp_path, BAD_TOML[given])
    assert len(str(refused.value)) < 1000
