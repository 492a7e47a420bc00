"""A new root on the command line and in the service: drafts, signatures of two people, publishing,
and what the service does about it."""

import json
from io import StringIO
from pathlib import Path

import pytest
from operator_home import SECRET, Run, as_json, make_home, refused, runner

from modelwave_controller.errors import TrustError
from modelwave_controller.home import Home
from modelwave_controller.trust import chain, changes, drafts, keys
from modelwave_shared import documents


@pytest.fixture
def modelwave(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.chdir(tmp_path)
    return make_home(tmp_path / "home", monkeypatch)


def root_key(home: Home, number: int) -> Path:
    return home.offline / f"root-{number}.key"


def public(path: Path, to: Path) -> Path:
    to.write_bytes(keys.public_pem(keys.load_public(path, SECRET.encode)))
    return to


def test_order_key_is_rotated_by_two_people_on_two_machines(
    home: Home, tmp_path: Path, modelwave: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = home.root.roles.order.keyids[0]
    assert modelwave("key", "create", "order-2", "--no-passphrase")[0] == 0
    new = keys.load_key(tmp_path / "order-2.key", SECRET.encode)
    pem = public(tmp_path / "order-2.key", tmp_path / "order-2.pem")
    code, out, err = modelwave(
        "key", "rotate", "order", "--remove", old, "--add", pem,
        "--key", root_key(home, 1), "--yes",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert f"order key {old} is removed" in out
    assert new.public.hex() in out
    assert "1 more of the root keys of root 1 and root 2 must sign" in out
    assert "modelwave root sign --add root-2.draft.json --root root.json" in out

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("root-2.draft.json", "home/root.json", "home/offline/root-2.key"):
        (elsewhere / Path(name).name).write_bytes((tmp_path / name).read_bytes())
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("MODELWAVE_HOME", str(elsewhere / "none"))
    code, out, _ = modelwave("root", "show", "root-2.draft.json", "--root", "root.json")
    assert code == 0
    assert f"order key {new.keyid} is added" in out
    code, out, _ = modelwave(
        "root", "sign", "--add", "root-2.draft.json", "--root", "root.json",
        "--key", "root-2.key", "--yes",
    )  # fmt: skip
    assert code == 0
    assert f"order key {new.keyid} is added" in out
    assert "modelwave root publish root-2.draft.json" in out

    monkeypatch.setenv("MODELWAVE_HOME", str(home.path))
    code, out, err = modelwave("root", "publish", "root-2.draft.json", "--yes")
    assert (code, err) == (0, "")
    assert "Root 2 is the root of this home" in out
    assert "no order is signed" in out
    assert old in out
    after = Home(home.path)
    assert after.root.version == 2
    assert after.root.roles.order.keyids == [new.keyid]
    assert sorted(after.chain.envelopes) == [1, 2]
    assert (home.path / "root.json").read_bytes() == (home.path / "roots/2.json").read_bytes()
    assert documents.open_next_root(after.root_envelope, home.root_document)


def test_nothing_is_signed_or_written_where_nobody_can_be_asked(
    home: Home, modelwave: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", StringIO(""))
    for more in ((), ("--json",)):
        code, out, err = _epoch(home, modelwave, *more)
        assert code == 2
        assert "order numbers, signed times and bans begin anew" in (err if more else out)
        assert "--yes: there is no terminal to ask: Sign this root with 1 key?" in err
    assert not Path("root-2.draft.json").exists()


def test_answer_no_signs_and_writes_nothing(
    home: Home, modelwave: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    said_no = StringIO("n\n")
    monkeypatch.setattr(said_no, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdin", said_no)
    code, out, err = _epoch(home, modelwave)
    assert code == 1
    assert "order numbers, signed times and bans begin anew" in out
    assert "stopped; nothing was done" in err
    assert not Path("root-2.draft.json").exists()


def _epoch(home: Home, modelwave: Run, *more: str) -> tuple[int, str, str]:
    return modelwave("key", "epoch", "--key", root_key(home, 1), *more)


def test_several_changes_go_into_one_draft_and_a_change_drops_signatures(
    home: Home, modelwave: Run
) -> None:
    assert _epoch(home, modelwave, "--yes")[0] == 0
    found = as_json(
        modelwave("key", "minimum", "digits", 5, "--draft", "root-2.draft.json", "--json")
    )
    assert (found["version"], found["signed"], found["complete"]) == (2, [], False)
    assert [line.partition(":")[0] for line in found["changes"]] == ["epoch", "minimum of digits"]
    found = as_json(
        modelwave(
            "key",
            "hosts",
            "files.example.org",
            "192.0.2.1:8180",
            "--draft",
            "root-2.draft.json",
            "--json",
            "--yes",
            "--key",
            root_key(home, 3),
            "--key",
            root_key(home, 1),
        )
    )
    assert len(found["changes"]) == 3
    assert found["complete"]
    refused(modelwave("key", "epoch"), "root-2.draft.json exists", "--draft")
    assert as_json(modelwave("root", "publish", "root-2.draft.json", "--yes", "--json"))["new"]
    shown = as_json(modelwave("key", "show", "--json"))
    assert (shown["version"], shown["epoch"], shown["minimum"]) == (2, 1, {"digits": 5})
    assert "files.example.org, 192.0.2.1:8180" in modelwave("key", "show")[1]
    again = as_json(modelwave("root", "publish", "root-2.draft.json", "--yes", "--json"))
    assert not again["new"]
    config = home.path / "controller.toml"
    urls = 'urls = ["http://cdn.example.org/files"]'
    config.write_text(config.read_text().replace("urls = []", urls))
    (warning,) = (said for said in Home(home.path).warnings() if "files.urls" in said)
    assert "cdn.example.org:80 is not among the hosts" in warning


def test_root_with_too_few_signatures_is_not_published(home: Home, modelwave: Run) -> None:
    assert _epoch(home, modelwave, "--yes")[0] == 0
    refused(
        modelwave("root", "publish", "root-2.draft.json", "--yes"),
        "not signed by enough root keys",
        "1 more of the root keys of root 1 and root 2",
        code=1,
    )
    assert Home(home.path).root.version == 1
    assert not (home.path / "roots").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("revoke", "00000000"), ("KEYID", "no key 00000000")),
        (("rotate", "ordr"), ("for 'ROLE': 'ordr' is not one of",)),
        (("rotate", "order"), ("nothing to change",)),
        (("rotate", "order", "--remove", "00000000"), ("--remove", "no order key")),
        (("rotate", "root", "--threshold", "4"), ("threshold of 4",)),
        (("minimum", "Digits", "1"), ("MODEL",)),
        (("minimum", "digits", "0"), ("RELEASE",)),
        (("hosts",), ("HOST", "--none")),
        (("hosts", "http://files.example.org"), ("HOST", "is no host")),
        (("expiry",), ("DURATION", "--never")),
        (("epoch", "--root", "nothing.json"), ("--root",)),
    ],
)
def test_wrong_changes_are_refused_in_one_line(
    home: Home, modelwave: Run, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    refused(modelwave("key", *arguments), *words)
    assert not list(Path().glob("*.draft.json"))


def test_the_last_order_key_is_not_revoked_without_another(home: Home, modelwave: Run) -> None:
    (keyid,) = home.root.roles.order.keyids
    refused(modelwave("key", "revoke", keyid), "would have 0 keys", "modelwave key rotate order")


def test_key_that_is_no_root_key_does_not_sign(home: Home, modelwave: Run) -> None:
    result = modelwave("key", "epoch", "--key", home.offline / "release.key", "--yes", "--json")
    assert result[:2] == (2, "")
    assert "is no root key, neither of root 1 nor of root 2" in result[2]
    assert not Path("root-2.draft.json").exists()


def test_revoked_root_key_signs_for_the_root_before_alone(home: Home, modelwave: Run) -> None:
    lost = home.root.roles.root.keyids[0]
    assert modelwave("key", "create", "root-4")[0] == 0
    result = modelwave(
        "key", "rotate", "root", "--remove", lost, "--add", "root-4.key", "--json", "--yes",
        "--key", root_key(home, 1), "--key", root_key(home, 2),
    )  # fmt: skip
    found = as_json(result)
    assert found["lacking"] == [found["lacking"][0]]
    assert "1 more of the root keys of root 2 must sign" in found["lacking"][0]
    found = as_json(
        modelwave(
            "root", "sign", "--add", "root-2.draft.json", "--key", "root-4.key", "--yes", "--json"
        )
    )
    assert found["complete"]


def test_draft_of_an_older_root_is_refused(home: Home, modelwave: Run) -> None:
    assert as_json(modelwave("key", "epoch", "--json"))["version"] == 2
    Path("old.json").write_bytes(Path("root-2.draft.json").read_bytes())
    sign = ("root", "sign", "root-2.draft.json", "--yes", "--json")
    modelwave(*sign, "--key", root_key(home, 1), "--key", root_key(home, 2))
    assert modelwave("root", "publish", "root-2.draft.json", "--yes")[0] == 0
    refused(modelwave("root", "publish", "old.json", "--yes"), "it is root 2", code=1)


def test_the_first_root_is_of_the_format_that_the_first_agents_read(home: Home) -> None:
    assert home.root_document["v"] == 1


def test_roots_before_the_newest_one_come_backwards(home: Home, modelwave: Run) -> None:
    _publish_epoch(home, modelwave)
    found = Home(home.path).chain
    assert [documents.root_version(one) for one in found.earlier] == [1]


def test_wrong_root_json_changes_nothing_and_is_said(home: Home, modelwave: Run) -> None:
    _publish_epoch(home, modelwave)
    (home.path / "root.json").write_bytes(b"nonsense")
    found = Home(home.path)
    assert found.root.version == 2
    assert "root.json" in found.chain.trouble
    assert "root 2 stays in use" in modelwave("key", "show")[1]
    (home.path / "root.json").write_bytes((home.path / "roots/1.json").read_bytes())
    assert Home(home.path).root.version == 2


def test_a_wrong_root_of_the_chain_leaves_the_one_before_it_and_the_first_one_none(
    home: Home, modelwave: Run
) -> None:
    _publish_epoch(home, modelwave)
    first, second = (home.path / "roots" / f"{version}.json" for version in (1, 2))
    (home.path / "root.json").write_bytes(first.read_bytes())
    second.write_bytes(b"nonsense")
    found = Home(home.path)
    assert found.root.version == 1
    assert f"{second}: " in found.chain.trouble
    assert found.chain.trouble.endswith("root 1 stays in use; remove that file")
    assert found.chain.earlier == []
    first.write_bytes(b"nonsense")
    (home.path / "root.json").write_bytes(b"nonsense")
    with pytest.raises(TrustError, match=str(first)):
        _ = Home(home.path).chain


def test_power_cut_before_root_json_leaves_the_new_root(home: Home, modelwave: Run) -> None:
    _publish_epoch(home, modelwave)
    (home.path / "root.json").write_bytes((home.path / "roots/1.json").read_bytes())
    found = Home(home.path)
    assert (found.root.version, found.chain.trouble) == (2, "")
    chain.write(home.path, found.chain)
    assert (home.path / "root.json").read_bytes() == found.root_envelope


def _publish_epoch(home: Home, modelwave: Run) -> None:
    both = ("--key", root_key(home, 1), "--key", root_key(home, 2))
    assert modelwave("key", "epoch", "--yes", *both)[0] == 0
    assert modelwave("root", "publish", "root-2.draft.json", "--yes")[0] == 0


def test_what_there_are_no_words_for_is_shown_as_it_stands() -> None:
    from modelwave_controller.trust import changes

    old = {
        "fleet": "demo",
        "epoch": 0,
        "keys": {"a": "1"},
        "roles": {role: {"keyids": ["a"], "threshold": 1} for role in drafts.ROLES},
        "minimum": {},
        "extra": {"strange": 1},
    }
    new = json.loads(json.dumps(old)) | {"odd": [2]}
    new["extra"] = {"strange": 2}
    assert changes.changes(old, new) == ["root.odd: absent → [2]", "root.extra.strange: 1 → 2"]


def test_all_keys_are_shown_before_a_signature_as_the_root_given_may_hide_what_changes(
    home: Home, tmp_path: Path, modelwave: Run
) -> None:
    """Who has taken the controller sends a draft with a release key of its own, and a root of its
    own making that seems to have that key already."""
    theirs = keys.create_key(tmp_path / "theirs.key", None)
    old = home.root.roles.release.keyids
    evil = drafts.rotated(home.root_document, "release", old, [theirs.public], None)
    draft = drafts.drafted(drafts.next_of(evil, 1_800_000_000))
    (tmp_path / "root-2.draft.json").write_bytes(draft.envelope())
    made = drafts.rotated(evil, "root", [], [theirs.public], 1)
    forged = drafts.signed(drafts.drafted(made), [theirs], made)
    (tmp_path / "root.json").write_bytes(forged.envelope())
    sign = ("root", "sign", "root-2.draft.json", "--root", "root.json", "--yes")
    code, out, _ = modelwave(*sign, "--key", root_key(home, 1))
    assert code == 0
    assert f"release key {theirs.keyid} is added" not in out
    assert theirs.public.hex() in out
    assert "the root.json that you have kept yourself" in out
    code, out, err = modelwave(*sign, "--key", root_key(home, 1), "--json")
    assert theirs.public.hex() in err


@pytest.mark.parametrize(
    ("days", "told"),
    [
        (400, "which is to come: devices without a clock take no order that expires before"),
        (-9000, "before root 1 was made"),
    ],
)
def test_root_with_another_date_than_today_is_doubtful(home: Home, days: int, told: str) -> None:
    now = 1_800_000_000
    old = drafts.next_of(home.root_document, now - 1000)
    new = drafts.next_of(old, now + days * 86400)
    assert any(told in line for line in changes.warnings(old | {"version": 1}, new, now))
    assert not any("made" in w for w in changes.warnings(old, drafts.next_of(old, now), now))


def test_draft_of_somebody_else_is_shown_in_full_when_a_change_goes_on_from_it(
    home: Home, tmp_path: Path, modelwave: Run
) -> None:
    bare = drafts.next_of(home.root_document, 1_800_000_000)
    del bare["extra"]  # this program always writes one
    (tmp_path / "root-2.draft.json").write_bytes(drafts.drafted(bare).envelope())
    code, out, err = modelwave("key", "epoch", "--draft", "root-2.draft.json")
    assert (code, err) == (0, "")
    for keyid, public in home.root_document["keys"].items():
        assert f"key {keyid}: {public}" in out
