"""Releases a version of a model from an MLflow registry, waits for the verdict, and writes it back
as tags of that version. It runs on the machine with the release key, which stays there.

    pip install mlflow 'modelwave[controller]'
    python release_model_version.py digits 7 [OPTION of `modelwave release create` …]

The version's artifacts are a model (.tflite or .onnx) and its golden set (.golden or .npz); its
tags say what a release says besides: modelwave.target, modelwave.dataset, modelwave.quantisation,
and for a golden set of labels modelwave.least-correct. Whoever writes to the registry chooses them,
so what is to be signed is shown, and somebody is asked; --yes among the options signs unasked.

$MODELWAVE_HOME is the home on this machine, $MODELWAVE_URL the service, $MODELWAVE_TOKEN an
operator's access token. The exit code is that of `modelwave rollout watch`.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import mlflow

from modelwave_controller.client.client import Client
from modelwave_controller.errors import ModelwaveError, OperatorError

OPTIONS = ("target", "dataset", "quantisation", "least-correct")  # that tags may give
MODELS, GOLDEN = (".tflite", ".onnx"), (".golden", ".npz")
CODES = {"FINISHED": 0, "REVERTED": 3, "ABORTED": 4, "HELD": 5}
OTHER = 6


def main(name: str, version: str, *options: str) -> int:
    registry = mlflow.MlflowClient()
    tags = registry.get_model_version(name, version).tags

    def tell(key: str, value: object) -> None:
        registry.set_model_version_tag(name, version, f"modelwave.{key}", str(value))

    try:
        with tempfile.TemporaryDirectory() as folder, client() as fleet:
            artifacts = mlflow.artifacts.download_artifacts(
                artifact_uri=f"models:/{name}/{version}", dst_path=folder
            )
            bundle = Path(folder, "bundle")
            sign(name, f"mlflow-{version}", bundle, Path(artifacts), tags, options)
            release = fleet.releases.add(bundle).manifest["release"]
            tell("release", release)
            begun = fleet.rollouts.start(name, release)
            tell("rollout", begun.status.rollout)
            ended = fleet.rollouts.wait(begun.status.rollout)
            tell("verdict", ended.status)
            tell("why", ended.why)
            return CODES.get(ended.status, OTHER)
    except ModelwaveError as error:
        tell("verdict", "not rolled out")
        tell("why", error)
        print(f"{sys.argv[0]}: {error}", file=sys.stderr)
        return error.exit_code


def client() -> Client:
    return Client(os.environ["MODELWAVE_URL"], os.environ["MODELWAVE_TOKEN"])


def sign(
    name: str,
    version: str,
    bundle: Path,
    artifacts: Path,
    tags: Mapping[str, str],
    options: tuple[str, ...],
) -> None:
    """Makes the bundle. Raises OperatorError."""
    said = {option: tags.get(f"modelwave.{option}", "") for option in OPTIONS}
    said |= {"file": str(only(artifacts, MODELS)), "golden": str(only(artifacts, GOLDEN))}
    words = [f"--{option}={value}" for option, value in said.items() if value]
    create = ["release", "create", *words, f"--out={bundle}", *options, "--", name, version]
    if subprocess.run([sys.executable, "-m", "modelwave_controller", *create]).returncode:
        raise OperatorError(f"{name} {version}: modelwave release create did not sign it")


def only(folder: Path, endings: tuple[str, ...]) -> Path:
    found = [path for path in folder.rglob("*") if path.suffix in endings and path.is_file()]
    if len(found) != 1:
        raise OperatorError(f"artifacts: {len(found)} files {' or '.join(endings)}, one is needed")
    return found[0]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
