"""The launcher's rules, one by one, and what is unpacked of a wheelhouse."""

import os
import tarfile
import zipfile

import pytest

from modelwave_agent.host.self_update import environments, install, line
from modelwave_agent.host.self_update.choice import OWN, End, Failures, Start, next_start
from modelwave_agent.host.self_update.launcher import Launcher, settings
from modelwave_agent.host.self_update.life import CONFIRM_SECONDS, MAX_TRIAL_SECONDS, Life, Limits
from modelwave_agent.host.self_update.line import Line
from modelwave_agent.host.self_update.wheelhouse import WheelhouseError, unpack
from modelwave_agent.journal import Journal

LIMITS = Limits(connect=100, silent=50)
ON_TRIAL = Start("b", on_trial=True)


def record(state="idle", live=0, confirmed=(True, False)):
    banks = [{"confirmed": one} for one in confirmed]
    return {"state": state, "live": live, "banks": banks}


def chosen(known, end=None, usable="ab", failures=None):
    return next_start(known, end, lambda place: place in usable, failures or Failures())


def failed(place, times):
    found = Failures()
    for _ in range(times):
        found.note(End(Start(place), False, False, "exit code 1"))
    return found


def test_without_a_journal_its_own_agent_starts():
    assert chosen(None) == Start(OWN)
    assert chosen({"state": "idle", "live": 0, "banks": [None, None]}) == Start(OWN)


def test_a_trial_begins_only_when_the_agent_that_runs_asks_for_it():
    on_trial = record("trial")
    assert chosen(on_trial) == Start("a")
    assert chosen(on_trial, End(Start("a"), False, True, "signal 9")) == Start("a")
    assert chosen(on_trial, End(Start("a"), True, True, "")) == ON_TRIAL
    assert chosen(record(), End(Start("a"), True, True, "")) == Start("a")


def test_an_agent_that_ends_on_trial_gives_way_with_the_reason():
    end = End(ON_TRIAL, False, True, "exit code 1")
    for state in ("trial", "fetching"):
        assert chosen(record(state), end) == Start("a", verdict="exit code 1")
    nothing_before = record("trial", confirmed=(False, False))
    assert chosen(nothing_before, end) == Start(OWN, verdict="exit code 1")


def test_an_agent_that_has_confirmed_itself_starts_again():
    confirmed = record(live=1, confirmed=(True, True))
    assert chosen(confirmed, End(ON_TRIAL, False, True, "exit code 1")) == Start("b")


def test_an_agent_on_trial_that_was_rolled_back_in_order_has_no_verdict():
    assert chosen(record(), End(ON_TRIAL, True, True, "")) == Start("a")


def test_a_trial_without_an_environment_fails():
    start = chosen(record("trial"), End(Start("a"), True, True, ""), usable="a")
    assert start == Start("a", verdict="bank b has no whole environment")


def test_a_live_agent_that_fails_three_times_in_a_row_is_passed_over():
    both = record(confirmed=(True, True))
    assert chosen(both, failures=failed("a", 2)) == Start("a")
    lost = "bank a: 3 starts failed: exit code 1"
    assert chosen(both, failures=failed("a", 3)) == Start("b", lost=lost)
    assert chosen(record(), failures=failed("a", 3)) == Start(OWN, lost=lost)
    told = "bank a: its environment is not whole"
    assert chosen(record(), usable="") == Start(OWN, lost=told)


def test_a_report_that_came_back_ends_a_row_of_failures():
    failures = failed("a", 2)
    failures.note(End(Start("a"), False, True, "exit code 1"))
    failures.note(End(Start("a"), False, False, "exit code 1"))
    assert not failures.are_too_many("a")


def lived(start=ON_TRIAL, trial_seconds=10):
    return Life(start, LIMITS, trial_seconds, 0.0)


def test_an_agent_without_a_sign_of_life_hangs():
    life = lived(Start("a"))
    life.read(b"alive\n", 40.0)
    assert not life.problem(89.0)
    assert "no sign of life for 50 seconds" in life.problem(90.0)


