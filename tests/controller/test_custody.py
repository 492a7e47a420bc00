"""Tests who may read and write what a home holds, whatever the umask is, and what is warned of."""

import errno
import json
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from operator_home import SECRET, Run, as_json, make_home, runner

from modelwave_controller import disk
from modelwave_controller.errors import OperatorError
from modelwave_controller.home import Home
from modelwave_controller.storage import store
from modelwave_controller.trust import custody, keys

# Runs each of the commands as a process of its own would.
COMMANDS = """
import json, sys
from modelwave_controller.cli import main
from modelwave_controller.trust import pkcs8
pkcs8.PBKDF2_ROUNDS = 1000
for arguments in json.loads(sys.argv[1]):
    sys.argv[1:] = arguments
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, arguments
"""


@pytest.fixture
def modelwave(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    return make_home(tmp_path / "home", monkeypatch)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def under(umask: int, *commands: Sequence[object]) -> None:
    """Runs the commands under this umask."""
    arguments = json.dumps([[str(word) for word in command] for command in commands])
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, arguments],
        env=os.environ | {"MODELWAVE_PASSPHRASE": SECRET},
        umask=umask,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_home_is_its_owner_s_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    home, copy = tmp_path / "above" / "home", tmp_path / "copy"
    under(
        umask,
        ["--home", home, "init", "demo"],
        ["--home", home, "fleet", "status"],  # makes the database
        ["--home", home, "backup", tmp_path / "fleet.tar"],
        ["--home", copy, "restore", tmp_path / "fleet.tar"],
        ["key", "create", "next", "--out", tmp_path / "next.key"],
    )
    assert mode(home) == mode(home / "offline") == mode(copy) == 0o700
    secret = [home / "order.key", *(home / "offline").glob("*.key"), tmp_path / "next.key"]
    secret += [home / "controller.toml", copy / "controller.toml", tmp_path / "fleet.tar"]
    assert len(secret) == 9
    assert {path.name: mode(path) for path in secret} == {path.name: 0o600 for path in secret}
    made = [*home.rglob("*"), *copy.rglob("*"), home.parent]
    assert [path for path in made if mode(path) & stat.S_IWOTH] == []
    assert (copy / ".gitignore").read_text() == (home / ".gitignore").read_text()


def test_folder_that_others_may_write_into_becomes_a_home_that_they_may_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home").chmod(0o777)
    made = make_home(tmp_path / "home", monkeypatch)
    assert mode(made.path) == 0o755
    disk.private_folder(made.path)
    assert mode(made.path) == 0o755  # its owner's choice


def test_offline_keys_are_warned_of_until_they_are_moved(
    home: Home, tmp_path: Path, modelwave: Run
) -> None:
    said = as_json(modelwave("fleet", "status", "--json"))["warnings"]
    assert len(said) == 1
    assert said[0].startswith("offline keys can be read here (offline/release.key, offline/root-1")
    assert "offline keys can be read here" in modelwave("fleet", "status")[1]
    home.offline.rename(tmp_path / "elsewhere")
    assert as_json(modelwave("fleet", "status", "--json"))["warnings"] == []
    (tmp_path / "elsewhere" / "release.key").rename(home.path / "mine.key")
    assert "(mine.key)" in home.warnings()[0]
    (home.path / "mine.key").unlink()
    keys.create_key(home.path / "tls.key", None)  # of a certificate: the service may need it
    assert home.warnings() == []


def test_order_key_and_settings_that_others_may_read_are_warned_of(
    home: Home, tmp_path: Path
) -> None:
    home.offline.rename(tmp_path / "elsewhere")
    (home.path / "order.key").chmod(0o644)
    (home.path / "controller.toml").chmod(0o644)
    home.path.chmod(0o777)
    assert [warning.partition(": ")[2] for warning in home.warnings()] == [
        f"others may read this private key: chmod 600 {home.path / 'order.key'}",
        f"others may replace what is in it: chmod 755 {home.path}",
    ]
    url = "postgresql+psycopg://me:secret@host/fleet"
    found = rewritten(home, 'url = ""', f'url = "{url}"').warnings()
    assert "others may read it, and it has the database's password" in found[1]
    assert "secret" not in str(found)


def test_settings_that_nobody_else_may_read_are_not_warned_of_nor_those_that_are_not_there(
    home: Home, tmp_path: Path
) -> None:
    home.offline.rename(tmp_path / "elsewhere")
    root = home.root_document
    assert custody.warnings(home.path, home.path / "order.key", root, True) == []
    (home.path / "controller.toml").unlink()
    assert custody.warnings(home.path, home.path / "order.key", root, True) == []


def test_keys_beside_an_order_key_that_is_in_no_file_or_away_are_found(home: Home) -> None:
    home.offline.rename(home.path.parent / "elsewhere")
    mine = home.path / "mine.key"
    (home.path.parent / "elsewhere" / "release.key").rename(mine)
    for order_key in (None, home.path / "away.key"):
        assert mine in custody.offline_keys(home.path, order_key, home.root_document)
    assert custody.offline_keys(home.path, home.path / "order.key", home.root_document) == [mine]


