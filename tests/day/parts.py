"""Starts the real parts of a fleet's controller, each a process, and watches their memory."""

import contextlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from modelwave_controller.demo.processes import CONTROLLER, Processes

START_SECONDS = 300  # only a failing run waits so long
LOOK_SECONDS = 0.2


def started(running: Processes, home: Path, command: str, *options: str) -> dict[str, Any]:
    """Starts a `modelwave` command that keeps running, and returns what it says when it is ready.
    Its log is in the folder of `running`, under its name."""
    ready = running.folder / f"{command}.ready"
    ready.unlink(missing_ok=True)
    line = [*CONTROLLER, "--home", str(home), command, *options, "--ready-file", str(ready)]
    running.start(command, line)
    running.wait_for(command, ready, START_SECONDS)
    found: dict[str, Any] = json.loads(ready.read_text())
    return found


def settle(home: Path, port: int, user: str = "", password: str = "") -> None:
    """Tells the service of a new home where the broker is, and as whom it connects."""
    settings = home / "controller.toml"
    text = settings.read_text().replace('mqtt://127.0.0.1:1"', f'mqtt://127.0.0.1:{port}"')
    if user:
        secret = home / "broker-password"
        secret.touch(0o600)
        secret.write_text(password)
        text = text.replace('user = ""', f'user = "{user}"', 1)
        text = text.replace('password_file = ""', f'password_file = "{secret.name}"', 1)
    settings.write_text(text)


def resident(process_id: int) -> float:
    """Returns the memory of a process, in MiB."""
    for line in Path(f"/proc/{process_id}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {process_id} has ended")


def core_seconds(process_id: int) -> float:
    """Returns the seconds of a core that a process has taken."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def watched(processes: Mapping[str, int]) -> Iterator[dict[str, float]]:
    """Yields how many MiB more each process, by its id, took at most than at the beginning; it is
    known at the end of the block."""
    first = {name: resident(process_id) for name, process_id in processes.items()}
    most = dict(first)
    stopping = threading.Event()

    def look() -> None:
        while not stopping.wait(LOOK_SECONDS):
            for name, process_id in processes.items():
                most[name] = max(most[name], resident(process_id))

    looking = threading.Thread(target=look)
    looking.start()
    grown: dict[str, float] = {}
    try:
        yield grown
    finally:
        stopping.set()
        looking.join()
        grown |= {name: most[name] - first[name] for name in processes}
