"""`modelwave init`, controller.toml, and what the command line does with bad arguments."""

import os
import pty
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, get_origin, get_type_hints

import pytest
import typer
from operator_home import SECRET, Run, as_json, make_home, refused, runner

from modelwave_controller import home as homes
from modelwave_controller.cli import options, whole_application
from modelwave_controller.errors import OperatorError, TrustError
from modelwave_controller.home import Home
from modelwave_controller.storage.store import Store
from modelwave_controller.terminal import fail, safe
from modelwave_controller.trust import keys, pkcs8
from modelwave_shared import documents, words
from modelwave_shared.checkout import described


@pytest.fixture
def modelwave(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    return make_home(tmp_path / "home", monkeypatch)


def rewrite(home: Home, *changes: tuple[str, str]) -> Home:
    """The same home, read anew, with text in controller.toml exchanged."""
    path = home.path / "controller.toml"
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return Home(home.path)


def test_new_home_has_a_root_that_devices_accept(home: Home) -> None:
    root = documents.open_first_root(home.root_envelope)
    assert (root["fleet"], root["v"], root["epoch"], root["minimum"]) == ("demo", 1, 0, {})
    thresholds = {name: role["threshold"] for name, role in root["roles"].items()}
    assert thresholds == {"root": 2, "release": 1, "order": 1}
    assert len(root["roles"]["root"]["keyids"]) == 3
    for name in ("root", "release"):
        for path in home.offline.glob(f"{name}*.key"):
            assert keys.load_key(path, SECRET.encode).keyid in root["roles"][name]["keyids"]


def test_secrets_of_a_new_home_are_its_owners_alone(home: Home) -> None:
    private = [home.path / "order.key", *home.offline.glob("*.key")]
    assert len(private) == 5
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    assert stat.S_IMODE(home.offline.stat().st_mode) == 0o700


def test_git_keeps_nothing_of_a_new_home(home: Home) -> None:
    git = ["git", "-C", home.path]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "add", "--all"], check=True)
    assert subprocess.check_output([*git, "ls-files"]) == b""
    home.offline.rename(home.path.parent / "keys")
    git = ["git", "-C", home.path.parent / "keys"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "add", "--all"], check=True)
    assert subprocess.check_output([*git, "ls-files"]) == b""


def test_offline_keys_are_all_under_the_passphrase(home: Home) -> None:
    for path in home.offline.glob("*.key"):
        with pytest.raises(OperatorError, match="passphrase is wrong"):
            keys.load_key(path, lambda: b"another")


def test_service_needs_nothing_from_the_offline_folder(home: Home, modelwave: Run) -> None:
    home.offline.rename(home.path.parent / "elsewhere")
    here = Home(home.path)
    assert here.order_key().keyid in here.root.roles.order.keyids
    assert as_json(modelwave("release", "list", "--json")) == []


def test_written_configuration_says_the_defaults(home: Home) -> None:
    assert home.config == homes.ControllerConfig(fleet="demo")
    assert (home.config.broker.host, home.config.broker.port) == ("127.0.0.1", 1883)
    assert home.config.files.address == ("127.0.0.1", 8180)
    assert home.database_url == f"sqlite:///{home.path}/modelwave.db"


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("sqlite:///fleet.db", "sqlite:///{home}/fleet.db"),
        ("sqlite:///data/fleet.db?timeout=9", "sqlite:///{home}/data/fleet.db?timeout=9"),
        ("sqlite:////srv/fleet.db", "sqlite:////srv/fleet.db"),
        ("sqlite://", "sqlite://"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("postgresql://me:secret@host/fleet", "postgresql://me:secret@host/fleet"),
        ("nonsense", "nonsense"),
    ],
)
def test_a_relative_database_is_in_the_home_wherever_a_command_runs(
    home: Home, monkeypatch: pytest.MonkeyPatch, url: str, place: str
) -> None:
    made = rewrite(home, ('\nurl = ""', f'\nurl = "{url}"'))
    monkeypatch.chdir("/")
    assert made.database_url == place.format(home=home.path)


