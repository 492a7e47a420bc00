"""Every value of every command, with what nobody would type: the command refuses it in a line, or
takes it for what it is. It does not crash, writes nothing elsewhere, and does not act on the
terminal."""

import itertools
import os
import shutil
import string
from pathlib import Path

import pytest
import typer.main

from modelwave_controller import cli
from modelwave_controller.storage.store import Store
from tests.bad_input.commands import ENDLESS, VALUES, WRITES, Leaf, leaves
from tests.controller.operator_home import make_home, runner

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
IS_LONG = bool(os.environ.get("MODELWAVE_LONG"))
PRINTED = set(string.printable) - set("\r\x0b\x0c")
LEAVES = list(leaves(typer.main.get_command(cli.whole_application())))
RUN = [leaf for leaf in LEAVES if leaf.words not in ENDLESS and leaf.parameters]
VALUE_NAMES = list(VALUES)


def trials(leaf: Leaf) -> list[tuple[str, str]]:
    """(parameter, name of the value): all of them, or one value for each parameter, in turn."""
    every = list(itertools.product(leaf.parameters, VALUE_NAMES))
    if IS_LONG:
        return every
    begin = RUN.index(leaf)
    count = len(VALUE_NAMES)
    return [(one, VALUE_NAMES[(begin + at) % count]) for at, one in enumerate(leaf.parameters)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a database, which each test copies."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patched:
        home = make_home(folder / "home", patched)
    Store(home.database_url).close()
    return home.path


@pytest.mark.parametrize("leaf", RUN, ids=lambda leaf: " ".join(leaf.words))
def test_no_value_of_a_command_makes_it_crash_or_write_elsewhere(
    leaf: Leaf,
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    deep = tmp_path / "a/b/c/d/e"
    deep.mkdir(parents=True)
    shutil.copytree(made, deep / "home")
    monkeypatch.chdir(deep)
    monkeypatch.setenv("MODELWAVE_HOME", str(deep / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(deep / "config"))
    monkeypatch.setenv("HOME", str(deep))
    call = runner(capsys)
    for parameter, name in trials(leaf):
        line = leaf.line(parameter, VALUES[name])
        code, out, err = call(*line)
        where = f"{' '.join(leaf.words)}: {parameter}: {name}"
        assert "Traceback" not in err, where
        assert set(out + err) & set("\x1b\r\x00") == set(), where
        if code:
            assert err.startswith("modelwave: "), (where, err[:300])
            assert len(err) < 2000, (where, err[:300])
        if parameter not in WRITES:
            assert not [path for path in tmp_path.rglob("*") if not within(path, deep)], where


def within(path: Path, folder: Path) -> bool:
    """Whether it is in the folder, or one that the folder is in."""
    return path.is_relative_to(folder) or folder.is_relative_to(path)


def test_every_command_is_tried_or_named_as_one_that_does_not_end() -> None:
    assert {leaf.words for leaf in LEAVES} >= ENDLESS
    assert sum(len(leaf.parameters) for leaf in RUN) > 200
