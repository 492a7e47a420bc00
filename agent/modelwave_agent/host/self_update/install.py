"""Installs a wheelhouse (wheelhouse.py) in a virtual environment of its own, and asks the agent in
it what it is, for the device's agent and for the controller's `release create-agent`.

    python -m modelwave_agent.host.self_update.install --wheelhouse F --golden F --venv DIR
        [--config agent.toml] [--seconds N]

Prints one JSON line {"healthy", "reason"} and exits with 0 if that could be found out. Exits with 1
and a line on stderr if not (no space, no memory), so that it can be tried again. With --config the
new agent also has to read the settings of this device.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from pathlib import Path

from modelwave_agent.host.digests import sha256_of
from modelwave_agent.host.expendable import be_expendable
from modelwave_agent.host.self_update.environments import (
    AGENT,
    COMPLETE,
    is_complete,
    python_of,
    remove,
)
from modelwave_agent.host.self_update.wheelhouse import unpack
from modelwave_agent.journal import sync, sync_name
from modelwave_agent.record import clean
from modelwave_shared.agent_releases import MAX_GOLDEN_BYTES, expected

INSTALL_SECONDS = 1800  # an SD card is slow
ANSWER_SECONDS = 60  # for the new agent to say what it is


class Unhealthy(Exception):
    """The new agent is not what was released; the message says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    be_expendable()
    signal.setitimer(signal.ITIMER_REAL, options.seconds)  # also if its parent was killed
    reason = ""
    try:
        wanted = expected(_golden(options.golden))
        install(options.wheelhouse, options.venv)
        ask(options.venv, wanted, options.config)
    except (Unhealthy, ValueError) as error:
        reason = clean(str(error))
    except (OSError, MemoryError) as error:
        print(f"install: {str(error) or type(error).__name__}", file=sys.stderr)
        return 1
    print(json.dumps({"healthy": not reason, "reason": reason}))
    return 0


def site_of(folder: Path) -> Path:
    """Returns the folder of an environment's packages."""
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))


def install(file: Path, folder: Path) -> None:
    """Makes the environment `folder` of the wheelhouse `file`, unless it is there already. Raises
    WheelhouseError and OSError."""
    digest, marker = sha256_of(file), folder / COMPLETE
    if not is_complete(folder) or marker.read_text() != digest:
        remove(folder)
        venv.EnvBuilder(symlinks=True).create(folder)
        unpack(file, folder, site_of(folder))
        os.sync()  # thousands of files, which a power cut may still take
        marker.write_text(digest)
    try:
        with open(marker, "rb") as written:  # maybe by a process that was killed then
            sync(written)
        sync_name(str(marker))
    except OSError:
        marker.unlink(missing_ok=True)  # what a sync has lost stays lost, whatever is synced later
        raise


def ask(folder: Path, wanted: str, config: Path | None) -> None:
    """Raises Unhealthy unless the agent in the environment says that it is `wanted`, and can read
    the settings `config`."""
    said = _answer(folder, "--version").strip()
    if said != wanted:
        raise Unhealthy(f"it says that it is {said[:80]!r}, released was {wanted[:80]!r}")
    if config:
        _answer(folder, "check", "--config", str(config))


def _answer(folder: Path, *arguments: str) -> str:
    what = f"the new agent, asked for {arguments[0]}"
    command = [str(python_of(folder)), *AGENT, *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=ANSWER_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise Unhealthy(f"{what}: no answer within {ANSWER_SECONDS} seconds") from error
    if done.returncode == -signal.SIGKILL:
        raise MemoryError(f"{what}, was killed; the kernel does this when memory runs out")
    if done.returncode:
        raise Unhealthy(f"{what}: {_last_line(done) or f'exit code {done.returncode}'}")
    return done.stdout


def _last_line(done: "subprocess.CompletedProcess[str]") -> str:
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _golden(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(MAX_GOLDEN_BYTES + 1)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="install", description="Install and ask a new agent.")
    parser.add_argument("--wheelhouse", required=True, type=Path, metavar="FILE")
    parser.add_argument("--golden", required=True, type=Path, metavar="FILE")
    parser.add_argument("--venv", required=True, type=Path, metavar="DIR")
    parser.add_argument("--config", type=Path, metavar="FILE", help="agent.toml of this device")
    parser.add_argument("--seconds", default=INSTALL_SECONDS, type=float, help="time limit")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
