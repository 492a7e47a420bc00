"""The example for MLflow, with a stand-in for what it calls of MLflow: nothing here has talked to a
real registry."""

import runpy
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from modelwave_controller import cli
from modelwave_controller.cli.options import PASSPHRASE as PASSPHRASE_VARIABLE
from modelwave_controller.operations import rollouts
from modelwave_controller.releases import golden_sets
from modelwave_controller.trust import pkcs8
from tests.controller.rollout_world import PASSPHRASE, World
from tests.web.served import served

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "mlflow" / "release_model_version.py"
MODELS = ROOT / "examples" / "digits" / "models"
HEALTHY = '{"healthy": true, "reason": "", "runtime": "fake", "version": "1"}'


class Registry:
    """A registry with one version, by the names of mlflow.MlflowClient and mlflow.artifacts."""

    def __init__(self) -> None:
        self.tags = {
            "modelwave.target": "linux-cpu",
            "modelwave.dataset": "pictures of 2026",
            "modelwave.quantisation": "int8",
            "modelwave.least-correct": "0.9",
            "modelwave.force": "as I like",  # a tag that is no option
        }
        self.files = ["digits-v1.tflite", "digits-labels.golden"]

    def get_model_version(self, name: str, version: str) -> Any:
        assert (name, version) == ("digits", "7")
        return SimpleNamespace(tags=dict(self.tags))

    def set_model_version_tag(self, name: str, version: str, key: str, value: str) -> None:
        assert (name, version) == ("digits", "7")
        self.tags[key] = value

    def download_artifacts(self, artifact_uri: str, dst_path: str) -> str:
        assert artifact_uri == "models:/digits/7"
        folder = Path(dst_path, "digits")
        folder.mkdir()
        for name in self.files:
            shutil.copy(MODELS / name, folder)
        return str(folder)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(World(tmp_path, devices=2)) as made:
        yield made


@pytest.fixture
def registry(world: World, monkeypatch: pytest.MonkeyPatch) -> Registry:
    found = Registry()
    module: Any = ModuleType("mlflow")
    module.MlflowClient = lambda: found
    module.artifacts = found
    monkeypatch.setitem(sys.modules, "mlflow", module)

    real = subprocess.run

    def run(command: list[str], **how: Any) -> Any:
        """Runs our own command in this process."""
        if command[:3] != [sys.executable, "-m", "modelwave_controller"]:
            return real(command, **how)
        return subprocess.CompletedProcess(command, cli.run(command[3:]))

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(golden_sets, "PROVE_COMMAND", (sys.executable, "-c", f"print({HEALTHY!r})"))
    monkeypatch.setattr(pkcs8, "PBKDF2_ROUNDS", 1000)
    monkeypatch.setenv("MODELWAVE_HOME", str(world.home.path))
    monkeypatch.setenv(PASSPHRASE_VARIABLE, PASSPHRASE.decode())
    monkeypatch.setenv("MODELWAVE_TOKEN", "operator")
    return found


def test_a_version_is_released_and_its_verdict_written_back(
    world: World, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleep = time.sleep

    def meanwhile(seconds: float) -> None:
        if not world.state().rollouts:  # Popen.wait sleeps too, for the release's proof
            return sleep(seconds)
        rollouts.abort(world.store, "1", "it was worse", world.now, "somebody")
        world.tick()

    monkeypatch.setattr("modelwave_controller.client.client.time.sleep", meanwhile)
    with served(world) as url:
        monkeypatch.setenv("MODELWAVE_URL", url)
        main = runpy.run_path(str(EXAMPLE))["main"]
        assert main("digits", "7", "--yes", "--ram=8000", "--release=1") == 4
    said = {key: registry.tags[f"modelwave.{key}"] for key in ("release", "rollout", "verdict")}
    assert said == {"release": "1", "rollout": "1", "verdict": "ABORTED"}
    assert "it was worse" in registry.tags["modelwave.why"]


def test_what_is_not_signed_is_told_there_and_not_sent(
    world: World, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELWAVE_URL", "http://127.0.0.1:1")
    main = runpy.run_path(str(EXAMPLE))["main"]
    del registry.tags["modelwave.target"]
    assert main("digits", "7", "--yes") == 2
    assert registry.tags["modelwave.verdict"] == "not rolled out"
    registry.files = ["digits-v1.tflite"]
    assert main("digits", "7") == 2
    assert "one is needed" in registry.tags["modelwave.why"]