def test_configuration_is_read(home: Home) -> None:
    changed = rewrite(
        home,
        ("mqtt://127.0.0.1:1883", "mqtts://broker.example"),
        ('listen = "127.0.0.1:8180"', 'listen = "[::]:0"'),
        ("urls = []", 'urls = ["https://files.example/m"]'),
        ("[database]\n", "[database]\n# "),
    ).config
    assert (changed.broker.tls, changed.broker.host) == (True, "broker.example")
    assert changed.broker.port == 8883
    assert changed.files.address == ("::", 0)
    assert changed.files.urls == ["https://files.example/m"]


def test_addresses_of_a_cluster_are_read_in_their_order(home: Home) -> None:
    several = 'urls = ["mqtts://b.example", "mqtts://a.example:1234"]'
    found = rewrite(home, ('url = "mqtt://127.0.0.1:1883"', several)).config.broker
    assert found.places == (("b.example", 8883), ("a.example", 1234))
    assert found.tls


@pytest.mark.parametrize(
    ("urls", "said"),
    [
        ('["mqtt://a", "mqtts://b"]', "mqtts:// for all, or for none"),
        ('["mqtt://a", "mqtt://a"]', "named twice"),
        ('["http://a"]', "give mqtt://HOST"),
        (str([f"mqtt://h{n}" for n in range(9)]), "at most 8"),
    ],
)
def test_addresses_that_are_no_cluster_are_refused(home: Home, urls: str, said: str) -> None:
    made = rewrite(home, ('url = "mqtt://127.0.0.1:1883"', f"urls = {urls}"))
    with pytest.raises(OperatorError, match=f"broker.urls: .*{said}"):
        _ = made.config


def test_one_address_and_several_are_not_both_given(home: Home) -> None:
    made = rewrite(home, ('\nuser = ""', '\nurls = ["mqtt://a"]\nuser = ""'))
    with pytest.raises(OperatorError, match="url and urls: give one of the two"):
        _ = made.config


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ('user = ""', "usr = 1", "broker.usr"),
        ('user = ""', "user = 1", "broker.user"),
        ("[files]", "[file]", "file: "),
        ("mqtt://127.0.0.1:1883", "http://h", "broker.url"),
        ("mqtt://127.0.0.1:1883", "mqtt://", "broker.url"),
        ("mqtt://127.0.0.1:1883", "mqtt://me:secret@h", "broker.url"),
        ("mqtt://127.0.0.1:1883", "mqtt://h:99999", "broker.url"),
        ("mqtt://127.0.0.1:1883", "mqtt://h:0", "broker.url"),
        ("mqtt://127.0.0.1:1883", "mqtt://h/topic", "broker.url"),
        ("127.0.0.1:8180", "8180", "files.listen"),
        ("127.0.0.1:8180", "h:x", "files.listen"),
        ("127.0.0.1:8180", "h:65536", "files.listen"),
        ("127.0.0.1:8180", "h:-1", "files.listen"),
        ("urls = []", 'urls = ["file:///etc"]', "files.urls.0"),
        ("urls = []", "urls = [1]", "files.urls.0"),
        ('fleet = "demo"', 'fleet = "../x"', "fleet"),
        ('fleet = "demo"', 'fleet = "other"', "fleet"),
        ('fleet = "demo"', "", "fleet"),
        ("[broker]", "[broker", "line 4"),
        ("[broker]", "[broker]\n[broker]", "line 5"),
    ],
)
def test_bad_setting_is_refused_by_name(home: Home, old: str, new: str, field: str) -> None:
    path = home.path / "controller.toml"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(OperatorError) as error:
        assert Home(home.path).config
    assert str(path) in str(error.value)
    assert field in str(error.value)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"x" * 70000, b"x = " + b"[" * 5000])
