"""`modelwave golden`: makes golden sets, shows them, and says what they notice."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from modelwave_controller import disk
from modelwave_controller.cli.options import JsonOption, path
from modelwave_controller.phrases import plural
from modelwave_controller.releases import confinement, figures, golden_making
from modelwave_controller.releases.golden_making import Source
from modelwave_controller.terminal import console, facts, print_json, safe, say, show, table

app = typer.Typer(no_args_is_help=True)

DEFAULT_FAULTS = 200
MILLION = 1_000_000

ModelArgument = Annotated[
    Path,
    typer.Argument(metavar="MODEL", show_default=False, help="A .tflite or .onnx.", parser=path),
]
SetArgument = Annotated[
    Path,
    typer.Argument(metavar="GOLDEN_SET", show_default=False, help="A golden set.", parser=path),
]
FormatOption = Annotated[
    str | None,
    typer.Option("--format", metavar="NAME", help="Of the model, for a runtime of your own."),
]
PythonOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PYTHON",
        help="A Python of another environment, with another runtime and numpy; repeat it.",
    ),
]
ShapeOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=1x224x224x3", help="Of an input whose shape the model leaves open; repeat it."
    ),
]
XnnpackOption = Annotated[
    bool, typer.Option("--xnnpack", help="Devices may compute with TFLite's XNNPACK.")
]
SeedOption = Annotated[int, typer.Option(help="Of all that is random.")]


@app.command()
def make(
    model: ModelArgument,
    inputs: Annotated[
        Path | None,
        typer.Option(
            help="An .npz with an array for each input, or an .npy for the only one; the first "
            "dimension counts the records.",
            parser=path,
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="The right classes, in place of expected outputs: a number on each line, an "
            ".npy, or an .npz by output.",
            parser=path,
        ),
    ] = None,
    random: Annotated[
        int, typer.Option(metavar="N", help="N random records, for a first try only.")
    ] = 0,
    python: PythonOption = None,
    shape: ShapeOption = None,
    xnnpack: XnnpackOption = False,
    board: Annotated[
        bool, typer.Option("--board", help="Write the binary form, which boards read too.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="The set; else the model's name with .npz or .golden.", parser=path),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace --out.")] = False,
    seed: SeedOption = 0,
    format_: FormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a golden set: run the model on these inputs in each runtime at hand, and propose a
    tolerance from how far apart they are.

    The expected outputs are those of this environment's runtime, without a delegate. The set has
    its tolerance in it, which `release create` signs; the binary form has none, so the options
    for it are shown.
    """
    loaded = golden_making.load(model, format_, shape or [], xnnpack, python or [])
    place = out or Path(f"{model.stem}.{'golden' if board else 'npz'}")
    disk.require_place(place, "--out", force)
    with _progress() as tell:
        confinement.guard()
        made = golden_making.make(loaded, Source(inputs, labels, random, seed), board, place, tell)
    if as_json:
        print_json(made)
        return
    say(
        f"[green]made[/] {safe(place)}: {plural(made['records'], 'record')}, "
        f"{made['bytes']:,} bytes; the expected outputs are those of {safe(made['reference'])}"
    )
    rows = [
        (
            f"{one['configuration']} {one['version']}",
            output,
            _distance(apart),
            _part(apart),
            "yes" if one["in_tolerance"] else "no: --xnnpack allows it",
        )
        for one in made["configurations"]
        for output, apart in one["outputs"].items()
    ]
    columns = ("runtime", "output", "farthest from it", "relative", "for devices?")
    show(table(columns, rows))
    _show_problems(made)
    _show_tolerance(made["tolerance"])
    for remark in made["remarks"]:
        say(f"[yellow]{safe(remark)}[/]")
    if made["random"]:
        say(
            "its inputs are random numbers: it notices a broken file or runtime, but not a model "
            "that is wrong on real inputs"
        )


