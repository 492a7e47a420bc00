"""Makes the manifest of a release of the agent itself. Its golden set is one line: what the new
agent says that it is. If this host is of the platform, it is installed here and asked.
"""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from modelwave_controller.errors import OperatorError, TrustError
from modelwave_controller.models.needs import Asked, ModelNeeds
from modelwave_controller.models.targets import Target
from modelwave_controller.releases import manifests, wheelhouses
from modelwave_controller.releases.golden_sets import Proof
from modelwave_controller.releases.manifests import Wanted
from modelwave_controller.releases.printed import last_line
from modelwave_controller.releases.wheelhouses import Wheelhouse
from modelwave_shared.agent_releases import AGENT, AGENT_BUNDLE, TOLERANCE, golden_line
from modelwave_shared.words import PROGRAM

INSTALL_COMMAND = (sys.executable, "-P", "-m", "modelwave_agent.host.self_update.install")
INSTALL_SECONDS = 600
RAM_BYTES = 64 << 20  # of two agents for a moment
_GRACE_SECONDS = 10
_MAX_REASON = 500  # characters


class _Verdict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    healthy: bool
    reason: str


def require_version(version: str, built: str) -> None:
    """Raises OperatorError if the release is called `version`, and its agent is `built`. After the
    version, + or - and more may follow."""
    number = built.partition("+")[0]
    called = version.removeprefix("v")
    if called != number and not called.startswith((f"{number}+", f"{number}-")):
        raise OperatorError(
            f"VERSION: {version}, and the agent in it is {built}: build it from a checkout of "
            f"{version}, or release it as {number}"
        )


def wanted(fleet: str, release: int, version: str, target: Target, format: str) -> Wanted:
    """Returns what is asked of a release of the agent, whatever devices it is for."""
    return Wanted(
        fleet=fleet,
        model=AGENT,
        release=release,
        version=version,
        target=target,
        sources={},
        tolerance=TOLERANCE,
        asked=Asked(),
        dataset="",
        metrics={},
        quantisation="",
        format=format,
    )


def draft(
    fleet: str, release: int, version: str, target: Target, house: Wheelhouse, folder: Path
) -> dict[str, Any]:
    """Packs the files of the release into `folder`, and returns its manifest. Raises
    OperatorError."""
    files = [
        wheelhouses.pack(house, folder),
        wheelhouses.keep_golden(golden_line(house.version), folder),
    ]
    asked = wanted(fleet, release, version, target, AGENT_BUNDLE)
    packed = sum(file["size"] for file in files)
    needs = ModelNeeds(RAM_BYTES, (), house.platform, "", "")
    return manifests.draft(asked, files, needs, "", packed + house.installed_bytes)


def prove(manifest: dict[str, Any], house: Wheelhouse, folder: Path) -> Proof:
    """Installs the release in `folder` there, and asks the new agent what it is. Raises TrustError
    if it is not what was released. A release for another platform is not run."""
    if not wheelhouses.is_for_this_host(house.platform):
        told = (
            f"not run on this host, which is no {house.platform}: the first devices will prove it"
        )
        return Proof(True, told)
    by_role = {file["role"]: folder / file["sha256"] for file in manifest["files"]}
    options = {
        "--wheelhouse": by_role["model"],
        "--golden": by_role["golden"],
        "--venv": folder / ".venv",
        "--seconds": INSTALL_SECONDS,
    }
    words = [str(word) for option in options.items() for word in option]
    try:
        done = subprocess.run(
            [*INSTALL_COMMAND, *words],
            capture_output=True,
            timeout=INSTALL_SECONDS + _GRACE_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise TrustError(f"not released: not installed after {INSTALL_SECONDS} s") from error
    reason = _reason(done)
    if reason:
        raise TrustError(f"not released: {reason}")
    return Proof(True, "", f"{PROGRAM} {house.version}")


def _reason(done: "subprocess.CompletedProcess[bytes]") -> str:
    if done.returncode < 0:
        return f"the installation was ended by {signal.Signals(-done.returncode).name}"
    if done.returncode:
        return last_line(done.stderr, _MAX_REASON) or f"it ended with code {done.returncode}"
    try:
        verdict = _Verdict.model_validate(json.loads(done.stdout.splitlines()[-1]))
    except (ValueError, IndexError, RecursionError, ValidationError):
        return "the result of its installation cannot be read"
    return "" if verdict.healthy else verdict.reason or "unhealthy"