def test_unreadable_configuration_is_refused(home: Home, data: bytes) -> None:
    (home.path / "controller.toml").write_bytes(data)
    with pytest.raises(OperatorError):
        assert Home(home.path).config


def test_root_in_a_format_of_next_year_is_refused_and_says_what_to_update(home: Home) -> None:
    signers = [keys.load_key(home.offline / f"root-{n}.key", SECRET.encode) for n in (1, 2)]
    v = words.READS[words.ROOT]
    with pytest.MonkeyPatch.context() as next_year:
        next_year.setitem(words.READS, words.ROOT, v + 1)
        newer = keys.sign("root", keys.canonical(home.root_document | {"v": v + 1}), signers)
    (home.path / "root.json").write_bytes(newer)
    with pytest.raises(TrustError) as caught:
        assert Home(home.path).root
    assert str(caught.value).endswith(
        f"root.v: {v + 1} is a newer format; root v {v} is read here; update the controller"
    )


def test_root_of_the_first_controllers_is_the_first_of_its_chain(home: Home) -> None:
    assert "version" not in home.root_document
    assert home.root_document["v"] == home.root.version == 1
    signers = [keys.load_key(home.offline / f"root-{n}.key", SECRET.encode) for n in (1, 2)]
    second = keys.canonical(home.root_document | {"version": 2})
    (home.path / "root.json").write_bytes(keys.sign("root", second, signers))
    assert Home(home.path).root.version == 2


def test_root_with_one_signature_too_few_is_refused(home: Home, tmp_path: Path) -> None:
    document = keys.canonical(home.root_document)
    signers = [keys.load_key(home.offline / f"root-{n}.key", SECRET.encode) for n in (1, 2)]
    path = home.path / "root.json"
    path.write_bytes(keys.sign("root", document, signers))
    assert Home(home.path).root == home.root
    path.write_bytes(keys.sign("root", document, signers[:1]))
    with pytest.raises(TrustError, match="1 of the 2 needed"):
        assert Home(home.path).root


def test_order_key_that_the_root_does_not_name_is_refused(home: Home) -> None:
    (home.path / "order.key").unlink()
    keys.create_key(home.path / "order.key", None)
    with pytest.raises(OperatorError, match="is not one of the order keys of fleet demo"):
        home.order_key()


def test_init_refuses_a_home_that_is_there(home: Home, modelwave: Run) -> None:
    before = sorted(home.path.rglob("*"))
    refused(modelwave("init", "demo"), "not empty")
    assert sorted(home.path.rglob("*")) == before


def test_init_fills_an_empty_folder_and_leaves_nothing_beside_it(
    tmp_path: Path, modelwave: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pkcs8, "PBKDF2_ROUNDS", 1000)
    monkeypatch.setenv("MODELWAVE_PASSPHRASE", SECRET)
    path = tmp_path / "new home"
    path.mkdir()
    code, out, _ = modelwave("--home", path, "init", "demo")
    assert code == 0
    assert f"Move {path}/offline" in out
    assert f"3. modelwave --home '{path}' device enrol" in out
    assert f"then modelwave --home '{path}' serve" in out
    assert list(tmp_path.iterdir()) == [path]