@app.command()
def check(
    model: ModelArgument,
    golden_set: SetArgument,
    least_correct: Annotated[
        str | None, typer.Option(metavar="SHARE", help="For the binary form, as in release create.")
    ] = None,
    steps: Annotated[
        list[str] | None,
        typer.Option(metavar="RUNTIME=N", help="For the binary form, as in release create."),
    ] = None,
    tolerance: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="In place of the set's own, as JSON.", parser=path),
    ] = None,
    faults: Annotated[
        int, typer.Option(metavar="N", help="How many damaged copies of the model to try.")
    ] = DEFAULT_FAULTS,
    python: PythonOption = None,
    shape: ShapeOption = None,
    xnnpack: XnnpackOption = False,
    seed: SeedOption = 0,
    format_: FormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say how far a model is from its golden set, and what the set notices: the worst difference by
    runtime and output, and how many single flipped bits in the weights.

    Each fault is one bit of one byte of the weights, drawn by the seed; the model with it is run
    in a process of its own, as it may crash it, which counts as noticed.
    """
    loaded = golden_making.load(model, format_, shape or [], xnnpack, python or [])
    given = figures.tolerance(least_correct, steps or [], tolerance)
    with _progress() as tell:
        confinement.guard()
        found = golden_making.check(loaded, golden_set, given, faults, seed, tell)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            f"{one['configuration']} {one['version']}",
            output,
            f"{judged['right']} of {judged['seen']}",
            _distance(judged) if "worst" in judged else "",
            _part(judged) if "worst" in judged else "",
            judged["problem"] or "passes",
        )
        for one in found["configurations"]
        for output, judged in one["outputs"].items()
    ]
    show(table(("runtime", "output", "right", "worst", "relative", "verdict"), rows))
    _show_problems(found)
    if found["weak"]:
        say(f"[red]the golden set cannot fail[/]: {safe(found['weak'])}")
    if "faults" in found:
        _show_faults(found["faults"])
    elif faults:
        say("no faults were tried: the weights of this format are not found in its file")


@app.command("show")
def show_set(golden_set: SetArgument, as_json: JsonOption = False) -> None:
    """Show what a golden set has: its arrays, and the tolerance that it proposes."""
    found = golden_making.show(golden_set)
    if as_json:
        print_json(found)
        return
    said = found["golden.json"]
    rows = [
        ("form", "binary, for boards too" if found["form"] == "binary" else ".npz, for hosts"),
        ("records", found["records"]),
        ("bytes", f"{found['bytes']:,}"),
        ("expected outputs", said.get("reference", "")),
        ("inputs", "random numbers" if said.get("inputs") == "random" else ""),
        ("loading", said.get("loading", "")),
    ]
    show(facts((name, value) for name, value in rows if value != ""))
    arrays = [
        (one["name"], one["dtype"][1:], "x".join(map(str, one["shape"])), f"{one['bytes']:,}")
        for one in found["arrays"]
    ]
    show(table(("array", "type", "shape of a record", "bytes"), arrays))
    if "tolerance" in said:
        _show_tolerance(said["tolerance"])


def _show_problems(found: Any) -> None:
    for one in found["problems"]:
        say(f"[yellow]not run[/] with {safe(one['python'])}: {safe(one['problem'])}")


def _show_tolerance(tolerance: Any) -> None:
    if tolerance["kind"] == "labels":
        say(f"tolerance: --least-correct {tolerance['least_ppm'] / MILLION:g}")
    elif tolerance["kind"] == "outputs":
        given = " ".join(f"--steps {name}={most}" for name, most in tolerance["steps"].items())
        say(f"tolerance: {safe(given)}")
    else:
        for output, rule in tolerance["outputs"].items():
            say(f"tolerance of {safe(output)}: {safe(_rule(rule))}")


def _rule(rule: Any) -> str:
    if rule["judge"] == "labels":
        return f"labels, at least {rule['least_ppm'] / MILLION:.1%} right"
    if rule["judge"] == "boxes":
        return (
            f"boxes, at least {rule['least_ppm'] / MILLION:.1%} found, with an overlap of "
            f"{rule['iou_ppm'] / MILLION:g} and a score within {rule['score_ppm'] / MILLION:g}"
        )
    if "relative" not in rule:
        return "; ".join(f"{name} {most}" for name, most in rule["absolute"].items())
    return "; ".join(  # of floats
        f"{name} {most / MILLION:.6g} + {rule['relative'].get(name, 0)} ppm"
        for name, most in rule["absolute"].items()
    )


def _show_faults(faults: Any) -> None:
    say(
        f"[bold]{faults['noticed']} of {faults['tried']}[/] flipped bits in the weights are "
        f"noticed ({faults['ppm'] / MILLION:.0%}); {faults['crashed']} of them crash the runtime, "
        f"{faults['hung']} make it hang"
    )
    enough = faults["records_for_95_percent"]
    said = ", ".join(f"{count}: {found}" for count, found in faults["by_records"].items())
    if enough is None:
        reached = f"its {faults['records']} records do not reach 95 % of the faults"
    else:
        reached = f"its first {enough} records reach 95 % of the faults"
    say(f"{reached} (noticed by the first records: {said})")


def _distance(apart: Any) -> str:
    """Shows the greatest difference in its unit, for floats as a number."""
    worst = apart["worst"]
    if worst is None:
        return "a NaN or another shape"
    if apart["unit"] == "millionths":
        return f"{worst / MILLION:.3g}"
    return f"{worst:.0f} {apart['unit'] if worst != 1 else apart['unit'][:-1]}"


def _part(apart: Any) -> str:
    ppm = apart["relative_ppm"]
    return "" if not ppm else f"{ppm:,} ppm"


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Yields a function that shows how far it is, on a terminal only."""
    screen = console(stderr=True)
    if not screen.is_terminal:
        yield lambda _text: None
        return
    with screen.status("") as status:
        yield lambda text: status.update(safe(text))