def test_an_agent_on_trial_has_to_report_and_then_to_confirm_itself():
    life = lived()
    life.read(b"alive\n", 99.0)
    assert "within 100 seconds" in life.problem(100.0)
    life.read(b"reported\nali", 99.0)
    life.read(b"ve\n", 99.0 + 9 + CONFIRM_SECONDS)
    assert not life.problem(99.0 + 9 + CONFIRM_SECONDS)
    assert "has not confirmed itself" in life.problem(99.0 + 10 + CONFIRM_SECONDS)
    life.read(b"confirmed\n", 99.0 + 10 + CONFIRM_SECONDS)
    assert not life.problem(99.0 + 10 + CONFIRM_SECONDS)


def test_what_the_launcher_does_not_know_is_passed_over():
    life = lived()
    life.read(b"\xff\0 new words of a later agent\nswitch soon\nswitch 7\n" + b"x" * 9000, 1.0)
    assert life.asked
    assert life.asked_seconds == 0.0  # the first one counts
    life = lived()
    life.read(b"switch 7\n", 1.0)
    assert life.asked_seconds == 7


def test_the_last_line_of_stderr_is_the_reason():
    life = lived()
    life.read_error(b"Traceback\nImportError: no module\n\n")
    assert life.reason(1) == "it ended with exit code 1: ImportError: no module"


def test_line_carries_how_the_agent_was_started_and_its_words():
    reading, writing = os.pipe()
    start = Start("b", True, "verdict", "lost")
    other = {**line.environment(start, writing), "OTHER": "1"}
    end = Line.of(other)
    assert end.start == start
    assert end.say(line.ALIVE)
    assert os.read(reading, 100) == b"alive\n"
    os.close(reading)
    assert not end.say(line.ALIVE)
    os.close(writing)
    assert Line.of({}) is None
    assert Line.of({line.PIPE: "no", line.START: "{}"}) is None


