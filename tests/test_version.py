"""Both commands, the reports and every build name the same version and commit."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version as installed_version
from pathlib import Path

import pytest

from modelwave_shared import version
from tests.agent.fakes import World

ROOT = Path(__file__).resolve().parent.parent
# What a build reads.
PARTS = ("pyproject.toml", "hatch_build.py", "README.md", "agent", "controller", "shared")
FOLDERS = ("agent", "controller", "shared")
# Where else the version stands, with what is before and after it.
PLACES = {
    "pyproject.toml": ('"modelwave-agent==', '"'),
    "docs/agent.md": ("modelwave_agent-", "-py3"),
    "docs/relay.md": ("modelwave_agent-", "-py3"),
    "docker/kubernetes/controller.yaml": ("modelwave-controller:", "\n"),
    "docker/kubernetes/operator.yaml": ("modelwave-operator:", "\n"),
}
COMMANDS = {
    "modelwave": "from modelwave_controller.cli import main; main()",
    "modelwave-agent": "from modelwave_agent.host.daemon import main; main()",
}


def run(folder: Path, *command: str | Path, path: list[Path] | None = None) -> str:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder)}
    if path:
        environment["PYTHONPATH"] = ":".join(map(str, path))
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def said(folder: Path, path: list[Path]) -> dict[str, str]:
    """Returns the `--version` output of both commands, run from the packages in `path`."""
    return {
        name: run(folder, sys.executable, "-c", code, "--version", path=path)
        for name, code in COMMANDS.items()
    }


def both(text: str) -> dict[str, str]:
    return {name: f"{name} {version.VERSION}{text}" for name in COMMANDS}


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of what a build reads, in no repository."""
    folder = tmp_path / "sources"
    for part in (*PARTS, "examples/digits/models", "examples/digits/board"):
        place(part, folder)
    return folder