def test_failed_init_leaves_nothing(
    tmp_path: Path, modelwave: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> bytes:
        raise OSError(28, "No space left on device", str(tmp_path / "x"))

    monkeypatch.setattr(homes.roots, "first_root", full)
    monkeypatch.setattr(pkcs8, "PBKDF2_ROUNDS", 1000)
    monkeypatch.setenv("MODELWAVE_PASSPHRASE", SECRET)
    refused(modelwave("--home", tmp_path / "h", "init", "demo"), "No space left", code=1)
    assert list((tmp_path / "h").iterdir()) == []
    assert [entry.name for entry in tmp_path.iterdir()] == ["h"]


@pytest.mark.parametrize("fleet", ["", "../x", "a/b", "A", "x" * 64, "a\n", "é", "_a"])
def test_init_refuses_a_bad_fleet_name(
    tmp_path: Path, modelwave: Run, monkeypatch: pytest.MonkeyPatch, fleet: str
) -> None:
    monkeypatch.setenv("MODELWAVE_PASSPHRASE", SECRET)
    refused(modelwave("--home", tmp_path / "h", "init", fleet), "FLEET: ", "is no name")
    assert not (tmp_path / "h").exists()


def test_init_without_passphrase_or_terminal_says_what_to_set(
    tmp_path: Path, modelwave: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MODELWAVE_PASSPHRASE", raising=False)
    refused(modelwave("--home", tmp_path / "h", "init", "demo"), "set MODELWAVE_PASSPHRASE")
    monkeypatch.setenv("MODELWAVE_PASSPHRASE", "")
    refused(modelwave("--home", tmp_path / "h", "init", "demo"), "passphrase: empty")
    assert not (tmp_path / "h").exists()


@pytest.mark.parametrize(
    ("typed", "code", "words"),
    [
        ((SECRET, SECRET), 0, "Made the home of fleet demo"),
        ((SECRET, "other"), 2, "the two entries differ"),
        (("", ""), 2, "passphrase: empty"),
    ],
)
def test_passphrase_is_asked_for_twice_on_a_terminal(
    tmp_path: Path, typed: tuple[str, ...], code: int, words: str
) -> None:
    controller, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "dumb"}
    environment.pop("MODELWAVE_PASSPHRASE", None)
    command = [sys.executable, "-c", "from modelwave_controller.cli import main; main()"]
    process = subprocess.Popen(
        [*command, "--home", str(tmp_path / "h"), "init", "demo"],
        **dict.fromkeys(("stdin", "stdout", "stderr"), terminal),
        start_new_session=True,
        env=environment,
    )
    os.close(terminal)
    shown = b""
    prompts = [(b"Passphrase of", typed[0]), (b"Repeat it", typed[1])]
    while True:
        try:
            data = os.read(controller, 4096)
        except OSError:  # the other end is closed
            break
        shown += data
        if prompts and prompts[0][0] in shown:
            os.write(controller, prompts.pop(0)[1].encode() + b"\n")
    os.close(controller)
    assert process.wait() == code
    text = " ".join(shown.decode().split())
    assert words in text
    assert SECRET not in text


def test_passphrase_file_is_taken_without_its_line_end(
    home: Home, tmp_path: Path, modelwave: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MODELWAVE_PASSPHRASE")
    file = tmp_path / "passphrase"
    file.write_text(SECRET + "\r\n")
    key = home.offline / "release.key"
    shown = as_json(modelwave("key", "show", key, "--passphrase-file", file, "--json"))
    assert shown["keyid"] in home.root.roles.release.keyids
    file.write_text(f" {SECRET}")  # spaces are of the passphrase
    refused(modelwave("key", "show", key, "--passphrase-file", file), "the passphrase is wrong")
    for data, problem in ((b"", "is empty"), (b"\n", "passphrase: empty"), (b"x" * 2000, "longer")):
        file.write_bytes(data)
        refused(modelwave("key", "show", key, "--passphrase-file", file), problem)


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("init",),
        ("init", "a", "b"),
        ("release", "create"),
        ("release", "show", "digits"),
        ("target", "show"),
        ("key", "show", "--nonsense", "x"),
        ("--home",),
    ],
)
def test_bad_command_line_is_one_line(modelwave: Run, arguments: tuple[str, ...]) -> None:
    refused(modelwave(*arguments), " --help`)")


def test_command_without_a_home_says_how_to_get_one(tmp_path: Path, modelwave: Run) -> None:
    for arguments in (("list",), ("add", tmp_path), ("show", "digits", "1")):
        refused(modelwave("--home", tmp_path / "no", "release", *arguments), "modelwave init FLEET")


def test_text_of_strangers_cannot_act_on_a_terminal() -> None:
    assert safe("a\r\nb\x1b[31m\x9b\u202ec\u2028d\x00") == "a��b�[31m��c�d�"
    assert safe("[bold]x[/]") == "\\[bold]x\\[/]"


