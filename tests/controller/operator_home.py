"""A fleet's home for the tests, and the command line run in this process."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelwave_controller import home as homes
from modelwave_controller.cli import run
from modelwave_controller.cli.options import PASSPHRASE
from modelwave_controller.home import Home
from modelwave_controller.trust import pkcs8
from modelwave_shared import golden

SECRET = "correct horse"
DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "models"

Run = Callable[..., tuple[int, str, str]]


def make_home(path: Path, monkeypatch: pytest.MonkeyPatch, fleet: str = "demo") -> Home:
    """A new fleet's home at `path`; commands find it and its passphrase in the environment."""
    monkeypatch.setattr(pkcs8, "PBKDF2_ROUNDS", 1000)  # one hash is as good as 600,000 here
    monkeypatch.setenv("MODELWAVE_HOME", str(path))
    monkeypatch.setenv(PASSPHRASE, SECRET)
    return homes.make_home(path, fleet, SECRET.encode())


def runner(capsys: pytest.CaptureFixture[str]) -> Run:
    """`modelwave` with these arguments: (exit code, stdout, stderr)."""

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def refused(result: tuple[int, str, str], *words: str, code: int = 2) -> None:
    """Asserts one line on stderr that holds the words, nothing on stdout, and the code."""
    got, out, err = result
    assert (got, out) == (code, ""), result
    assert err.startswith("modelwave: ")
    assert err.count("\n") == 1, err
    assert "Traceback" not in err
    for word in words:
        assert word in err, err


def as_json(result: tuple[int, str, str]) -> Any:
    assert result[0] == 0, result
    return json.loads(result[1])


def tflite(path: Path, filling: bytes = b"") -> Path:
    """A file that looks like a TFLite model from outside."""
    path.write_bytes(struct.pack("<I4s", 8, b"TFL3") + bytes(8) + filling)
    return path


def golden_labels(path: Path) -> Path:
    path.write_bytes(golden.pack("l", "b", ("b", 3), [b"\x01\x02", b"\x03\x04"], [0, 2]))
    return path
