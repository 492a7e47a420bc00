"""`modelwave release create-agent`: from a folder of wheels to a signed release of the agent."""

import sys
import tarfile
from pathlib import Path

import pytest
from operator_home import Run, as_json, make_home, refused, runner
from tests import agent_wheels

from modelwave_controller.boards import archive, package
from modelwave_controller.errors import OperatorError
from modelwave_controller.home import Home
from modelwave_controller.models.targets import Target
from modelwave_controller.releases import agent_releases, board_agents
from modelwave_shared import checkout, host_platform

VERSION = "0.9.7"
VERSION_HERE = checkout.version.VERSION


@pytest.fixture
def modelwave(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    return make_home(tmp_path / "home", monkeypatch)


def create(wheels: Path, *more: str, version: str = VERSION) -> list[object]:
    options = ["--target", "linux-cpu", "--wheels", wheels, "--yes", "--json", *more]
    return ["release", "create-agent", version, *options]


@pytest.mark.slow
def test_wheels_become_a_release_that_was_installed_and_asked(
    home: Home, modelwave: Run, tmp_path: Path
) -> None:
    wheels = agent_wheels.wheels(tmp_path / "wheels", VERSION)
    manifest = as_json(modelwave(*create(wheels)))["manifest"]
    assert (manifest["model"], manifest["format"], manifest["release"]) == (
        "agent",
        "agent-bundle",
        1,
    )
    files = {file["role"]: home.files / file["sha256"] for file in manifest["files"]}
    assert files["golden"].read_text() == f"modelwave-agent {VERSION}\n"
    assert manifest["needs"]["runtime"] == host_platform.own()
    assert manifest["needs"]["flash"] > sum(file["size"] for file in manifest["files"])
    with tarfile.open(files["model"]) as tar:
        names = tar.getnames()
    assert names == sorted(path.name for path in wheels.iterdir())


@pytest.mark.slow
def test_an_agent_that_does_not_start_is_not_released(
    home: Home, modelwave: Run, tmp_path: Path
) -> None:
    wheels = agent_wheels.wheels(tmp_path / "wheels", VERSION)
    path = next(wheels.glob("modelwave_agent-*"))
    path.unlink()
    files = agent_wheels.sources(VERSION) | {agent_wheels.DAEMON: "raise RuntimeError('broken')\n"}
    agent_wheels.wheel(wheels, "modelwave_agent", VERSION, files)
    told = "not released: the new agent, asked for --version: RuntimeError: broken"
    refused(modelwave(*create(wheels)), told, code=1)
    assert not home.releases.exists() or not list(home.releases.rglob("*.json"))


@pytest.mark.slow
def test_a_release_for_another_platform_is_resolved_but_not_run(
    home: Home, modelwave: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_releases, "INSTALL_COMMAND", (sys.executable, "-c", "1/0"))
    wheels = agent_wheels.wheels(tmp_path / "wheels", VERSION)
    other = "cp39-riscv64-glibc>=2.31"
    done = modelwave(*create(wheels, "--platform", other))
    assert as_json(done)["manifest"]["needs"]["runtime"] == other
    assert f"not run on this host, which is no {other}" in done[2]
    next(wheels.glob("environment_of_tests-*")).unlink()
    done = modelwave(*create(wheels, "--platform", other, version=f"{VERSION}-2"))
    refused(done, f"--wheels: not enough for {other}", "environment_of_tests")


def with_bytes_changed(folder: Path, mark: bytes, ahead: int, value: int) -> None:
    """Of the agent's wheel, the byte `ahead` of each `mark`."""
    path = next(folder.glob("modelwave_agent-*"))
    data = bytearray(path.read_bytes())
    at = -1
    while (at := data.find(mark, at + 1)) >= 0:
        data[at + ahead] = value
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: next(folder.glob("modelwave_*")).unlink(), "has no wheel of modelwave-a"),
        (lambda folder: (folder / "notes.txt").write_text(""), "notes.txt is no wheel"),
        (
            lambda folder: (folder / "modelwave.agent-1.0-py3-none-any.whl").write_text(""),
            "two wheels of modelwave-agent",
        ),
        (lambda folder: with_bytes_changed(folder, b"PK\1\2", 8, 1), "that can be read: File"),
        (lambda folder: with_bytes_changed(folder, b"PK\1\2", 10, 14), "that can be read: "),
        (lambda folder: with_bytes_changed(folder, b"PK\1\2", 10, 99), "that can be read: "),
    ],
    ids=["no agent", "another file", "two versions", "encrypted", "damaged", "another method"],
)
def test_what_is_no_folder_of_wheels_is_refused(
    home: Home, modelwave: Run, tmp_path: Path, spoil: object, told: str
) -> None:
    wheels = agent_wheels.wheels(tmp_path / "wheels", VERSION)
    assert callable(spoil)
    spoil(wheels)
    refused(modelwave(*create(wheels)), told)


