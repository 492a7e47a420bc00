"""Compares the time of the agent's download (download, verify, write, sync) with the shell's.

Rounds alternate between `curl -s URL | tee FILE | sha256sum` and the agent's own code
(HostHttpFetcher into intake.Intake, then closed, which syncs the file), from one file server. The
result compares the medians. As in normal operation, the agent's process runs already.
"""

import argparse
import asyncio
import contextlib
import hashlib
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from modelwave_agent.banks import Banks
from modelwave_agent.host.http import HostHttpFetcher

MEBIBYTE = 1 << 20
SERVER = """
import asyncio
import sys

from aiohttp import web


async def main():
    app = web.Application()
    app.router.add_static("/files", sys.argv[1])  # FileResponse: sendfile
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
"""


def main() -> int:
    options = _parser().parse_args()
    if shutil.which("curl") is None:
        print("bench: curl is missing: apt install curl", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="modelwave-bench-") as name:
        folder = Path(name)
        entry = _make_file(folder / "files", options.mebibytes)
        with _server(folder / "files") as port:
            url = f"http://127.0.0.1:{port}/files/{entry['sha256']}"
            return _compare(folder, url, entry, options)


def _make_file(folder: Path, mebibytes: int) -> dict[str, object]:
    """Makes a random file; returns its entry of a manifest. It is written piece by piece, so that
    it does not count as memory of this process."""
    folder.mkdir()
    digest, path = hashlib.sha256(), folder / "new"
    with path.open("wb") as file:
        for _ in range(mebibytes):
            piece = os.urandom(MEBIBYTE)
            digest.update(piece)
            file.write(piece)
    path.rename(folder / digest.hexdigest())
    return {"role": "model", "sha256": digest.hexdigest(), "size": mebibytes * MEBIBYTE}


def _compare(folder: Path, url: str, entry: dict[str, object], options: argparse.Namespace) -> int:
    shell_seconds, agent_seconds = [], []
    _shell(folder, url, str(entry["sha256"]))  # both warm
    start = _peak_kib()
    _agent(folder, url, entry)
    for number in range(1, options.rounds + 1):
        shell_seconds.append(_shell(folder, url, str(entry["sha256"])))
        agent_seconds.append(_agent(folder, url, entry))
        print(
            f"round {number:2}: curl | tee | sha256sum {1000 * shell_seconds[-1]:6.1f} ms, "
            f"agent {1000 * agent_seconds[-1]:6.1f} ms",
            flush=True,
        )
    shell, agent = statistics.median(shell_seconds), statistics.median(agent_seconds)
    print(
        f"download {options.mebibytes} MiB: ratio {agent / shell:.2f} "
        f"(agent {1000 * agent:.0f} ms, shell {1000 * shell:.0f} ms, medians of {options.rounds}), "
        f"{options.mebibytes / agent:.0f} MiB/s, peak memory {_peak_kib() / 1024:.0f} MiB, "
        f"of which the downloads {_peak_kib() - start} KiB"
    )
    return 0


def _peak_kib() -> int:
    """Returns the peak memory of this process (getrusage(2), KiB on Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _shell(folder: Path, url: str, digest: str) -> float:
    """Returns the seconds that the pipe takes."""
    target = folder / "shell"
    target.unlink(missing_ok=True)
    start = time.perf_counter()
    done = subprocess.run(
        ["sh", "-c", f"curl -s {url} | tee {target} | sha256sum"], capture_output=True, check=True
    )
    seconds = time.perf_counter() - start
    assert done.stdout.decode().startswith(digest)
    return seconds


def _agent(folder: Path, url: str, entry: dict[str, object]) -> float:
    """Returns the seconds that the agent takes, including the sync to the disk."""
    banks = Banks(str(folder))
    banks.clear(0)

    async def fetch() -> None:
        intake = banks.intake(0, entry)
        try:
            await HostHttpFetcher(hosts=[urlsplit(url).netloc]).fetch(url, intake)
        finally:
            intake.close()
        assert intake.matches()

    start = time.perf_counter()
    asyncio.run(fetch())
    return time.perf_counter() - start


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[int]:
    """Starts a file server with sendfile in a process of its own; yields its port."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mebibytes", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=9)
    return parser


if __name__ == "__main__":
    sys.exit(main())