def test_key_of_a_certificate_of_another_kind_is_no_offline_key(home: Home) -> None:
    home.offline.rename(home.path.parent / "elsewhere")
    made = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    (home.path / "tls.key").write_bytes(made)
    assert custody.offline_keys(home.path, home.path / "order.key", home.root_document) == []


def test_a_file_that_this_process_cannot_read_is_no_offline_key_of_its_own(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Path.open

    def refusing(path: Path, *mode: str) -> Any:
        if path.name == "release.key":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, *mode)

    monkeypatch.setattr(Path, "open", refusing)
    found = custody.offline_keys(home.path, home.path / "order.key", home.root_document)
    assert {path.name for path in found} == {"root-1.key", "root-2.key", "root-3.key"}


def test_no_more_than_a_thousand_files_of_a_folder_are_looked_at(home: Home) -> None:
    one = (home.offline / "release.key").read_bytes()
    for path in home.offline.iterdir():
        path.unlink()
    for number in range(1001):
        (home.offline / f"{number}.key").write_bytes(one)
    found = custody.offline_keys(home.path, home.path / "order.key", home.root_document)
    assert len(found) == 1000


def rewritten(home: Home, old: str, new: str) -> Home:
    path = home.path / "controller.toml"
    path.write_text(path.read_text().replace(old, new, 1))
    return Home(home.path)


def with_database(home: Home, url: str, name: str = "database.txt") -> Home:
    path = home.path / "controller.toml"
    text = path.read_text()
    before, after = text.split("[database]", 1)
    after = after.replace('url = ""', f'url = "{url}"', 1)
    after = after.replace('# password_file = "database-password"', f'password_file = "{name}"', 1)
    path.write_text(f"{before}[database]{after}")
    return Home(home.path)


def test_database_password_is_taken_from_its_file(home: Home) -> None:
    (home.path / "database.txt").write_text("p@ss/w:rd\n")
    made = with_database(home, "postgresql+psycopg://me@host/fleet")
    assert made.database_url == "postgresql+psycopg://me:p%40ss%2Fw%3Ard@host/fleet"
    assert store.shown(made.database_url) == "postgresql+psycopg://me:***@host/fleet"


@pytest.mark.parametrize(
    ("url", "contents", "problem"),
    [
        ("postgresql+psycopg://me:secret@host/fleet", "x", "give one of the two"),
        ("", "x", "give one of the two"),
        ("postgresql+psycopg://me@host/fleet", "", "is empty"),
        ("postgresql+psycopg://me@host/fleet", "x" * 1025, "longer than"),
        ("postgresql+psycopg://me@host/fleet", None, "cannot read"),
    ],
)
def test_bad_database_password_is_refused(
    home: Home, url: str, contents: str | None, problem: str
) -> None:
    if contents is not None:
        (home.path / "database.txt").write_text(contents)
    with pytest.raises(OperatorError, match=problem) as caught:
        _ = with_database(home, url).database_url
    assert "secret" not in str(caught.value)


def test_backup_has_no_secret_and_restore_says_which_are_missing(
    home: Home, tmp_path: Path, modelwave: Run
) -> None:
    (home.path / "pin.txt").write_text("the-pin")
    text = 'order = "order.key"\npassphrase_file = ""'
    rewritten(home, text, 'order = "order.key"\npassphrase_file = "pin.txt"')
    assert modelwave("fleet", "status")[0] == 0
    (home.path / ".gitignore").rename(tmp_path / "gitignore")  # as in a home of before
    assert modelwave("backup", tmp_path / "fleet.tar")[0] == 0
    data = (tmp_path / "fleet.tar").read_bytes()
    assert b"the-pin" not in data
    assert not keys.is_private(data)
    _, out, _ = modelwave("--home", tmp_path / "copy", "restore", tmp_path / "fleet.tar")
    assert (tmp_path / "copy" / ".gitignore").read_text() == (tmp_path / "gitignore").read_text()
    said = " ".join(out.split())
    assert "order.key" in said
    assert "the order key's passphrase or PIN" in said


CHILDREN = """
import os, subprocess, sys
from modelwave_controller import environment
from modelwave_controller.cli import main
sys.argv = ["modelwave", "target", "list"]
try:
    main()
except SystemExit:
    pass
asked = [sys.executable, "-c", "import os; print([n for n in os.environ if 'PASSPHRASE' in n])"]
print(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())
for place in ("self", os.getpid()):
    print(b"correct" in open(f"/proc/{place}/environ", "rb").read())
print(environment.secret(environment.PASSPHRASE), environment.secret(environment.ORDER_PASSPHRASE))
"""


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux's /proc")
def test_passphrase_in_the_environment_reaches_no_child_and_no_other_process() -> None:
    secrets = {"MODELWAVE_PASSPHRASE": "correct", "MODELWAVE_ORDER_PASSPHRASE": "correct horse"}
    done = subprocess.run(
        [sys.executable, "-c", CHILDREN],
        env=os.environ | secrets,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-4:] == ["[]", "False", "False", "b'correct' b'correct horse'"]


def test_looking_for_keys_leaves_the_locks_of_the_database(home: Home) -> None:
    database = home.path / "modelwave.db"
    ask = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        home.warnings()
        other = subprocess.run([sys.executable, "-c", ask, database], capture_output=True)
    assert b"database is locked" in other.stderr
