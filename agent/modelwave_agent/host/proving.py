"""The device's runtimes as its agent sees them: what they can run, and golden sets, each in a
process of its own (prove.py), so that a model that crashes its runtime or makes it hang counts as
unhealthy and does no other harm."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Sequence
from typing import Any

from modelwave_agent.host import process
from modelwave_agent.host.accelerators import Accelerator
from modelwave_agent.host.memory import available_bytes
from modelwave_agent.host.runtime_options import runtime_words
from modelwave_agent.host.runtimes import engines, registry
from modelwave_agent.host.runtimes.port import RuntimeSettings
from modelwave_agent.ports import Runtime
from modelwave_shared.tensors import PROVIDERS

PROOF_SECONDS = 60
ENGINE_SECONDS = 1800  # for TensorRT to build its engine, which takes minutes on a Jetson
TENSORRT = PROVIDERS[0]
PROVE = (sys.executable, "-P", "-m", "modelwave_agent.host.prove")

# Signals of a person or the system; a process that they end says nothing about the model.
NOT_ITS_FAULT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class DeviceRuntimes(Runtime):
    """All runtimes of a host. The report names the first; a model runs on that of its format."""

    def __init__(
        self,
        settings: RuntimeSettings = RuntimeSettings(),
        ram_bytes: int = 0,
        proof_seconds: float = PROOF_SECONDS,
        kernels: Sequence[str] = (),
        engine_seconds: float = ENGINE_SECONDS,
        flash_bytes: int = 0,
    ) -> None:
        """`ram_bytes` is the limit for a model; 0 means the free memory. `kernels` are the
        operators of a board that this host simulates; () means all. `engine_seconds`: more time
        for a proof that may build an engine of TensorRT. `flash_bytes` is the limit of a bank with
        its engine; 0 means none. Raises ProofError if no runtime is installed, or the accelerator
        is not there."""
        self.settings = settings
        self.installed = registry.installed(settings)
        first = self.installed[0]
        self.format, self.name, self.version = first.format, first.name, first.version
        self._accelerator = Accelerator(settings.accelerator)
        self.kernels = list(kernels) or None
        self.ram_bytes = ram_bytes
        self.proof_seconds = proof_seconds
        self.engine_seconds = engine_seconds
        self.flash_bytes = flash_bytes

    @property
    def accelerator(self) -> str:  # type: ignore[override]  # read each time: the mode may change
        return self._accelerator.described()

    def free_ram(self) -> int:
        free = available_bytes()
        return min(free, self.ram_bytes) if self.ram_bytes else free

    async def prove(
        self, model_path: str, golden_path: str, manifest: Any, breathe: object = None
    ) -> str:
        """Runs the golden set. Returns "" or the reason. Raises OSError or MemoryError if the
        device could not run it."""
        seconds = self.proof_seconds + self.engine_seconds * self._builds_engine(manifest)
        options = {
            "--model": model_path,
            "--golden": golden_path,
            "--tolerance": json.dumps(manifest["tolerance"]),
            "--seconds": str(seconds),
            **runtime_words(manifest["format"], manifest.get("loading", {}), self.settings),
        }
        arguments = [text for pair in options.items() for text in pair]
        try:
            async with asyncio.timeout(seconds):
                ended = await process.run((*PROVE, *arguments))
        except TimeoutError:
            return f"proof: no result within {seconds:g} seconds"
        return _verdict(ended) or self._too_large(model_path, manifest)

    def _builds_engine(self, manifest: Any) -> bool:
        """Whether TensorRT may compute a model with this manifest here."""
        return TENSORRT in manifest.get("loading", {}).get("providers", ()) and any(
            name.endswith("+" + TENSORRT) for one in self.installed for name in one.offers
        )

    def _too_large(self, model_path: str, manifest: Any) -> str:
        """Returns why the bank is too large with the engine that the proof has built, or ""."""
        folder = engines.folder_of(model_path)
        built = engines.held_bytes(folder) if folder and self._builds_engine(manifest) else 0
        whole = built + sum(file["size"] for file in manifest["files"]) if built else 0
        if not self.flash_bytes or whole <= self.flash_bytes:
            return ""
        return (
            f"flash: {whole - self.flash_bytes} bytes missing: the release takes {whole} with the "
            f"engine of {built} that TensorRT built of it, limits.flash_bytes is {self.flash_bytes}"
        )


def _verdict(ended: process.Ended) -> str:
    if ended.code == -signal.SIGKILL:
        raise MemoryError("the proof was killed; the kernel does this when memory runs out")
    if -ended.code in NOT_ITS_FAULT:
        raise OSError(f"the proof was ended from outside ({signal.Signals(-ended.code).name})")
    if ended.code < 0:
        return f"proof: the model crashed its runtime ({signal.Signals(-ended.code).name})"
    if ended.code > 0:
        raise OSError(ended.last_line() or f"exit code {ended.code}")
    # A runtime, or the system's Python, may print lines of its own before it and at its end.
    for line in reversed(ended.out.splitlines()):
        with contextlib.suppress(ValueError, RecursionError):
            judgement = json.loads(line)
            if isinstance(judgement, dict) and "healthy" in judgement:
                return "" if judgement["healthy"] else str(judgement["reason"])
    raise OSError(f"the proof gave no result, but {ended.out[-40:]!r}")
