"""A Mosquitto with the file that docker/ ships; only its port and its folder are this machine's."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

CONFIG = Path(__file__).parents[2] / "docker" / "mosquitto.conf"
PROGRAM = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
START_SECONDS = 30
NONE: Mapping[str, str] = MappingProxyType({})


class Shipped:
    """The broker. Its folder outlives its process, as a volume does."""

    def __init__(self, folder: Path, extra: str = "", changes: Mapping[str, str] = NONE) -> None:
        """`extra`: further lines of its settings; `changes`: what stands for what is shipped."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.process: subprocess.Popen[bytes] | None = None
        text = CONFIG.read_text()
        for shipped, here in (
            ("\nlistener 1883\n", f"\nlistener {self.port} 127.0.0.1\n"),
            ("/mosquitto/data/", f"{folder}/"),
            *changes.items(),
        ):
            assert shipped in text, f"{CONFIG} has no {shipped.strip()}"
            text = text.replace(shipped, here)
        user = "user root\n" if os.getuid() == 0 else ""
        self._file = folder / "mosquitto.conf"
        self._file.write_text(f"{text}\n{user}{extra}")

    def start(self) -> None:
        """Returns when it accepts connections."""
        if PROGRAM is None:
            raise RuntimeError("mosquitto is missing: apt install mosquitto")
        self.process = subprocess.Popen(
            [PROGRAM, "-c", str(self._file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + START_SECONDS
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("mosquitto does not listen")
            time.sleep(0.02)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait()
            self.process = None


@contextlib.contextmanager
def shipped(folder: Path, extra: str = "", changes: Mapping[str, str] = NONE) -> Iterator[Shipped]:
    broker = Shipped(folder, extra, changes)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop(signal.SIGKILL)
