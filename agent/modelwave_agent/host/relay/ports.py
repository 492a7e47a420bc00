"""Serial ports of boards: found by path or USB serial number, opened for this process alone, read
and written without ever blocking the event loop.

A port whose board is unplugged reads as ended. What is written to it then is lost, as on any wire.
"""

import asyncio
import contextlib
import fcntl
import os
import termios
from typing import Any

from modelwave_agent.host.apart import apart
from modelwave_agent.host.settings_reader import ConfigError
from modelwave_agent.ports import Clock

LOOK_SECONDS = 1.0  # between two looks whether a port is there
READ_BYTES = 4096
# Of one board, more than an agent has to say: a board that floods the wire must not take the time
# of others.
MAX_BYTES_A_SECOND = 128 * 1024
NOT_INSTALLED = "a gateway needs pyserial: pip install 'modelwave-agent[relay]'"


class PortError(Exception):
    """The port cannot be used now; the message says why."""


class Port:
    """An open port. One task reads, one writes."""

    def __init__(self, path: str, baud: int) -> None:
        """Opens it, which may block for a moment. Raises PortError."""
        serial = _serial()
        self.path = path
        try:
            with serial.Serial(path, baud, timeout=0, write_timeout=0, exclusive=True) as opened:
                # A descriptor of its own: pyserial has four more beside each.
                self._file = open(os.dup(opened.fileno()), "r+b", buffering=0)  # noqa: SIM115
        except (OSError, ValueError, termios.error) as error:
            raise PortError(f"{path}: {_problem(error)}") from error
        self._fd = self._file.fileno()
        self._is_open = True
        self._waits: dict[str, asyncio.Future[None]] = {}
        self._budget = 0.0  # bytes that were read too fast
        self._read_at = 0.0
        with contextlib.suppress(OSError, termios.error):
            fcntl.ioctl(self._fd, termios.TIOCEXCL)
            attributes = termios.tcgetattr(self._fd)
            attributes[6][termios.VMIN] = 1  # nothing to read is no end
            termios.tcsetattr(self._fd, termios.TCSANOW, attributes)

    async def read(self, size: int) -> bytes:
        """Returns up to `size` bytes, as soon as there are some; b"" at the end."""
        await self._keep_pace()
        while self._is_open:
            try:
                data = os.read(self._fd, min(size, READ_BYTES))
            except BlockingIOError:
                await self._ready("reader")
            except OSError:
                break
            else:
                self._budget += len(data)
                return data
        return b""

    async def write(self, data: bytes) -> None:
        """Returns when the system has taken all of `data`, or the port has ended."""
        left = memoryview(data)
        while left and self._is_open:
            try:
                left = left[os.write(self._fd, left) :]
            except BlockingIOError:
                await self._ready("writer")
            except OSError:
                return

    async def close(self) -> None:
        """Closes it; the bytes that the board has not taken are dropped."""
        if not self._is_open:
            return
        self._is_open = False
        for kind, waits in self._waits.items():
            getattr(asyncio.get_running_loop(), f"remove_{kind}")(self._fd)
            if not waits.done():
                waits.set_result(None)
        self._waits.clear()
        # The system may wait half a minute for a board that does not read.
        await apart(self._drop)

    def _drop(self) -> None:
        with contextlib.suppress(OSError, termios.error):
            termios.tcflush(self._fd, termios.TCIOFLUSH)
            fcntl.ioctl(self._fd, termios.TIOCNXCL)
        with contextlib.suppress(OSError):
            self._file.close()

    async def _ready(self, kind: str) -> None:
        """Waits until the port can be read ("reader") or written ("writer"), or is closed."""
        loop = asyncio.get_running_loop()
        waits = self._waits[kind] = loop.create_future()
        getattr(loop, f"add_{kind}")(self._fd, _settle, waits)
        try:
            await waits
        finally:
            if self._waits.pop(kind, None):  # else it is closed, and its number may be another's
                getattr(loop, f"remove_{kind}")(self._fd)

    async def _keep_pace(self) -> None:
        """Lets other tasks run, and waits if the board sends too fast."""
        now = asyncio.get_running_loop().time()
        self._budget = max(0.0, self._budget - (now - self._read_at) * MAX_BYTES_A_SECOND)
        self._read_at = now
        over = self._budget - MAX_BYTES_A_SECOND  # a second's worth may come at once
        await asyncio.sleep(max(0.0, over / MAX_BYTES_A_SECOND))


class UsbPorts:
    """The paths of USB serial numbers, looked for once in LOOK_SECONDS for all boards."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._found: dict[str, str] = {}
        self._looked_at: float | None = None
        self._turn = asyncio.Lock()

    async def path(self, number: str) -> str:
        """Returns the path of the device with this number, "" if it is not plugged in."""
        async with self._turn:
            now = self.clock.now()
            if self._looked_at is None or now - self._looked_at >= LOOK_SECONDS:
                self._found = await apart(usb_serials)
                self._looked_at = now
        return self._found.get(number, "")


def usb_serials() -> dict[str, str]:
    """Returns {USB serial number: path} of all that is plugged in. A device with several ports has
    the first of them. Raises ConfigError if pyserial is not installed."""
    _serial()
    from serial.tools import list_ports

    found: dict[str, str] = {}
    for port in sorted(list_ports.comports(), key=lambda port: str(port.device)):
        if port.serial_number:
            found.setdefault(port.serial_number, port.device)
    return found


def require_installed() -> None:
    """Raises ConfigError if pyserial is not installed."""
    _serial()


def _serial() -> Any:
    try:
        import serial
    except ImportError as error:
        raise ConfigError(NOT_INSTALLED) from error
    return serial


def _settle(waits: "asyncio.Future[None]") -> None:
    if not waits.done():
        waits.set_result(None)


def _problem(error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error.__context__, termios.error):  # pyserial has put it into its text
        return f"no serial port: {error.__context__.args[-1]}"
    if number is None:
        return str(error).partition(": ")[2] or str(error)
    if number in (11, 16):  # EAGAIN of the lock, EBUSY of the exclusive mode
        return "another program has opened it"
    return os.strerror(number)
