"""A controller with its broker, and devices that run the released models with the real agent."""

import contextlib
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.models import columns
from benchmarks.models.columns import TARGET, YES, Python, environment
from benchmarks.models.corpus import Model, cache_folder

from modelwave_controller.cli import run
from modelwave_controller.demo import service
from modelwave_controller.demo.command import CommandLine
from modelwave_controller.demo.processes import Processes, processes
from modelwave_controller.errors import StorageError
from modelwave_shared.limits import MAX_MODELS

VERSION = "v1"
PLAN = ("--stages", "100", "--soak", "0", "--trial", "0", "--deadline", "1h", "--on-fail", "hold")
SECONDS = 300  # for all models of one device
FINAL = ("REJECTED", "ROLLED_BACK", "CANCELED")


@dataclass
class Fleet:
    folder: Path
    operator: CommandLine
    running: Processes
    broker_url: str
    files: str  # the entry of the files' host for agent.toml

    def release(self, model: Model, package: str, golden: Path, *options: str) -> tuple[str, int]:
        """Returns "yes", or why it is not released, and the bytes of RAM that the manifest asks
        for, else 0."""
        command = ["release", "create", model.name, VERSION, "--target", TARGET, "--yes"]
        command += ["--file", str(model.file(cache_folder())), "--golden", str(golden)]
        command += ["--dataset", package, "--quantisation", "see the package", *options]
        try:
            made = self.operator.asks(*command)
        except StorageError as error:
            return columns.said(str(error).rpartition("modelwave: ")[2]), 0
        return YES, int(made["manifest"]["needs"]["ram"])

    def serve(self, models: dict[str, Path], pythons: Sequence[Python]) -> "Answers":
        """Rolls the models out, each to a device with each of the interpreters. `models`: the
        file with the inputs of each."""
        found: Answers = {}
        names = list(models)
        for start in range(0, len(names), MAX_MODELS):
            batch = {name: models[name] for name in names[start : start + MAX_MODELS]}
            found |= self._batch(batch, pythons, start // MAX_MODELS)
        return found

    def _batch(self, models: dict[str, Path], pythons: Sequence[Python], n: int) -> "Answers":
        devices = {f"p{python.version.replace('.', '')}-{n}": python for python in pythons}
        for device, python in devices.items():
            self._start(device, python, models)
        self.operator.waits(["device", "list"], lambda found: set(devices) <= online(found))
        for model in models:
            self.operator.asks("rollout", "start", model, VERSION, *PLAN, "--least-devices", "1")
        found: Answers = {}
        deadline = time.monotonic() + SECONDS
        while len(found) < len(models) * len(devices):
            time.sleep(0.5)
            reported = self.operator.asks("device", "list")
            for device, python in devices.items():
                for model in models:
                    answer = self._answer(device, model, reported)
                    if time.monotonic() > deadline:
                        answer = answer or f"nothing within {SECONDS} seconds"
                    if answer:
                        found[model, python.name] = answer
        for device in devices:
            self.running.end(device)
        return found

    def _start(self, device: str, python: Python, models: dict[str, Path]) -> None:
        folder = self.folder / device
        (folder / "jobs").mkdir(parents=True)
        (folder / "answers").mkdir()
        for name, inputs in models.items():
            shutil.copy(inputs, folder / "jobs" / f"{name}.npz")
        config = folder / "agent.toml"
        listed = ", ".join(f'"{name}"' for name in models)
        config.write_text(
            f'device = "{device}"\ntarget = "{TARGET}"\nmodels = [{listed}]\n'
            f'state = "{folder / "state"}"\nroot = "{self.operator.home / "root.json"}"\n'
            f'[broker]\nurl = "{self.broker_url}"\n[download]\nhosts = ["{self.files}"]\n'
        )
        paths = [str(folder / part) for part in ("agent.toml", "jobs", "answers")]
        settings = [f"PYTHONPATH={environment()['PYTHONPATH']}", "PYTHONDONTWRITEBYTECODE=1"]
        program = [python.path, "-m", "benchmarks.models.serving", *paths]
        self.running.start(device, ["env", *settings, *program])

    def _answer(self, device: str, model: str, reported: Any) -> "Path | str":
        """Returns the file with the model's outputs, why there is none, or "" while the device
        is still at it."""
        path = self.folder / device / "answers" / f"{model}.npz"
        if path.exists():
            return path
        error = path.with_suffix(".error")
        if error.exists():
            return error.read_text()
        if device in self.running.dead():
            return f"the program ended: {self.running.last_words(device)}"
        said = outcome(reported, device, model)
        return said if said.startswith(FINAL) else ""


Answers = dict[tuple[str, str], "Path | str"]  # by model and interpreter


@contextlib.contextmanager
def fleet(folder: Path) -> Iterator[Fleet]:
    """Yields a fleet without devices and releases."""
    folder.mkdir()
    with processes(folder) as running:
        operator = CommandLine(folder / "home", run)
        if error := operator.tries("init", "models"):
            raise StorageError(error)
        broker_url = service.start_broker(operator, running)
        files = service.settle(operator, broker_url)
        service.start_serve(operator, running)
        yield Fleet(folder, operator, running, broker_url, files)


def online(devices: Any) -> set[str]:
    return {one["device"] for one in devices}


def outcome(devices: Any, device: str, model: str) -> str:
    for one in devices:
        for said in one["models"]:
            if (one["device"], said["model"]) == (device, model):
                return f"{said['outcome']}: {said['reason']}"
    return ""
