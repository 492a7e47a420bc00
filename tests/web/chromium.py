"""Debian's Chromium without a screen, by its DevTools protocol."""

import asyncio
import base64
import contextlib
import json
import subprocess
import tempfile
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest

from tests.tools import needed

SECONDS = 60.0  # that Chromium may take for anything; tests assert no times
AXE = Path(__file__).parents[2] / ".axe/axe.min.js"
# As a promise: whether EXPRESSION is true, now or after a change of the document.
_BECOMES = """new Promise((done) => {
  const look = () => { if (EXPRESSION) done(true); };
  new MutationObserver(look).observe(document,
    {subtree: true, childList: true, attributes: true, characterData: true});
  look();
})"""


class Chromium:
    """A browser with one tab. Use it as a context manager."""

    def __init__(self) -> None:
        self._program = needed("chromium")
        self._loop = asyncio.new_event_loop()
        self._stack = contextlib.AsyncExitStack()
        self._number = 0
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        self._run(self._start())
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._stack.aclose())
        self._loop.close()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self._run(self._call(method, params))

    def go(self, url: str) -> None:
        """Opens a page, and waits until it is loaded."""
        with self.loading():
            self.call("Page.navigate", url=url)

    @contextlib.contextmanager
    def loading(self) -> Iterator[None]:
        """Waits at the end of the block until a page is loaded that the block has asked for."""
        self.events.clear()
        yield
        self._run(self._until("Page.loadEventFired"))

    def value(self, expression: str) -> Any:
        found = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def becomes(self, expression: str) -> None:
        """Waits until the expression is true in the page that is open, which is not loaded anew."""
        assert self.value(_BECOMES.replace("EXPRESSION", expression)) is True

    def text(self, selector: str) -> str:
        return str(self.value(f"document.querySelector({json.dumps(selector)}).innerText"))

    def fill(self, selector: str, text: str) -> None:
        self.value(f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", text=text)

    def press(self, selector: str) -> None:
        """Presses the button, and waits until the page to which it leads is loaded."""
        with self.loading():
            self.value(f"document.querySelector({json.dumps(selector)}).click()")

    def screen(self, width: int, scheme: str = "light") -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            **{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def picture(self, path: Path, width: int, most: int) -> None:
        """Writes a picture of the page, at most so high."""
        height = min(self.value("document.documentElement.scrollHeight"), most)
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        asked = {"format": "webp", "quality": 70, "captureBeyondViewport": True, "clip": clip}
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", **asked)["data"]))

    def axe(self) -> list[str]:
        """Returns what keeps people from using the page, of axe's serious and critical findings."""
        if not AXE.exists():
            pytest.skip("axe-core is not there: scripts/get-axe .axe (it needs npm)")
        self.value(AXE.read_text())
        found = self.value("axe.run({resultTypes: ['violations']}).then(r => r.violations)")
        return [
            f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]}"
            for one in found
            if one["impact"] in ("serious", "critical")
        ]

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(asyncio.wait_for(work, SECONDS))

    async def _start(self) -> None:
        folder = self._stack.enter_context(
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True, prefix="modelwave-chromium-")
        )
        options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
        process = await asyncio.create_subprocess_exec(
            *(self._program, *options, "--remote-debugging-port=0", f"--user-data-dir={folder}"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self._stack.push_async_callback(_end, process)
        assert process.stderr
        address = b""
        while b"DevTools listening on ws://" not in address:
            address = await process.stderr.readline()
            assert address, "Chromium did not start"
        host = address.decode().split("ws://")[1].split("/")[0]
        client = await self._stack.enter_async_context(aiohttp.ClientSession())
        async with client.put(f"http://{host}/json/new?about:blank") as answer:
            tab = await answer.json()
        self._socket = await self._stack.enter_async_context(
            client.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0)
        )

    async def _call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": params})
        while True:
            message = await self._socket.receive_json()
            if message.get("id") == self._number:
                assert "result" in message, message
                return dict(message["result"])
            self.events.append(message)

    async def _until(self, event: str) -> None:
        while not any(one["method"] == event for one in self.events):
            self.events.append(await self._socket.receive_json())


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    await process.communicate()
