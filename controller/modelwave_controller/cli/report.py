"""`modelwave rollout report`: writes all that is known about a rollout, as a page to file."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from modelwave_controller import disk
from modelwave_controller.api import rollouts as calls
from modelwave_controller.cli import report_html, report_markdown
from modelwave_controller.cli.doors import ask, door
from modelwave_controller.cli.log import UtcOption
from modelwave_controller.cli.options import JsonOption, NewestArgument, path
from modelwave_controller.errors import OperatorError
from modelwave_controller.results.report import RolloutReport
from modelwave_controller.terminal import print_json, safe, say

Draw = Callable[[RolloutReport, bool], str]

# By the end of the file's name.
_FORMS: dict[str, Draw] = {
    ".html": report_html.page,
    ".htm": report_html.page,
    ".md": report_markdown.page,
}


def rollout_report(
    ctx: typer.Context,
    rollout: NewestArgument = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write FILE.html or FILE.md.",
            show_default="Markdown on stdout",
            parser=path,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE.")] = False,
    utc: UtcOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a page about a rollout for your files: stages, gates, devices in trouble, who did what.

    It needs no service, and works while the rollout goes on. FILE is written completely or not at
    all. The exit code is 0 when it is written, however the rollout stands; 2 for an error of the
    command line, such as a FILE that exists; 1 for one of the disk or the database.
    """
    draw = report_markdown.page if out is None else _form(out)
    if out is not None:
        disk.require_place(out, "--out", force)
    with door(ctx) as there:
        made = ask(there, calls.REPORT, rollout=calls.newest_if_none(rollout), utc=utc)
    if out is None:
        print_json(asdict(made)) if as_json else print(draw(made, utc), end="")
        return
    data = draw(made, utc).encode()
    disk.replace(out, data)
    if as_json:
        print_json(asdict(made) | {"file": str(out), "bytes": len(data)})
    else:
        say(f"wrote [bold]{safe(out)}[/]: rollout {made.status.rollout}, {len(data):,} bytes")


def _form(out: Path) -> Draw:
    """Returns what draws a file of this name. Raises OperatorError."""
    found = _FORMS.get(out.suffix.lower())
    if found is None:
        raise OperatorError(f"--out: {out} ends neither in .html nor in .md; name such a file")
    return found
