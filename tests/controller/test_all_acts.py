"""Tests that everything that an operator does is in the log, with who did it: each command of the
command line is named here, and so is each kind of act."""

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import pytest
from next_roots import next_root
from rollout_commands import Run
from rollout_world import PASSPHRASE, World, manifest
from sqlalchemy import select, update
from test_actors import ME
from typer.main import get_command

from modelwave_controller import cli
from modelwave_controller.cli.options import PASSPHRASE as PASSPHRASE_VARIABLE
from modelwave_controller.rollout import events
from modelwave_controller.storage import enrolled, tables
from modelwave_controller.storage.enrolled import Waiting
from modelwave_controller.trust import keys, pkcs8

# What a command does to the fleet is in the log. These do nothing to it: they show something, make
# a file for an operator, or are a process of the service.
NO_ACTS = """
    alert list; alert test;
    backup; board build; board line; broker; broker check; clock show; context add; context list;
    context remove; context show; context use; demo; device history;
    device list; device show; fleet deployments; fleet log; fleet status; golden check; golden make;
    golden show;
    ingest; init; key create; key epoch; key expiry; key export; key hosts; key minimum; key revoke;
    key rotate; key show; key to-agent; key verify; log verify; model estimate; model export;
    model inspect; release list; release sbom; release show; rollout lint; rollout list;
    rollout log; rollout report; rollout status; rollout watch; root show; root sign; serve;
    simulate fleet; simulate judge; target list; target show; token list
"""
# These end as `release add` does, and are tested with what they make.
AS_RELEASE_ADD = "release create; release create-agent"
# Its event is in the database that it puts into the home, and tested with it.
AS_RECOVER_RESTORED = "restore"

KINDS = {act.model_fields["kind"].default for act in get_args(events.Act)}
TARGET_FILE = """\
[mine]
description = "a board"
class = "mcu"
flash_bytes = 16777216
ram_bytes = 8388608
runtime = "tflite"
source = "datasheet"
"""
PLAN = '[[stages]]\npercent = 50\napproval = true\nsoak = "1h"\n[[stages]]\npercent = 100\n'


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(pkcs8, "PBKDF2_ROUNDS", 1000)
    monkeypatch.setenv(PASSPHRASE_VARIABLE, PASSPHRASE.decode())
    with closing(World(tmp_path, devices=4)) as made:
        made.now = time.time()  # commands use the wall clock
        made.shelve(1)
        made.shelve(2)
        yield made


class Person:
    """Types commands, each of which must leave an act, and remembers which."""

    def __init__(self, world: World, run: Run) -> None:
        self._world, self._run, self.typed = world, run, set[str]()

    def __call__(self, words: str, *more: object) -> None:
        command = " ".join(words.split()[: 1 if words.startswith(("recover", "restore")) else 2])
        before = len(acts(self._world))
        ran = self._run(*words.split(), *map(str, more))
        assert ran.code == 0, f"{words}: {ran.err}"
        assert [act["actor"] for act in acts(self._world)[before:]] == [ME], command
        self.typed.add(command)


def acts(world: World) -> list[dict[str, Any]]:
    """What operators have done, oldest first."""
    query = select(tables.events.c.body).where(tables.events.c.kind.in_(KINDS))
    with world.store.read() as connection:
        rows = connection.scalars(query.order_by(tables.events.c.id))
        return [json.loads(body) for body in rows]


def commands() -> set[str]:
    """The whole command line."""

    def of(command: Any, *path: str) -> Iterator[str]:
        its = getattr(command, "commands", {})
        if path and (not its or command.invoke_without_command):
            yield " ".join(path)
        for name, one in its.items():
            yield from of(one, *path, name)

    return {*of(get_command(cli.whole_application()))}


def bundle(world: World, folder: Path) -> Path:
    folder.mkdir()
    files = []
    for role, data in (("model", bytes(4) + b"TFL3" + bytes(9)), ("golden", b"golden")):
        digest = hashlib.sha256(data).hexdigest()
        (folder / digest).write_bytes(data)
        files.append({"role": role, "sha256": digest, "size": len(data)})
    payload = keys.canonical(manifest(7, files=files))
    (folder / "manifest.json").write_bytes(keys.sign("manifest", payload, [world.release_key]))
    return folder


def test_every_command_that_does_something_leaves_an_event_with_who_typed_it(
    world: World, run: Run, tmp_path: Path
) -> None:
    person = Person(world, run)
    steer_rollouts(world, person, tmp_path)
    change_devices(world, person, tmp_path)
    change_the_home(world, person, tmp_path)
    look_after_the_database(world, person)

    missing = KINDS - {act["kind"] for act in acts(world)}
    assert missing == set(), "add a command that leads to it"
    named = (NO_ACTS, AS_RELEASE_ADD, AS_RECOVER_RESTORED)
    silent = {" ".join(one.split()) for text in named for one in text.split(";")}
    assert silent & person.typed == set()
    assert commands() == silent | person.typed, "say here what a command leaves in the log"


def steer_rollouts(world: World, person: Person, tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(PLAN)
    person("rollout start digits 1 --in 2h --plan", tmp_path / "plan.toml")
    person("rollout promote 1")
    world.tick()
    person("rollout approve 1")
    world.tick()
    person("rollout pause 1")
    person("rollout resume 1")
    world.tick()
    world.answer("SUCCEEDED", [*world.devices.values()])
    world.now += 10
    world.tick()
    person("rollout promote 1")
    world.tick()
    world.answer("FAILED", [*world.devices.values()][:1])
    person("rollout retry 1 --outcome FAILED --reason", "again")
    person("rollout revert 1")
    world.tick()
    person("rollout start digits 2")
    person("rollout abort 2")


def change_devices(world: World, person: Person, tmp_path: Path) -> None:
    person("device enrol pi-1 --target linux-cpu --model digits --out", tmp_path / "devices")
    with world.store.write() as connection:
        enrolled.put_waiting(connection, [Waiting("new-1", "linux-cpu", 3, 1.0, 2.0)])
    person("device approve new-1")
    person("device revoke pi-1")
    person("device tag d1 --add canary")
    person("device forget d1")
    person("clock accept right")
    person("token create ci --role operator")
    person("token revoke ci")


def change_the_home(world: World, person: Person, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(TARGET_FILE)
    person("target add", tmp_path / "mine.toml")
    person("release add", bundle(world, tmp_path / "bundle"))
    person("release sign digits 7 --yes --key", world.home.offline / "release.key")
    (tmp_path / "root.json").write_bytes(next_root(world.home))
    person("root publish --yes", tmp_path / "root.json")
    person("ca init")
    person("ca server localhost")
    person("ca controller")
    person("ca api localhost")


def look_after_the_database(world: World, person: Person) -> None:
    with world.store.write() as connection:
        connection.execute(update(tables.events).values(at=1.0))
    person("log prune --older-than 1d")
    person("recover --restored")
    person("recover digits --yes --to 5000")