def test_error_of_many_lines_is_one_line_and_not_endless(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fail("first\n  second " + "x" * 9999)
    err = capsys.readouterr().err
    assert err.startswith("modelwave: first second xxx")
    assert (err.count("\n"), len(err) < 700) == (1, True)


def test_paragraphs_of_help_are_broken_at_the_terminal_s_width_alone(modelwave: Run) -> None:
    _, help_, _ = modelwave("golden", "make", "--help")
    text = help_[: help_.index("Arguments")]
    assert "without a delegate. The set has its tolerance" in " ".join(text.split())
    short = [line for line in text.splitlines() if "delegate. The set has" in line]
    assert len(short) == 1
    assert len(short[0].strip()) > len("delegate. The set has")


def test_version_and_help_are_shown(modelwave: Run) -> None:
    assert modelwave("--version")[:2] == (0, f"modelwave {described()}\n")
    code, out, _ = modelwave("--help")
    assert code == 0
    assert "release" in out


@pytest.mark.parametrize(
    ("closed", "arguments", "code"), [("stdout", "list", 0), ("stderr", "x", 2)]
)
def test_command_works_where_a_stream_is_closed(closed: str, arguments: str, code: int) -> None:
    program = (
        f"import sys; sys.{closed} = None; sys.argv = ['modelwave', 'target', '{arguments}']\n"
        "from modelwave_controller.cli import main; main()"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == code


def test_character_that_the_terminal_cannot_show_is_a_plain_one_or_a_question_mark() -> None:
    program = (
        "from modelwave_controller.terminal import prepare_streams, show\n"
        "prepare_streams(); show('\\u2013\\u2026\\u2588')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "latin-1"},
    )
    assert done.stdout == b"-...?\n"


def test_home_whose_path_has_a_question_mark_keeps_its_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_home(tmp_path / "what?", monkeypatch)
    with closing(Store(made.database_url)) as store, store.read():
        pass
    assert (made.path / "modelwave.db").exists()


EMPTY_PATHS = {
    "--home": ("--home", "", "release", "list"),
    "BUNDLE": ("release", "add", ""),
    "KEY": ("key", "show", ""),
    "ENVELOPE": ("key", "verify", ""),
    "--root": ("key", "verify", "x", "--root", ""),
    "--dump": ("key", "verify", "x", "--dump", ""),
    "--out": ("key", "create", "name", "--out", ""),
    "--passphrase-file": ("key", "create", "name", "--passphrase-file", ""),
    "--plan": ("rollout", "start", "digits", "1", "--plan", ""),
    "--users": ("broker", "--users", ""),
    "--ready-file": ("serve", "--ready-file", ""),
    "--keep": ("demo", "--keep", ""),
    "--plot": ("model", "inspect", "x", "--plot", ""),
}


@pytest.mark.parametrize("named", EMPTY_PATHS)
def test_an_empty_path_is_refused_and_is_not_the_folder_one_is_in(
    home: Home, modelwave: Run, named: str
) -> None:
    refused(modelwave(*EMPTY_PATHS[named]), named, "empty; name a file")


def test_every_path_of_every_command_is_refused_if_it_is_empty() -> None:
    def commands(app: typer.Typer) -> Iterator[Any]:
        yield app.registered_callback and app.registered_callback.callback
        yield from (command.callback for command in app.registered_commands)
        for group in app.registered_groups:
            assert group.typer_instance is not None
            yield from commands(group.typer_instance)

    found = {
        (command.__name__, name): hint.__metadata__[-1].parser
        for command in commands(whole_application())
        if command is not None
        for name, hint in get_type_hints(command, include_extras=True).items()
        if get_origin(hint) is Annotated and "Path" in str(hint.__origin__)
    }
    assert len(found) > 20
    assert [key for key, parser in found.items() if parser is not options.path] == []
