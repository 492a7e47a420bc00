"""Reads the version of Coral's library in a process of its own, because a libedgetpu that was
built for another runtime crashes the process that loads it.

    python -P -m modelwave_agent.host.edgetpu libedgetpu.so.1

prints {"version": "BuildLabel(…), RuntimeVersion(14)", "devices": 1} (edgetpu_c.h)."""

import ctypes
import json
import re
import signal
import subprocess
import sys

from modelwave_agent.ports import ProofError

SECONDS = 20  # time limit; a device on USB is reset first
ASK = (sys.executable, "-P", "-m", "modelwave_agent.host.edgetpu")


def runtime_version(library: str) -> str:
    """Returns the number in the library's RuntimeVersion, which compiled models require. Raises
    ProofError if there is no library or no device, or if the library crashes."""
    try:
        done = subprocess.run(
            [*ASK, library], capture_output=True, timeout=SECONDS, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise ProofError(f"{library} did not answer within {SECONDS} seconds") from None
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise ProofError(f"{library} crashed ({name}); install the one for this system")
    if done.returncode:
        raise ProofError(f"the accelerator's library is not installed: {_last(done.stderr)}")
    try:
        told = json.loads(done.stdout)
        version, devices = re.search(r"RuntimeVersion\((\d+)\)", told["version"]), told["devices"]
    except (ValueError, KeyError, TypeError):
        version, devices = None, 0
    if version is None:
        raise ProofError(f"{library} does not report its runtime version")
    if not devices:
        raise ProofError(
            f"{library} finds no Edge TPU; plug it in, and end other programs that use it"
        )
    return version[1]


def _last(output: bytes) -> str:
    lines = output.decode(errors="replace").split("\n")
    return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "")


def _ask(name: str) -> dict[str, object]:
    library = ctypes.CDLL(name)
    library.edgetpu_version.restype = ctypes.c_char_p
    library.edgetpu_list_devices.restype = ctypes.c_void_p
    number = ctypes.c_size_t()
    devices = library.edgetpu_list_devices(ctypes.byref(number))
    if devices:
        library.edgetpu_free_devices(ctypes.c_void_p(devices))
    version = library.edgetpu_version() or b""
    return {"version": version.decode(errors="replace"), "devices": number.value}


if __name__ == "__main__":
    try:
        print(json.dumps(_ask(sys.argv[1])))
    except (OSError, AttributeError) as problem:  # it does not exist, or is another library
        sys.exit(str(problem))
