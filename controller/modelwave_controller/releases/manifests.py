"""Makes the manifest of a release from its files and the operator's options, in four steps:

    take_files   copies the files under their hashes and checks their headers
    find_needs   finds out what the model needs of a device
    draft        makes the manifest and compares its needs with the target's limits
    settle       runs the golden set, and refuses a model that fails it, or is worse than the one
                 that runs, unless forced

All checks use the copies, which are also hashed and shipped, so a file cannot be exchanged in
between.
"""

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from modelwave_controller import disk
from modelwave_controller.errors import OperatorError, TrustError
from modelwave_controller.judge.estimated import Bin
from modelwave_controller.models import needs, onnx_needs
from modelwave_controller.models.host import Measured
from modelwave_controller.models.needs import Asked, ModelNeeds
from modelwave_controller.models.opening import require_no_folder, require_tflite
from modelwave_controller.models.targets import Target
from modelwave_controller.releases import (
    golden_archives,
    golden_sets,
    latency_limit,
    measuring,
    reliability,
    version_name,
)
from modelwave_controller.releases.firmware import Firmware
from modelwave_controller.releases.golden_sets import Proof
from modelwave_controller.releases.model_signature import ModelSignature
from modelwave_controller.trust.documents import of_our_format
from modelwave_shared import documents, golden
from modelwave_shared.errors import DocumentError
from modelwave_shared.limits import MAX_BYTES
from modelwave_shared.manifests import format_version
from modelwave_shared.tensors import XNNPACK
from modelwave_shared.words import MANIFEST, ONNX, TENSORS, TFLITE

JETSON = "jetson"
# A FlatBuffer starts with the offset of its root table, and four bytes that name its kind.
_ROOT = struct.Struct("<I")
_FLATBUFFER_HEAD_BYTES = 8


@dataclass(frozen=True)
class Wanted:
    """The operator's options for a new release, with the names of the manifest's fields."""

    fleet: str
    model: str
    release: int
    version: str
    target: Target
    sources: Mapping[str, Path]  # by role: model, golden
    tolerance: dict[str, Any] | None  # None: the golden set says it
    asked: Asked
    dataset: str
    metrics: dict[str, int]
    quantisation: str
    reliability: Sequence[Bin] | None = None
    latency_limit_us: int = 0  # 0: none
    loading: dict[str, Any] = field(default_factory=dict)  # {}: nothing to say
    format: str = TFLITE
    pythons: Sequence[str] = ()  # other interpreters on whose runtimes the RAM is measured, too
    model_signature: ModelSignature | None = None
    firmware: Firmware | None = None  # the image that the model is in


def take_files(wanted: Wanted, folder: Path) -> list[dict[str, Any]]:
    """Copies the sources into `folder`, each under its sha256, and returns the manifest's list of
    files. Raises OperatorError, which names the option, for a file of another format."""
    taken = []
    for role, source in wanted.sources.items():
        what = "--file" if role == "model" else f"--{role}"
        require_no_folder(source, what)
        sha256, size = disk.copy_hashed(source, folder, what, MAX_BYTES)
        taken.append({"role": role, "sha256": sha256, "size": size})
        if role == "model" and wanted.format == TFLITE:
            _check_tflite(folder / sha256, source)
        elif role == "golden" and not golden_archives.is_archive(folder / sha256):
            with open(folder / sha256, "rb") as file:
                head = file.read(golden.HEADER_BYTES)
            golden_archives.check_binary(head, size, source, wanted.tolerance)
    return taken


def as_described(wanted: Wanted, files: list[dict[str, Any]], folder: Path) -> tuple[Wanted, str]:
    """Returns `wanted` with what the copied golden set says of itself, an .npz, unless the operator
    gave a tolerance; and a remark for people, or "". Raises OperatorError."""
    sha256 = next(file["sha256"] for file in files if file["role"] == "golden")
    source = wanted.sources["golden"]
    if not golden_archives.is_archive(folder / sha256):
        return wanted, ""
    said = golden_archives.described(folder / sha256, source, wanted.target)
    tolerance = wanted.tolerance or said.tolerance
    if not tolerance:
        raise OperatorError(
            f"--golden: {source} does not say its tolerance: give it with --tolerance FILE, or "
            "make the set with `modelwave golden make`, which measures one (docs/golden.md)"
        )
    if tolerance["kind"] != TENSORS:
        raise OperatorError(
            f"--golden: {source} is an .npz, whose tolerance says each output's: leave --steps and "
            "--least-correct out, or give it with --tolerance FILE (docs/golden.md)"
        )
    remark = ""
    if said.is_random:
        remark = (
            "the golden set's inputs are random numbers: it notices a broken file or runtime, but "
            "not a model that is wrong on real inputs"
        )
    loading = {**said.loading, **wanted.loading}  # what was asked for comes before
    return replace(wanted, tolerance=tolerance, loading=loading), remark


def _check_tflite(copied: Path, source: Path) -> None:
    require_tflite(copied, source, "--file")
    with open(copied, "rb") as file:
        head = file.read(_ROOT.size)
    if not _FLATBUFFER_HEAD_BYTES <= _ROOT.unpack(head)[0] <= copied.stat().st_size - 4:
        raise OperatorError(f"--file: {source} is truncated or damaged: its root table is outside")


