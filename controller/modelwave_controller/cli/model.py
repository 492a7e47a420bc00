"""`modelwave model`: shows what a model file needs, before it is released."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from modelwave_controller import disk, phrases
from modelwave_controller.api import targets as calls
from modelwave_controller.cli.doors import ask, files_door
from modelwave_controller.cli.options import JsonOption, path
from modelwave_controller.errors import OperatorError
from modelwave_controller.fit import PROFILES, Fit
from modelwave_controller.fit.profiles import profile as profile_named
from modelwave_controller.models import export as c_export
from modelwave_controller.models import layers, plot
from modelwave_controller.models.advice import advice
from modelwave_controller.models.estimate import ARENA_RANGE, FILE_RANGE, estimate
from modelwave_controller.models.inspection import Inspection, ModelOnTarget
from modelwave_controller.models.labels import LabelFile
from modelwave_controller.models.needs import MAX_ANALYSED_BYTES
from modelwave_controller.models.opening import read_model_file, require_text
from modelwave_controller.models.rows import inspected, on_targets
from modelwave_controller.models.targets import Target
from modelwave_controller.terminal import print_json, safe, say, show, table

app = typer.Typer(no_args_is_help=True)

MAX_LAYERS_FILE_BYTES = 1 << 20
DEFAULT_PROFILE = "cortex-m4:cmsis-nn"
COLUMNS = (
    "target",
    "weights flash",
    "model flash",
    "code flash",
    "activation RAM",
    "runtime RAM",
    "total flash",
    "total RAM",
    "arena",
    "fits?",
)

FilesArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILES", show_default=False, help=".tflite files, or .onnx.", parser=path
    ),
]
TargetOption = Annotated[
    list[str] | None,
    typer.Option(help="See `modelwave target list`; may be repeated; default: all."),
]
ProfileOption = Annotated[
    list[str] | None, typer.Option(help=f"In place of a target: {', '.join(PROFILES)}.")
]


@app.command()
def inspect(
    ctx: typer.Context,
    file: FilesArgument,
    target: TargetOption = None,
    profile: ProfileOption = None,
    show_layers: Annotated[
        bool, typer.Option("--layers", help="Show the memory operator by operator.")
    ] = False,
    plot_file: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE.svg", help="Draw the arena over time.", parser=path),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the flash and RAM that models need, and whether they fit.

    Each target has a row: the weights, which are part of the model file; on boards TFLM's code
    with the model's operators, the planned part of the arena and the rest. The arena is exact, to
    the byte; where a part of it was never measured but follows from TFLM's source, a note says
    that it is derived. What nobody knows is unknown, not guessed (docs/fit.md).

    A file that cannot be inspected is answered with the reason, and the others are shown; the
    exit code is 2 then.
    """
    if target and profile:
        raise OperatorError("--profile: replaces a target; give one or the other")
    if plot_file and len(file) > 1:
        raise OperatorError("--plot: draws one model; give one FILE")
    targets = [] if profile else _targets(ctx, target)
    profiles = [profile_named(name).name for name in profile or []]
    layers_of = ""
    if show_layers or plot_file:
        layers_of = _one_profile(profiles, targets if target else [])
    if plot_file:
        _plot(_opened(file[0]), layers_of, plot_file)
    entries: list[Any] = []
    failed: list[Path] = []
    for one in file:
        try:
            inspection = _inspected(one)
            if as_json:
                entries += _json(inspection, profiles, targets)
            else:
                _show(inspection, profiles, targets, layers_of if show_layers else "")
        except (OperatorError, OSError) as error:
            if len(file) == 1:
                raise
            failed.append(one)
            entries.append({"file": str(one), "error": str(error)})
            if not as_json:
                say(f"[bold]{safe(one)}[/] [red]not inspected[/]: {safe(error)}")
    if as_json:
        print_json(entries)
    if failed:
        raise OperatorError(
            f"FILES: {len(failed)} of {len(file)} not inspected, see above: "
            f"{phrases.listed([str(one) for one in failed])}"
        )


def _show(
    inspection: Inspection, profiles: list[str], targets: list[Target], layers_of: str
) -> None:
    """Prints one file's tables; everything is analysed before, so an error leaves no half of one.
    `layers_of` is the profile whose layers are shown, "" for none."""
    fits = [inspection.fit(name) for name in profiles]
    rows = [] if profiles else inspection.rows(targets)
    layers = inspection.fit(layers_of) if layers_of else None
    said = [_told(file) for file in inspection.labels()]
    say(f"[bold]{safe(inspection.name)}[/], {len(inspection.data):,} bytes")
    for line in said:
        say(safe(line))
    if profiles:
        _show_profiles(fits)
    else:
        _show_targets(inspection, targets, rows)
    if layers:
        _show_layers(layers)


