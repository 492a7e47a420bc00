"""Models that are sent to the service to be inspected."""

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from modelwave_controller import cli
from modelwave_controller.client.client import Client
from modelwave_controller.errors import OperatorError
from modelwave_controller.releases import confinement, model_fits
from tests.controller.rollout_world import World
from tests.web.served import served

EXAMPLES = Path(__file__).parents[2] / "examples" / "digits"
TFLITE = EXAMPLES / "models" / "digits-v1.tflite"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path)) as made:
        yield made


@pytest.fixture
def client(world: World) -> Iterator[Client]:
    with served(world) as url, Client(url, "operator") as made:
        yield made


def test_a_sent_model_is_told_what_model_inspect_says_of_it(
    client: Client, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["rp2040", "linux-cpu"]
    asked = [word for name in names for word in ("--target", name)]
    where = ["--home", str(world.home.path)]
    assert cli.run([*where, "model", "inspect", str(TFLITE), *asked, "--json"]) == 0
    assert client.models.fit(TFLITE, names) == json.loads(capsys.readouterr().out)
    assert not list(world.home.path.glob(".modelwave-upload-*"))


@pytest.mark.parametrize("data", [b"{" * 9, TFLITE.read_bytes()[:200]], ids=["text", "cut off"])
def test_what_is_no_model_is_refused_by_its_name(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("here.tflite").write_bytes(data)
    with pytest.raises(OperatorError, match=r"here\.tflite") as refused:
        client.models.fit("here.tflite")
    assert str(tmp_path) not in str(refused.value)


def test_an_unknown_target_is_told_the_nearest(client: Client) -> None:
    with pytest.raises(OperatorError, match="perhaps rp2040"):
        client.models.fit(TFLITE, ["rp2041"])
    with pytest.raises(OperatorError, match="targets"):
        client.models.fit(TFLITE, ["No"])


@pytest.mark.parametrize(
    "program",
    [
        "import sys; print(open(sys.argv[1]).read())",
        "import sys, json; print(json.load(open(sys.argv[1]))['name'] + '\\n' * 9)",
        "import os, signal; os.kill(os.getpid(), signal.SIGALRM)",
        "print('x' * (8 << 20))",
    ],
    ids=["no entries", "no JSON", "killed", "a long line"],
)
def test_a_program_that_a_model_has_ended_is_an_error_of_the_model(
    client: Client, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    monkeypatch.setattr(model_fits, "PROGRAM", (sys.executable, "-c", program))
    with pytest.raises(OperatorError, match=r"digits-v1\.tflite: "):
        client.models.fit(TFLITE)
    monkeypatch.undo()
    assert client.targets.list()


def test_the_program_reads_no_key_of_the_home(
    client: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not confinement.possible()["files"]:
        pytest.skip("this kernel has no Landlock")
    program = f"open({str(world.home.path / 'order.key')!r})"
    monkeypatch.setattr(model_fits, "PROGRAM", (sys.executable, "-c", program))
    with pytest.raises(OperatorError, match="Permission denied"):
        client.models.fit(TFLITE)
