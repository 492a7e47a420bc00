"""Runs a golden set on this host, with the program that devices use.

It runs in a process of its own: a malformed model may crash a runtime or make it hang, and the
controller must not import the agent.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from modelwave_controller.releases.confinement import confined
from modelwave_controller.releases.printed import last_line

PROVE_COMMAND = (sys.executable, "-m", "modelwave_agent.host.prove")
PROVE_SECONDS = 600
_MAX_REASON = 500  # characters
_GRACE_SECONDS = (
    10  # the process ends itself in time; this is for one that its alarm cannot interrupt
)


class _Verdict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    healthy: bool
    reason: str
    runtime: str
    version: str
    weak: str = ""


@dataclass(frozen=True)
class Proof:
    """The result of a golden set. `reason` is "" only if `healthy`; `runtime` is "" if the golden
    set could not be run; `weak` is why no model would fail it, "" if one may."""

    healthy: bool
    reason: str
    runtime: str = ""
    weak: str = ""


def prove(model: Path, golden: Path, manifest: Mapping[str, Any], accelerator: str = "") -> Proof:
    """Runs `model` on the inputs of `golden` and compares its outputs with the expected ones, as
    the devices of this manifest do."""
    options = {
        "--model": model,
        "--golden": golden,
        "--tolerance": json.dumps(manifest["tolerance"]),
        "--format": manifest["format"],
        "--loading": json.dumps(manifest.get("loading", {})),
        "--settings": json.dumps({"accelerator": accelerator}),
        "--seconds": PROVE_SECONDS,
    }
    arguments = [word for option in options.items() for word in option] + ["--weigh"]
    try:
        with confined([*PROVE_COMMAND, *map(str, arguments)], [model, golden]) as (command, env):
            done = subprocess.run(
                command,
                capture_output=True,
                timeout=PROVE_SECONDS + _GRACE_SECONDS,
                stdin=subprocess.DEVNULL,
                env=env,
            )
    except subprocess.TimeoutExpired:
        return _not_judged(f"no result after {PROVE_SECONDS} s")
    if done.returncode < 0:
        return _not_judged(f"it was ended by {signal.Signals(-done.returncode).name}")
    if done.returncode > 0:
        return _not_judged(
            last_line(done.stderr, _MAX_REASON) or f"it ended with code {done.returncode}"
        )
    try:
        verdict = _Verdict.model_validate(json.loads(done.stdout.splitlines()[-1]))
    except (ValueError, IndexError, RecursionError, ValidationError):
        return _not_judged("its result cannot be read")
    runtime = f"{verdict.runtime} {verdict.version}".strip()
    weak = verdict.weak and f"the golden set cannot fail: {verdict.weak}"
    if verdict.healthy:
        return Proof(True, "", runtime, weak)
    return Proof(False, f"{verdict.reason or 'unhealthy'} (on {runtime})", runtime, weak)


def _not_judged(why: str) -> Proof:
    return Proof(False, f"the golden set could not be run on this host: {why}")
