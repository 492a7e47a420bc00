"""`modelwave backup` and `modelwave restore`: a home, without its keys, as one file."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from modelwave_controller.cli.options import JsonOption, actor, home_of, path, program_of
from modelwave_controller.cli.progress import progress
from modelwave_controller.operations import backup as backups
from modelwave_controller.operations import restore as restores
from modelwave_controller.phrases import plural, span
from modelwave_controller.terminal import print_json, safe, say
from modelwave_shared import checkout

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="The backup.", show_default=False, parser=path)
]


def backup(
    ctx: typer.Context,
    file: FileArgument,
    without_files: Annotated[
        bool, typer.Option("--without-files", help="Leave out the models' files.")
    ] = False,
    without_database: Annotated[
        bool, typer.Option("--without-database", help="For PostgreSQL, which has pg_dump.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write database, settings, releases and model files to one file: no keys, no passwords.

    The service may run meanwhile.
    """
    home = home_of(ctx)
    _ = home.root
    with progress() as tell:
        made = backups.make(
            home,
            file,
            time.time(),
            checkout.described(),
            tell,
            database=not without_database,
            files=not without_files,
            force=force,
        )
    if as_json:
        print_json(
            made.manifest.model_dump(exclude={"entries"})
            | {"file": str(file), "bytes": made.size, "left_out": made.left_out}
            | {"entries": len(made.manifest.entries)}
        )
        return
    what = plural(len(made.manifest.entries), "file")
    say(f"wrote [bold]{safe(file)}[/]: {what}, {made.size:,} bytes")
    if made.left_out:
        say(f"not in it: {safe(', '.join(made.left_out))}; keep copies of the keys elsewhere")


def restore(
    ctx: typer.Context,
    file: FileArgument,
    force: Annotated[
        bool, typer.Option("--force", help="Put a database that is in order aside.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Put a backup into a new home, or one whose database was lost: stop the service first.

    Everything in FILE is verified before anything changes.
    """
    home = home_of(ctx).path
    now = time.time()
    with progress() as tell:
        done = restores.restore(home, file, now, actor(), tell, force)
    if as_json:
        print_json(asdict(done) | {"manifest": done.manifest.model_dump(exclude={"entries"})})
        return
    age = span(max(0.0, now - done.manifest.made_at))
    say(f"restored [bold]{safe(home)}[/] from a backup that is {age} old")
    if done.put_aside:
        say(f"the database that was there is now {safe(done.put_aside)}")
    for name in done.kept:
        say(f"kept {safe(name)}, which differs from the backup's")
    say("\nNext:")
    for number, step in enumerate(_steps(done, safe(program_of(ctx))), 1):
        say(f"  {number}. {step}")


def _steps(done: restores.Restored, program: str) -> list[str]:
    steps = [f"Put back {safe(place)}: {safe(what)}." for place, what in done.missing]
    if not done.manifest.revision:
        return [
            *steps,
            f"Restore the PostgreSQL database with pg_restore, then say so: `{program} recover "
            "--restored`.",
        ]
    if done.tokens:
        steps.append(
            f"Make new access tokens with `{program} token create`: {plural(done.tokens, 'token')} "
            "of the backup may have been revoked since, and let nobody in any more."
        )
    steps.append(f"Start `{program} serve`, and let the devices report.")
    if done.models:
        steps.append(
            f"`{program} recover` compares the numbers of orders with the devices'. Until then no "
            f"order is signed for {safe(', '.join(done.models))}."
        )
    return steps
