"""Tests the ways of an alert: the signature, commands that hang or flood, the settings, and the
examples against real receivers."""

import asyncio
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from one_step_leader import leading
from rollout_commands import Run
from rollout_world import World, quick
from webhook_receiver import SECRET, Receiver, is_signed, receiving

from modelwave_controller.alerts import program, signing
from modelwave_controller.alerts.outcome import NotSent
from modelwave_controller.errors import OperatorError
from modelwave_controller.home import Home
from modelwave_controller.rollout.alert_message import Message, Place, trial_message
from modelwave_controller.service.alerting import require_alerts

EXAMPLES = Path(__file__).parents[2] / "examples" / "alerts"


def test_a_signature_is_that_of_the_specifications_own_example(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")
    secrets = signing.read_secrets(tmp_path / "secret", "secret_file")
    id, body = "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}'
    assert signing.headers(secrets, id, 1614265330.9, body) == {
        "webhook-id": id,
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_while_a_secret_is_changed_both_sign(tmp_path: Path) -> None:
    other = SECRET.replace("AAEC", "AAAA")
    (tmp_path / "secret").write_text(f"{other}\n{SECRET}\n")
    secrets = signing.read_secrets(tmp_path / "secret", "secret_file")
    headers = signing.headers(secrets, "id", 1.0, b"body")
    assert is_signed(headers, b"body")
    assert is_signed(headers, b"body", other)


@pytest.mark.parametrize("text", ["", "a password", "whsec_ABCD", "whsec_!?", "x\n" * 9])
def test_a_wrong_secret_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    (tmp_path / "secret").write_text(text)
    with pytest.raises(OperatorError, match="alerts, a: secret_file: ") as refused:
        signing.read_secrets(tmp_path / "secret", "alerts, a: secret_file")
    assert not text or text not in str(refused.value)


def run(folder: Path, script: str, seconds: float = 20, body: bytes = b"") -> str:
    return program.run(
        ["/bin/sh", "-c", script], folder, {"MODELWAVE_ALERT_ID": "1"}, body, seconds, _never()
    )


def _never() -> threading.Event:
    return threading.Event()


def test_a_command_gets_the_alert_and_no_secret_of_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELWAVE_PASSPHRASE", "hidden")
    monkeypatch.setenv("PGPASSWORD", "hidden")
    body = b"x" * 200_000  # more than a pipe holds
    said = run(tmp_path, "wc -c; pwd; env", body=body)
    assert said.startswith(f"200000 {tmp_path} ")
    assert "MODELWAVE_ALERT_ID=1" in said
    assert "hidden" not in said


def test_a_command_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    with pytest.raises(NotSent, match=r"was ended: it still ran after 0\.3 s: begun"):
        run(tmp_path, "echo begun; sleep 1000 & echo $! > child; wait", 0.3)
    child = int((tmp_path / "child").read_text())
    poll(lambda: _state(child) in ("", "Z"))


def _state(process: int) -> str:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_a_child_that_a_command_leaves_with_its_output_open_is_not_waited_for(
    tmp_path: Path,
) -> None:
    said = run(tmp_path, "sleep 1000 & echo $! > child; echo sent", 500)
    os.kill(int((tmp_path / "child").read_text()), 9)
    assert said == "sent"


def test_a_command_that_floods_is_read_and_little_of_it_kept(tmp_path: Path) -> None:
    flood = "head -c 5000000 /dev/zero | tr '\\0' '\\033'; exit 3"
    with pytest.raises(NotSent, match=r"^/bin/sh ended with 3: \?+$") as refused:
        run(tmp_path, flood)
    assert len(str(refused.value)) < 400


def test_a_command_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotSent, match=r"^nowhere cannot be started: No such file or directory$"):
        program.run(["nowhere"], tmp_path, {}, b"", 1, _never())


def test_a_stop_of_the_service_ends_a_command(tmp_path: Path) -> None:
    stopping = threading.Event()
    stopping.set()
    with pytest.raises(NotSent, match="the service stops"):
        program.run(["sleep", "1000"], tmp_path, {}, b"", 500, stopping)


GOOD = 'name = "a"\non = ["held"]\n'
WRONG = {
    'on = ["held"]\ncommand = ["true"]': "alerts.0.name: missing",
    'name = "a"\non = ["helt"]\ncommand = ["true"]': "alerts.0.on.0: give 'held', 'gate_failed'",
    'name = "a"\non = []\ncommand = ["true"]': "alerts.0.on: fewer entries than 1",
    GOOD: "alerts.0: url or command: give one of the two",
    GOOD + 'url = "https://h/x"\ncommand = ["true"]': "alerts.0: url or command: give one of",
    GOOD + 'url = "https://h/x"': "alerts.0: secret_file: give a file",
    GOOD + 'url = "http://h/s3cret"\nsecret_file = "s"': "alerts.0.url: give https://; http://",
    GOOD + 'url = "https://me:s3cret@h/"\nsecret_file = "s"': "alerts.0.url: no user, password",
    GOOD + 'url = "ftp://h/s3cret"\nsecret_file = "s"': "alerts.0.url: give https://HOST",
    GOOD + 'command = ["true"]\nsecret_file = "s"': "alerts.0: secret_file: a command is not",
    GOOD + 'command = [""]': "alerts.0: command: the first entry is the program",
    GOOD + 'command = ["true"]\nseconds = 0': "alerts.0.seconds: give a number from 1 on",
    GOOD + 'command = ["true"]\nper_minute = 61': "alerts.0.per_minute: give at most 60",
    f'{GOOD}command = ["true"]\n[[alerts]]\n{GOOD}command = ["true"]': "alerts: two are called a",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    with closing(World(tmp_path_factory.mktemp("home"))) as world:
        return world.home


@pytest.mark.parametrize(("text", "problem"), WRONG.items())
def test_a_wrong_setting_is_refused_by_name_and_no_secret_is_shown(
    home: Home, text: str, problem: str
) -> None:
    place = home.path / "controller.toml"
    before = place.read_text()
    place.write_text(f"{before}\n[[alerts]]\n{text}\n")
    try:
        with pytest.raises(OperatorError) as refused:
            assert Home(home.path).config
    finally:
        place.write_text(before)
    assert problem in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_a_service_does_not_start_without_the_secret_of_a_webhook(home: Home) -> None:
    place = home.path / "controller.toml"
    before = place.read_text()
    place.write_text(
        f'{before}\n[[alerts]]\n{GOOD}url = "https://h/x"\nsecret_file = "no-such-file"\n'
    )
    try:
        with pytest.raises(OperatorError, match=r"alerts, a: secret_file: .*no-such-file"):
            require_alerts(Home(home.path))
    finally:
        place.write_text(before)


def example(*words: str, alert: Message, environment: dict[str, str] | None = None) -> str:
    variables = alert.variables | (environment or {})
    return program.run(words, EXAMPLES, variables, alert.body, 60, _never())


ALERT = trial_message(
    Place("meadow", "on-call", "https://f.example"), 1e9, "77", "<!channel> & eve"
)


def test_the_example_for_slack_posts_to_its_webhook(tmp_path: Path) -> None:
    async def work() -> Receiver:
        async with receiving() as receiver:
            (tmp_path / "url").write_text(receiver.url + "\n")
            await asyncio.to_thread(example, "./slack.py", str(tmp_path / "url"), alert=ALERT)
            receiver.answers = [403]
            with pytest.raises(NotSent, match="Slack did not take it: HTTP Error 403") as refused:
                await asyncio.to_thread(example, "./slack.py", str(tmp_path / "url"), alert=ALERT)
            assert "secret-path" not in str(refused.value)
            return receiver

    def parsed(self: Receiver) -> str:
        return str(json.loads(self.asked[0][2])["text"])

    receiver = asyncio.run(work())
    assert parsed(receiver) == (
        "TEST: an alert of fleet meadow, asked for by &lt;!channel&gt; &amp; eve\n"
        "<https://f.example>"
    )


def test_the_example_for_matrix_puts_the_message_under_the_alerts_id(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("syt_token\n")

    async def work() -> Receiver:
        async with receiving() as receiver:
            server = receiver.url.split("/hooks")[0]
            words = ("./matrix.py", server, "!room:m.example", str(tmp_path / "token"))
            await asyncio.to_thread(example, *words, alert=ALERT)
            return receiver

    ((path, headers, body),) = asyncio.run(work()).asked
    room = "/_matrix/client/v3/rooms/!room:m.example/send/m.room.message/"
    assert path == room + "meadow-on-call-test-77"
    assert headers["Authorization"] == "Bearer syt_token"
    assert json.loads(body)["body"].startswith("TEST: an alert of fleet meadow")


def test_the_example_for_mail_hands_one_letter_to_sendmail(tmp_path: Path) -> None:
    fake = tmp_path / "sendmail"
    fake.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/words\ncat > {tmp_path}/letter\n')
    fake.chmod(0o755)
    example("./mail.sh", "ops@f.example", alert=ALERT, environment={"SENDMAIL": str(fake)})
    assert (tmp_path / "words").read_text() == "-i -t\n"
    head, _, body = (tmp_path / "letter").read_text().partition("\n\n")
    assert head.splitlines()[:2] == ["To: ops@f.example", "Subject: modelwave meadow: TEST"]
    assert body.startswith("TEST: an alert of fleet meadow")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=2)) as made:
        yield made


def test_the_service_sends_in_its_own_thread_and_the_commands_show_and_try_it(
    world: World, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def work() -> None:
        async with receiving() as receiver:
            await asyncio.to_thread(play, world, run, receiver)
            assert receiver.statuses == ["FINISHED", "TEST"]
            assert all(is_signed(headers, body) for _, headers, body in receiver.asked)

    asyncio.run(work())
    assert "secret-path" not in caplog.text
    assert SECRET not in caplog.text


def test_a_home_without_alerts_says_what_to_add(run: Run) -> None:
    assert "add [[alerts]] to controller.toml" in run("alert", "list").err


def play(world: World, run: Run, receiver: Receiver) -> None:
    settings = world.home.path / "controller.toml"
    settings.write_text(
        f'{settings.read_text()}\n[[alerts]]\nname = "a"\non = ["finished", "in_trouble"]\n'
        f'url = "{receiver.url}"\nsecret_file = "a.secret"\n'
        '[[alerts]]\nname = "slow"\non = ["finished"]\ncommand = ["sleep", "1000"]\n'
    )
    (world.home.path / "a.secret").write_text(SECRET)
    world.home = Home(world.home.path)
    assert "never" in run("alert", "list").out
    world.now = time.time()
    leads = leading(world, time.monotonic)
    leads.alerting.start()
    poll(lambda: all(course._begun for course in leads.alerting.courses))
    world.start(1, quick(100))
    world.tick()
    world.answer("SUCCEEDED", world.devices.values())
    world.tick()
    poll(lambda: leads.alerting.courses[0].sent == 1)  # the other one hangs meanwhile

    def is_told() -> bool:
        (a, slow) = run("alert", "list", "--json").json()
        return (a["waiting"], a["sent"], slow["waiting"], slow["sent"]) == (0, 1, 1, 0)

    poll(is_told)  # what was sent is stored a moment after it
    leads.alerting.stop()
    tried = run("alert", "test", "a")
    assert tried.code == 0
    assert "took the message meadow-a-test-" in tried.out
    receiver.answers = [500]
    refused = run("alert", "test", "a")
    assert (refused.code, " answered 500" in refused.err) == (1, True)
    missing = run("alert", "test", "b")
    assert (missing.code, "controller.toml has no alert b: a, slow" in missing.err) == (2, True)


def poll(is_so: Callable[[], bool]) -> None:
    for _ in range(12_000):
        if is_so():
            return
        time.sleep(0.01)
    raise AssertionError("it has not happened")
