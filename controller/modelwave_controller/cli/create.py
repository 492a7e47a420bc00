"""`modelwave release create`: makes, shows and signs a manifest."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelwave_controller.cli.key_options import ReleaseKeyOption
from modelwave_controller.cli.options import (
    JsonOption,
    ModelArgument,
    PassphraseFileOption,
    home_of,
    path,
    reason_or_none,
)
from modelwave_controller.cli.release_view import json_entry
from modelwave_controller.cli.signed_release import ToSign, deltas_of, place, require_answer
from modelwave_controller.errors import OperatorError
from modelwave_controller.models import opening
from modelwave_controller.models.needs import Asked
from modelwave_controller.models.targets import Targets
from modelwave_controller.releases import (
    confinement,
    figures,
    firmware,
    heldout,
    label_files,
    manifests,
    model_verifying,
)
from modelwave_controller.releases.catalog import Releases
from modelwave_controller.releases.latency_limit import microseconds
from modelwave_controller.releases.manifests import Wanted
from modelwave_controller.releases.reliability import read_table
from modelwave_controller.terminal import print_json, safe, say
from modelwave_controller.trust.field_types import require
from modelwave_shared.manifests import loading as loading_rule
from modelwave_shared.words import ONNX

if TYPE_CHECKING:
    from modelwave_controller.operations.running import Beside


def create(
    ctx: typer.Context,
    model: ModelArgument,
    version: Annotated[
        str, typer.Argument(metavar="VERSION", show_default=False, help="Such as v2 or 2.0.")
    ],
    target: Annotated[str, typer.Option(show_default=False, help="See `modelwave target list`.")],
    file: Annotated[
        Path,
        typer.Option(
            show_default=False,
            help="The model: a .tflite, for hosts also a .onnx; with --format an MCUboot image.",
            parser=path,
        ),
    ],
    golden: Annotated[Path, typer.Option(show_default=False, help="Its golden set.", parser=path)],
    dataset: Annotated[str, typer.Option(show_default=False, help="What it was trained on.")],
    quantisation: Annotated[
        str, typer.Option(show_default=False, help="How it is quantised, or none.")
    ],
    labels: Annotated[
        Path | None,
        typer.Option(help="Names of the classes, one a line, in UTF-8.", parser=path),
    ] = None,
    labels_from_model: Annotated[
        bool,
        typer.Option("--labels-from-model", help="Take them from the model's own metadata."),
    ] = False,
    ram: Annotated[
        int | None,
        typer.Option(
            help="RAM in bytes (a board: the arena); else what the model needs on the target."
        ),
    ] = None,
    least_correct: Annotated[
        str | None, typer.Option(metavar="SHARE", help="For a golden set of labels, such as 0.9.")
    ] = None,
    steps: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RUNTIME=N",
            help="For a golden set of outputs: tolerance in steps, such as any=8; repeat it.",
        ),
    ] = None,
    tolerance: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="For an .npz: JSON, in place of what the set itself proposes.",
            parser=path,
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=SHARE",
            help="Share of right answers on held-out data, with --n, or NAME=RIGHT/N; "
            "or NAME=INTEGER, which is only shown; repeat it.",
        ),
    ] = None,
    n: Annotated[
        int | None,
        typer.Option("--n", help="How many held-out examples each --metric NAME=SHARE is of."),
    ] = None,
    reliability: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="How often it is right at each confidence: CSV or JSON with bin, n, correct.",
            parser=path,
        ),
    ] = None,
    latency_limit: Annotated[
        float | None,
        typer.Option(
            metavar="MS", help="Devices count inferences that take longer; gates may limit them."
        ),
    ] = None,
    model_signature_file: Annotated[
        Path | None,
        typer.Option(
            "--model-signature",
            metavar="FILE",
            help="The model's OpenSSF signature, by who made it; it goes with the release.",
            parser=path,
        ),
    ] = None,
    model_signer: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Who has to have signed it: a public key, or authorities' certificates (PEM).",
            parser=path,
        ),
    ] = None,
    kernel: Annotated[
        list[str] | None, typer.Option(help="Operator that it needs; repeat it; else the model's.")
    ] = None,
    runtime: Annotated[
        str | None, typer.Option(help="Such as tflite>=2.14; else the target's, as the model asks.")
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help="mcuboot-image or model-partition; or of the model, for a runtime of your own.",
        ),
    ] = None,
    holds: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="For an MCUboot image: the .tflite in it, or NAME_model.json of `model export`.",
            parser=path,
        ),
    ] = None,
    provider: Annotated[
        list[str] | None,
        typer.Option(
            help="Where ONNX Runtime may compute: tensorrt, cuda, cpu; the preferred one first, "
            "repeat it; else the CPU."
        ),
    ] = None,
    accelerator: Annotated[
        str | None, typer.Option(help="Such as edgetpu or jetson/15W; else the model's.")
    ] = None,
    python: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PROGRAM",
            help="Python of another environment with a runtime, on which the RAM is measured, too; "
            "repeat it.",
        ),
    ] = None,
    release: Annotated[
        int | None, typer.Option(help="Its number; else that of the same version, or the next.")
    ] = None,
    key: ReleaseKeyOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Make a bundle in this new folder; else add it to this home.", parser=path
        ),
    ] = None,
    force: Annotated[
        str | None,
        typer.Option(
            metavar="REASON", help="Release it although it fails; the reason is signed and shown."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Sign without asking.")] = False,
    passphrase_file: PassphraseFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a model's golden set on this host, show the manifest to be signed, and sign it.

    Its held-out metrics are compared with those of the release that runs on the target; a worse
    one is refused.

    Run it where the release key is. With --out the release goes into a bundle, for
    `modelwave release add` on the service's machine; without, it is added to this home. Sign
    all releases in one home: each home numbers only the releases that it signed or added.
    """
    home = home_of(ctx)
    releases = Releases(home)
    hardware = Targets(home.targets).get(target)
    model_format = opening.format_of(file, "--file", format_)
    wanted = Wanted(
        fleet=home.root.fleet,
        model=model,
        release=releases.number_for(model, version, target, leaving=out is not None)
        if release is None
        else release,
        version=version,
        target=hardware,
        sources={"model": file, "golden": golden},
        tolerance=figures.tolerance(least_correct, steps or [], tolerance),
        asked=Asked(ram, None if kernel is None else tuple(kernel), runtime, accelerator),
        dataset=dataset,
        metrics=figures.metrics(metric or [], n),
        quantisation=quantisation,
        reliability=read_table(reliability) if reliability else None,
        latency_limit_us=0 if latency_limit is None else microseconds(latency_limit),
        format=model_format,
        loading=_providers(provider or [], model_format),
        pythons=tuple(python or ()),
    )
    reason = reason_or_none(force, "--force")
    require_answer(yes)
    confinement.guard()
    with place(home, out) as folder:
        taken = manifests.take_files(wanted, folder)
        signature = model_verifying.take(model_signature_file, model_signer, file, taken, folder)
        wanted, remark = manifests.as_described(wanted, taken, folder)
        with firmware.opened(model_format, hardware, holds, file, taken, folder) as inside:
            wanted = replace(wanted, model_signature=signature, firmware=inside)
            proven = inside.files(taken) if inside else taken
            named = label_files.take(labels, labels_from_model, proven, folder)
            needs = manifests.find_needs(wanted, proven, folder, reason)
            if named:
                taken.append(named.file)
            draft = manifests.draft(wanted, taken, needs, reason)
            beside = _beside(releases, wanted)
            manifest, proof = manifests.settle(
                draft, folder, beside.worse if beside else "", inside
            )
        # Only now, when the model has run.
        to_sign = ToSign.of(home, manifest, key, passphrase_file)
        to_sign.show(proof, stderr=as_json)
        for line in beside.lines() if beside else []:
            say(safe(line), stderr=as_json)
        for line in named.said if named else ():
            say(safe(line), stderr=as_json)
        if signature:
            say(f"[green]model signature verified[/]: by {safe(signature.signer)}", stderr=as_json)
        for line in inside.lines() if inside else ():
            say(safe(line), stderr=as_json)
        for line in filter(None, (needs.how, remark, confinement.words())):
            say(safe(line), stderr=as_json)
        added = to_sign.sign(folder, releases, yes, leaves=out is not None)
        for line in deltas_of(releases, added) if added else ():
            say(safe(line), stderr=as_json)
    if as_json:
        more = {"bundle": out and str(out), "compared": beside and beside.json()}
        print_json({**json_entry(manifest, to_sign.digest), **more})
    else:
        to_sign.tell(home, out)


def _providers(named: list[str], model_format: str) -> dict[str, Any]:
    if named and model_format != ONNX:
        raise OperatorError(f"--provider: of ONNX Runtime, and the model is {model_format}")
    loading = {"providers": named} if named else {}
    require(loading_rule, loading, "--provider")
    return loading


def _beside(releases: Releases, wanted: Wanted) -> "Beside | None":
    """Returns the comparison with the release that runs; None for a release without metrics."""
    if not heldout.shares(wanted.metrics):
        return None
    # Its import brings SQLAlchemy's, which takes half of a command's start time.
    from modelwave_controller.operations import running

    return running.beside(releases, wanted.model, wanted.target.name, wanted.metrics)