def wheelhouse(folder, *names, wheel="one-1.0-py3-none-any.whl", link=""):
    """A tar with one wheel of members with these names."""
    with zipfile.ZipFile(folder / wheel, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    with tarfile.open(folder / "wheelhouse", "w") as tar:
        if link:
            member = tarfile.TarInfo(wheel)
            member.type, member.linkname = tarfile.SYMTYPE, link
            tar.addfile(member)
        else:
            tar.add(folder / wheel, wheel)
    return folder / "wheelhouse"


def test_wheels_are_unpacked_as_their_format_says(tmp_path):
    names = ["one/a.py", "one-1.0.data/platlib/one/b.so", "one-1.0.data/data/share/c"]
    file = wheelhouse(tmp_path, *names, "one-1.0.data/scripts/d", "one-1.0.dist-info/RECORD")
    top = tmp_path / "top"
    unpack(file, top, top / "site")
    found = sorted(str(path.relative_to(top)) for path in top.rglob("*") if path.is_file())
    assert found == ["share/c", "site/one-1.0.dist-info/RECORD", "site/one/a.py", "site/one/b.so"]


@pytest.mark.parametrize(
    ("names", "more"),
    [
        (["../../outside"], {}),
        (["/outside"], {}),
        (["one-1.0.data/data/../../outside"], {}),
        (["one"], {"wheel": "one.txt"}),
        (["one"], {"link": "/etc/passwd"}),
    ],
)
def test_wheels_stay_within_their_environment(tmp_path, names, more):
    file = wheelhouse(tmp_path, *names, **more)
    with pytest.raises(WheelhouseError):
        unpack(file, tmp_path / "top", tmp_path / "top" / "site")
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize(
    "names",
    [
        ["one/a.py", "one/a.py"],
        ["one", "one/a.py"],
        ["one/a.py", "one"],
        ["."],
        ["one-1.0.data"],
        ["x" * 300],
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_no_wheel_has_are_found_wrong_and_not_tried_again(tmp_path, names):
    file = wheelhouse(tmp_path, *names)
    with pytest.raises(WheelhouseError):
        unpack(file, tmp_path / "top", tmp_path / "top" / "site")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_wheel_with_damaged_bytes_is_found_wrong_and_not_tried_again(tmp_path, method):
    wheel = tmp_path / "one-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", method) as archive:
        archive.writestr("one/a.py", os.urandom(2000))
    data = bytearray(wheel.read_bytes())
    data[45:1000] = bytes(955)
    wheel.write_bytes(data)
    with tarfile.open(tmp_path / "wheelhouse", "w") as tar:
        tar.add(wheel, wheel.name)
    with pytest.raises(WheelhouseError):
        unpack(tmp_path / "wheelhouse", tmp_path / "top", tmp_path / "top" / "site")


def test_a_wheel_with_a_password_is_found_wrong(tmp_path):
    wheel = tmp_path / "one-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("one/a.py", "a")
    data = bytearray(wheel.read_bytes())
    for sign, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(sign) + at] |= 1
    wheel.write_bytes(data)
    with tarfile.open(tmp_path / "wheelhouse", "w") as tar:
        tar.add(wheel, wheel.name)
    with pytest.raises(WheelhouseError):
        unpack(tmp_path / "wheelhouse", tmp_path / "top", tmp_path / "top" / "site")


def launcher(tmp_path, found):
    """A launcher whose journal has the record `found`."""
    folder = tmp_path / "agent"
    folder.mkdir()
    journal = Journal(str(folder), "journal")
    journal.read()
    journal.write(found)
    journal.write(found)
    return Launcher(tmp_path / "agent.toml", tmp_path, LIMITS)


@pytest.mark.parametrize(
    "found",
    [
        {},
        [],
        {"state": "idle", "live": 2, "banks": [None, None]},
        {"state": "idle", "live": -1, "banks": [None, None]},
        {"state": "idle", "live": 0, "banks": {"a": None}},
        {"state": "idle", "live": 0, "banks": [None]},
        {"state": "idle", "live": 0, "banks": [{}, 7]},
        {"live": 0, "banks": [None, None]},
    ],
)
def test_a_record_of_a_later_agent_that_the_launcher_cannot_read_says_nothing(tmp_path, found):
    its = launcher(tmp_path, found)
    assert next_start(its._record(), None, its._is_usable, Failures()) == Start(OWN)


def test_a_medium_that_does_not_answer_has_no_environment(tmp_path, monkeypatch):
    its = launcher(tmp_path, record())

    def broken(_folder):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(environments, "is_complete", broken)
    start = next_start(its._record(), None, its._is_usable, Failures())
    assert start.place == OWN
    assert "its environment is not whole" in start.lost


@pytest.mark.parametrize(
    "value", ["-1", "0", "nan", "inf", '"soon"', "[]", "9" * 400, "[" * 5000, "9" * 5000]
)
def test_wrong_limits_leave_the_agent_the_time_to_say_so(tmp_path, value):
    config = tmp_path / "agent.toml"
    config.write_text(f'state = "state"\n[self_update]\nsilent_seconds = {value}\n')
    assert settings(config)[1] == Limits()


def test_an_endless_number_is_no_end_of_the_launcher():
    life = lived()
    life.read(b"switch " + b"9" * 9000 + b"\n", 1.0)
    assert life.asked_seconds == MAX_TRIAL_SECONDS


def test_an_environment_that_was_not_finished_is_none(tmp_path, monkeypatch):
    file = wheelhouse(tmp_path, "one/a.py")
    folder = tmp_path / "b.venv"
    install.install(file, folder)
    assert environments.is_complete(folder)

    def cut(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(install, "unpack", cut)
    install.install(file, folder)  # nothing is left to be done
    wheelhouse(tmp_path, "one/other.py")
    with pytest.raises(KeyboardInterrupt):
        install.install(file, folder)
    assert not environments.is_complete(folder)
