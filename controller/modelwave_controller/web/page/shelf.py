"""What a release's page shows of the release for one target: lineage, needs and files. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from modelwave_controller.drawing import bars
from modelwave_controller.drawing.markup import Markup
from modelwave_controller.judge import proportions
from modelwave_controller.releases import heldout, latency_limit, model_signature, reliability
from modelwave_controller.results.models import Room, Standing
from modelwave_controller.results.releases import Release
from modelwave_controller.trust.documents import Manifest, view
from modelwave_shared.words import TFLITE

Facts = list[tuple[str, str]]


class Need(NamedTuple):
    """Bytes that it needs beside those that the target has; `drawn`: their share."""

    name: str
    room: Room
    drawn: Markup


class Metric(NamedTuple):
    """A share of right answers, with its interval of 95 %."""

    name: str
    value: float
    n: int
    least: float
    most: float


class Target(NamedTuple):
    """`is_board`: its arena may be drawn."""

    name: str
    standing: Standing
    manifest: Manifest
    trouble: str
    needs: list[Need]
    metrics: list[Metric]
    lineage: Facts
    files: Facts
    is_board: bool


def target(standing: Standing, release: Release) -> Target:
    document = release.manifest
    manifest = view(Manifest, document)
    rooms = (("flash", standing.flash), ("RAM", standing.ram))
    metrics = manifest.lineage.metrics
    return Target(
        manifest.target,
        standing,
        manifest,
        release.trouble,
        [Need(name, room, _drawn(room)) for name, room in rooms],
        [_metric(name, share) for name, share in heldout.shares(metrics).items()],
        list(_lineage(document, manifest, standing)),
        [(file.role, f"{file.sha256}, {file.size:,} bytes") for file in manifest.files],
        standing.ram.has is not None and document["format"] == TFLITE,
    )


def _drawn(room: Room) -> Markup:
    if room.has is None:
        return Markup("")
    word = "bytes needed" if room.needs <= room.has else "bytes, more than there are"
    return bars.svg([(word, min(room.needs, room.has))], room.has)


def _metric(name: str, share: heldout.Share) -> Metric:
    interval = proportions.wilson(share.value, share.n)
    return Metric(name, share.value, share.n, interval.least, interval.most)


def _lineage(
    document: Mapping[str, Any], manifest: Manifest, standing: Standing
) -> Iterator[tuple[str, str]]:
    lineage = manifest.lineage
    yield "trained on", lineage.dataset or "not said"
    yield "quantisation", lineage.quantisation or "not said"
    for name, value in heldout.others(lineage.metrics).items():
        yield name, f"{value:,}"
    if table := reliability.of_manifest(document):
        examples, right = (sum(column) for column in zip(*table, strict=True))
        yield "reliability", f"{right:,} of {examples:,} right, in {len(table)} bins of confidence"
    if limit := latency_limit.of_manifest(document):
        yield "latency limit", latency_limit.shown(limit)
    yield "golden set", standing.golden
    yield "runtime", " ".join((manifest.needs.runtime, manifest.needs.accelerator)).strip()
    yield "operators", ", ".join(manifest.needs.kernels) or "not named"
    said = document.get("extra", {}).get("ram_from")
    if isinstance(said, str):
        yield "RAM from", said
    yield "signed by", ", ".join(standing.signers) or "no key of the newest root"
    if signature := model_signature.of_manifest(document):
        yield "model signed by", signature.signer