def test_wheels_of_another_version_are_refused(home: Home, modelwave: Run, tmp_path: Path) -> None:
    wheels = agent_wheels.wheels(tmp_path / "wheels", VERSION)
    told = f"VERSION: 0.9.8, and the agent in it is {VERSION}"
    refused(modelwave(*create(wheels, version="0.9.8")), told)


@pytest.mark.parametrize("version", ["v1", "0.9.70", "0.9", "0.9.7.1", "vv0.9.7"])
def test_name_of_a_release_that_says_another_version_is_refused(version: str) -> None:
    with pytest.raises(OperatorError, match=f"VERSION: {version}, and the agent in .* 0.9.7"):
        agent_releases.require_version(version, "0.9.7+g1a2b3c4")


@pytest.mark.parametrize("version", ["0.9.7", "v0.9.7", "0.9.7-2", "0.9.7+g1a2b3c4"])
def test_name_of_a_release_says_the_version_of_the_wheels(version: str) -> None:
    agent_releases.require_version(version, "0.9.7+g1a2b3c4")


def test_wheels_are_for_hosts(home: Home, modelwave: Run, tmp_path: Path) -> None:
    options = ["--target", "rp2040", "--wheels", tmp_path, "--yes"]
    refused(modelwave("release", "create-agent", "v1", *options), "rp2040 is no host")
    for more in ([], ["--wheels", tmp_path, "--package", tmp_path]):
        command = ["release", "create-agent", "v1", "--target", "linux-cpu", *more, "--yes"]
        refused(modelwave(*command), "linux-cpu is a host: it takes wheels")


def for_boards(package: Path, target: str = "pico-w") -> list[object]:
    options = ["--target", target, "--package", package, "--yes", "--json"]
    return ["release", "create-agent", VERSION_HERE, *options]


@pytest.mark.slow
def test_a_built_package_becomes_a_release_for_boards(
    home: Home, modelwave: Run, tmp_path: Path
) -> None:
    built = package.build()
    package.write(built, tmp_path / "built")
    done = modelwave(*for_boards(tmp_path / "built"))
    manifest = as_json(done)["manifest"]
    assert (manifest["model"], manifest["format"]) == ("agent", "board-package")
    assert manifest["needs"]["runtime"] == "mpy6"
    files = {file["role"]: (home.files / file["sha256"]).read_bytes() for file in manifest["files"]}
    assert files["golden"] == f"modelwave-agent {checkout.described()}\n".encode()
    assert files["model"] == archive.pack(package.modules_of(built))
    assert b"\nmodelwave_agent/board/agent.mpy " in files["model"]
    assert b"modelwave_boot.mpy" not in files["model"]
    assert "not run here: the first boards prove it" in done[2]


@pytest.mark.slow
def test_a_package_that_two_of_do_not_fit_or_that_was_not_built_is_refused(
    home: Home, modelwave: Run, tmp_path: Path
) -> None:
    refused(modelwave(*for_boards(tmp_path / "none")), "is no folder")
    refused(modelwave(*for_boards(home.path)), "has other contents")
    package.write(package.build(), tmp_path / "built")
    small = Target.model_validate(
        {
            "name": "tiny",
            "description": "",
            "class": "mcu",
            "flash_bytes": 200_000,
            "ram_bytes": 200_000,
            "runtime": "tflite",
            "source": "test",
        }
    )
    agent = board_agents.read(tmp_path / "built")
    with pytest.raises(OperatorError, match="2 agents take"):
        board_agents.draft("demo", 1, "v1", small, agent, tmp_path)
