"""What a terminal shows of text that a device, an operator or an older program may have stored
cannot control it, nor make more lines."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from rollout_commands import Run
from rollout_world import World
from sqlalchemy import insert, select, update

from modelwave_controller.storage import tables
from modelwave_controller.terminal import plain

HOSTILE = "a\n2026-01-01 INFO all is well\x1b[2J\x1b]0;t\x07\u202e\u2066\u2028\x9b31m\r\x85[red]z"
COMMANDS = [
    ("device", "list"),
    ("device", "show", "d0"),
    ("fleet", "status"),
    ("fleet", "log", "--answers"),
    ("rollout", "status"),
    ("rollout", "list"),
    ("rollout", "log", "--answers"),
    ("rollout", "watch", "--timeout", "1s"),
    ("recover",),
    ("clock", "show"),
]
# Free text, by table: from reports, from operators, and what the service wrote of them.
FREE = {
    tables.devices: ("agent", "runtime", "runtime_version", "accelerator", "refused"),
    tables.device_models: ("reason",),
    tables.answered: ("reason",),
    tables.bad_messages: ("reason",),
    tables.clock: ("doubt", "accepted"),
    tables.lease: ("host",),
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=2)) as made:
        made.shelve(1)
        made.start(1)
        made.tick()
        made.answer("FAILED", made.devices.values(), "REASON")
        made.tick()
        with made.store.write() as connection:
            bad = {"device": "d0", "count": 1, "reason": "REASON", "at": made.now}
            connection.execute(insert(tables.bad_messages).values(bad))
        yield made


def spoil(world: World, text: str) -> None:
    """Puts the text into every free text of the database."""
    with world.store.write() as connection:
        for table, names in FREE.items():
            done = connection.execute(update(table).values(dict.fromkeys(names, text)))
            assert done.rowcount > 0, table.name
        events = tables.events
        for number, body in connection.execute(select(events.c.id, events.c.body)).all():
            spoilt = re.sub(r'"reason":"[^"]+', lambda _: f'"reason":{json.dumps(text)[:-1]}', body)
            connection.execute(update(events).where(events.c.id == number).values(body=spoilt))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_hostile_text_in_the_database_does_not_reach_the_terminal(
    world: World, run: Run, command: tuple[str, ...]
) -> None:
    spoil(world, "a harmless text")
    one_line = run(*command)
    spoil(world, HOSTILE)
    ran = run(*command)
    shown = ran.out + ran.err
    assert "Traceback" not in shown
    assert all(plain(line) == line for line in shown.split("\n"))
    assert shown.count("\n") == (one_line.out + one_line.err).count("\n")
    as_json = run(*command, "--json")
    assert (as_json.out.replace("\n", "").isascii(), as_json.err) == (True, one_line.err)
    assert as_json.out.replace("\n", "").isprintable()


def test_an_error_that_nobody_expects_does_not_change_the_terminal_either() -> None:
    program = (
        "import threading\n"
        "from modelwave_controller.terminal import prepare_streams\n"
        "prepare_streams()\n"
        "def fail(): raise ValueError('x\\x1b[2J\\n2026-01-01 INFO forged\\u202e')\n"
        "thread = threading.Thread(target=fail)\n"
        "thread.start()\n"
        "thread.join()\n"
        "fail()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", program], capture_output=True, check=False
    )
    lines = ended.stderr.decode().splitlines()
    assert ended.returncode == 1
    assert sum("ValueError: x" in line for line in lines) == 2
    assert all(line.isprintable() for line in lines)
    assert all(line.startswith(("  ", "modelwave: ")) for line in lines)
