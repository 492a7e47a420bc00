"""Reads how the agent of a state folder is, for `modelwave-agent status`: without the network, and
without the agent's help.

    0  it runs, is connected to the broker, and its state can be read
    1  it runs, and something is wrong: it is not connected, hangs, or its state is damaged
    2  it does not run

A model that was rolled back or refused is no trouble of the agent's: the old one serves, and to
start the agent anew would change nothing. It is shown all the same.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from modelwave_agent.host import lock, supervised
from modelwave_agent.host.config import AgentConfig
from modelwave_agent.journal import Journal
from modelwave_agent.record import clean, new_record, serving

TEXT = "show how the agent is, by its state folder; exit with 0: well, 1: trouble, 2: not running"
NOT_CONNECTED = "it is not connected to the broker"


@dataclass(frozen=True)
class Status:
    """`problems`: what is wrong with an agent that runs; `models`: the journals' records."""

    device: str
    target: str
    running: bool
    connected: bool
    problems: list[str]
    models: dict[str, dict[str, Any]]

    @property
    def code(self) -> int:
        if not self.running:
            return 2
        return 1 if self.problems else 0

    def json(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        """Returns lines for a person."""
        words = "does not run"
        if self.running:
            words = "runs" + (" and is connected to the broker" if self.connected else "")
        said = [f"the agent of {self.device} {words}"]
        said += [f"trouble: {problem}" for problem in self.problems]
        return said + [_described(model, record) for model, record in self.models.items()]


def read(settings: AgentConfig, health: Path | None, now: float) -> Status:
    """`health`: the file of `run --health-file`; `now` is in Unix seconds. Raises OSError if the
    state folder may not be read."""
    running = lock.is_running(settings.state)
    connected = running and lock.is_connected(settings.state)
    models, problems = {}, []
    for model in settings.models:
        models[model], damage = _record(settings.state / model)
        problems += [f"{model}: {damage}"] if damage else []
    if running and health is not None:
        problems += [problem] if (problem := supervised.problem_of(health, now)) else []
    elif running and not connected:
        problems.append(NOT_CONNECTED)
    return Status(settings.device, settings.target, running, connected, problems, models)


def _record(folder: Path) -> tuple[dict[str, Any], str]:
    """Returns the record of a model, and what is wrong with its journal; "" for nothing."""
    paths = [folder / "journal.0", folder / "journal.1"]
    if not all(path.exists() for path in paths):
        return new_record(), ""
    journal = Journal(str(folder), "journal")
    record = journal.read()
    damage = "its journal is damaged: the controller orders it anew" if journal.is_lost else ""
    return record or new_record(), damage


def _described(model: str, record: dict[str, Any]) -> str:
    live = record["banks"][serving(record)]
    serves = f"release {live['release']} ({clean(live['version'])})" if live else "no release"
    order = record["order"]["seq"]
    answer = f", order {order} {record['outcome']}".rstrip() if order else ""
    reason = f": {clean(record['reason'])}" if record["reason"] else ""
    return f"{model}: {record['state']}, {serves}{answer}{reason}"
