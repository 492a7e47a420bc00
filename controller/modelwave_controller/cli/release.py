"""`modelwave release`: signs releases, adds them to a home, and shows them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from modelwave_controller import disk
from modelwave_controller.cli.options import (
    JsonOption,
    PassphraseFileOption,
    asker,
    home_of,
    path,
    reason_of,
)
from modelwave_controller.errors import OperatorError
from modelwave_controller.home import Home
from modelwave_controller.models.needs import Asked
from modelwave_controller.models.targets import Targets
from modelwave_controller.releases import bundles, figures, manifests
from modelwave_controller.releases.catalog import Releases, StoredRelease
from modelwave_controller.releases.golden_sets import Proof
from modelwave_controller.releases.manifests import Wanted
from modelwave_controller.terminal import facts, print_json, safe, say, show, table
from modelwave_controller.trust import keys, roots
from modelwave_shared import digests
from modelwave_shared.words import MANIFEST

app = typer.Typer(no_args_is_help=True, help="Sign releases, add them to a home, show them.")

ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", show_default=False, help="Name of the model.")
]


@app.command()
def create(
    ctx: typer.Context,
    model: ModelArgument,
    version: Annotated[
        str, typer.Argument(metavar="VERSION", show_default=False, help="Such as v2 or 2.0.")
    ],
    target: Annotated[str, typer.Option(show_default=False, help="See `modelwave target list`.")],
    file: Annotated[
        Path, typer.Option(show_default=False, help="The model, a .tflite file.", parser=path)
    ],
    golden: Annotated[Path, typer.Option(show_default=False, help="Its golden set.", parser=path)],
    dataset: Annotated[str, typer.Option(show_default=False, help="What it was trained on.")],
    quantisation: Annotated[
        str, typer.Option(show_default=False, help="How it is quantised, or none.")
    ],
    labels: Annotated[Path | None, typer.Option(help="Names of the classes.", parser=path)] = None,
    ram: Annotated[
        int | None, typer.Option(help="Arena in bytes; else what the model needs on the target.")
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
    metric: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=INTEGER", help="Metric on held-out data; repeat it."),
    ] = None,
    kernel: Annotated[
        list[str] | None, typer.Option(help="Operator that it needs; repeat it; else the model's.")
    ] = None,
    runtime: Annotated[
        str | None, typer.Option(help="Such as tflite>=2.14; else the target's, as the model asks.")
    ] = None,
    accelerator: Annotated[
        str | None, typer.Option(help="Such as edgetpu or jetson/15W; else the model's.")
    ] = None,
    release: Annotated[
        int | None, typer.Option(help="Its number; else that of the same version, or the next.")
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(help="Release key; else offline/release.key of the home.", parser=path),
    ] = None,
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

    Run it where the release key is. With --out the release goes into a bundle, for
    `modelwave release add` on the service's machine; without, it is added to this home. Sign
    all releases in one home: each home numbers only the releases that it signed or added.
    """
    home = home_of(ctx)
    releases = Releases(home)
    hardware = Targets(home.targets).get(target)
    wanted = Wanted(
        fleet=home.root.fleet,
        model=model,
        release=releases.number_for(model, version, target, leaving=out is not None)
        if release is None
        else release,
        version=version,
        target=hardware,
        sources={"model": file, "golden": golden} | ({"labels": labels} if labels else {}),
        tolerance=figures.tolerance(least_correct, steps or []),
        asked=Asked(ram, None if kernel is None else tuple(kernel), runtime, accelerator),
        dataset=dataset,
        metrics=figures.pairs(metric or [], "--metric"),
        quantisation=quantisation,
    )
    forced = "" if force is None else reason_of(force, "--force")
    if not yes and not sys.stdin.isatty():
        raise OperatorError("--yes: there is no terminal to ask on; give --yes to sign anyway")
    key = key or home.offline / "release.key"
    signer = keys.load_key(key, asker(passphrase_file, str(key)))
    roots.require_signer(home.root_document, MANIFEST, signer)
    with bundles.staged(out) if out else _scratch(home) as folder:
        taken = manifests.take_files(wanted, folder)
        needs = manifests.find_needs(wanted, taken, folder, forced)
        draft = manifests.draft(wanted, taken, needs, forced)
        manifest, proof = manifests.settle(draft, folder)
        payload = keys.canonical(manifest)
        _show_what_is_signed(manifest, payload, proof, signer.keyid, stderr=as_json)
        say(safe(needs.how), stderr=as_json)
        if not yes:
            typer.confirm("Sign it?", abort=True, err=True)
        disk.create_file(folder / bundles.MANIFEST_FILE, keys.sign(MANIFEST, payload, [signer]))
        if out is None:
            releases.add(folder)
        else:
            releases.note(folder)
    if as_json:
        print_json({**_json(manifest, digests.hexdigest(payload)), "bundle": out and str(out)})
    else:
        where = (
            f"in bundle {out}; add it to the service's home: modelwave release add"
            if out
            else f"in {home.path}"
        )
        say(f"[green]signed[/]: release {manifest['release']} of {safe(model)}, {safe(where)}")


