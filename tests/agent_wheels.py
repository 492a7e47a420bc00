"""Wheels of agents for tests: this source in another version, whole or with a fault. What the agent
needs comes from the environment of the tests, through a wheel that names its folder."""

import hashlib
import io
import re
import sysconfig
import tarfile
import zipfile
from base64 import urlsafe_b64encode
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
SOURCES = (REPO / "agent", REPO / "shared")
TAG = "py3-none-any"
DAEMON = "modelwave_agent/host/daemon.py"


def wheel(folder: Path, name: str, version: str, files: dict[str, str], *requires: str) -> Path:
    info = f"{name}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {one}\n" for one in requires)
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {TAG}\n",
    }
    record = "".join(
        f"{place},sha256={_hash(text.encode())},{len(text.encode())}\n"
        for place, text in files.items()
    )
    path = folder / f"{name}-{version}-{TAG}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for place, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(zipfile.ZipInfo(place), text)  # no time: the same bytes each time
    return path


def _hash(data: bytes) -> str:
    return urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def sources(version: str) -> dict[str, str]:
    """The agent's modules, in this version."""
    found = {
        str(path.relative_to(top)): path.read_text()
        for top in SOURCES
        for path in sorted(top.rglob("*.py"))
        if "board" not in path.parts
    }
    known = found["modelwave_shared/version.py"]
    found["modelwave_shared/version.py"] = re.sub(
        r'^VERSION = ".*"$', f'VERSION = "{version}"', known, flags=re.M
    )
    return found


def wheels(folder: Path, version: str, fault: str = "") -> Path:
    """Fills `folder` with the wheels of an agent, and returns it. `fault`: lines with which its
    command `run` begins."""
    folder.mkdir(parents=True)
    files = sources(version)
    if fault:
        head = "def _run(options: argparse.Namespace) -> int:\n"
        assert head in files[DAEMON]
        files[DAEMON] = files[DAEMON].replace(head, f"{head}    {fault}\n")
    wheel(folder, "modelwave_agent", version, files, "environment_of_tests")
    site = sysconfig.get_path("purelib")
    wheel(folder, "environment_of_tests", "1.0", {"environment_of_tests.pth": f"{site}\n"})
    return folder


def wheelhouse(folder: Path) -> bytes:
    """The file of a release, of a folder of wheels."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name)
    return data.getvalue()
