"""Packs the wheels of an agent for hosts into the one file of its release: a tar that devices
unpack (self_update/wheelhouse.py in modelwave_agent says what is in it).

The operator gives a folder of wheels: the agent and all that it needs, for one platform. pip, which
has to be installed here, finds out whether they are enough for it. Nothing is fetched.
"""

import hashlib
import lzma
import os
import re
import subprocess
import sys
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwave_controller import disk
from modelwave_controller.errors import OperatorError
from modelwave_controller.releases.agent_version import version_in
from modelwave_controller.releases.printed import last_line
from modelwave_shared import host_platform
from modelwave_shared.fit import numbers
from modelwave_shared.limits import MAX_BYTES

MAX_WHEELS = 256
# Of the distributions that may bring the agent, the one for devices alone first.
AGENTS = ("modelwave-agent", "modelwave")
PIP = (sys.executable, "-I", "-m", "pip")
RESOLVE_SECONDS = 120
MAX_VERSION_FILE_BYTES = 65536
OLDEST_GLIBC = 5  # the minor version of the oldest that wheels name
_VERSION_FILE = "modelwave_shared/version.py"
_WHEEL = re.compile(
    r"(?P<name>[A-Za-z0-9._]+)-(?P<version>[A-Za-z0-9._+!]+)(-[0-9][A-Za-z0-9_.]*)?"
    r"-[A-Za-z0-9_.]+-[A-Za-z0-9_.]+-[A-Za-z0-9_.]+\.whl",
    re.ASCII,
)
_PLATFORM = re.compile(r"cp(\d)(\d{1,2})-([a-z0-9_]+)-(glibc|musl)(?:>=(\d{1,3})\.(\d{1,3}))?")
_UNREADABLE = (  # what zipfile raises, and the readers of its methods
    *(LookupError, OSError, ValueError, RuntimeError, EOFError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
_MAX_REASON = 300
_BLOCK = 512  # of a tar
_PYC_SHARE = 1.4  # an installed wheel against its files: Python compiles what it imports


@dataclass(frozen=True)
class Wheelhouse:
    """A folder of wheels that was checked. `agent` is the distribution that brings the agent,
    `version` what it will say that it is, `platform` what its wheels need of a host."""

    wheels: list[Path]
    requirements: list[str]
    agent: str
    version: str
    platform: str

    @property
    def installed_bytes(self) -> int:
        """Returns about how much flash it takes when it is installed."""
        unpacked = 0
        for wheel in self.wheels:
            with zipfile.ZipFile(wheel) as archive:
                unpacked += sum(entry.file_size for entry in archive.infolist())
        return int(unpacked * _PYC_SHARE)


def read(folder: Path, platform: str | None) -> Wheelhouse:
    """Checks a folder of wheels. `platform`: what the wheels are for, as devices report it; None
    for that of this host. Raises OperatorError, which names the option."""
    wanted = platform or host_platform.own()
    if not _PLATFORM.fullmatch(wanted):
        raise OperatorError(
            f"--platform: {wanted[:100]!r}; give it as devices report it, such as "
            "cp311-aarch64-glibc>=2.31"
        )
    found = _wheels(folder)
    agent = next((name for name in AGENTS if name in found), None)
    if agent is None:
        raise OperatorError(
            f"--wheels: {folder} has no wheel of {' or '.join(AGENTS)}; build one with `pip wheel`"
        )
    names = [agent, *sorted(name for name in found if name != agent)]
    requirements = [f"{name}=={found[name][0]}" for name in names]
    wheels = sorted(path for _, path in found.values())
    house = Wheelhouse(wheels, requirements, agent, _version(found[agent][1]), wanted)
    _require_enough(house, folder)
    return house


def _wheels(folder: Path) -> dict[str, tuple[str, Path]]:
    """Returns {distribution: (version, wheel)}."""
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise OperatorError(f"--wheels: cannot read {folder}: {error.strerror}") from error
    if len(paths) > MAX_WHEELS:
        raise OperatorError(f"--wheels: {len(paths)} files, at most {MAX_WHEELS} are taken")
    found: dict[str, tuple[str, Path]] = {}
    for path in paths:
        parts = _WHEEL.fullmatch(path.name)
        if parts is None or not path.is_file():
            raise OperatorError(f"--wheels: {path} is no wheel; leave nothing else in the folder")
        name = re.sub(r"[-_.]+", "-", parts["name"]).lower()
        if name in found:
            raise OperatorError(
                f"--wheels: two wheels of {name}, {found[name][1].name} and {path.name}: keep the "
                "one for the platform"
            )
        found[name] = (parts["version"], path)
    return found


def _version(wheel: Path) -> str:
    """Returns the version that the agent in the wheel says it has, with its commit."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(_VERSION_FILE) as file:
            source = file.read(MAX_VERSION_FILE_BYTES).decode()
    except _UNREADABLE as error:
        raise OperatorError(
            f"--wheels: {wheel} has no {_VERSION_FILE} that can be read: {error}"
        ) from error
    version = version_in(source)
    if not version:
        raise OperatorError(f"--wheels: {wheel}: {_VERSION_FILE} names no VERSION")
    return version


def _require_enough(house: Wheelhouse, folder: Path) -> None:
    """Has pip find all that the agent needs among the wheels, for the platform."""
    extra = "[agent]" if house.agent == AGENTS[1] else ""
    agent, _, version = house.requirements[0].partition("==")
    command = [*PIP, "install", "--isolated", "--no-index", "--find-links", str(folder)]
    command += ["--dry-run", "--no-cache-dir", "--no-input", "--disable-pip-version-check"]
    command += ["--target", str(folder), "--only-binary=:all:", *_for(house.platform)]
    command += [f"{agent}{extra}=={version}", *house.requirements[1:]]
    try:
        done = subprocess.run(command, capture_output=True, timeout=RESOLVE_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise OperatorError("--wheels: pip gave no answer whether they are enough") from error
    if done.returncode:
        why = last_line(done.stderr, _MAX_REASON) or f"pip ended with {done.returncode}"
        raise OperatorError(f"--wheels: not enough for {house.platform}: {why}")


def _for(platform: str) -> list[str]:
    """Returns pip's options for a platform: all tags of wheels that it can install."""
    parts = _PLATFORM.fullmatch(platform)
    assert parts is not None
    major, minor, machine, libc = parts[1], parts[2], parts[3], parts[4]
    tags = []
    if libc == host_platform.GLIBC:
        newest = int(parts[6] or 17)
        tags = [f"manylinux_2_{n}_{machine}" for n in range(OLDEST_GLIBC, newest + 1)]
        tags += [f"{name}_{machine}" for name, least in _OLD_NAMES.items() if least <= newest]
    else:
        tags = [f"musllinux_1_{n}_{machine}" for n in range(1, int(parts[6] or 2) + 1)]
    tags.append(f"linux_{machine}")
    options = [word for tag in tags for word in ("--platform", tag)]
    return [*options, "--python-version", f"{major}.{minor}", "--implementation", "cp"]


_OLD_NAMES = {"manylinux1": 5, "manylinux2010": 12, "manylinux2014": 17}


def is_for_this_host(platform: str) -> bool:
    """Whether this host can install wheels for the platform."""
    name, _, least = platform.partition(">=")
    own, _, version = host_platform.own().partition(">=")
    return name == own and (not least or numbers(version) >= numbers(least))


def pack(house: Wheelhouse, folder: Path) -> dict[str, Any]:
    """Writes the wheelhouse into `folder`, under its sha256, and returns its entry for the
    manifest. The same wheels give the same bytes."""
    made = folder / ".wheelhouse"
    with open(made, "wb") as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for wheel in house.wheels:
                with disk.open_plain(wheel, "--wheels") as source:
                    size = os.fstat(source.fileno()).st_size
                    tar.addfile(_member(wheel.name, size), source)
        file.flush()
        os.fsync(file.fileno())
    return _stored(made, folder, "model")


def keep_golden(line: bytes, folder: Path) -> dict[str, Any]:
    """Writes the golden file into `folder`, and returns its entry for the manifest."""
    made = folder / ".golden"
    disk.create_file(made, line)
    return _stored(made, folder, "golden")


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mode = 0o644
    return member


def _stored(made: Path, folder: Path, role: str) -> dict[str, Any]:
    with open(made, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    size = made.stat().st_size
    if size > MAX_BYTES:
        raise OperatorError(f"--wheels: {size} bytes, a file of a release has at most {MAX_BYTES}")
    os.rename(made, folder / sha256)
    return {"role": role, "sha256": sha256, "size": size}
