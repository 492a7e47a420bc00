"""Things on this machine for tests of the agent on hosts: ports, certificate authorities, a
broker."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.tools import MOSQUITTO_MISSING

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def wait_until_gone(pid, seconds=60):
    """Waits until the process has ended, whether somebody has asked for its result or not."""
    end = time.monotonic() + seconds
    while _is_running(pid):
        assert time.monotonic() < end, f"process {pid} still runs"
        time.sleep(0.01)


def _is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@contextlib.contextmanager
def refused_port():
    """A port on which no program listens, and which no other program can get meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


class Mosquitto:
    """A real broker on a port that the system picked. `lines`: of its configuration."""

    def __init__(self, folder, *lines):
        if MOSQUITTO is None:
            pytest.skip(MOSQUITTO_MISSING)
        self.folder = folder
        self.lines = lines
        with refused_port() as port:
            self.port = port
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        """Returns once it accepts connections."""
        config = self.folder / "mosquitto.conf"
        said = [f"listener {self.port} 127.0.0.1", "log_dest stderr", *self.lines]
        if not any(line.startswith("password_file") for line in self.lines):
            said.append("allow_anonymous true")
        if os.getuid() == 0:
            said.append("user root")  # or it becomes one that cannot read this folder
        config.write_text("\n".join(said) + "\n")
        self.process = subprocess.Popen(
            [MOSQUITTO, "-c", config], stderr=subprocess.PIPE, text=True
        )
        for line in self.process.stderr:
            if "running" in line:
                return
        raise RuntimeError(f"mosquitto ended with {self.process.wait()}")

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def add_user(self, name, password):
        passwords = self.folder / "passwords"
        command = ["mosquitto_passwd", "-b", *([] if passwords.exists() else ["-c"])]
        subprocess.run([*command, passwords, name, password], check=True, capture_output=True)