def place(part: str, folder: Path) -> None:
    target = folder / part
    target.parent.mkdir(parents=True, exist_ok=True)
    if (ROOT / part).is_dir():
        shutil.copytree(ROOT / part, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(ROOT / part, target)


def commit(folder: Path, message: str) -> str:
    """Commits everything; the first seven digits."""
    git = ("git", "-c", "user.name=A", "-c", "user.email=a@example.org")
    if not (folder / ".git").exists():
        run(folder, *git, "init", "--quiet")
    run(folder, *git, "add", "--all")
    run(folder, *git, "commit", "--quiet", "--allow-empty", "--message", message)
    return run(folder, "git", "rev-parse", "HEAD")[:7]


def built(folder: Path, kind: str, out: Path) -> Path:
    """The wheel or sdist that hatchling makes of `folder`, in the new folder `out`."""
    run(folder, sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(out))
    [made] = out.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return made


def unpacked(wheel: Path) -> Path:
    """A folder with what the agent's wheel installs, and beside it the controller, which has no
    version of its own."""
    site = wheel.parent / "site"
    with zipfile.ZipFile(wheel) as archive:
        assert archive.namelist().count("modelwave_shared/version.py") == 1
        archive.extractall(site)
    shutil.copytree(ROOT / "controller/modelwave_controller", site / "modelwave_controller")
    return site


def agent_of(sources: Path) -> Path:
    return built(sources / "agent", "wheel", sources.parent / f"made-{sources.name}")


@pytest.mark.slow
def test_wheel_from_a_repository_knows_its_commit_wherever_it_is_installed(
    sources: Path, tmp_path: Path
) -> None:
    digits = commit(sources, "first")
    site = unpacked(agent_of(sources))
    commit(tmp_path, "somebody else's repository, around it all")
    assert said(site, [site]) == both(f"+g{digits}")


@pytest.mark.slow
def test_wheel_from_changed_sources_says_so(sources: Path) -> None:
    digits = commit(sources, "first")
    with (sources / "shared/modelwave_shared/topics.py").open("a") as file:
        file.write("# changed\n")
    site = unpacked(agent_of(sources))
    assert said(site, [site]) == both(f"+g{digits}.dirty")


@pytest.mark.slow
def test_wheel_made_from_an_sdist_knows_the_commit_of_the_sdist(
    sources: Path, tmp_path: Path
) -> None:
    digits = commit(sources, "first")
    shutil.unpack_archive(built(sources, "sdist", tmp_path / "made"), tmp_path / "unpacked")
    [folder] = (tmp_path / "unpacked").iterdir()
    site = unpacked(agent_of(folder))
    assert said(site, [site]) == both(f"+g{digits}")


@pytest.mark.slow
def test_wheel_made_without_git_has_its_version_alone(sources: Path, tmp_path: Path) -> None:
    commit(tmp_path, "somebody else's repository, around it all")
    site = unpacked(agent_of(sources))
    assert said(site, [site]) == both("")


@pytest.mark.slow
def test_image_gets_all_that_a_wheel_is_made_of(tmp_path: Path) -> None:
    text = (ROOT / "docker/Dockerfile").read_text()
    stage = text.partition("\nFROM python AS build\n")[2].partition("\nFROM ")[0]
    for copied in re.findall(r"^COPY (.+) \S+$", stage, re.M):
        for part in copied.split():
            place(part, tmp_path / "src")
    [stamp] = re.findall(r"^RUN (sed .+)$", stage, re.M)
    run(tmp_path / "src", "sh", "-c", f"COMMIT=1a2b3c4; {stamp}")
    site = unpacked(agent_of(tmp_path / "src"))
    assert said(site, [site]) == both("+g1a2b3c4")


@pytest.mark.slow
def test_checkout_tells_the_commit_of_the_moment(sources: Path) -> None:
    path = [sources / folder for folder in FOLDERS]
    first = commit(sources, "first")
    assert said(sources, path) == both(f"+g{first}")
    second = commit(sources, "second")
    assert said(sources, path) == both(f"+g{second}")


@pytest.mark.slow
def test_asking_for_the_commit_takes_no_lock_that_a_kill_would_leave(sources: Path) -> None:
    """A git that writes the index again, where times of files are others, takes one for it."""
    digits = commit(sources, "first")
    os.utime(sources / "README.md", (1, 1))
    before = (sources / ".git/index").read_bytes()
    assert said(sources, [sources / folder for folder in FOLDERS]) == both(f"+g{digits}")
    assert (sources / ".git/index").read_bytes() == before


@pytest.mark.slow
def test_worktree_and_a_git_that_fails_are_no_trouble(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digits = commit(sources, "first")
    run(sources, "git", "worktree", "add", "--quiet", "../tree")
    path = [tmp_path / "tree" / folder for folder in FOLDERS]
    assert said(tmp_path, path) == both(f"+g{digits}")
    (tmp_path / "tree/.git").write_text("gitdir: /nowhere\n")
    assert said(tmp_path, path) == both("")


def test_report_of_a_host_and_installed_metadata_have_the_version(tmp_path: Path) -> None:
    agent, _ = World(tmp_path).boot()
    assert agent.state()["agent"] == f"modelwave-agent {version.described()}"
    assert installed_version("modelwave") == version.VERSION


@pytest.mark.parametrize(("place", "around"), PLACES.items())
def test_version_is_the_same_everywhere(place: str, around: tuple[str, str]) -> None:
    before, after = map(re.escape, around)
    found = set(re.findall(f"{before}(\\d+\\.[^{after}]*?){after}", (ROOT / place).read_text()))
    assert found == {version.VERSION}


def test_changelog_has_the_version() -> None:
    assert f"\n## [{version.VERSION}] - 20" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.slow
def test_agent_s_wheel_has_nothing_of_the_controller_and_the_controller_s_needs_it(
    sources: Path, tmp_path: Path
) -> None:
    info = f"modelwave_agent-{version.VERSION}"
    with zipfile.ZipFile(agent_of(sources)) as archive:
        of_agent = archive.namelist()
    folders = {name.split("/")[0] for name in of_agent}
    assert folders == {"modelwave_agent", "modelwave_shared", f"{info}.dist-info", f"{info}.data"}
    shared = ["modelwave-agent.service", "modelwave-relay.service", "relay.toml.example"]
    assert {f"{info}.data/data/share/modelwave/{name}" for name in shared} < set(of_agent)
    with zipfile.ZipFile(built(sources, "wheel", tmp_path / "made")) as archive:
        assert set(archive.namelist()).isdisjoint(of_agent)
        metadata = archive.read(f"modelwave-{version.VERSION}.dist-info/METADATA").decode()
    assert f"\nRequires-Dist: modelwave-agent=={version.VERSION}\n" in metadata
