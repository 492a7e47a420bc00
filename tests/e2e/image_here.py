"""Does the steps of docker/Dockerfile on this machine, without containers: each stage is a folder,
in which the absolute paths of its steps are. It copies what the Dockerfile copies, and no more."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.e2e.conftest import REPO

# Of an image, and not of the machine that a test may change.
PLACES = ("/opt/build", "/opt/modelwave", "/wheels", "/var/lib/modelwave", "/usr/local/bin")
IGNORED = shutil.ignore_patterns("__pycache__", ".venv", "*.pyc")
SECONDS = 900


class ImagesHere:
    def __init__(self, folder: Path, commit: str) -> None:
        self.folder = folder
        self.commit = commit
        (folder / "bin").mkdir()
        (folder / "bin" / "python").symlink_to(Path(sys.base_prefix, "bin", "python3"))
        text = re.sub(r"^#.*\n", "", (REPO / "docker/Dockerfile").read_text(), flags=re.M)
        self.stages: dict[str, tuple[str, list[str]]] = {}
        for stage in re.split(r"^FROM ", text, flags=re.M)[1:]:
            first, *rest = stage.splitlines()
            base, _, name = first.split()
            self.stages[name] = base, [line for line in rest if line]

    def built(self, name: str) -> Path:
        """The folder of a stage, with all its steps done; each is done once."""
        folder = self.folder / name
        if not folder.exists():
            base, steps = self.stages[name]
            if base in self.stages and self.stages[base][1]:
                self._linked(self.built(base), folder)
            folder.mkdir(exist_ok=True)
            (folder / "src").mkdir(exist_ok=True)
            for step in steps:
                self._do(folder, *step.split(maxsplit=1))
        return folder

    def _linked(self, base: Path, folder: Path) -> None:
        """What a stage has of another one. Environments work only where they were made."""
        folder.mkdir()
        for entry in base.iterdir():
            if entry.name == "opt":
                (folder / "opt").mkdir()
                for one in entry.iterdir():
                    (folder / "opt" / one.name).symlink_to(one)
            else:
                (folder / entry.name).symlink_to(entry)

    def _do(self, folder: Path, instruction: str, rest: str) -> None:
        if instruction == "COPY" and rest.startswith("--from="):
            other, source, target = rest.removeprefix("--from=").split()
            place = folder / target[1:]
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(self.built(other) / source[1:])
        elif instruction == "COPY":
            *sources, target = rest.split()
            place = folder / target[1:] if target.startswith("/") else folder / "src" / target
            for source in sources:
                self._copy(REPO / source, place, len(sources) > 1 or target.endswith("/"))
        elif instruction == "RUN" and "useradd" not in rest:
            self._run(folder, rest)

    def _copy(self, source: Path, place: Path, into: bool) -> None:
        place = place / source.name if into else place
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, place, ignore=IGNORED, dirs_exist_ok=True)
        else:
            shutil.copy(source, place)

    def _run(self, folder: Path, script: str) -> None:
        for place in PLACES:
            script = script.replace(place, f"{folder}{place}")
        script = script.replace("-o modelwave -g modelwave ", "")
        environment = {"PATH": f"{self.folder}/bin:/usr/bin:/bin", "HOME": str(self.folder)}
        environment |= {"COMMIT": self.commit, **_of_pip()}
        done = subprocess.run(
            ["sh", "-ec", script],
            cwd=folder / "src",
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"


def _of_pip() -> dict[str, str]:
    """The settings by which pip reaches its index from this machine."""
    proxies = {"http_proxy", "https_proxy", "no_proxy"}
    return {k: v for k, v in os.environ.items() if k.startswith("PIP_") or k.lower() in proxies}
