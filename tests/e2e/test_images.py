"""The steps of the Dockerfile, done without containers: what is copied is enough, what is locked is
what the index has, and each image can do what it is for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelwave_shared import version
from tests.e2e.conftest import DIGITS
from tests.e2e.image_here import ImagesHere

pytestmark = [
    pytest.mark.slow,
    pytest.mark.e2e,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        os.environ.get("MODELWAVE_LONG") != "1", reason="downloads 250 MB: make test-long"
    ),
    pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the images have Python 3.11"),
]

COMMIT = "1a2b3c4"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImagesHere:
    return ImagesHere(tmp_path_factory.mktemp("images"), COMMIT)


def said(image: Path, *command: str) -> str:
    program = image / "opt/modelwave/bin" / command[0]
    environment = {"PATH": f"{program.parent}:/usr/bin:/bin", "HOME": str(image)}
    done = subprocess.run(
        [program, *command[1:]], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def has(image: Path, module: str) -> bool:
    code = f"import importlib.util as u; print(u.find_spec('{module}') is not None)"
    return said(image, "python", "-c", code) == "True"


def test_agent_s_image_runs_models_and_has_no_controller(images: ImagesHere) -> None:
    image = images.built("agent")
    assert said(image, "modelwave-agent", "--version").endswith(f"{version.VERSION}+g{COMMIT}")
    assert has(image, "tflite_runtime")
    assert not has(image, "modelwave_controller")
    assert not has(image, "sqlalchemy")


def test_controller_s_image_serves_and_compiles_for_boards_and_has_no_runtime(
    images: ImagesHere, tmp_path: Path
) -> None:
    image = images.built("controller")
    assert said(image, "modelwave", "--version").endswith(f"{version.VERSION}+g{COMMIT}")
    said(image, "modelwave", "board", "build", str(tmp_path / "board"))
    assert list((tmp_path / "board").rglob("*.mpy"))
    assert has(image, "psycopg")
    assert not has(image, "tflite_runtime")


def test_operator_s_image_makes_a_golden_set(images: ImagesHere) -> None:
    image = images.built("operator")
    model, golden = DIGITS / "digits-v2.tflite", DIGITS / "digits-v2.golden"
    assert said(
        image,
        "modelwave",
        "golden",
        "check",
        str(model),
        str(golden),
        "--steps",
        "any=8",
        "--faults",
        "1",
    )
    assert has(image, "onnxruntime")
