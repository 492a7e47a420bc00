"""200 downloads of 5 MB from the service's file server, beside nginx and, if Python has them,
uvicorn with Starlette: each a process of its own, asked by eight at once, in turns, so that the
machine's other work meets all. (`pip install 'uvicorn[standard]' starlette` gives the last.)

Those who ask share the machine's processors with the server. The detail has how long the server's
own process ran for a gigabyte, which other work changes little."""

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

sys.path.append(str(Path(__file__).parents[2] / "tests" / "controller"))

from benchmarks.api.known_service import cpu_seconds
from benchmarks.scale.row import Row
from simulated_fleet import free_port

SIZE, DOWNLOADS, AT_ONCE, TURNS = 5_000_000, 200, 8, 4
NAME = "0" * 64
GIGABIT = 125.0  # MB a second
LEAST_RATIO = 0.25  # of nginx, as long as GIGABIT holds
LIMIT_SECONDS = 60.0
OURS, NGINX, UVICORN = "modelwave", "nginx", "uvicorn"

SERVE = """
import asyncio, sys
from pathlib import Path
from modelwave_controller.service.files import FileServer
from modelwave_controller.service.vitals import Vitals

async def main():
    server = FileServer(Path(sys.argv[1]), Vitals())
    await server.start("127.0.0.1", int(sys.argv[2]))
    await asyncio.Event().wait()

asyncio.run(main())
"""
STARLETTE = """
import sys
import uvicorn
from starlette.applications import Starlette
from starlette.responses import FileResponse
from starlette.routing import Route

async def one(request):
    return FileResponse(sys.argv[1] + "/" + request.path_params["name"])

uvicorn.run(
    Starlette(routes=[Route("/files/{name}", one)]), port=int(sys.argv[2]), log_level="error"
)
"""
CONFIGURATION = """
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log stderr error;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port} backlog=256; location /files/ {{ alias {files}/; }} }}
}}
"""


class Turn(NamedTuple):
    rate: float  # MB a second
    processor: float  # the server's seconds for a GB


def rows(long: bool) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="modelwave-api-") as name, contextlib.ExitStack() as on:
        folder = Path(name)
        files = folder / "files"
        files.mkdir()
        (files / NAME).write_bytes(os.urandom(SIZE))
        servers = {}
        for program, command in _commands(folder, files).items():
            port = free_port()
            words = [word.replace("PORT", str(port)) for word in command]
            servers[program] = (on.enter_context(_running(folder, program, words, port)), port)
        found: dict[str, list[Turn]] = {program: [] for program in servers}
        for _ in range(TURNS * (3 if long else 1)):
            for program, (pid, port) in servers.items():
                found[program].append(_turn(pid, port))
    yield from _rows(found)


def _rows(found: dict[str, list[Turn]]) -> Iterator[Row]:
    rates = {program: median(turn.rate for turn in turns) for program, turns in found.items()}
    spent = {program: median(turn.processor for turn in turns) for program, turns in found.items()}
    what = f"{DOWNLOADS} downloads of {SIZE / 1e6:.0f} MB"
    detail = f"{spent[OURS]:.2f} s of the processor for a GB"
    yield Row(f"{what}, {AT_ONCE} at once", rates[OURS], GIGABIT, "MB/s", detail, True)
    for program in rates.keys() - {OURS}:
        ratio = rates[OURS] / rates[program]
        detail = f"{program} {rates[program]:.0f} MB/s, {spent[program]:.2f} s for a GB"
        goal = LEAST_RATIO if program == NGINX else 1.0
        yield Row(f"{what}, against {program}", ratio, goal, "×", detail, True)


def _commands(folder: Path, files: Path) -> dict[str, list[str]]:
    """Returns the programs that there are; PORT stands for their port."""
    found = {OURS: [sys.executable, "-c", SERVE, str(files), "PORT"]}
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    if Path(nginx).exists():
        found[NGINX] = [nginx, "-p", str(folder), "-e", "stderr", "-c", str(folder / "PORT.conf")]
    if importlib.util.find_spec("uvicorn") and importlib.util.find_spec("starlette"):
        found[UVICORN] = [sys.executable, "-c", STARLETTE, str(files), "PORT"]
    for missing in {NGINX, UVICORN} - found.keys():
        print(f"no {missing} here: left out")
    return found


@contextlib.contextmanager
def _running(folder: Path, program: str, command: list[str], port: int) -> Iterator[int]:
    """Yields the process id."""
    if program == NGINX:
        text = CONFIGURATION.format(folder=folder, files=folder / "files", port=port)
        Path(command[-1]).write_text(text)
    process = subprocess.Popen(command)
    try:
        end = time.monotonic() + LIMIT_SECONDS
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), timeout=LIMIT_SECONDS).close()
                break
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{program} does not listen")
            time.sleep(0.05)
        yield process.pid
    finally:
        process.kill()
        process.wait()


def _turn(pid: int, port: int) -> Turn:
    left = iter(range(DOWNLOADS))
    lock = threading.Lock()
    failed: list[Exception] = []

    def work() -> None:
        buffer = bytearray(1 << 20)
        try:
            while True:
                with lock:
                    if next(left, None) is None:
                        return
                _download(port, buffer)
        except Exception as error:
            failed.append(error)

    before, begun = cpu_seconds(pid), time.monotonic()
    threads = [threading.Thread(target=work, daemon=True) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    seconds, size = time.monotonic() - begun, DOWNLOADS * SIZE
    return Turn(size / 1e6 / seconds, (cpu_seconds(pid) - before) / (size / 1e9))


def _download(port: int, buffer: bytearray) -> None:
    """Reads an answer to its end, and throws it away: an HTTP library would take more time than
    the servers do."""
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_SECONDS) as connection:
        connection.sendall(
            f"GET /files/{NAME} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n".encode()
        )
        size = 0
        while number := connection.recv_into(buffer):
            if not size and not buffer.startswith(b"HTTP/1.1 200 "):
                raise RuntimeError(f"refused: {bytes(buffer[:100])!r}")
            size += number
        if size < SIZE:
            raise RuntimeError(f"an answer of {size} bytes")
