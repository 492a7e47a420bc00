"""The images of docker/Dockerfile: what they are made of is there, complete and pinned."""

import fnmatch
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = ROOT / "docker" / "Dockerfile"
AGENT, OWN = ROOT / "agent" / "pyproject.toml", ROOT / "pyproject.toml"
# What scripts/lock-requirements locks for each image: extras of both packages.
IMAGES = {
    "agent": ({AGENT: ["tflite"]}),
    "controller": ({AGENT: [], OWN: ["controller", "postgres", "boards", "otel"]}),
    "operator": ({AGENT: ["tflite", "onnx"], OWN: ["controller", "postgres", "boards"]}),
}
DIGEST = "sha256:" + "0123456789abcdef" * 4


def locked(image: str) -> dict[str, tuple[str, int]]:
    """{package: (version, number of its hashes)}"""
    found: dict[str, tuple[str, int]] = {}
    text = (ROOT / "docker" / "requirements" / f"{image}.txt").read_text()
    for block in re.split(r"\n(?=\S)", text):
        if match := re.match(r"([\w.-]+)==(\S+)", block):
            found[canonicalize_name(match[1])] = match[2], block.count("--hash=sha256:")
    return found


def asked(image: str) -> Iterator[Requirement]:
    for path, extras in IMAGES[image].items():
        project = tomllib.loads(path.read_text())["project"]
        lines = [*project["dependencies"]]
        for extra in extras:
            lines += project["optional-dependencies"][extra]
        for line in lines:
            requirement = Requirement(line)
            is_ours = requirement.name.startswith("modelwave")
            here = {"python_version": "3.11", "extra": ""}
            if not is_ours and (not requirement.marker or requirement.marker.evaluate(here)):
                yield requirement


@pytest.mark.parametrize("image", IMAGES)
def test_each_package_of_an_image_has_one_version_that_is_allowed_and_its_hashes(
    image: str,
) -> None:
    found = locked(image)
    assert [name for name, (_, hashes) in found.items() if not hashes] == []
    for requirement in asked(image):
        version, _ = found[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement}: scripts/lock-requirements"


def test_packages_that_a_runtime_is_not_asked_of_are_in_no_other_image() -> None:
    assert {"onnxruntime", "tflite-runtime"}.isdisjoint(locked("controller"))
    assert {"sqlalchemy", "aiohttp", "pydantic"}.isdisjoint(locked("agent"))


def instructions() -> list[tuple[str, str]]:
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    return [
        (words[0], words[1])
        for line in text.splitlines()
        if line and not line.startswith("#") and len(words := line.split(maxsplit=1)) == 2
    ]


def test_what_is_copied_is_there_and_is_sent_to_the_builder() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    copied = [
        part
        for name, rest in instructions()
        if name == "COPY" and not rest.startswith("--from=")
        for part in rest.split()[:-1]
    ]
    assert len(copied) > 8
    for part in copied:
        assert (ROOT / part).exists(), part
        parents = [part, *(str(parent) for parent in Path(part).parents)]
        assert [p for p in parents if any(fnmatch.fnmatch(p, one) for one in ignored)] == []


def test_images_install_only_what_is_locked_and_run_as_nobody() -> None:
    steps = [rest for name, rest in instructions() if name == "RUN" and "pip install" in rest]
    assert len(steps) == 7
    for step in steps:
        assert "--require-hashes" in step or "--no-index" in step
    users = [rest for name, rest in instructions() if name == "USER"]
    assert users == ["10001:10001"] * 3


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    (tmp_path / "sources/docker").mkdir(parents=True)
    for name in ("Dockerfile", "compose.yaml"):
        shutil.copy(ROOT / "docker" / name, tmp_path / "sources/docker" / name)
    return tmp_path / "sources"


def test_base_images_are_pinned_by_the_digests_that_the_registry_tells(
    sources: Path, tmp_path: Path
) -> None:
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/asked\necho {DIGEST}\n')
    docker.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{docker.parent}:{os.environ['PATH']}",
        "MODELWAVE_PINNED": str(sources),
    }

    def pin(*options: str) -> int:
        command = [str(ROOT / "scripts" / "pin-images"), *options]
        return subprocess.run(command, env=environment, capture_output=True).returncode

    pinned = ["eclipse-mosquitto:2", "postgres:15-bookworm", "python:3.11-slim-bookworm"]
    assert pin("--check") == (0 if DIGEST[:7] in DOCKERFILE.read_text() else 1)
    for _ in range(2):  # again for updates
        assert pin() == 0
        assert pin("--check") == 0
        text = "".join(path.read_text() for path in sorted((sources / "docker").iterdir()))
        assert [text.count(f"{image}@{DIGEST}") for image in pinned] == [1, 1, 1]
        assert text.count("@sha256:") == 3
    docker.write_text("#!/bin/sh\nexit 1\n")
    assert pin() != 0
