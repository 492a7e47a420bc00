"""Tests README's first steps: runs them as written, each line when the last has returned."""

import contextlib
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import REPO, free_port

PASSPHRASE = b"correct horse\n"
# What is asked on the terminal, and what a person types.
ANSWERS = {b"Passphrase of": PASSPHRASE, b"Repeat it": PASSPHRASE, b"Sign it?": b"y\n"}
INSTALLED = [
    "python3 -m venv .venv && . .venv/bin/activate",
    "pip install ./agent '.[controller,tflite]'",
]
OUTPUT_BYTES = 4096
AGENT_SECONDS = 60  # for what takes 2


def steps() -> str:
    """The commands under "First steps by hand", without those that install modelwave."""
    page = (REPO / "README.md").read_text("utf-8")
    part = page.split("\n## First steps by hand\n")[1].split("\n## ")[0]
    lines = re.findall(r"^    (.*)$", part, re.MULTILINE)
    assert lines[:2] == INSTALLED
    return "\n".join(lines[2:]) + "\n"


def on_free_ports(commands: str) -> str:
    """The same where nothing else on this machine is in its way: broker and files have other
    ports."""
    port = free_port()
    serve = "modelwave serve &"
    assert serve in commands
    settings = "modelwave-home/controller.toml"
    files = free_port()
    moved = f"sed -i 's/127.0.0.1:8180/127.0.0.1:{files}/; s/:8181/:0/' {settings}\n{serve}"
    elsewhere = commands.replace("modelwave broker", f"modelwave broker --port {port}")
    elsewhere = elsewhere.replace("127.0.0.1:1883", f"127.0.0.1:{port}")
    elsewhere = elsewhere.replace("127.0.0.1:8180", f"127.0.0.1:{files}").replace(serve, moved)
    return elsewhere.replace(serve, f"sed -i s/:1883/:{port}/ {settings}\n{serve}")


def on_a_terminal(folder: Path, script: str) -> tuple[int, str]:
    """The exit code and all that was said. Its questions are answered; what it started in the
    background ends with it."""
    script = f"trap 'kill $(jobs -p); wait' EXIT\n{script}"
    ours, its = pty.openpty()
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment.pop("MODELWAVE_PASSPHRASE", None)
    process = subprocess.Popen(
        ["bash", "-e", "-c", script],
        cwd=folder,
        env=environment,
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
        # Its terminal, which getpass opens by the name /dev/tty.
        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),
    )
    os.close(its)
    said = unanswered = b""
    try:
        while process.poll() is None:
            piece = os.read(ours, OUTPUT_BYTES)
            said += piece
            unanswered += piece
            for asked, answer in ANSWERS.items():
                if asked in unanswered:
                    os.write(ours, answer)
                    unanswered = b""
    except OSError:  # nobody has it open any more
        process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):  # as it is when all went well
            os.killpg(process.pid, signal.SIGKILL)
        os.close(ours)
    return process.wait(), said.decode(errors="replace")


def agent_last(commands: str) -> str:
    """The same, but the agent starts only when `rollout start` says that it waits for one."""
    agent = "modelwave-agent run --config devices/pi-1/agent.toml &\n"
    rollout = "modelwave rollout start digits v2 --dry-run"
    assert agent in commands
    assert rollout in commands
    late = "(until grep -q waiting said; do sleep 0.1; done; exec " + agent.replace(" &", ") &")
    waiting = f"touch said\n{late}{rollout} --wait-devices {AGENT_SECONDS} 2> said"
    return commands.replace(agent, "").replace(rollout, waiting)


@pytest.mark.e2e
def test_first_steps_lead_to_a_finished_rollout_without_a_pause(tmp_path: Path) -> None:
    shutil.copytree(REPO / "examples", tmp_path / "examples")
    code, said = on_a_terminal(tmp_path, on_free_ports(steps()))
    print(said)
    assert code == 0
    assert "FINISHED" in said


@pytest.mark.e2e
def test_a_rollout_waits_for_an_agent_that_comes_after_it(tmp_path: Path) -> None:
    shutil.copytree(REPO / "examples", tmp_path / "examples")
    code, said = on_a_terminal(tmp_path, on_free_ports(agent_last(steps())))
    print(said)
    assert code == 0
    waited = (tmp_path / "said").read_text("utf-8")
    assert f"waiting up to {AGENT_SECONDS} s for the first" in waited
    assert "FINISHED" in said
