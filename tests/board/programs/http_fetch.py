"""Fetches one file over HTTP into a bank, on MicroPython:

    micropython http_fetch.py CONFIG.json

CONFIG.json: {path: what stands before sys.path, url, folder: the bank's, file: {role, size,
sha256}, silence: seconds, times: how often to fetch if it fails, ca: a DER file for https, or
"", full: a byte at which the medium is, or 0, hosts: that files may come from; null: the URL's}.
Prints a JSON object: {error: what the last fetch raised, or ""; said: what each raised; kind: its
class; offset; matches; left: descriptors that it left open; retry_after: as that error has it;
waits: how often it began to wait for the server, each time for as long as `silence`}.
"""

import json
import sys

with open(sys.argv[1]) as file:
    config = json.load(file)
sys.path[:0] = config["path"]

import asyncio  # noqa: E402
import os  # noqa: E402

from modelwave_agent.banks import Banks  # noqa: E402
from modelwave_agent.board import http  # noqa: E402

http.SILENCE_SECONDS = config["silence"]
wait_for = asyncio.wait_for
waits = []


def counted_wait_for(work, seconds):
    waits.append(seconds)
    return wait_for(work, seconds)


asyncio.wait_for = counted_wait_for


def tls():
    from modelwave_agent.board.tls_context import tls_context

    with open(config["ca"], "rb") as file:
        return tls_context(file.read())


def descriptors():
    return len(os.listdir("/proc/self/fd"))


async def never_wait():
    pass


async def main():
    intake = Banks(config["folder"]).intake(0, config["file"])
    await intake.catch_up(never_wait)
    write = intake.write

    def bounded(data):
        if config["full"] and intake.offset + len(data) > config["full"]:
            raise OSError(28)
        write(data)

    intake.write = bounded
    hosts = [config["url"].split("/")[2]] if config["hosts"] is None else config["hosts"]
    fetcher = http.HttpFetcher(tls() if config["ca"] else None, hosts)
    before = descriptors()
    said = []
    for _ in range(config["times"]):
        error = kind = ""
        retry_after = 0
        try:
            await fetcher.fetch(config["url"], intake)
        except Exception as raised:
            error, kind = str(raised), type(raised).__name__
            said.append(error)
            retry_after = getattr(raised, "retry_after", 0)
        if not error:
            break
    left = descriptors() - before
    intake.close()
    found = {"error": error, "kind": kind, "offset": intake.offset, "matches": intake.matches()}
    found["left"] = left
    found["said"] = said
    found["retry_after"] = retry_after
    found["waits"] = waits.count(config["silence"])
    print(json.dumps(found))


asyncio.run(main())