def find_needs(
    wanted: Wanted, files: list[dict[str, Any]], folder: Path, forced: str
) -> ModelNeeds:
    """Returns the needs of the copied model, which is run on this host to measure its RAM if the
    target is one. Raises OperatorError, which names the option."""
    places = {file["role"]: folder / file["sha256"] for file in files}
    path = places["model"]
    is_host = wanted.target.kind == "host"
    if path.stat().st_size > needs.MAX_ANALYSED_BYTES and wanted.asked.ram is None and not is_host:
        raise OperatorError(
            "--ram: not given, and the model is too large to be analysed; give it in bytes"
        )
    with open(path, "rb") as file:
        data = file.read(needs.MAX_ANALYSED_BYTES)
    loading = wanted.loading

    def measure(only: str) -> Measured | None:
        try:
            return measuring.measure(
                path, wanted.format, loading, wanted.pythons, only, places.get("golden")
            )
        except OperatorError:
            if forced:
                return None
            raise

    if wanted.firmware:
        found = needs.fill(data, wanted.target, wanted.asked, bool(forced))
        return wanted.firmware.needs(found)
    if wanted.format == ONNX:
        return onnx_needs.fill(data, wanted.target, wanted.asked, measure)
    if wanted.format != TFLITE:
        return needs.of_own_format(wanted.format, wanted.target, wanted.asked, measure)
    xnnpack = XNNPACK in loading.get("delegates", ())
    return needs.fill(data, wanted.target, wanted.asked, bool(forced), measure, xnnpack)


def draft(
    wanted: Wanted, files: list[dict[str, Any]], found: ModelNeeds, forced: str, flash: int = 0
) -> dict[str, Any]:
    """Returns the manifest. `flash`: what the release takes if it is more than its files. Raises
    OperatorError for a field outside its range, or for needs above the target's limits."""
    version_name.require(wanted.version)
    document: dict[str, Any] = {
        "fleet": wanted.fleet,
        "model": wanted.model,
        "release": wanted.release,
        "version": wanted.version,
        "target": wanted.target.name,
        "format": wanted.format,
        "files": files,
        "needs": {
            "flash": wanted.firmware.size
            if wanted.firmware
            else max(flash, sum(file["size"] for file in files)),
            "ram": found.ram,
            "kernels": list(found.kernels),
            "runtime": found.runtime,
            "accelerator": found.accelerator,
        },
        "tolerance": wanted.tolerance,
        "lineage": {
            "dataset": wanted.dataset,
            "metrics": wanted.metrics,
            "quantisation": wanted.quantisation,
        },
        "forced": forced,
        "deltas": [],
    }
    if wanted.loading:
        document["loading"] = wanted.loading
    manifest = of_our_format(MANIFEST, document, format_version(document))
    extra: dict[str, Any] = reliability.recorded(wanted.reliability) if wanted.reliability else {}
    if wanted.latency_limit_us:
        extra |= latency_limit.recorded(wanted.latency_limit_us)
    if found.ram_from:
        extra["ram_from"] = found.ram_from
    if wanted.model_signature:
        extra |= wanted.model_signature.recorded()
    if wanted.firmware:
        extra |= wanted.firmware.recorded()
    if extra:
        manifest["extra"] = extra
    try:
        documents.check(MANIFEST, manifest)
    except DocumentError as error:
        raise OperatorError(str(error)) from error
    _check_limits(manifest["needs"], wanted.target)
    return manifest


def _check_limits(needed: dict[str, Any], target: Target) -> None:
    for name, limit in (("flash", target.flash_bytes), ("ram", target.ram_bytes)):
        if limit is not None and needed[name] > limit:
            raise OperatorError(
                f"needs.{name}: {needed[name]} bytes, but {target.name} has {limit}; for devices "
                "with more add a target of your own (modelwave target add)"
            )


def settle(
    manifest: dict[str, Any], folder: Path, worse: str = "", firmware: Firmware | None = None
) -> tuple[dict[str, Any], Proof]:
    """Runs the golden set on the files in `folder`, for a firmware on the model in it. Returns the
    manifest to sign and the result.
    Raises TrustError if it failed or cannot fail, or for `worse`, which says in what the model is
    worse than the one that runs ("": in nothing), unless the manifest has a reason in `forced`; a
    reason that was not needed is removed."""
    files = firmware.files(manifest["files"]) if firmware else manifest["files"]
    by_role = {file["role"]: folder / file["sha256"] for file in files}
    proved = golden_sets.prove(
        by_role["model"],
        by_role["golden"],
        manifest | {"format": TFLITE} if firmware else manifest,
        _accelerator_to_prove_on(manifest["needs"]["accelerator"]),
    )
    problems = [problem for problem in (proved.reason, proved.weak, worse) if problem]
    if not problems:
        return manifest | {"forced": ""}, proved
    if not manifest["forced"]:
        raise TrustError(
            f"not released: {'; '.join(problems)}; --force REASON releases it anyway, "
            "and the reason is signed and shown"
        )
    return manifest, proved


def _accelerator_to_prove_on(needed: str) -> str:
    """Returns the accelerator to run the golden set on, such as "edgetpu" for "edgetpu>=13"; "" for
    a Jetson's model, whose golden set devices run on the CPU."""
    name = re.split(r"[>/]", needed)[0]
    return "" if name == JETSON else name
