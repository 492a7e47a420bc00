"""The command line on the home of a world, run in this process."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from rollout_world import World

from modelwave_controller import cli


class Ran:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)

    def json_lines(self) -> list[Any]:
        assert self.code == 0, self.err
        return [json.loads(line) for line in self.out.splitlines()]

    def lines(self) -> list[str]:
        assert self.code == 0, self.err
        return self.out.splitlines()


Run = Callable[..., Ran]


def commands(world: World, capsys: pytest.CaptureFixture[str]) -> Run:
    """Returns a function that runs `modelwave` with these arguments in the world's home."""

    def call(*arguments: str) -> Ran:
        capsys.readouterr()
        code = cli.run(["--home", str(world.home.path), *arguments])
        return Ran(code, *capsys.readouterr())

    return call