@contextmanager
def _scratch(home: Home) -> Iterator[Path]:
    """Yields a temporary folder for a bundle that is added to this home at once."""
    with disk.work_folder(home.path, "sign") as folder:
        yield folder


def _show_what_is_signed(
    manifest: dict[str, Any], payload: bytes, proof: Proof, keyid: str, stderr: bool
) -> None:
    say(f"Key {keyid} signs this document, sha256 {digests.hexdigest(payload)}:", stderr)
    print_json(manifest, stderr)
    if proof.healthy:
        say(f"[green]golden set passed[/] on {safe(proof.runtime)}", stderr)
    else:
        say(f"{_forced(manifest['forced'])}\n{safe(proof.reason)}", stderr)


def _forced(reason: str) -> str:
    return f"[bold white on red] FORCED [/] [bold red]{safe(reason)}[/]"


@app.command()
def add(
    ctx: typer.Context,
    bundle: Annotated[
        list[Path],
        typer.Argument(metavar="BUNDLE", show_default=False, help="Bundle folders.", parser=path),
    ],
    as_json: JsonOption = False,
) -> None:
    """Verify the signatures and hashes of bundles, and add their releases to the home."""
    releases = Releases(home_of(ctx))
    added = [releases.add(folder) for folder in bundle]
    if as_json:
        print_json(
            [
                {**_json(release.document, release.digest), "new": is_new}
                for release, is_new in added
            ]
        )
        return
    for release, is_new in added:
        manifest = release.manifest
        say(
            f"{'added' if is_new else 'already in this home, unchanged:'} release "
            f"{manifest.release} ({safe(manifest.version)}) of {manifest.model} "
            f"for {manifest.target}"
        )
        if manifest.forced:
            say(_forced(manifest.forced))


@app.command("list")
def list_releases(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """List all releases of this home."""
    known = Releases(home_of(ctx)).all()
    if as_json:
        print_json([_json(release.document, release.digest) for release in known])
        return
    if not known:
        say("no releases yet; make one with `modelwave release create`")
        return
    columns = ("model", "release", "version", "target", "bytes", "sha256", "forced")
    show(table(columns, [_row(release) for release in known]))


def _row(release: StoredRelease) -> tuple[object, ...]:
    manifest = release.manifest
    return (
        manifest.model,
        manifest.release,
        manifest.version,
        manifest.target,
        manifest.needs.flash,
        release.digest[:12],
        manifest.forced and f"FORCED: {manifest.forced}",
    )


@app.command("show")
def show_release(
    ctx: typer.Context,
    model: ModelArgument,
    release: Annotated[
        str, typer.Argument(metavar="RELEASE", show_default=False, help="Number or version.")
    ],
    target: Annotated[str | None, typer.Option(help="Only that for this target.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a release is, what it needs, and whether it was forced."""
    found = Releases(home_of(ctx)).find(model, release)
    if target is not None:
        if target not in found:
            raise OperatorError(f"--target: {model} {release} is for {', '.join(found)}")
        found = {target: found[target]}
    if as_json:
        print_json([_json(stored.document, stored.digest) for stored in found.values()])
        return
    for stored in found.values():
        if stored.manifest.forced:
            say(_forced(stored.manifest.forced))
        show(facts(_facts(stored)))


def _facts(stored: StoredRelease) -> list[tuple[str, object]]:
    manifest, needs, lineage = stored.manifest, stored.manifest.needs, stored.manifest.lineage
    tolerance = manifest.tolerance
    return [
        ("model", manifest.model),
        ("release", f"{manifest.release} ({manifest.version})"),
        ("target", manifest.target),
        ("sha256", stored.digest),
        *((file.role, f"{file.sha256}, {file.size:,} bytes") for file in manifest.files),
        ("needs flash", f"{needs.flash:,} bytes"),
        ("needs ram", f"{needs.ram:,} bytes in one piece"),
        ("needs runtime", " ".join((needs.runtime, needs.accelerator)).strip()),
        ("needs kernels", ", ".join(needs.kernels) or "not named"),
        ("tolerance", _pairs(tolerance.get("steps", tolerance))),
        ("dataset", lineage.dataset),
        ("held-out", _pairs(lineage.metrics)),
        ("quantisation", lineage.quantisation),
    ]


def _pairs(figures_by_name: dict[str, Any]) -> str:
    return ", ".join(f"{name} {figure}" for name, figure in figures_by_name.items()) or "none"


def _json(manifest: dict[str, Any], digest: str) -> dict[str, Any]:
    return {"sha256": digest, "manifest": manifest}