@app.command("export")
def export_model(
    ctx: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", show_default=False, help="A .tflite file.", parser=path),
    ],
    out: Annotated[
        Path, typer.Option(show_default=False, help="Folder for the files.", parser=path)
    ],
    c_array: Annotated[bool, typer.Option("--c-array", help="As C++: .h and .cc.")] = True,
    target: Annotated[
        str | None, typer.Option(help="Give the arena for this target; else for all profiles.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name in C; else the file's.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a model as a C array, with its arena size and the operators to register.

    NAME_model.h and NAME_model.cc hold the bytes, aligned, with length, sha256 and arena;
    NAME_resolver.h registers just this model's operators in a MicroMutableOpResolver.
    NAME_model.json records sha256 and size, for `release create --holds`.
    """
    inspection = _opened(file)
    profiles: Iterable[str] = PROFILES
    if target is not None:
        (hardware,) = _targets(ctx, [target])
        if hardware.profile is None:
            what = f"the arena on {hardware.name} is unknown"
            if hardware.kind == "host":
                what = f"{hardware.name} is a host, which has no arena"
            raise OperatorError(f"--target: {what}; name another board, or leave it out")
        profiles = [hardware.profile]
    written = c_export.write_c_array(inspection, name or file.stem, profiles, out)
    if as_json:
        print_json([str(path) for path in written])
        return
    for made in written:
        say(f"wrote {safe(made)}")


@app.command("estimate")
def estimate_model(
    ctx: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", show_default=False, help="A list of layers, as text.", parser=path
        ),
    ],
    target: TargetOption = None,
    kind: Annotated[
        str, typer.Option("--type", help="Type of the data: int8, int16 or float32.")
    ] = "int8",
    as_json: JsonOption = False,
) -> None:
    """Estimate the needs of a model that exists only as a list of layers.

    One layer a line: `input 28x28x1`, then `conv2d 8 3x3 stride=2 valid`, `depthwise 3x3`,
    `maxpool 2x2`, `avgpool 2x2`, `mean`, `flatten`, `dense 10`, `softmax`, `relu` and others
    (docs/fit.md). The first layer may give the input's shape: `conv2d 28x28x1 8 3x3`.
    """
    if kind.upper() not in layers.KINDS:
        raise OperatorError(f"--type: {kind[:20]!r}; use {', '.join(layers.KINDS).lower()}")
    require_text(file, "FILE")
    data = disk.read_input(file, "FILE", MAX_LAYERS_FILE_BYTES)
    model = layers.read_layers(data.decode(errors="replace"), str(file), kind.upper())
    boards = [one for one in _targets(ctx, target) if one.profile]
    if not boards:
        raise OperatorError("--target: none of them is a board whose kernels are known")
    found = [(board, estimate(model, board.profile or "")) for board in boards]
    if as_json:
        print_json(
            {
                "arena_error": ARENA_RANGE,
                "file_error": FILE_RANGE,
                "targets": [{"target": b.name, **dataclasses.asdict(e)} for b, e in found],
            }
        )
        return
    rows = [
        (
            board.name,
            _size(one.weights),
            _size(one.file),
            _size(one.activations),
            _size(one.arena_need),
            one.refused or one.unknown or _verdict(one.file, one.arena_need, board),
        )
        for board, one in found
    ]
    show(table(("target", "weights", "file", "activations", "arena", "fits?"), rows))
    for board, one in found:
        if one.derived:
            say(f"[bold]{safe(board.name)}[/]: {safe(one.derived)}")
    say(
        f"error, measured on models with known files: arena {_range(ARENA_RANGE)}, "
        f"file {_range(FILE_RANGE)} (docs/fit.md)"
    )


def _range(span: tuple[float, float]) -> str:
    return f"{span[0]:+.0%} to {span[1]:+.0%}"


def _verdict(file: int, arena: int | None, board: Target) -> str:
    """Compares an estimate with the limits, without its error; that is shown below the table."""
    flash, ram = board.free_flash_bytes, board.free_ram_bytes
    missing = [
        f"{name}: {needed - free:,} bytes missing"
        for name, needed, free in (("flash", file, flash), ("RAM", arena, ram))
        if needed is not None and free is not None and needed > free
    ]
    return "; ".join(missing) or "yes"


def _opened(path: Path) -> Inspection:
    return Inspection(str(path), read_model_file(path, "FILE", MAX_ANALYSED_BYTES))


def _inspected(path: Path) -> Inspection:
    return inspected(str(path), read_model_file(path, "FILE", MAX_ANALYSED_BYTES, also_onnx=True))


def _targets(ctx: typer.Context, names: Sequence[str] | None) -> list[Target]:
    with files_door(ctx) as there:
        if names:
            return [ask(there, calls.SHOW, target=name) for name in names]
        return ask(there, calls.LIST)


def _one_profile(profiles: list[str], targets: list[Target]) -> str:
    """Returns the profile for the options that show one only: the first that was named. Raises
    OperatorError if only targets without one were."""
    named = profiles or [target.profile for target in targets if target.profile]
    if targets and not named:
        raise OperatorError(
            f"--layers, --plot: {targets[0].name} has no arena that is known; give a board's "
            "--target, or a --profile"
        )
    return named[0] if named else DEFAULT_PROFILE


def _plot(inspection: Inspection, profile: str, file: Path) -> None:
    fit = inspection.fit(profile)
    if fit.need is None:
        raise OperatorError(f"--plot: no arena on {profile}: {fit.refused or fit.unknown}")
    try:
        drawn = plot.draw(fit, Path(inspection.name).stem)
    except ValueError as error:
        raise OperatorError(f"--plot: {error}") from error
    disk.replace(file, drawn.encode())


def _json(inspection: Inspection, profiles: list[str], targets: list[Target]) -> Iterable[Any]:
    if not profiles:
        yield from on_targets(inspection, targets)
    for profile in profiles:
        fit = inspection.fit(profile)
        yield {
            "file": inspection.name,
            "profile": profile,
            "arena_used_bytes": fit.used,
            "arena_need_bytes": fit.need,
            "refused": fit.refused or (f"unknown: {fit.unknown}" if fit.unknown else None),
            **({"derived": fit.derived} if fit.derived else {}),
        }


def _told(file: LabelFile) -> str:
    """Returns one line about a file of labels in a model."""
    if file.labels is None:
        return f"labels in it: {file.name} ({file.owner}) cannot be used: {file.problem}"
    notes = "".join(f"; {note}" for note in file.labels.notes)
    return (
        f"labels in it: {file.name} ({file.owner}), {file.labels.summary()}{notes}; "
        "`release create --labels-from-model` takes them"
    )


def _show_profiles(fits: list[Fit]) -> None:
    rows = [
        (
            fit.profile,
            _size(fit.used),
            _size(fit.need),
            fit.refused or (f"unknown: {fit.unknown}" if fit.unknown else ""),
        )
        for fit in fits
    ]
    show(table(("profile", "arena used", "arena needed", "refused"), rows))
    for fit in fits:
        if fit.derived:
            say(f"[bold]{safe(fit.profile)}[/]: {safe(fit.derived)}")


def _show_targets(inspection: Inspection, targets: list[Target], rows: list[ModelOnTarget]) -> None:
    show(table(COLUMNS, [_cells(row) for row in rows]))
    remarks: dict[str, list[str]] = {}
    for target, row in zip(targets, rows, strict=True):
        said = [
            *row.shortfalls,
            *row.notes,
            *(f"→ {one}" for one in advice(inspection, row, target)),
        ]
        if row.refused or row.unknown:
            said.insert(0, row.refused or f"unknown: {row.unknown}")
        for remark in said:
            remarks.setdefault(remark, []).append(row.target)
    for remark, named in remarks.items():
        say(f"[bold]{safe(', '.join(named))}[/]: {safe(remark)}")


def _cells(row: ModelOnTarget) -> tuple[str, ...]:
    """Returns the cells of a row; code and arena are empty for a host."""
    board = row.kind == "mcu"
    least = "≥ " if board and row.code_flash is None else ""
    return (
        row.target,
        _size(row.weights_flash),
        _size(row.model_flash),
        _size(row.code_flash) if board else "",
        _size(row.activation_ram),
        _size(row.runtime_ram),
        f"{least}{row.total_flash:,}",
        _size(row.total_ram),
        _size(row.arena_need) if board else "",
        row.fits,
    )


def _show_layers(fit: Fit) -> None:
    if fit.need is None:
        say(f"{safe(fit.profile)}: {safe(fit.refused or fit.unknown)}")
        return
    say(f"layers on {safe(fit.profile)}")
    fullest = max((layer.live for layer in fit.layers if layer.peak), default=0)
    rows = [
        (
            f"{layer.subgraph}/{layer.index}" if layer.subgraph else layer.index,
            layer.operator,
            "x".join(map(str, layer.output_shape)),
            f"{layer.weights:,}",
            f"{layer.output:,}",
            f"{layer.scratch:,}",
            f"{layer.live:,}",
            "← peak" if layer.peak and layer.live == fullest else "",
        )
        for layer in fit.layers
    ]
    columns = ("#", "operator", "output shape", "weights", "output", "scratch", "live", "")
    show(table(columns, rows))


def _size(size: int | None) -> str:
    return "unknown" if size is None else f"{size:,}"
